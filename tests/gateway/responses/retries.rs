//! Retries, other keys and other targets for Responses clients and upstreams.

use serde_json::json;

use super::{BOTH, call, error_body, over_responses};
use crate::support::canned::responses as canned;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::responses;
use crate::support::upstream::{Answer, Ending, Piece, Upstream};

/// Requirement: a server error is repeated, and the client sees the answer only.
#[test]
fn a_server_error_is_repeated() {
    for ask in BOTH {
        let upstream = Upstream::openai().answering(Answer::json(500, error_body("oops", "server_error")));
        let gateway = over_responses(&upstream).start();
        assert_eq!(responses::text(&ask(&gateway)), "Hello there!");
        assert_eq!(upstream.count(), 2);
    }
}

/// Requirement: a limited key gives way to the next one.
#[test]
fn another_key_takes_over() {
    let limited =
        Answer::json(429, error_body("slow down", "rate_limit_exceeded")).header("retry-after", "60");
    let upstream = Upstream::openai().answering_key("sk-one", limited);
    let gateway = over_responses(&upstream).keys(["sk-one", "sk-two"]).start();
    for _ in 0..2 {
        assert_eq!(responses::text(&super::ask(&gateway)), "Hello there!");
    }
    assert_eq!(upstream.keys_seen().last().map(String::as_str), Some("sk-two"));
}

/// Requirement: the next target may have another API; its reply is in the client's API all the same.
#[test]
fn the_next_target_may_have_another_api() {
    for ask in BOTH {
        let first = Upstream::openai().always(Answer::json(503, error_body("busy", "server_error")));
        let second = Upstream::anthropic();
        let gateway = over_responses(&first)
            .env("MAX_RETRIES", "0")
            .provider("anthropic", &second)
            .toml(&format!("[openai.fallbacks]\n\"*\" = [\"anthropic:{MODEL}\"]"))
            .start();
        assert_eq!(responses::text(&ask(&gateway)), "Hello there!");
        assert_eq!((first.count(), second.count()), (1, 1));
    }
}

/// Requirement: an error with status 200 as the first event is retried like its status.
#[test]
fn a_failed_response_as_the_first_event_is_a_status() {
    let failed = |code: &str| {
        let event = json!({"type": "response.failed", "sequence_number": 0, "response": {
            "id": "resp_1", "object": "response", "status": "failed", "output": [],
            "error": {"code": code, "message": "no"}}});
        Answer::events(vec![format!("event: response.failed\ndata: {event}\n\n").into_bytes()])
    };
    let upstream = Upstream::openai().answering(failed("server_error"));
    let gateway = over_responses(&upstream).start();
    assert_eq!(responses::text(&super::ask(&gateway)), "Hello there!");
    assert_eq!(upstream.count(), 2);

    let upstream = Upstream::openai().always(failed("rate_limit_exceeded"));
    let gateway = super::impatient(&upstream).start();
    assert_eq!(super::ask(&gateway).status(), 429);
    assert_eq!(gateway.ask("hi").status(), 429);
}

/// Requirement: a failure right after the announcement of the reply is retried, if that can help; the client sees one reply. What
/// cannot be retried passes.
#[test]
fn a_failure_behind_the_announcement_is_retried() {
    let whole = canned::text(&["Hello there!"]);
    let failed = |code: &str| {
        let event = json!({"type": "response.failed", "sequence_number": 2, "response": {"id": "resp_1", "object": "response",
            "status": "failed", "output": [], "error": {"code": code, "message": "no"}}});
        format!("event: response.failed\ndata: {event}\n\n").into_bytes()
    };
    let bare = b"data: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"no\"}\n\n".to_vec();
    let begun = |last: Vec<u8>| [&whole[..2], &[last]].concat();
    for answer in [
        Answer::events(begun(failed("server_error"))),
        Answer::events(vec![[&whole[0][..], &failed("server_error")].concat()]),
        Answer::events(begun(bare)),
        Answer::events(whole[..2].to_vec()).ending(Ending::Cut),
    ] {
        let upstream = Upstream::openai().answering(answer);
        let gateway = over_responses(&upstream).start();
        let reply = super::ask(&gateway);
        assert_eq!(responses::text(&reply), "Hello there!");
        assert_eq!(
            responses::events(&reply).iter().filter(|event| event["type"] == "response.created").count(),
            1
        );
        assert_eq!(upstream.count(), 2);
    }
    let upstream =
        Upstream::openai().answering_key("sk-one", Answer::events(begun(failed("rate_limit_exceeded"))));
    let gateway = over_responses(&upstream).keys(["sk-one", "sk-two"]).start();
    for _ in 0..2 {
        assert_eq!(responses::text(&super::ask(&gateway)), "Hello there!");
    }
    for (events, count) in
        [(begun(failed("invalid_prompt")), 1), ([&whole[..3], &[failed("server_error")]].concat(), 1)]
    {
        let upstream = Upstream::openai().always(Answer::events(events.clone()));
        let gateway = over_responses(&upstream).start();
        assert_eq!((super::ask(&gateway).body, upstream.count()), (events.concat(), count));
    }
}

/// Requirement: an announcement does not wait for the output, and output not at all.
#[test]
fn an_announced_reply_goes_on_its_way_at_once() {
    let whole = canned::text(&["Hello there!"]);
    let mut pieces = vec![Piece::Bytes(whole[0].clone()), Piece::Permit];
    pieces.extend(whole[1..].iter().cloned().map(Piece::Bytes));
    let upstream = Upstream::openai().always(Answer::pieces(pieces));
    let gateway = over_responses(&upstream).start();
    let mut exchange = call(&gateway, &responses::prompt(MODEL, "hi")).open();
    assert_eq!(exchange.event().expect("an event").raw.as_bytes(), whole[0]);
    upstream.permit();
    for event in &whole[1..] {
        assert_eq!(exchange.event().expect("an event").raw.as_bytes(), *event);
    }
}

/// Requirement: at most six calls for one request.
#[test]
fn a_request_makes_six_calls_at_most() {
    let upstream = Upstream::openai().always(Answer::json(500, error_body("oops", "server_error")));
    let gateway = over_responses(&upstream).env("MAX_RETRIES", "20").start();
    assert_eq!(super::ask_whole(&gateway).status(), 500);
    assert!(upstream.count() <= 6, "{}", upstream.count());
}

/// Requirement: a parameter that a model refuses is removed at once and from later requests, nested names included.
#[test]
fn refused_members_of_a_responses_request_are_healed() {
    for (param, member) in
        [("temperature", "temperature"), ("reasoning.effort", "reasoning"), ("text.verbosity", "text")]
    {
        let upstream = Upstream::openai().ruled_by(move |seen| {
            let body = seen.json();
            let is_there = param.split('.').try_fold(&body, |value, name| value.get(name)).is_some();
            let error = json!({"error": {
                "message": format!("Unsupported parameter: '{param}' is not supported with this model."),
                "type": "invalid_request_error", "param": param, "code": "unsupported_parameter"}});
            is_there.then(|| Answer::json(400, error.to_string()))
        });
        let gateway = over_responses(&upstream).start();
        let mut body = responses::whole_prompt(MODEL, "hi");
        body["temperature"] = 0.5.into();
        body["reasoning"] = json!({"effort": "low", "summary": "auto"});
        body["text"] = json!({"verbosity": "low", "format": {"type": "text"}});
        for calls in [2, 3] {
            assert_eq!(responses::text(&call(&gateway, &body).reply()), "Hello there!", "{param}");
            assert_eq!(upstream.count(), calls, "{param}");
        }
        let mut expected = body.clone();
        match member {
            "temperature" => drop(expected.as_object_mut().and_then(|body| body.remove("temperature"))),
            outer => {
                let inner = param.rsplit('.').next().unwrap_or_default();
                drop(expected[outer].as_object_mut().and_then(|object| object.remove(inner)));
            }
        }
        assert_eq!(upstream.request(2).json(), expected, "{param}");
    }
}

/// Requirement: rules that are written for Chat Completions change a Responses request in its own terms.
#[test]
fn configured_rules_apply_to_responses_requests() {
    let upstream = Upstream::openai();
    let rules = "[openai]\nset-params = [\"reasoning_effort=low\", \"temperature=1\"]\nlimit-params = [\"max_tokens<=50\"]";
    let gateway: Gateway = over_responses(&upstream).toml(rules).start();
    let mut body = responses::whole_prompt(MODEL, "hi");
    body["max_output_tokens"] = 500.into();
    call(&gateway, &body).reply();
    let sent = upstream.only_request().json();
    assert_eq!(sent["reasoning"], json!({"effort": "low"}), "{sent}");
    assert_eq!((&sent["max_output_tokens"], &sent["temperature"]), (&50.into(), &1.into()), "{sent}");
    assert!(sent.get("reasoning_effort").is_none() && sent.get("max_tokens").is_none(), "{sent}");
}
