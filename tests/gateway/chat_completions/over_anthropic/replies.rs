//! Whole replies, and replies in another form than the client requested.

use serde_json::{Value, json};

use super::{Answer, BOTH, Gateway, MODEL, Upstream, anthropic, call, chat, streamed, whole};
use crate::support::chat::Chat;

fn message(content: Value, stop_reason: &str) -> Answer {
    let usage = json!({"input_tokens": 11, "output_tokens": 9, "cache_read_input_tokens": 7,
                       "cache_creation_input_tokens": 3});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
                         "content": content, "stop_reason": stop_reason, "stop_sequence": null, "usage": usage});
    Answer::json(200, message.to_string())
}

fn usage() -> Value {
    json!({"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30,
           "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 3}})
}

fn weather(id: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": "get_weather", "input": input})
}

/// Requirement: Anthropic upstream: text and tool_use → content and tool_calls; usage sums (F: incl. cached).
#[test]
fn a_whole_reply_is_a_completion() {
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Hé"},
        weather("toolu_a", json!({"city": "Genève"})), weather("toolu_b", json!({}))]);
    let reply = whole(message(content, "tool_use"));
    let mut completion = reply.json();
    let (id, created) = (completion["id"].take(), completion["created"].take());
    assert!(id.as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{reply}");
    assert!(created.as_u64().is_some_and(|created| created > 1_700_000_000), "{reply}");
    let called = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}});
    assert_eq!(
        completion,
        json!({"id": null, "object": "chat.completion", "created": null, "model": MODEL, "usage": usage(),
            "choices": [{"index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "Hé", "refusal": null,
                "tool_calls": [called("toolu_a", "{\"city\":\"Genève\"}"), called("toolu_b", "{}")]}}]})
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
}

#[test]
fn every_answer_has_its_own_id_and_the_requested_model() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let mut ids = Vec::new();
    for model in [MODEL, "anthropic:test-model", "Anthropic:test-model"] {
        let reply = call(&gateway, &chat::whole_prompt(model, "hi")).reply().json();
        let stream = Chat::of(&call(&gateway, &chat::prompt(model, "hi")).reply());
        for answer in stream.chunks.iter().take(1).chain([&reply]) {
            assert_eq!(answer["model"], model);
            ids.push(answer["id"].to_string());
        }
        assert!(stream.chunks.iter().all(|chunk| chunk["id"] == stream.chunks[0]["id"]));
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
}

#[test]
fn a_refusal_is_a_refusal() {
    let reply = whole(message(json!([]), "refusal"));
    let choice = reply.json()["choices"][0].clone();
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("stop"), &json!(null)));
    let refusal = choice["message"]["refusal"].as_str();
    assert!(refusal.is_some_and(|refusal| !refusal.is_empty()), "{choice}");
}

#[test]
fn json_instead_of_a_stream_becomes_a_stream() {
    let reply = streamed(message(
        json!([{"type": "text", "text": "Whole."}, weather("a", json!({"x": 1}))]),
        "tool_use",
    ));
    assert_eq!(chat::text(&reply), "Whole.");
    let chat = Chat::of(&reply);
    assert_eq!(chat.chunks.last().map(|chunk| &chunk["usage"]), Some(&usage()));
    let arguments = chat.chunks.iter().find_map(|chunk| {
        chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
            .as_str()
            .filter(|a| !a.is_empty())
    });
    assert_eq!(arguments, Some("{\"x\":1}"));
}

#[test]
fn a_stream_instead_of_json_is_collected() {
    for answer in [
        Answer::events(anthropic::text(&["Hé", "llo"])),
        Answer::events(anthropic::text(&["Hé", "llo"])).byte_by_byte(),
    ] {
        let reply = whole(answer);
        assert_eq!(chat::text(&reply), "Héllo");
        assert_eq!(reply.json()["usage"], usage());
    }
}

#[test]
fn a_truncated_stream_that_is_collected_is_an_error() {
    let begun = anthropic::text(&["Hello"])[..4].to_vec();
    assert_eq!(whole(Answer::events(begun)).status(), 502);
}

#[test]
fn what_is_no_reply_is_a_502() {
    for body in
        ["{\"type\":\"message\",", "[]", "{}", "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}", ""]
    {
        for ask in BOTH {
            let reply = ask(Answer::json(200, body));
            assert_eq!(reply.status(), 502, "{reply}");
            assert_eq!(chat::Error::of(&reply).words(), ("server_error", None), "{reply}");
        }
    }
    for ask in BOTH {
        let reply = ask(Answer::whole(200, "text/html", "<html>internals</html>"));
        assert_eq!(reply.status(), 502, "{reply}");
        assert!(!reply.raw().contains("internals"), "{reply}");
    }
}

#[test]
fn a_compaction_is_text_and_every_run_of_a_model_is_counted() {
    let stream = include_str!("../../../fixtures/anthropic/stream-compaction-then-an-answer.sse");
    let reply = whole(Answer::events(vec![stream.as_bytes().to_vec()]));
    let completion = reply.json();
    let message = &completion["choices"][0]["message"];
    assert_eq!(message["content"], "Summary: two files were changed.\n\nNow the third.", "{reply}");
    let usage = &completion["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(185_592), &json!(3589)));
    assert_eq!(usage["completion_tokens_details"], json!({"reasoning_tokens": 12}));

    let refusal = include_str!("../../../fixtures/anthropic/whole-refusal-with-an-explanation.json");
    let reply = whole(Answer::json(200, refusal));
    let choice = reply.json()["choices"][0].take();
    let told = (&choice["finish_reason"], &choice["message"]["refusal"], &choice["message"]["content"]);
    let explanation = json!("This request was declined by \"usage policy\".");
    assert_eq!(told, (&json!("stop"), &explanation, &Value::Null));
}
