//! Named waits: the only state of health in which a request is refused without a call.

use std::ops::RangeInclusive;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{
    BODIES, Body, answering_first, assert_served, both, calls, error, provider, streamed, without_repeats,
};
use crate::support::chat::Error;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Upstream};

/// The upstream's own text, which only the refused request itself receives.
const OWN_TEXT: &str = "Rate limit reached for requests per min: Limit 3";

/// A 429 with this text and the API's own type.
fn limit(dialect: Dialect, text: &str) -> Answer {
    let kind = match dialect {
        Dialect::Anthropic => "rate_limit_error",
        Dialect::OpenAi => "rate_limit_exceeded",
    };
    error(dialect, 429, kind, text)
}

/// Limits the first request for the model `crowded`.
fn limiting(upstream: Upstream, retry_after: &str) -> Upstream {
    let dialect = upstream.dialect();
    let answer = limit(dialect, OWN_TEXT).header("retry-after", retry_after);
    answering_first(upstream, ("crowded", 1), answer)
}

fn request(model: &str, letters: usize, body: Body) -> Value {
    body(model, &"x".repeat(letters))
}

#[track_caller]
fn assert_limited(reply: &Reply) {
    assert_eq!((reply.status(), reply.error_type().as_str()), (429, "rate_limit_error"), "{reply}");
}

/// A refusal of the gateway with the rest of a wait that began then.
#[track_caller]
fn assert_refused(reply: &Reply, provider: &str, (seconds, since): (u64, Instant)) {
    assert_limited(reply);
    let message = reply.error_message();
    assert!(message.contains(provider) && message.contains("crowded"), "{reply}");
    assert!(!reply.raw().contains("per min"), "the text belongs to another request: {reply}");
    let least = seconds.saturating_sub(since.elapsed().as_secs() + 1).max(1);
    let most = seconds + seconds.div_ceil(5);
    assert!((least..=most).contains(&reply.integer("retry-after")), "{least}..={most}: {reply}");
}

#[test]
fn a_named_wait_refuses_requests_of_that_size_for_that_model() {
    for body in BODIES {
        for upstream in both() {
            let upstream = limiting(upstream, "8");
            let gateway = without_repeats(&upstream).start();
            let ask = |model: &str, letters| gateway.messages(&request(model, letters, body)).reply();
            let since = Instant::now();
            let first = ask("crowded", 2000);
            assert_limited(&first);
            assert_eq!(first.error_message(), OWN_TEXT);
            assert!((7..=10).contains(&first.integer("retry-after")), "{first}");
            for letters in [2000, 4000] {
                let refused = ask("crowded", letters);
                assert_refused(&refused, provider(&upstream), (8, since));
                assert_ne!(refused.header("x-should-retry"), Some("false"), "{refused}");
            }
            assert_eq!(upstream.count(), 1, "no call is made during the wait");
            assert_served(&ask("other", 2000));
            assert_eq!(calls(&upstream, "crowded"), 1);
        }
    }
}

#[test]
fn a_much_smaller_request_is_not_refused_by_a_named_wait() {
    for body in BODIES {
        for upstream in both() {
            let upstream = limiting(upstream, "8");
            let gateway = without_repeats(&upstream).start();
            assert_limited(&gateway.messages(&request("crowded", 2000, body)).reply());
            let mut small = request("crowded", 2, body);
            small["max_tokens"] = 64.into();
            assert_served(&gateway.messages(&small).reply());
            assert_eq!(upstream.count(), 2);
        }
    }
}

#[test]
fn chat_clients_get_the_same_refusal_in_their_own_shape() {
    for body in BODIES {
        for upstream in both() {
            let upstream = limiting(upstream, "8");
            let gateway = without_repeats(&upstream).start();
            let ask =
                || gateway.call("POST", "/v1/chat/completions").json(&request("crowded", 2000, body)).reply();
            let first = ask();
            assert_eq!((first.status(), Error::of(&first).message.as_str()), (429, OWN_TEXT), "{first}");
            let refused = ask();
            assert_eq!(refused.status(), 429, "{refused}");
            let error = Error::of(&refused);
            assert_eq!(error.words(), ("rate_limit_error", Some("rate_limit_exceeded")), "{refused}");
            assert!(error.message.contains(provider(&upstream)), "{refused}");
            assert!(!error.message.contains("per min"), "{refused}");
            assert!((1..=10).contains(&refused.integer("retry-after")), "{refused}");
            assert_eq!(upstream.count(), 1);
        }
    }
}

#[test]
fn a_wait_of_minutes_refuses_and_stops_the_clients_retries() {
    for upstream in both() {
        let upstream = limiting(upstream, "300");
        let gateway = without_repeats(&upstream).start();
        let since = Instant::now();
        let first = streamed(&gateway, "crowded");
        assert_limited(&first);
        assert_eq!(first.error_message(), OWN_TEXT);
        let refused = streamed(&gateway, "crowded");
        assert_refused(&refused, provider(&upstream), (300, since));
        for reply in [first, refused] {
            assert!((290..=360).contains(&reply.integer("retry-after")), "{reply}");
            assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply}");
        }
        assert_eq!(upstream.count(), 1);
        assert_served(&streamed(&gateway, "other"));
    }
}

/// The first request receives this 429 and its wait. The second is refused without a call.
#[track_caller]
fn assert_waits(upstream: Upstream, answer: Answer, waits: &RangeInclusive<u64>) {
    let name = format!("{answer:?}");
    let upstream = answering_first(upstream, (MODEL, 1), answer);
    let gateway = without_repeats(&upstream).start();
    let first = gateway.ask("hi");
    assert_limited(&first);
    assert!(waits.contains(&first.integer("retry-after")), "{waits:?}: {first}");
    assert_limited(&gateway.ask("hi"));
    assert_eq!(upstream.count(), 1, "{name}");
    assert_served(&streamed(&gateway, "other"));
}

#[test]
fn a_wait_that_only_the_text_names_is_respected() {
    let texts = [
        ("Rate limit reached for requests. Please try again in 21.5s. Visit the docs.", 21..=27),
        ("Rate limit reached for tokens per min. Please try again in 1m2.5s.", 62..=76),
        ("Your requests exceed the call rate limit. Please retry after 20 seconds.", 19..=25),
    ];
    for (text, waits) in texts {
        for upstream in both() {
            let answer = limit(upstream.dialect(), text);
            assert_waits(upstream, answer, &waits);
        }
    }
}

#[test]
fn a_wait_in_openrouters_metadata_is_respected() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let reset = (now + 30_000).to_string();
    let headers =
        json!({"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset});
    let error = json!({"message": "Rate limit exceeded: free-models-per-min.", "code": 429,
        "metadata": {"headers": headers}});
    let answer = Answer::json(429, json!({"error": error}).to_string());
    assert_waits(Upstream::openai(), answer, &(25..=37));
}

#[test]
fn while_every_key_waits_the_client_receives_the_shortest_wait() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let limited = |seconds| limit(dialect, OWN_TEXT).header("retry-after", seconds);
        let upstream = upstream.answering_key("long", limited("40")).answering_key("short", limited("8"));
        let gateway = Gateway::before(&upstream).keys(["long", "short"]).start();
        let since = Instant::now();
        let first = gateway.ask("hi");
        assert_limited(&first);
        assert!((7..=10).contains(&first.integer("retry-after")), "{first}");
        let refused = gateway.ask("hi");
        assert_limited(&refused);
        let least = 8u64.saturating_sub(since.elapsed().as_secs() + 1).max(1);
        assert!((least..=10).contains(&refused.integer("retry-after")), "{refused}");
        assert_eq!(upstream.count(), 2);
    }
}
