//! Fallbacks: which target serves if a provider fails, in which API, and how this is reported.

use serde_json::{Value, json};

use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, Setup, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Ending, Upstream};

/// A gateway without retries at one target, so that only the order of targets matters.
fn chain(upstreams: &[(&str, &Upstream)], toml: &str) -> Setup {
    let setup = Gateway::bare().env("MAX_RETRIES", "0").toml(toml);
    upstreams.iter().fold(setup, |setup, (name, upstream)| setup.provider(name, upstream))
}

fn broken(dialect: Dialect, status: u16) -> Answer {
    let body = match dialect {
        Dialect::Anthropic => anthropic::error("api_error", &format!("anthropic said {status}")),
        Dialect::OpenAi => openai::error(&format!("openai said {status}"), "x", "y"),
    };
    Answer::json(status, body)
}

fn failing(upstream: Upstream, status: u16) -> Upstream {
    let answer = broken(upstream.dialect(), status);
    upstream.always(answer)
}

fn ask(gateway: &Gateway, model: &str) -> Reply {
    gateway.messages(&prompt(model, "hi")).reply()
}

#[test]
fn after_a_failed_provider_the_next_one_is_called_in_its_own_api() {
    let ways = [("/v1/messages", prompt("one:a", "hi")), ("/v1/messages", whole_prompt("one:a", "hi"))];
    let chat = |stream: bool| {
        let messages = json!([{"role": "user", "content": "hi"}]);
        ("/v1/chat/completions", json!({"model": "one:a", "messages": messages, "stream": stream}))
    };
    let toml = "[one]\nfallbacks = [\"two:b\"]";
    for (endpoint, body) in ways.into_iter().chain([chat(true), chat(false)]) {
        for openai_first in [true, false] {
            let (one, two) = match openai_first {
                true => (failing(Upstream::openai(), 503), Upstream::anthropic()),
                false => (failing(Upstream::anthropic(), 529), Upstream::openai()),
            };
            let gateway = chain(&[("one", &one), ("two", &two)], toml).start();
            let reply = gateway.call("POST", endpoint).json(&body).reply();
            assert_eq!(reply.status(), 200, "{endpoint} {reply}");
            assert!(reply.complete && reply.raw().contains("Hello"), "{endpoint} {reply}");
            assert_eq!((one.count(), two.count()), (1, 1), "{endpoint}");
            let seen = &two.requests()[0];
            assert_eq!(seen.json()["model"], "b");
            assert_eq!(seen.json()["messages"][0]["role"], "user");
            let target = if openai_first { "/v1/messages" } else { "/v1/chat/completions" };
            assert_eq!(seen.target().split('?').next(), Some(target));
        }
    }
}

#[test]
fn a_passthrough_fallback_receives_the_clients_own_bytes() {
    let (one, two) = (failing(Upstream::anthropic(), 500), Upstream::anthropic());
    let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]").start();
    let body = r#"{ "messages" :[{"role":"user","content":"h\u00e9"}], "max_tokens":5,"model":"one:a" }"#;
    let reply = gateway.call("POST", "/v1/messages").body(body).header("content-type", "application/json");
    assert_eq!(reply.reply().status(), 200);
    assert_eq!(two.requests()[0].text(), body.replace("one:a", "b"));
}

#[test]
fn each_failure_that_is_not_the_requests_own_uses_the_next_target() {
    let quota = openai::error("You exceeded your current quota", "insufficient_quota", "insufficient_quota");
    let failures = [
        broken(Dialect::OpenAi, 500),
        broken(Dialect::OpenAi, 502),
        broken(Dialect::OpenAi, 529),
        broken(Dialect::OpenAi, 401),
        broken(Dialect::OpenAi, 403),
        broken(Dialect::OpenAi, 404),
        broken(Dialect::OpenAi, 429).header("retry-after", "30"),
        broken(Dialect::OpenAi, 503).header("x-should-retry", "false"),
        Answer::json(429, quota),
        Answer::hang_up(),
        Answer::whole(200, "text/html", "<html>"),
        Answer::events(vec![openai::data(&json!({"error": {"message": "overloaded", "code": 502}}))]),
    ];
    for (number, failure) in failures.into_iter().enumerate() {
        let (one, two) = (Upstream::openai().always(failure), Upstream::openai());
        let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]").start();
        assert_eq!(ask(&gateway, "one:a").text(), "Hello there!", "failure {number}");
        assert_eq!(two.count(), 1, "failure {number}");
    }
}

#[test]
fn errors_of_the_request_itself_use_no_other_target() {
    for status in [400, 413, 422] {
        let (one, two) = (failing(Upstream::openai(), status), Upstream::openai());
        let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]").start();
        assert!((400..500).contains(&ask(&gateway, "one:a").status()), "{status}");
        assert_eq!((one.count(), two.count()), (1, 0), "{status}");
    }
}

#[test]
fn a_silent_target_is_called_once_and_the_next_one_serves() {
    let (one, two) = (Upstream::openai().always(Answer::silence()), Upstream::openai());
    let toml = "[one]\ntimeout = 0.3\nfallbacks = [\"two:b\"]";
    let gateway = chain(&[("one", &one), ("two", &two)], toml).start();
    assert_eq!(ask(&gateway, "one:a").status(), 200);
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[test]
fn no_other_target_is_used_once_the_client_has_received_a_part_of_the_reply() {
    let events = openai::text(&["Hel", "lo"]);
    let begun = events.iter().take(2).map(Vec::len).sum();
    let cut = Answer::events(events).broken_after(begun, Ending::Cut);
    let (one, two) = (Upstream::openai().always(cut), Upstream::openai());
    let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]").start();
    let reply = ask(&gateway, "one:a");
    assert_eq!(reply.status(), 200);
    assert!(reply.raw().contains("event: error"), "{reply}");
    assert_eq!(two.count(), 0);
}

#[test]
fn keys_and_retries_come_before_the_next_target_and_six_calls_are_the_limit() {
    let one = failing(Upstream::openai(), 401);
    let two = failing(Upstream::anthropic(), 500);
    let three = failing(Upstream::openai(), 503);
    let toml = "[one]\nfallbacks = [\"two:b\", \"three:c\"]";
    let gateway = chain(&[("one", &one), ("two", &two), ("three", &three)], toml)
        .env("ONE_API_KEY", "k1 k2 k3 k4 k5 k6 k7 k8")
        .env("MAX_RETRIES", "1")
        .start();
    let reply = ask(&gateway, "one:a");
    assert_eq!(one.keys_seen(), ["k1", "k2", "k3", "k4"], "one call is kept for each target");
    assert_eq!((two.count(), three.count()), (1, 1));
    assert_eq!(reply.status(), 503, "{reply}");
    assert!(reply.error_message().contains("openai said 503"), "the last target's error: {reply}");
}

#[test]
fn targets_that_name_each_other_are_each_called_once() {
    let (one, two) = (failing(Upstream::openai(), 503), failing(Upstream::openai(), 500));
    let toml = "[one]\nfallbacks = [\"two:b\"]\n[two]\nfallbacks = [\"one:a\"]";
    let gateway = chain(&[("one", &one), ("two", &two)], toml).start();
    assert_eq!(ask(&gateway, "one:a").status(), 500);
    assert_eq!((one.count(), two.count()), (1, 1));
    assert_eq!(ask(&gateway, "two:b").status(), 503);
    assert_eq!((one.count(), two.count()), (2, 2));
}

#[test]
fn a_key_in_cooldown_is_not_called_again_before_the_next_target() {
    let limited = broken(Dialect::OpenAi, 429).header("retry-after", "30");
    let (one, two) = (Upstream::openai().always(limited), Upstream::openai());
    let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]").start();
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "one:a").status(), 200);
    }
    assert_eq!((one.count(), two.count()), (1, 3));
}

#[test]
fn a_failing_or_full_target_is_skipped() {
    let (one, two) = (failing(Upstream::openai(), 500), Upstream::openai());
    let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]").start();
    for _ in 0..15 {
        assert_eq!(ask(&gateway, "one:a").status(), 200);
    }
    assert_eq!((one.count(), two.count()), (3, 15));

    let (one, two) = (Upstream::openai().always(Answer::silence()), Upstream::openai());
    let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]")
        .limit("provider-in-flight", 1)
        .limit("provider-queue", 0)
        .start();
    let _held = gateway.messages(&prompt("one:a", "hi")).send();
    one.request(0);
    assert_eq!(ask(&gateway, "one:a").status(), 200);
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[test]
fn an_alias_a_model_and_a_profile_have_their_own_fallbacks() {
    let (one, two) = (failing(Upstream::openai(), 503), Upstream::openai());
    let toml = r##"
        [one.aliases]
        fast = "small"
        [one.fallbacks]
        fast = ["two:for-fast"]
        "big" = ["two:quick"]
        [two.aliases]
        quick = "quick-model"
        ["#work"]
        timeout = 30
        fallbacks = ["two:for-work"]
        ["#work".aliases]
        haiku = "one:other"
    "##;
    let gateway = chain(&[("one", &one), ("two", &two)], toml).start();
    for name in ["one:FAST", "one:big", "work:haiku"] {
        assert_eq!(ask(&gateway, name).status(), 200, "{name}");
    }
    assert_eq!(ask(&gateway, "one:none").status(), 503);
    let asked: Vec<Value> = two.requests().iter().map(|seen| seen.json()["model"].clone()).collect();
    assert_eq!(asked, ["for-fast", "quick-model", "for-work"]);
}

#[test]
fn the_log_and_the_totals_report_which_target_served_and_which_failed() {
    let (one, two) = (failing(Upstream::openai(), 503), Upstream::openai());
    let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]").start();
    assert_eq!(ask(&gateway, "one:a").status(), 200);
    gateway.run.await_log("falls back from one:a to two:b: 503 openai said 503");
    gateway.run.await_log("one:a -> two:b 200 streamed");
    assert!(gateway.log().contains("calls=2 after=one:a"), "{}", gateway.log());
    let totals = gateway.get("/metrics/running-totals").raw();
    assert!(totals.contains("two") && !totals.contains("one:"), "{totals}");
}

#[test]
fn counting_tokens_uses_no_fallback() {
    let (one, two) = (failing(Upstream::anthropic(), 503), Upstream::anthropic());
    let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]").start();
    let reply = gateway.call("POST", "/v1/messages/count_tokens").json(&whole_prompt("one:a", "hi")).reply();
    assert_eq!(reply.status(), 200);
    assert!(reply.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{reply}");
    assert_eq!(two.count(), 0);
}

#[test]
fn a_client_that_disconnects_during_a_fallback_closes_its_connection_too() {
    let (one, two) = (failing(Upstream::openai(), 503), Upstream::openai().always(Answer::silence()));
    let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]").start();
    let call = gateway.messages(&prompt("one:a", "hi")).send();
    two.request(0);
    call.hang_up();
    two.closed(0);
}

#[test]
fn a_clients_own_key_is_sent_to_one_provider_only() {
    let (one, two) = (failing(Upstream::anthropic(), 503), Upstream::anthropic());
    let three = Upstream::openai();
    let toml = "[one]\nfallbacks = [\"two:b\", \"three:c\"]";
    let gateway = chain(&[("one", &one), ("two", &two), ("three", &three)], toml)
        .env("ONE_API_KEY", "!PASSTHRU")
        .env("TWO_API_KEY", "!PASSTHRU")
        .start();
    let call = gateway.messages(&prompt("one:a", "hi")).header("x-api-key", "sk-of-the-client");
    assert_eq!(call.reply().status(), 200);
    assert_eq!((one.keys_seen(), two.count()), (vec!["sk-of-the-client".to_owned()], 0));
    assert_eq!(three.keys_seen(), ["sk-test"]);
}

#[test]
fn a_client_whose_own_key_is_refused_is_not_served_with_another_key() {
    let (one, two) = (failing(Upstream::anthropic(), 401), Upstream::openai());
    let gateway = chain(&[("one", &one), ("two", &two)], "[one]\nfallbacks = [\"two:b\"]")
        .env("ONE_API_KEY", "!PASSTHRU")
        .start();
    let call = gateway.messages(&prompt("one:a", "hi")).header("x-api-key", "sk-wrong");
    assert_eq!(call.reply().status(), 401);
    assert_eq!(two.count(), 0);
}

#[test]
fn the_route_header_has_each_step_if_enabled_and_explain_prints_the_same() {
    let (one, two) = (failing(Upstream::openai(), 503), Upstream::openai());
    let toml = "[one]\nfallbacks = [\"two:b\"]\n[one.aliases]\nfast = \"a\"";
    let setup = chain(&[("one", &one), ("two", &two)], toml);
    let silent = setup.start();
    assert_eq!(ask(&silent, "one:fast").header("x-vdm-route"), None);
    let gateway = setup.env("VDM_ROUTE_HEADER", "1").start();
    for body in [prompt("one:fast", "hi"), whole_prompt("one:fast", "hi")] {
        assert_eq!(
            gateway.messages(&body).reply().header("x-vdm-route"),
            Some(
                "the prefix names provider 'one': 'fast'; alias 'fast' of 'one' resolves to 'a'; \
                 if that fails: two:b; -> one:a; one:a failed with 503; -> two:b"
            )
        );
    }
    let nowhere = ask(&gateway, "nobody:x");
    assert_eq!(nowhere.status(), 404);
    let literal = ask(&gateway, "!two:x");
    assert!(literal.header("x-vdm-route").is_some_and(|route| route.ends_with("; -> two:x")), "{literal}");
    // A header stays one header, whatever text a client uses as a name.
    let odd = ask(&gateway, "two:n\u{e4}\r\nx-forged: 1");
    assert_eq!((odd.status(), odd.header("x-forged")), (200, None));
    assert!(odd.header("x-vdm-route").is_some_and(|route| route.contains("two:n???x-forged: 1")), "{odd}");
}

#[test]
fn a_connection_test_uses_no_fallback() {
    let (one, two) = (failing(Upstream::openai(), 503), Upstream::openai());
    let toml = "[one]\nfallbacks = [\"two:b\"]\n[one.aliases]\nhaiku = \"a\"";
    let gateway = chain(&[("one", &one), ("two", &two)], toml).env("VDM_DEFAULT_PROVIDER", "one").start();
    let tested = gateway.get("/test-connection");
    assert_eq!(tested.status(), 503, "{tested}");
    assert_eq!((one.count(), two.count()), (1, 0));
}
