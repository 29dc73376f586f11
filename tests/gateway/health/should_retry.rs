//! `x-should-retry`: the upstream's value is forwarded, and refusals of the gateway itself end a client's retries.

use super::{both, failure};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

#[test]
fn an_upstream_that_declines_retries_is_called_once_and_its_value_is_forwarded() {
    for status in [500, 503] {
        for upstream in both() {
            let answer = failure(upstream.dialect(), status).header("x-should-retry", "false");
            let upstream = upstream.always(answer);
            let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "2").start();
            for reply in [gateway.ask("hi"), gateway.ask_whole("hi there")] {
                assert_eq!((reply.status(), reply.error_type().as_str()), (status, "api_error"), "{reply}");
                assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply}");
                assert_eq!(reply.header("retry-after"), None, "nobody named a wait: {reply}");
            }
            assert_eq!(upstream.count(), 2, "{status}");
        }
    }
}

#[track_caller]
fn assert_final(reply: &Reply, status: u16) {
    assert_eq!(reply.status(), status, "{reply}");
    assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply}");
}

#[test]
fn a_wrong_gateway_key_ends_the_clients_retries_at_every_endpoint() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway").start();
    for path in ["/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"] {
        let call = gateway.call("POST", path).json(&prompt(MODEL, "hi"));
        assert_final(&call.reply(), 401);
        let refused = call.header("x-api-key", "sk-wrong").reply();
        assert_final(&refused, 401);
        assert!(refused.raw().contains("PROXY_API_KEY"), "{refused}");
        assert!(!refused.raw().contains("x-api-key"), "Claude Code hides such a message: {refused}");
    }
    assert_final(&gateway.get("/v1/models"), 401);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_refused_origin_ends_the_clients_retries() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    for path in ["/v1/messages", "/v1/chat/completions"] {
        let call = gateway.call("POST", path).json(&prompt(MODEL, "hi"));
        assert_final(&call.header("origin", "https://evil.example").reply(), 403);
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn the_refusal_of_a_providers_only_key_ends_the_clients_retries() {
    for upstream in both() {
        let answer = failure(upstream.dialect(), 401);
        let upstream = upstream.always(answer);
        let gateway = Gateway::before(&upstream).start();
        for asked in 1..=2 {
            let reply = gateway.ask("hi");
            assert_final(&reply, 401);
            assert!(reply.error_message().ends_with("failed with 401"), "{reply}");
            assert_eq!(upstream.count(), asked, "the last key is asked every time");
        }
    }
}
