//! The least that a proxy between the two APIs must do: texts, tools and usage, with serde_json's values. A stream is
//! translated event by event, and what arrives together leaves together.

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde_json::{Value, json};

use crate::Trouble;

/// The provider whose models are served by translation.
pub(super) const PROVIDER: &str = "openai:";

/// The Chat Completions request for a Messages request.
pub(super) fn request(mut messages: Value) -> Value {
    let mut translated = Vec::new();
    if let Some(system) = messages.get("system") {
        translated.push(json!({"role": "system", "content": text_of(system)}));
    }
    for message in messages["messages"].as_array().into_iter().flatten() {
        turn(message, &mut translated);
    }
    let model = messages["model"].as_str().unwrap_or_default().trim_start_matches(PROVIDER).to_owned();
    let mut request = json!({"model": model, "messages": translated, "stream": messages["stream"].take()});
    request["max_completion_tokens"] = messages["max_tokens"].take();
    if request["stream"] == json!(true) {
        request["stream_options"] = json!({"include_usage": true});
    }
    if let Some(tools) = messages.get_mut("tools").and_then(Value::as_array_mut) {
        request["tools"] = tools.iter_mut().map(tool).collect();
    }
    request
}

/// The text of a content: a string, or the text blocks of a list.
fn text_of(content: &Value) -> String {
    if let Value::String(text) = content {
        return text.clone();
    }
    let texts = content.as_array().into_iter().flatten().filter_map(|block| block["text"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

fn turn(message: &Value, translated: &mut Vec<Value>) {
    let content = &message["content"];
    let blocks = content.as_array().map_or(&[][..], Vec::as_slice);
    let results = blocks.iter().filter(|block| block["type"] == "tool_result");
    translated.extend(results.map(|result| {
        json!({"role": "tool", "tool_call_id": result["tool_use_id"], "content": text_of(&result["content"])})
    }));
    let calls: Vec<Value> = blocks
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|call| {
            let function = json!({"name": call["name"], "arguments": call["input"].to_string()});
            json!({"id": call["id"], "type": "function", "function": function})
        })
        .collect();
    let text = text_of(content);
    if text.is_empty() && calls.is_empty() {
        return;
    }
    let mut turn = json!({"role": message["role"], "content": text});
    if !calls.is_empty() {
        turn["tool_calls"] = Value::Array(calls);
    }
    translated.push(turn);
}

fn tool(tool: &mut Value) -> Value {
    let function = json!({
        "name": tool["name"].take(), "description": tool["description"].take(), "parameters": tool["input_schema"].take(),
    });
    json!({"type": "function", "function": function})
}

/// The Messages reply for a Chat Completions reply.
pub(super) fn reply(mut completion: Value) -> Value {
    let message = &mut completion["choices"][0]["message"];
    json!({
        "id": message["id"].take(), "type": "message", "role": "assistant", "model": completion["model"],
        "content": [{"type": "text", "text": completion["choices"][0]["message"]["content"].take()}],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": usage(&completion["usage"]),
    })
}

fn usage(usage: &Value) -> Value {
    json!({"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]})
}

/// A stream of Chat Completions that becomes one of Messages.
#[derive(Default)]
pub(super) struct Stream {
    unread: BytesMut,
    started: bool,
    usage: Value,
}

impl Stream {
    /// The events for what has arrived.
    pub(super) fn take(&mut self, chunk: &Bytes) -> Result<Bytes, Trouble> {
        self.unread.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = memmem::find(&self.unread, b"\n\n") {
            let event = self.unread.split_to(end + 2);
            match event.strip_prefix(b"data: ") {
                Some(b"[DONE]\n\n") => self.end(&mut events),
                Some(data) => self.chunk(&serde_json::from_slice(data)?, &mut events),
                None => {}
            }
        }
        Ok(events.into())
    }

    fn chunk(&mut self, chunk: &Value, events: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            let message = json!({
                "id": chunk["id"], "type": "message", "role": "assistant", "model": chunk["model"],
                "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 0, "output_tokens": 0},
            });
            write(events, "message_start", &json!({"type": "message_start", "message": message}));
            let block = json!({"type": "text", "text": ""});
            let start = json!({"type": "content_block_start", "index": 0, "content_block": block});
            write(events, "content_block_start", &start);
        }
        if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str().filter(|text| !text.is_empty()) {
            let delta = json!({"type": "text_delta", "text": text});
            let delta = json!({"type": "content_block_delta", "index": 0, "delta": delta});
            write(events, "content_block_delta", &delta);
        }
        if chunk["usage"].is_object() {
            self.usage = usage(&chunk["usage"]);
        }
    }

    fn end(&mut self, events: &mut Vec<u8>) {
        write(events, "content_block_stop", &json!({"type": "content_block_stop", "index": 0}));
        let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
        let delta = json!({"type": "message_delta", "delta": delta, "usage": self.usage});
        write(events, "message_delta", &delta);
        write(events, "message_stop", &json!({"type": "message_stop"}));
    }
}

fn write(events: &mut Vec<u8>, name: &str, data: &Value) {
    events.extend_from_slice(format!("event: {name}\ndata: {data}\n\n").as_bytes());
}
