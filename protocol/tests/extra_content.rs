//! Thought signatures through the codec: sent to clients with thinking inside the signatures of thinking blocks, and
//! returned with their calls and texts.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "grammar/stream.rs"]
mod grammar;

use bytes::BytesMut;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::{
        CodecStep, ReplyCodec as _, Transcoder,
        client::messages::MessagesEncoder,
        upstream::chat::{ChatDecoder, ChatReplyContext, ChatUpstream, Dialect, Replay, request},
    },
    signature,
};

type ToMessages = Transcoder<ChatDecoder, MessagesEncoder>;

fn transcoder(context: ChatReplyContext) -> ToMessages {
    Transcoder::new(ChatDecoder::new(context, 7), MessagesEncoder::new())
}

fn target(dialect: &Dialect) -> ChatUpstream<'_> {
    ChatUpstream {
        provider: "g",
        model: "gemini-3-pro",
        requested_model: "g:gemini-3-pro",
        dialect,
        session: None,
        members: None,
    }
}

fn body(thinking: Value, turns: &[Value]) -> Vec<u8> {
    let mut messages = vec![json!({"role": "user", "content": "hi"})];
    messages.extend(turns.iter().cloned());
    json!({"max_tokens": 9, "messages": messages, "thinking": thinking}).to_string().into_bytes()
}

fn signed(text: &str) -> Value {
    json!({"google": {"thought_signature": text}})
}

fn chunk(delta: Value, finish: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn call(id: Value, extra: Option<Value>) -> Value {
    let mut call = json!({"index": 0, "id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    if let Some(extra) = extra {
        call["extra_content"] = extra;
    }
    call
}

/// The client's message of this streamed reply.
fn content(thinking: &Value, dialect: &Dialect, chunks: &[Value]) -> Value {
    let context = request(&body(thinking.clone(), &[]), &target(dialect)).unwrap().reply;
    let mut machine = transcoder(context);
    let mut out = BytesMut::new();
    for chunk in chunks {
        assert!(matches!(machine.push_data(chunk.to_string().as_bytes(), &mut out), CodecStep::More));
    }
    assert_eq!(machine.finish(&mut out).fault, None);
    grammar::check(&out).message["content"].clone()
}

/// The upstream's next request with it.
fn sent_back(content: &Value, target: &ChatUpstream<'_>) -> Value {
    let turn = json!({"role": "assistant", "content": content});
    let chat = request(&body(json!({"type": "adaptive"}), &[turn]), target).unwrap().body;
    serde_json::from_slice::<Value>(&chat).unwrap()["messages"][1].clone()
}

fn kinds(content: &Value) -> Vec<&str> {
    content.as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect()
}

fn thinks() -> Value {
    json!({"type": "adaptive"})
}

#[test]
fn the_signature_of_a_call_is_sent_in_a_thinking_block_before_it_and_returns_with_it() {
    let dialect = Dialect::default();
    let chunks = [
        chunk(json!({"role": "assistant", "content": "Working"}), Value::Null),
        chunk(json!({"tool_calls": [call(json!("call_a"), Some(signed("SIG-A")))]}), Value::Null),
        chunk(json!({"tool_calls": [call(json!("call_b"), None)]}), Value::Null),
        chunk(json!({"tool_calls": [call(json!("call_c"), Some(signed("SIG-C")))]}), json!("tool_calls")),
    ];
    let content = content(&thinks(), &dialect, &chunks);
    assert_eq!(kinds(&content), ["text", "thinking", "tool_use", "tool_use", "thinking", "tool_use"]);
    assert_eq!(content[1]["thinking"], "");
    let message = sent_back(&content, &target(&dialect));
    let calls = message["tool_calls"].clone();
    assert_eq!((&calls[0]["id"], &calls[0]["extra_content"]), (&json!("call_a"), &signed("SIG-A")));
    assert!(calls[1].get("extra_content").is_none(), "{calls}");
    assert_eq!((&calls[2]["id"], &calls[2]["extra_content"]), (&json!("call_c"), &signed("SIG-C")));
    assert!(
        message.get("reasoning_content").is_none() && message.get("extra_content").is_none(),
        "{message}"
    );
}

#[test]
fn an_open_thinking_block_carries_the_signature_and_keeps_its_own() {
    let dialect = Dialect { replay: Replay::Details, ..Dialect::default() };
    let detail = json!({"type": "reasoning.encrypted", "data": "x", "id": "call_a"});
    let chunks = [
        chunk(json!({"reasoning": "Hm.", "reasoning_details": [detail]}), Value::Null),
        chunk(json!({"tool_calls": [call(json!("call_a"), Some(signed("S")))]}), json!("tool_calls")),
    ];
    let content = content(&thinks(), &dialect, &chunks);
    assert_eq!(kinds(&content), ["thinking", "tool_use"]);
    let message = sent_back(&content, &target(&dialect));
    assert_eq!(message["tool_calls"][0]["extra_content"], signed("S"));
    assert_eq!(message["reasoning_details"], json!([detail]));
}

#[test]
fn the_signature_of_a_text_is_sent_before_it_and_returns_with_it() {
    let dialect = Dialect { replay: Replay::Nothing, ..Dialect::default() };
    let chunks = [
        chunk(json!({"content": "Four", "extra_content": signed("T")}), Value::Null),
        chunk(json!({"content": ".", "extra_content": {"google": {"thought": true}}}), json!("STOP")),
    ];
    let content = content(&thinks(), &dialect, &chunks);
    assert_eq!(kinds(&content), ["thinking", "text"]);
    let message = sent_back(&content, &target(&dialect));
    assert_eq!((&message["content"], &message["extra_content"]), (&json!("Four."), &signed("T")));
}

#[test]
fn a_reply_never_ends_with_a_thinking_block_that_only_carries_a_signature() {
    let late = [
        chunk(json!({"content": "Four."}), Value::Null),
        chunk(json!({"content": "", "extra_content": signed("T")}), json!("stop")),
    ];
    assert_eq!(kinds(&content(&thinks(), &Dialect::default(), &late)), ["text"]);
}

#[test]
fn a_call_without_an_id_gets_its_signature_back_under_its_generated_id() {
    let dialect = Dialect::default();
    let chunks = [chunk(json!({"tool_calls": [call(Value::Null, Some(signed("S")))]}), json!("stop"))];
    let content = content(&thinks(), &dialect, &chunks);
    assert_eq!(sent_back(&content, &target(&dialect))["tool_calls"][0]["extra_content"], signed("S"));
}

#[test]
fn a_whole_reply_carries_the_same_signatures() {
    let dialect = Dialect::default();
    let context = request(&body(thinks(), &[]), &target(&dialect)).unwrap().reply;
    let calls = json!([call(json!("call_a"), None), call(json!("call_b"), Some(signed("B")))]);
    let upstream = json!({"choices": [{"message": {"content": "Hi", "tool_calls": calls, "extra_content": signed("T")},
                                       "finish_reason": "tool_calls"}]});
    let reply = transcoder(context).whole(upstream.to_string().as_bytes()).unwrap();
    let content = serde_json::from_slice::<Value>(&reply.body).unwrap()["content"].clone();
    let message = sent_back(&content, &target(&dialect));
    assert_eq!(message["extra_content"], signed("T"));
    assert!(message["tool_calls"][0].get("extra_content").is_none());
    assert_eq!(message["tool_calls"][1]["extra_content"], signed("B"));
}

#[test]
fn without_thinking_or_with_the_setting_off_no_signature_is_carried() {
    let off = Dialect { extras: false, ..Dialect::default() };
    let chunks = [chunk(json!({"tool_calls": [call(json!("call_a"), Some(signed("S")))]}), json!("stop"))];
    assert_eq!(kinds(&content(&json!({"type": "disabled"}), &Dialect::default(), &chunks)), ["tool_use"]);
    assert_eq!(kinds(&content(&thinks(), &off, &chunks)), ["tool_use"]);
    let carried = content(&thinks(), &Dialect::default(), &chunks);
    assert!(sent_back(&carried, &target(&off))["tool_calls"][0].get("extra_content").is_none());
}

#[test]
fn another_provider_or_model_receives_no_signature_and_invalid_ones_are_ignored() {
    let dialect = Dialect::default();
    let chunks = [chunk(json!({"tool_calls": [call(json!("call_a"), Some(signed("S")))]}), json!("stop"))];
    let content = content(&thinks(), &dialect, &chunks);
    for other in [
        ChatUpstream { provider: "other", ..target(&dialect) },
        ChatUpstream { model: "gemini-2.5-pro", ..target(&dialect) },
    ] {
        assert!(sent_back(&content, &other)["tool_calls"][0].get("extra_content").is_none());
    }
    for load in [
        "\"vdm.extra_content\"",
        "{\"type\":\"vdm.extra_content\"}",
        "{vdm.extra_content",
        "\u{0}vdm.extra_content",
    ] {
        let mut own = signature::mint("g", "gemini-3-pro");
        signature::carry(&mut own, load.as_bytes());
        let mut forged = content.clone();
        forged[0]["signature"] = json!(own);
        let message = sent_back(&forged, &target(&dialect));
        assert!(message["tool_calls"][0].get("extra_content").is_none(), "{message}");
    }
}
