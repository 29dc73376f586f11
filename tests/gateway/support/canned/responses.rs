//! Replies of the Responses API.

use serde_json::{Value, json};

/// The model as the upstream names it.
const MODEL: &str = "gpt-6-luna-2026-09-01";

/// A message with this text.
pub(crate) fn message(text: &str) -> Value {
    let part = json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    json!({"type": "message", "id": "msg_upstream", "role": "assistant", "status": "completed", "content": [part]})
}

/// Reasoning with a summary, and with the content that the client must return.
pub(crate) fn reasoning(id: &str, summary: &str, encrypted: &str) -> Value {
    json!({"type": "reasoning", "id": id, "summary": [{"type": "summary_text", "text": summary}],
           "encrypted_content": encrypted})
}

pub(crate) fn function_call(call_id: &str, name: &str, arguments: &Value) -> Value {
    json!({"type": "function_call", "id": format!("fc_{call_id}"), "call_id": call_id, "name": name,
           "arguments": arguments.to_string(), "status": "completed"})
}

/// The response object: 100 tokens in, 40 of them cached, 20 out, 5 of them for reasoning.
pub(crate) fn response(status: &str, output: &[Value]) -> Value {
    let usage = json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40},
                       "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 120});
    let usage = if status == "in_progress" { Value::Null } else { usage };
    json!({"id": "resp_upstream", "object": "response", "created_at": 1_760_000_000, "status": status,
           "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
           "model": MODEL, "output": output, "parallel_tool_calls": true, "previous_response_id": null,
           "store": false, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
           "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "metadata": {}})
}

/// A whole response with these items.
pub(crate) fn whole(output: &[Value]) -> String {
    response("completed", output).to_string()
}

/// The events of a response with these items, each text in pieces.
pub(crate) fn stream(output: &[Value]) -> Vec<Vec<u8>> {
    let mut events = Events::default();
    let begun = response("in_progress", &[]);
    events.push(json!({"type": "response.created", "response": begun}));
    events.push(json!({"type": "response.in_progress", "response": begun}));
    for (index, item) in output.iter().enumerate() {
        events.push(
            json!({"type": "response.output_item.added", "output_index": index, "item": begun_item(item)}),
        );
        events.parts(index, item);
        events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": response("completed", output)}));
    events.0
}

/// A text answer, one delta a part.
pub(crate) fn text(parts: &[&str]) -> Vec<Vec<u8>> {
    let item = message(&parts.concat());
    let mut events = stream(std::slice::from_ref(&item));
    // Created, in progress, item and part added; behind the deltas, the ends of text, part, item and response.
    let first = 4;
    let behind = events.split_off(events.len() - 4);
    events.truncate(first);
    let mut events = Events(events);
    parts.iter().for_each(|part| {
        events.push(json!({"type": "response.output_text.delta", "item_id": item["id"], "output_index": 0,
                           "content_index": 0, "delta": part, "logprobs": []}));
    });
    for event in behind {
        let text = String::from_utf8_lossy(&event).into_owned();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
        events.push(serde_json::from_str(data).unwrap_or_default());
    }
    events.0
}

/// Numbered events.
#[derive(Default)]
struct Events(Vec<Vec<u8>>);

impl Events {
    fn push(&mut self, mut event: Value) {
        event["sequence_number"] = json!(self.0.len());
        let name = event["type"].as_str().unwrap_or_default();
        self.0.push(format!("event: {name}\ndata: {event}\n\n").into_bytes());
    }

    /// What stands between an item's beginning and its end.
    fn parts(&mut self, index: usize, item: &Value) {
        let place = json!({"item_id": item["id"], "output_index": index});
        match item["type"].as_str() {
            Some("message") => {
                let part = &item["content"][0];
                let place = with(&place, json!({"content_index": 0}));
                let empty = with(part, json!({"text": ""}));
                self.push(with(&place, json!({"type": "response.content_part.added", "part": empty})));
                self.text(
                    &with(&place, json!({"logprobs": []})),
                    "response.output_text",
                    ("text", &part["text"]),
                );
                self.push(with(&place, json!({"type": "response.content_part.done", "part": part})));
            }
            Some("reasoning") => {
                let part = &item["summary"][0];
                let place = with(&place, json!({"summary_index": 0}));
                let empty = with(part, json!({"text": ""}));
                self.push(with(
                    &place,
                    json!({"type": "response.reasoning_summary_part.added", "part": empty}),
                ));
                self.text(&place, "response.reasoning_summary_text", ("text", &part["text"]));
                self.push(with(
                    &place,
                    json!({"type": "response.reasoning_summary_part.done", "part": part}),
                ));
            }
            Some("function_call") => {
                let place = with(&place, json!({"name": item["name"]}));
                self.text(&place, "response.function_call_arguments", ("arguments", &item["arguments"]));
            }
            Some("custom_tool_call") => {
                self.text(&place, "response.custom_tool_call_input", ("input", &item["input"]));
            }
            Some(_) | None => {}
        }
    }

    /// A text in pieces that split words and escapes, then as a whole in this member.
    fn text(&mut self, place: &Value, name: &str, (member, text): (&str, &Value)) {
        let chars: Vec<char> = text.as_str().unwrap_or_default().chars().collect();
        for piece in chars.chunks(7) {
            let piece: String = piece.iter().collect();
            self.push(with(place, json!({"type": format!("{name}.delta"), "delta": piece})));
        }
        self.push(with(place, json!({"type": format!("{name}.done"), member: text})));
    }
}

/// An item when it begins: without its texts, and with a part of what is encrypted.
fn begun_item(item: &Value) -> Value {
    let begun = match item["type"].as_str() {
        Some("message") => json!({"status": "in_progress", "content": []}),
        Some("reasoning") => json!({"summary": [], "encrypted_content": "partial"}),
        Some("function_call") => json!({"status": "in_progress", "arguments": ""}),
        Some("custom_tool_call") => json!({"status": "in_progress", "input": ""}),
        Some(_) | None => json!({}),
    };
    with(item, begun)
}

/// The object with these members set.
fn with(object: &Value, members: Value) -> Value {
    let mut object = object.clone();
    for (name, value) in members.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}
