//! A message of the Messages API, whole and as events.

use bytes::Bytes;

use super::{JsonMembers, no_reply, object, objects, one_line, quoted, text, written};
use crate::anthropic::error::reported;
use crate::fault::Fault;
use crate::request::is_complete_json;
use crate::sse;

/// Converts a whole message to the events of a stream.
///
/// # Errors
/// If the body is not a message.
pub fn message_as_events(body: &[u8]) -> Result<Bytes, Fault> {
    let message = one_line(body).and_then(|body| object(&body)).ok_or_else(no_reply)?;
    let blocks = message.get("content").and_then(|content| objects(content)).ok_or_else(no_reply)?;
    let said = |name: &str| message.get(name).cloned().unwrap_or_else(|| "null".to_owned());
    let mut out = String::with_capacity(body.len() * 2);
    let mut begun = message.clone();
    begun.insert("content".to_owned(), "[]".to_owned());
    let mut ending: JsonMembers =
        ["stop_reason", "stop_sequence"].map(|name| (name.to_owned(), said(name))).into();
    begun.extend(ending.keys().map(|name| (name.clone(), "null".to_owned())));
    // These members are known only at the end of a stream.
    for name in ["stop_details", "safeguard_results"] {
        ending.extend(begun.remove_entry(name));
    }
    event("message_start", &format!("\"message\":{}", written(&begun)), &mut out);
    for (index, block) in blocks.into_iter().enumerate() {
        write_block(index, block, &mut out);
    }
    let usage = message.get("usage").filter(|usage| usage.starts_with('{'));
    let usage = usage.map_or("{\"output_tokens\":0}", String::as_str);
    event("message_delta", &format!("\"delta\":{},\"usage\":{usage}", written(&ending)), &mut out);
    out.push_str("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    Ok(out.into())
}

fn event(name: &str, members: &str, out: &mut String) {
    out.push_str(&format!("event: {name}\ndata: {{\"type\":\"{name}\",{members}}}\n\n"));
}

/// Writes one content block: its start without the members that a stream sends in pieces, the pieces, and its end.
fn write_block(index: usize, mut block: JsonMembers, out: &mut String) {
    let mut deltas = vec![];
    let mut later = |block: &mut JsonMembers, name: &str, empty: &str, kind: &str, field: &str| {
        let is_there = |value: &&mut String| {
            *value != empty && *value != "null" && (empty != "[]" || value.starts_with('['))
        };
        let Some(value) = block.get_mut(name).filter(is_there) else { return };
        let value = std::mem::replace(value, empty.to_owned());
        let pieces = if empty == "[]" { list(&value) } else { vec![value] };
        deltas.extend(pieces.into_iter().map(|piece| {
            let piece = if empty == "{}" { quoted(&piece) } else { piece };
            format!("\"delta\":{{\"type\":\"{kind}\",\"{field}\":{piece}}}")
        }));
    };
    match text(&block, "type").as_deref() {
        Some("text") => {
            later(&mut block, "text", "\"\"", "text_delta", "text");
            later(&mut block, "citations", "[]", "citations_delta", "citation");
        }
        Some("thinking") => {
            later(&mut block, "thinking", "\"\"", "thinking_delta", "thinking");
            later(&mut block, "signature", "\"\"", "signature_delta", "signature");
        }
        // Tools of the client and of the server alike.
        Some(_) if block.get("input").is_some_and(|input| input.starts_with('{')) => {
            later(&mut block, "input", "{}", "input_json_delta", "partial_json");
        }
        Some(_) | None => {}
    }
    event("content_block_start", &format!("\"index\":{index},\"content_block\":{}", written(&block)), out);
    for delta in deltas {
        event("content_block_delta", &format!("\"index\":{index},{delta}"), out);
    }
    event("content_block_stop", &format!("\"index\":{index}"), out);
}

fn list(json: &str) -> Vec<String> {
    let values: Vec<&serde_json::value::RawValue> = serde_json::from_str(json).unwrap_or_default();
    values.into_iter().map(|value| value.get().to_owned()).collect()
}

/// Joins the events of a stream to the message that a client would build from them.
///
/// # Errors
/// If the events are not a message, report an error, or end before the message is complete.
pub fn events_as_message(stream: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut message = AssembledMessage::default();
    for data in sse::events(stream).filter_map(|event| event.data()) {
        let data = data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            continue;
        }
        let event = std::str::from_utf8(data).ok().and_then(object);
        let event = event.ok_or_else(|| Fault::bad_gateway("invalid JSON in upstream stream"))?;
        match text(&event, "type").as_deref() {
            Some("message_stop") => return message.finished(),
            Some("error") => return Err(reported(data)),
            Some(kind) => message.take(kind, &event),
            None => {}
        }
    }
    Err(Fault::cut())
}

#[derive(Default)]
struct AssembledMessage {
    members: Option<JsonMembers>,
    /// The blocks, with the index that the upstream gave to each.
    blocks: Vec<(Option<String>, AssembledBlock)>,
}

#[derive(Default)]
struct AssembledBlock {
    members: JsonMembers,
    input: String,
    citations: Vec<String>,
}

impl AssembledMessage {
    fn take(&mut self, kind: &str, event: &JsonMembers) {
        let inside = |name: &str| event.get(name).and_then(|value| object(value)).unwrap_or_default();
        let index = event.get("index").cloned();
        match kind {
            "message_start" => self.members = Some(inside("message")),
            "content_block_start" => {
                let block = AssembledBlock { members: inside("content_block"), ..AssembledBlock::default() };
                self.blocks.push((index, block));
            }
            "content_block_delta" => {
                let block = self.blocks.iter_mut().rfind(|(known, _)| index.is_none() || *known == index);
                if let Some((_, block)) = block {
                    block.grow(inside("delta"));
                }
            }
            "message_delta" => {
                let message = self.members.get_or_insert_default();
                message.extend(inside("delta"));
                let known = message.get("usage").and_then(|usage| object(usage)).unwrap_or_default();
                // Counts are cumulative: a new one replaces the previous one.
                let usage = known.into_iter().chain(inside("usage")).collect();
                let others = event.iter().filter(|(name, _)| !matches!(name.as_str(), "type" | "delta"));
                message.extend(others.map(|(name, value)| (name.clone(), value.clone())));
                message.insert("usage".to_owned(), written(&usage));
            }
            _ => {}
        }
    }

    fn finished(self) -> Result<Vec<u8>, Fault> {
        let mut message = self.members.ok_or_else(no_reply)?;
        let blocks: Vec<_> = self.blocks.into_iter().map(|(_, block)| block.finished()).collect();
        message.insert("content".to_owned(), format!("[{}]", blocks.join(",")));
        Ok(written(&message).into_bytes())
    }
}

impl AssembledBlock {
    fn grow(&mut self, delta: JsonMembers) {
        let kind = text(&delta, "type").unwrap_or_default();
        for (name, value) in delta {
            match (kind.as_str(), name.as_str()) {
                (_, "type") => {}
                ("input_json_delta", "partial_json") => {
                    let piece: String = serde_json::from_str(&value).unwrap_or_default();
                    self.input.push_str(&piece);
                }
                ("citations_delta", "citation") => self.citations.push(value),
                _ => match (self.members.get_mut(&name), value.strip_prefix('"')) {
                    (Some(known), Some(more)) if known.starts_with('"') => {
                        known.pop();
                        known.push_str(more);
                    }
                    _ => {
                        self.members.insert(name, value);
                    }
                },
            }
        }
    }

    fn finished(mut self) -> String {
        if !self.input.is_empty() {
            let is_object =
                self.input.trim_start().starts_with('{') && is_complete_json(self.input.as_bytes());
            let input =
                if is_object { self.input } else { format!("{{\"raw_arguments\":{}}}", quoted(&self.input)) };
            self.members.insert("input".to_owned(), input);
        }
        if !self.citations.is_empty() {
            self.members.insert("citations".to_owned(), format!("[{}]", self.citations.join(",")));
        }
        written(&self.members)
    }
}
