//! Anthropic's errors in OpenAI's format, with their own statuses.

use serde_json::json;

use super::{Answer, BOTH, Gateway, MODEL, Upstream, anthropic, call, chat, streamed, whole};
use crate::support::chat::{Chat, Error};

const INVALID: &str = "invalid_request_error";

#[test]
fn statuses_types_and_codes_follow_the_table() {
    for (upstream, kind, status, words) in [
        (400, "invalid_request_error", 400, (INVALID, None)),
        (422, "invalid_request_error", 422, (INVALID, None)),
        (401, "authentication_error", 401, (INVALID, Some("invalid_api_key"))),
        (402, "billing_error", 402, ("insufficient_quota", Some("insufficient_quota"))),
        (403, "permission_error", 403, (INVALID, Some("permission_denied"))),
        (404, "not_found_error", 404, (INVALID, Some("model_not_found"))),
        (408, "timeout_error", 504, ("server_error", Some("timeout"))),
        (413, "request_too_large", 413, (INVALID, Some("request_too_large"))),
        (429, "rate_limit_error", 429, ("rate_limit_error", Some("rate_limit_exceeded"))),
        (500, "api_error", 500, ("server_error", None)),
        (529, "overloaded_error", 503, ("server_error", Some("overloaded"))),
    ] {
        for ask in BOTH {
            let reply = ask(Answer::json(upstream, anthropic::error(kind, "It failed.")));
            assert_eq!(reply.status(), status, "{reply}");
            assert_eq!(reply.header("content-type"), Some("application/json"), "{reply}");
            let error = Error::of(&reply);
            assert_eq!(error.words(), words, "{upstream}");
            let named = error.message.starts_with("provider 'anthropic' rejected key ");
            assert_eq!(named, matches!(upstream, 401 | 403), "{reply}");
            assert!(error.message.ends_with("It failed."), "{reply}");
        }
    }
}

#[test]
fn a_prompt_that_is_too_long_has_openais_error_code() {
    let message = "prompt is too long: 210000 tokens > 200000 maximum";
    for ask in BOTH {
        let reply = ask(Answer::json(400, anthropic::error(INVALID, message)));
        let error = Error::of(&reply);
        assert_eq!((reply.status(), error.words()), (400, (INVALID, Some("context_length_exceeded"))));
        assert_eq!(error.message, message);
    }
}

#[test]
fn a_rate_limit_has_its_wait() {
    let limited = Answer::json(429, anthropic::error("rate_limit_error", "slow")).header("retry-after", "7");
    assert_eq!(whole(limited).integer("retry-after"), 7);
}

#[test]
fn errors_in_other_formats_are_translated_too() {
    for (answer, status, about) in [
        (
            Answer::whole(502, "text/html", "<html><title>Bad Gateway</title>internals</html>"),
            502,
            "Bad Gateway",
        ),
        (Answer::whole(503, "text/plain", ""), 503, "503"),
        (Answer::json(400, "{\"error\":{\"message\":\"odd\"}}"), 400, "odd"),
        (Answer::json(400, "{\"error\":"), 400, "error"),
    ] {
        let reply = whole(answer);
        assert_eq!(reply.status(), status, "{reply}");
        let message = Error::of(&reply).message;
        assert!(message.contains(about) && !message.contains("internals"), "{reply}");
    }
}

/// Requirement: Keys `bad good`, upstream 401 (403, 429) for bad → 200 for the client, upstream saw bad then
/// good. with 429 each key is tried only `max-retries`+1 times.
/// Requirement: Anthropic-format streaming with keys `bad good` streams from good.
#[test]
fn a_refused_key_is_replaced_before_the_client_notices() {
    let upstream = Upstream::anthropic().refusing("revoked");
    let gateway = Gateway::before(&upstream).keys(["revoked", "good"]).start();
    assert_eq!(chat::text(&call(&gateway, &chat::prompt(MODEL, "hi")).reply()), "Hello there!");
    assert_eq!(upstream.keys_seen(), ["revoked", "good"]);
}

#[test]
fn an_error_as_the_first_event_or_with_status_200_is_a_status() {
    let said = [
        ("overloaded_error", 503, ("server_error", Some("overloaded"))),
        ("rate_limit_error", 429, ("rate_limit_error", Some("rate_limit_exceeded"))),
        ("api_error", 502, ("server_error", None)),
    ];
    for (kind, status, words) in said {
        let object = anthropic::error(kind, "Busy");
        let event = format!("event: error\ndata: {object}\n\n").into_bytes();
        let ping = anthropic::event(&json!({"type": "ping"}));
        for answer in [Answer::events(vec![ping, event]), Answer::json(200, object)] {
            for ask in BOTH {
                let reply = ask(answer.clone());
                assert_eq!(reply.status(), status, "{reply}");
                let error = Error::of(&reply);
                assert_eq!((error.words(), error.message.as_str()), (words, "Busy"));
            }
        }
    }
}

/// Requirement: Stream tool indexes are 0,1,2; id and type only in the first chunk; usage chunk on request;
/// upstream error → error frame.
#[test]
fn an_error_in_the_middle_is_an_error_chunk_and_never_a_finish() {
    let mut events = anthropic::text(&["first"])[..4].to_vec();
    events.push(
        format!("event: error\ndata: {}\n\n", anthropic::error("overloaded_error", "Busy")).into_bytes(),
    );
    events.extend(anthropic::end("end_turn"));
    let reply = streamed(Answer::events(events));
    let error = Error::of(&reply);
    assert_eq!((error.words(), error.message.as_str()), (("server_error", Some("overloaded")), "Busy"));
    let chat = Chat::of(&reply);
    assert_eq!(chat.text(), "first");
    assert!(chat.chunks.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()), "{reply}");
}

#[test]
fn a_configured_key_is_removed_from_an_error() {
    let said = anthropic::error("authentication_error", "no such key: sk-quoted-canary");
    let mut late = anthropic::text(&["first"])[..4].to_vec();
    late.push(format!("event: error\ndata: {said}\n\n").into_bytes());
    for answer in [Answer::json(400, said.clone()), Answer::json(200, said), Answer::events(late)] {
        let upstream = Upstream::anthropic().always(answer);
        let gateway = Gateway::before(&upstream).keys(["sk-quoted-canary"]).env("MAX_RETRIES", "0").start();
        let reply = call(&gateway, &chat::prompt(MODEL, "hi")).reply();
        assert!(!reply.raw().contains("canary"), "{reply}");
        assert!(Error::of(&reply).message.contains("no such key"), "{reply}");
    }
}

#[test]
fn the_request_id_is_in_the_header_of_this_api() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let named = |answer: Answer| answer.header("request-id", "req_upstream");
    for (answer, expected) in [
        (named(Answer::json(200, anthropic::whole("x"))), Some("req_upstream")),
        (named(Answer::json(400, anthropic::error(INVALID, "no"))), Some("req_upstream")),
        (Answer::events(anthropic::text(&["x"])), None),
        (Answer::json(400, anthropic::error(INVALID, "no")), None),
    ] {
        upstream.then(answer);
        let reply = call(&gateway, &chat::prompt(MODEL, "hi")).reply();
        let id = reply.header("x-request-id").unwrap_or_else(|| panic!("no id: {reply}"));
        assert_eq!(reply.header("request-id"), Some(id));
        assert!(expected.map_or_else(|| id.starts_with("req_"), |expected| id == expected), "{reply}");
    }
}
