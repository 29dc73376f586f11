//! Errors in OpenAI's format: the upstream's own byte for byte, the gateway's in the same shape.

use super::{BOTH, ask, ask_whole, call, impatient, post, refusal, streamed_before, whole_before};
use crate::support::canned::openai;
use crate::support::chat::{self, Error};
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Deaf, Upstream};

const INVALID: &str = "invalid_request_error";

/// An error of the gateway.
fn expect(reply: &Reply, status: u16, words: (&str, Option<&str>)) -> String {
    assert_eq!(reply.status(), status, "{reply}");
    assert_eq!(reply.header("content-type"), Some("application/json"), "{reply}");
    assert!(reply.header("request-id").is_some(), "{reply}");
    let error = Error::of(reply);
    assert_eq!(error.words(), words, "{reply}");
    error.message
}

/// Requirement: Upstream error status, body and `retry-after`, `request-id` reach the client unchanged.
#[test]
fn error_bodies_are_byte_exact_with_their_status() {
    for status in [400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 500, 501, 503] {
        // The spaces prove that the body was not serialised again.
        let body = format!(
            "{{ \"error\" : {{\"message\": \"no {status}\", \"type\":\"t\",\"param\":\"p\", \"code\":null}} }}"
        );
        for reply in [
            streamed_before(Answer::json(status, body.clone())),
            whole_before(Answer::json(status, body.clone())),
        ] {
            assert_eq!((reply.status(), reply.raw()), (status, body.clone()));
            assert!(!reply.is_stream());
        }
    }
}

#[test]
fn a_status_that_only_anthropic_has_is_a_503_with_and_without_a_body() {
    let body = "{ \"error\" : {\"message\": \"busy\", \"type\":\"t\",\"param\":null, \"code\":null} }";
    for answer in [Answer::json(529, body), Answer::whole(529, "text/plain", "")] {
        for reply in [streamed_before(answer.clone()), whole_before(answer)] {
            assert_eq!(reply.status(), 503, "{reply}");
        }
    }
    assert_eq!(whole_before(Answer::json(529, body)).raw(), body);
}

#[test]
fn the_upstreams_error_for_a_long_context_is_unchanged() {
    let body = openai::error(
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 210000 tokens.",
        INVALID,
        "context_length_exceeded",
    );
    assert_eq!(whole_before(Answer::json(400, body.clone())).raw(), body);
}

#[test]
fn error_bodies_that_are_not_json_are_replaced_and_keep_their_status() {
    let bodies = [
        ("text/html", "<html><head><title>502 Bad Gateway</title></head><body>nginx internals</body></html>"),
        ("text/plain", "upstream connect error"),
        ("application/json", ""),
        ("application/json", "{\"error\":"),
    ];
    for (content_type, body) in bodies {
        for reply in [
            streamed_before(Answer::whole(502, content_type, body)),
            whole_before(Answer::whole(502, content_type, body)),
        ] {
            expect(&reply, 502, ("server_error", None));
            assert!(!reply.raw().contains("internals") && !reply.raw().contains("<html"), "{reply}");
        }
    }
}

#[test]
fn statuses_of_errors_without_a_body_follow_the_table() {
    for (upstream, status, words) in [
        (400, 400, (INVALID, None)),
        (401, 401, (INVALID, Some("invalid_api_key"))),
        (402, 402, ("insufficient_quota", Some("insufficient_quota"))),
        (403, 403, (INVALID, Some("permission_denied"))),
        (404, 404, (INVALID, Some("model_not_found"))),
        (408, 504, ("server_error", Some("timeout"))),
        (413, 413, (INVALID, Some("request_too_large"))),
        (429, 429, ("rate_limit_error", Some("rate_limit_exceeded"))),
        (500, 500, ("server_error", None)),
        (503, 503, ("server_error", None)),
        (529, 503, ("server_error", Some("overloaded"))),
    ] {
        expect(&whole_before(Answer::whole(upstream, "text/plain", "")), status, words);
    }
}

#[test]
fn an_error_that_quotes_a_configured_key_is_not_forwarded() {
    let said = "Incorrect API key provided: sk-quoted-canary";
    let event = openai::data(&serde_json::json!({"error": {"message": said}}));
    let mut late = openai::text(&["first"])[..2].to_vec();
    late.push(event.clone());
    for answer in [
        Answer::json(400, openai::error(said, INVALID, "x")),
        Answer::events(vec![event]),
        Answer::events(late),
    ] {
        let upstream = Upstream::openai().always(answer);
        let gateway = impatient(&upstream).keys(["sk-quoted-canary"]).start();
        let reply = ask(&gateway);
        assert!(!reply.raw().contains("canary"), "{reply}");
        assert!(Error::of(&reply).message.contains("Incorrect API key"), "{reply}");
    }
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Upstream::openai();
    let location = format!("{}/chat/completions", elsewhere.base_url());
    for status in [301, 307, 308] {
        let reply = whole_before(Answer::whole(status, "text/html", "moved").header("location", &location));
        expect(&reply, 502, ("server_error", None));
        assert_eq!(reply.header("location"), None, "{reply}");
    }
    assert_eq!(elsewhere.count(), 0);
}

/// Requirement: Unknown prefix on `/v1/messages` → 404 with `type: error`; the message lists the available
/// providers. on `/v1/chat/completions` → 404.
#[test]
fn an_unknown_provider_is_not_found() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for body in [chat::prompt("nowhere:m", "hi"), chat::whole_prompt("nowhere:m", "hi")] {
        let message = expect(&call(&gateway, &body).reply(), 404, (INVALID, Some("model_not_found")));
        assert!(message.contains("nowhere"), "{message}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_invalid_body_is_a_400_that_says_why() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for body in [
        "",
        "{",
        "[]",
        "{\"model\":\"m\"",
        "{\"messages\":[]}",
        "{\"model\":7,\"messages\":[]}",
        "{\"model\":\"\"}",
        "not JSON",
    ] {
        let message = expect(&post(&gateway, body).reply(), 400, (INVALID, None));
        assert!(!message.is_empty() && !message.contains('\n'), "{message}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn another_method_is_a_405() {
    let gateway = Gateway::bare().start();
    for method in ["GET", "PUT", "DELETE"] {
        let reply = gateway.call(method, "/v1/chat/completions").reply();
        expect(&reply, 405, (INVALID, None));
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    let head = gateway.call("HEAD", "/v1/chat/completions").reply();
    assert_eq!((head.status(), head.raw()), (405, String::new()));
}

#[test]
fn an_unknown_path_is_a_404_in_openais_format() {
    let reply = Gateway::bare().start().call("POST", "/v1/chat/completion").body("{}").reply();
    assert_eq!(reply.status(), 404);
    assert!(Error::of(&reply).message.contains("/v1/chat/completion"), "{reply}");
}

#[test]
fn a_body_over_the_limit_is_a_413() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).limit("request-body", 1000).start();
    let reply = call(&gateway, &chat::prompt(MODEL, &"x".repeat(2000))).reply();
    expect(&reply, 413, (INVALID, Some("request_too_large")));
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_compressed_body_is_a_415() {
    let gateway = Gateway::bare().start();
    let reply = post(&gateway, "\u{1f}").header("content-encoding", "gzip").reply();
    expect(&reply, 415, (INVALID, None));
}

/// Requirement: The 401 for a missing gateway key has the Anthropic error body on `/v1/messages`, the OpenAI body
/// on `/v1/chat/completions`.
#[test]
fn a_wrong_key_is_a_401_and_the_right_one_works_in_either_header() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-of-the-gateway").start();
    let body = chat::whole_prompt(MODEL, "hi");
    for wrong in ["Bearer sk-other", "Bearer ", "sk-other"] {
        let reply = call(&gateway, &body).header("authorization", wrong).reply();
        let message = expect(&reply, 401, (INVALID, Some("invalid_api_key")));
        assert!(!message.contains("sk-"), "{message}");
    }
    expect(&call(&gateway, &body).reply(), 401, (INVALID, Some("invalid_api_key")));
    assert_eq!(upstream.count(), 0);
    for (name, value) in [("authorization", "Bearer sk-of-the-gateway"), ("x-api-key", "sk-of-the-gateway")] {
        assert_eq!(chat::text(&call(&gateway, &body).header(name, value).reply()), "Hello there!");
    }
    assert_eq!(upstream.keys_seen(), ["sk-test", "sk-test"]);
}

#[test]
fn a_request_in_a_loop_is_stopped() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = call(&gateway, &chat::prompt(MODEL, "hi")).header("x-vdm-hop", "1").reply();
    expect(&reply, 508, ("server_error", None));
    assert_eq!(upstream.count(), 0);
}

#[test]
fn without_a_provider_it_is_a_503_that_says_what_to_set() {
    let gateway = Gateway::bare().env("VDM_DEMO", "0").start();
    let reply = call(&gateway, &chat::prompt(MODEL, "hi")).reply();
    let message = expect(&reply, 503, ("server_error", None));
    assert!(message.contains("OPENAI_API_KEY"), "{message}");
}

#[test]
fn too_many_requests_in_flight_are_a_503_with_retry_after() {
    let upstream = Upstream::openai().always(Answer::silence());
    let bounded = [
        Gateway::before(&upstream).limit("in-flight", 1),
        Gateway::before(&upstream).limit("provider-in-flight", 1).limit("provider-queue", 0),
    ];
    for setup in bounded {
        let gateway = setup.start();
        let before = upstream.count();
        let _first = call(&gateway, &chat::prompt(MODEL, "hi")).send();
        upstream.request(before);
        let reply = ask(&gateway);
        expect(&reply, 503, ("server_error", None));
        assert!((1..=5).contains(&reply.integer("retry-after")), "{reply}");
    }
}

#[test]
fn a_provider_that_fails_repeatedly_is_still_called() {
    let upstream = Upstream::openai().always(refusal(500));
    let gateway = impatient(&upstream).start();
    for asked in 1..=12 {
        assert_eq!(ask_whole(&gateway).status(), 500);
        assert_eq!(upstream.count(), asked);
    }
}

#[test]
fn an_upstream_that_does_not_listen_is_a_502() {
    let deaf = Deaf::new();
    let gateway = Setup::default()
        .env("OPENAI_API_KEY", "sk-test")
        .env("OPENAI_BASE_URL", format!("http://{}/v1", deaf.address))
        .env("MAX_RETRIES", "0")
        .start();
    for ask in BOTH {
        let message = expect(&ask(&gateway), 502, ("server_error", None));
        assert!(message.contains("openai"), "{message}");
    }
}

#[test]
fn an_upstream_that_hangs_up_is_a_502() {
    let upstream = Upstream::openai().always(Answer::hang_up());
    let gateway = impatient(&upstream).start();
    for ask in BOTH {
        expect(&ask(&gateway), 502, ("server_error", None));
    }
}
