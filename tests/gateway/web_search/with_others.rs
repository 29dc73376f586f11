//! Web search together with what else a request may have.

use serde_json::json;

use super::{KEY, brave, gateway, saying, searching, service, whole};
use crate::support::gateway::{MODEL, Setup};
use crate::support::upstream::{Answer, Upstream};

/// Requirement: the members of a client of Chat Completions reach an upstream of its API in every round, although the request is one
/// of Messages in between; nothing is set that the client left open, and no member is named as dropped that was sent.
#[test]
fn a_chat_clients_members_reach_every_round() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "web_search", "arguments": "{\"query\":\"x\"}"}});
    let upstream = Upstream::openai()
        .answering(whole(&json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls"))
        .answering(whole(&json!({"role": "assistant", "content": "So."}), "stop"));
    let gateway = gateway(&upstream, &service(brave(&["https://a.example/"])));
    let body = json!({"model": MODEL, "web_search_options": {}, "messages": [{"role": "user", "content": "q"}],
        "reasoning_effort": "low", "seed": 7, "presence_penalty": 0.5, "logit_bias": {"1": 2}, "x_vendor": {"a": 1}});
    let reply = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
    assert_eq!((reply.status(), reply.header("x-vdm-dropped")), (200, None), "{reply}");
    for round in 0..2 {
        let sent = upstream.request(round).json();
        for member in ["reasoning_effort", "seed", "presence_penalty", "logit_bias", "x_vendor"] {
            assert_eq!(sent[member], body[member], "{member} of round {round}: {sent}");
        }
        assert!(sent.get("max_tokens").is_none() && sent.get("max_completion_tokens").is_none(), "{sent}");
        assert!(sent.get("web_search_options").is_none(), "{sent}");
    }
}

/// Requirement: images are described before the first round only, even if that fails: a later round holds a permit for which a
/// describing call at the same provider would wait.
#[test]
fn images_are_described_before_the_first_round_only() {
    let upstream = Upstream::openai()
        .answering(Answer::json(400, json!({"error": {"message": "no images today"}}).to_string()))
        .answering(Answer::events(searching(&["x"])))
        .answering(Answer::events(saying("So.")));
    let service = service(brave(&["https://a.example/"]));
    let gateway = Setup::default()
        .provider("text", &upstream)
        .env("TEXT_API_FORMAT", "openai")
        .env("MAX_RETRIES", "0")
        .env("BRAVE_API_KEY", KEY)
        .env("BRAVE_BASE_URL", format!("http://{}", service.address()))
        .toml(
            "[text]\ntext-only-models = ['blind*']\n[web-search]\nby = ['brave']\n[defaults]\ndescribe-images-with = 'text:eyes'",
        )
        .limit("provider-in-flight", 1)
        .start();
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    let body = json!({"model": "text:blind-1", "max_tokens": 64, "stream": true,
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]});
    let reply = gateway.messages(&body).reply();
    assert!(reply.raw().contains("message_stop") && reply.raw().contains("So."), "{reply}");
    assert_eq!(upstream.count(), 3, "one description, two rounds");
    assert!(!upstream.request(2).text().contains("iVBORw0KGgo="), "{}", upstream.request(2).text());
}
