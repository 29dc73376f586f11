//! Common complaints of gateway users that no other test covers. The doc comment of each test names its
//! complaint.

use std::fs;
use std::path::Path;

use serde_json::json;
use toml_edit::DocumentMut;

use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

/// Complaint of gateway users: usage at the start of a stream is incomplete.
#[test]
fn a_stream_has_complete_usage_from_its_first_event() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let translates = matches!(upstream.dialect(), crate::support::upstream::Dialect::OpenAi);
        let reply = Gateway::before(&upstream).start().ask("hi");
        let events = reply.events();
        let first = &events.first().expect("there").data["message"]["usage"];
        let last = &events[events.len() - 2].data["usage"];
        for field in
            ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
        {
            assert!(first[field].is_u64(), "{field} in {first}");
            assert!(last[field].is_u64() || !translates, "{field} in {last}");
        }
        assert!(last["output_tokens"].as_u64() >= first["output_tokens"].as_u64(), "counts only grow");
    }
}

/// Complaint of gateway users: the gateway's own timers are shorter than thinking.
#[test]
fn no_default_limit_is_shorter_than_long_thinking() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/defaults.toml");
    let defaults: DocumentMut = fs::read_to_string(path).expect("there").parse().expect("TOML");
    let limit = |name: &str| defaults["limits"][name].as_integer().expect("seconds");
    for name in ["first-byte-timeout", "idle-timeout", "whole-timeout"] {
        assert!(limit(name) >= 300, "{name}");
    }
    assert_eq!(limit("total-timeout"), 0, "a lively stream may take as long as it likes");
    assert!(limit("ping-interval") <= 15, "Claude Code gives up on silence");
}

/// Complaint of gateway users: a truncated answer looks complete.
#[test]
fn a_reply_that_the_upstream_ended_early_never_looks_complete() {
    let reason = |reason: &str| {
        let data = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
        format!("data: {data}\n\n").into_bytes()
    };
    let text = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Half\"}}]}\n\n".to_vec();
    let done = b"data: [DONE]\n\n".to_vec();
    let old_error = b"data: {\"object\":\"error\",\"message\":\"no\",\"code\":500}\n\n".to_vec();
    let groq =
        b"data: {\"choices\":[{\"index\":0,\"delta\":{}}],\"x_groq\":{\"error\":\"over_capacity\"}}\n\n"
            .to_vec();
    for end in [reason("abort"), reason("network_error"), old_error, groq] {
        let upstream = Upstream::openai().always(Answer::events(vec![text.clone(), end, done.clone()]));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        let body = json!({"model": MODEL, "max_tokens": 64, "stream": true,
            "messages": [{"role": "user", "content": "hi"}]});
        let reply = gateway.messages(&body).reply();
        assert!(reply.raw().contains("Half"), "{reply}");
        assert_eq!(reply.error_type(), "api_error");
        assert!(!reply.names().contains(&"message_stop".to_owned()), "{reply}");
    }
}
