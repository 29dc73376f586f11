//! Converts a response of the Responses API between its whole form and events.

use bytes::Bytes;

use super::{JsonMembers, no_reply, object, objects, one_line, quoted, text, written};
use crate::fault::Fault;
use crate::openai::error;
use crate::openai::responses_stream::{EventKind, ResponseObject, ResponsesEvent};
use crate::sse;

/// The response object of a stream. Some vendors leave its items out, which are complete events of their own.
///
/// # Errors
/// If an event is not JSON, reports an error, or the stream ends before the response is complete.
pub fn events_as_response(stream: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut items: Vec<(u64, String)> = Vec::new();
    for data in sse::events(stream).filter_map(|event| event.data()) {
        let data = data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            continue;
        }
        let invalid = || Fault::bad_gateway("invalid JSON in upstream stream");
        let event = ResponsesEvent::read(data).map_err(|_| invalid())?;
        let Some(event) = event else { continue };
        if let Some(fault) = event.fault(data) {
            return Err(fault);
        }
        let member = |name: &str| one_line(data).and_then(|data| object(&data)?.remove(name));
        match event.kind() {
            EventKind::ItemDone => {
                let index = event.output_index().unwrap_or(u64::MAX);
                items.extend(member("item").filter(|item| item.starts_with('{')).map(|item| (index, item)));
            }
            EventKind::Over => {
                let response = member("response").and_then(|response| object(&response));
                return Ok(with_items(response.ok_or_else(no_reply)?, items).into_bytes());
            }
            EventKind::Alive
            | EventKind::ItemAdded
            | EventKind::Delta(_)
            | EventKind::Done(_)
            | EventKind::Annotation
            | EventKind::Failed
            | EventKind::Error
            | EventKind::Other => {}
        }
    }
    Err(Fault::cut())
}

fn with_items(mut response: JsonMembers, mut items: Vec<(u64, String)>) -> String {
    let listed = response.get("output").and_then(|output| objects(output));
    if listed.is_none_or(|listed| listed.is_empty()) {
        items.sort_by_key(|(index, _)| *index);
        let items: Vec<String> = items.into_iter().map(|(_, item)| item).collect();
        response.insert("output".to_owned(), format!("[{}]", items.join(",")));
    }
    written(&response)
}

/// The events of a whole response.
///
/// # Errors
/// If the body is not a response object, reports an error, or is not complete.
pub fn response_as_events(body: &[u8]) -> Result<Bytes, Fault> {
    let text = one_line(body).ok_or_else(no_reply)?;
    let read = ResponseObject::read(text.trim().as_bytes()).ok().flatten().ok_or_else(no_reply)?;
    if let Some(fault) = read.fault() {
        return Err(fault);
    }
    if !read.has_output() {
        return Err(if read.has_error() { error::read_inside(body) } else { no_reply() });
    }
    if read.is_unfinished() {
        return Err(Fault::bad_gateway("the upstream answered before its reply was complete"));
    }
    let mut response = object(&text).ok_or_else(no_reply)?;
    let items = response.get("output").and_then(|output| objects(output)).ok_or_else(no_reply)?;
    let end = if read.incomplete().is_some() { "response.incomplete" } else { "response.completed" };
    response.entry("status".to_owned()).or_insert_with(|| "\"completed\"".to_owned());

    let mut events = EventWriter { out: String::with_capacity(body.len() * 3), number: 0 };
    let begun = begun_response(&response);
    for kind in ["response.created", "response.in_progress"] {
        events.write(kind, &format!("\"response\":{begun}"));
    }
    for (index, item) in items.iter().enumerate() {
        events.item(index, item);
    }
    events.write(end, &format!("\"response\":{}", written(&response)));
    Ok(events.out.into())
}

/// The response object before its first item.
fn begun_response(response: &JsonMembers) -> String {
    let mut begun = response.clone();
    begun.insert("status".to_owned(), "\"in_progress\"".to_owned());
    begun.insert("output".to_owned(), "[]".to_owned());
    for member in ["usage", "completed_at", "incomplete_details"] {
        begun.entry(member.to_owned()).and_modify(|value| *value = "null".to_owned());
    }
    written(&begun)
}

/// Writes events with their numbers.
struct EventWriter {
    out: String,
    number: u64,
}

/// The place of a part: its item, and the name of its number and the number.
struct PartPlace<'a> {
    /// `"output_index":…,"item_id":…`.
    item: &'a str,
    counter: &'static str,
    number: usize,
}

/// How the events of a part are called.
struct PartEvents {
    added: &'static str,
    text: &'static str,
    done: &'static str,
    /// The member that has the text.
    member: &'static str,
}

const OUTPUT_TEXT: PartEvents = PartEvents {
    added: "response.content_part.added",
    text: "response.output_text",
    done: "response.content_part.done",
    member: "text",
};
const REFUSAL: PartEvents = PartEvents { text: "response.refusal", member: "refusal", ..OUTPUT_TEXT };
const REASONING: PartEvents = PartEvents { text: "response.reasoning_text", ..OUTPUT_TEXT };
const SUMMARY: PartEvents = PartEvents {
    added: "response.reasoning_summary_part.added",
    text: "response.reasoning_summary_text",
    done: "response.reasoning_summary_part.done",
    member: "text",
};

impl EventWriter {
    /// Appends an event with these members: `"name":value,…`.
    fn write(&mut self, kind: &str, members: &str) {
        let number = self.number;
        self.number += 1;
        let data = format!("{{\"type\":\"{kind}\",\"sequence_number\":{number},{members}}}");
        self.out.push_str(&format!("event: {kind}\ndata: {data}\n\n"));
    }

    fn item(&mut self, index: usize, item: &JsonMembers) {
        let id = text(item, "id").unwrap_or_else(|| format!("item_{index}"));
        let place = format!("\"output_index\":{index},\"item_id\":{}", quoted(&id));
        let begun = begun_item(item);
        self.write("response.output_item.added", &format!("\"output_index\":{index},\"item\":{begun}"));
        match text(item, "type").as_deref() {
            Some("message") => self.parts(&place, item),
            Some("reasoning") => self.reasoning(&place, item),
            Some("function_call") => self.call(&place, item, "response.function_call_arguments", "arguments"),
            Some("custom_tool_call") => self.call(&place, item, "response.custom_tool_call_input", "input"),
            Some(_) | None => {}
        }
        let item = written(item);
        self.write("response.output_item.done", &format!("\"output_index\":{index},\"item\":{item}"));
    }

    fn parts(&mut self, item: &str, message: &JsonMembers) {
        let parts = message.get("content").and_then(|content| objects(content)).unwrap_or_default();
        for (number, part) in parts.iter().enumerate() {
            let kind = text(part, "type");
            let events = if kind.as_deref() == Some("refusal") { REFUSAL } else { OUTPUT_TEXT };
            self.part(&PartPlace { item, counter: "content_index", number }, part, &events);
        }
    }

    fn reasoning(&mut self, item: &str, reasoning: &JsonMembers) {
        for (list, counter, events) in
            [("content", "content_index", REASONING), ("summary", "summary_index", SUMMARY)]
        {
            let parts = reasoning.get(list).and_then(|parts| objects(parts)).unwrap_or_default();
            for (number, part) in parts.iter().enumerate() {
                self.part(&PartPlace { item, counter, number }, part, &events);
            }
        }
    }

    /// A part, from its beginning to its end. A part of an unknown kind has no text.
    fn part(&mut self, place: &PartPlace<'_>, part: &JsonMembers, events: &PartEvents) {
        let PartPlace { item, counter, number } = place;
        let place = format!("{item},\"{counter}\":{number}");
        let mut begun = part.clone();
        begun.entry(events.member.to_owned()).and_modify(|text| *text = "\"\"".to_owned());
        for list in ["annotations", "logprobs"] {
            begun.entry(list.to_owned()).and_modify(|list| *list = "[]".to_owned());
        }
        self.write(events.added, &format!("{place},\"part\":{}", written(&begun)));
        if let Some(text) = part.get(events.member).filter(|text| text.starts_with('"')) {
            let logprobs = part.get("logprobs").map_or("[]", String::as_str);
            let beside = if events.text == OUTPUT_TEXT.text {
                format!(",\"logprobs\":{logprobs}")
            } else {
                String::new()
            };
            if text != "\"\"" {
                self.write(&format!("{}.delta", events.text), &format!("{place},\"delta\":{text}{beside}"));
            }
            self.annotations(&place, part);
            let member = events.member;
            self.write(&format!("{}.done", events.text), &format!("{place},\"{member}\":{text}{beside}"));
        }
        self.write(events.done, &format!("{place},\"part\":{}", written(part)));
    }

    fn annotations(&mut self, place: &str, part: &JsonMembers) {
        let annotations = part.get("annotations").and_then(|list| objects(list)).unwrap_or_default();
        for (number, annotation) in annotations.iter().enumerate() {
            let annotation = written(annotation);
            let members = format!("{place},\"annotation_index\":{number},\"annotation\":{annotation}");
            self.write("response.output_text.annotation.added", &members);
        }
    }

    fn call(&mut self, place: &str, call: &JsonMembers, kind: &str, member: &str) {
        let Some(input) = call.get(member).filter(|input| input.starts_with('"')) else { return };
        if input != "\"\"" {
            self.write(&format!("{kind}.delta"), &format!("{place},\"delta\":{input}"));
        }
        let name = call.get("name").map_or(String::new(), |name| format!(",\"name\":{name}"));
        self.write(&format!("{kind}.done"), &format!("{place},\"{member}\":{input}{name}"));
    }
}

/// An item before its content.
fn begun_item(item: &JsonMembers) -> String {
    let mut begun = item.clone();
    let emptied: &[(&str, &str)] = match text(item, "type").as_deref() {
        Some("message") => &[("content", "[]")],
        Some("reasoning") => &[("content", "[]"), ("summary", "[]")],
        Some("function_call") => &[("arguments", "\"\"")],
        Some("custom_tool_call") => &[("input", "\"\"")],
        // Other items have no events of their content here.
        Some(_) | None => return written(item),
    };
    for (member, empty) in emptied {
        begun.entry((*member).to_owned()).and_modify(|value| {
            if value != "null" {
                *value = (*empty).to_owned();
            }
        });
    }
    begun.entry("status".to_owned()).and_modify(|status| *status = "\"in_progress\"".to_owned());
    written(&begun)
}
