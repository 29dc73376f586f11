//! Makes frames of a reply's events, and collects what the conversation keeps of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error_frame;
use crate::json::{JsonWord, List, RawMembers};
use crate::openai::error::{self, ErrorNames};
use crate::openai::responses_stream::{EventKind, ResponsesEvent};

/// Follows the events of one reply.
#[derive(Debug, Default)]
pub struct ReplyFrames {
    /// The most bytes of output to keep.
    limit: usize,
    /// The items that are complete, by their index.
    output: Vec<(u64, String)>,
    size: usize,
    end: ReplyEnd,
}

/// How a reply has ended so far.
#[derive(Debug, Default, PartialEq, Eq)]
enum ReplyEnd {
    #[default]
    Open,
    /// The response of this id can be continued.
    Complete(String),
    Failed,
}

/// What the client gets for an event.
#[derive(Debug, PartialEq, Eq)]
pub enum EventFrame<'e> {
    /// A frame of this text.
    Text(Cow<'e, [u8]>),
    /// No frame.
    Nothing,
}

#[derive(Deserialize)]
struct ItemDone<'e> {
    #[serde(default)]
    output_index: u64,
    #[serde(borrow)]
    item: &'e RawValue,
}

#[derive(Deserialize)]
struct Ended<'e> {
    #[serde(borrow)]
    response: EndedResponse<'e>,
}

#[derive(Deserialize)]
struct EndedResponse<'e> {
    #[serde(borrow)]
    id: JsonWord<'e>,
    #[serde(borrow, default)]
    output: List<&'e RawValue>,
}

#[derive(Deserialize)]
struct OutputItem<'e> {
    #[serde(borrow, default)]
    r#type: Option<JsonWord<'e>>,
    #[serde(borrow, default)]
    encrypted_content: Option<&'e RawValue>,
    #[serde(borrow, default)]
    content: List<&'e RawValue>,
}

impl ReplyFrames {
    /// Keeps output of `limit` bytes at most; the output of a longer reply is not kept.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The frame for the data of an event. Behind the last frame of a reply, there is none: a client takes it for one of the
    /// next response.
    pub fn frame<'e>(&mut self, data: &'e [u8]) -> EventFrame<'e> {
        if self.has_ended() || data.trim_ascii() == b"[DONE]" {
            return EventFrame::Nothing;
        }
        match kind(data) {
            EventKind::ItemDone => self.item_done(data),
            EventKind::Over => self.complete(data),
            EventKind::Failed => {
                self.end = ReplyEnd::Failed;
                if let Some(frame) = unusual_failure(data) {
                    return EventFrame::Text(frame.into());
                }
            }
            EventKind::Error => {
                self.end = ReplyEnd::Failed;
                return EventFrame::Text(error_event(data).into());
            }
            EventKind::Alive
            | EventKind::ItemAdded
            | EventKind::Delta(_)
            | EventKind::Done(_)
            | EventKind::Annotation
            | EventKind::Other => {}
        }
        EventFrame::Text(data.into())
    }

    /// Whether the reply has its last event.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end != ReplyEnd::Open
    }

    /// The id and the output of a response that can be continued.
    #[must_use]
    pub fn finish(mut self) -> Option<(String, String)> {
        let ReplyEnd::Complete(id) = self.end else { return None };
        if self.size > self.limit {
            return None;
        }
        self.output.sort_by_key(|(index, _)| *index);
        let items: Vec<String> = self.output.into_iter().map(|(_, item)| item).collect();
        Some((id, items.join(",")))
    }

    fn item_done(&mut self, data: &[u8]) {
        if let Ok(ItemDone { output_index, item }) = serde_json::from_slice(data) {
            self.keep(output_index, item);
        }
    }

    fn complete(&mut self, data: &[u8]) {
        let Ok(Ended { response }) = serde_json::from_slice(data) else {
            self.end = ReplyEnd::Failed;
            return;
        };
        if self.output.is_empty() && self.size == 0 {
            for (index, item) in (0..).zip(response.output.0) {
                self.keep(index, item);
            }
        }
        self.end = ReplyEnd::Complete(response.id.as_str().to_owned());
    }

    fn keep(&mut self, index: u64, item: &RawValue) {
        self.size += item.get().len();
        if self.size <= self.limit && can_be_sent_back(item) {
            self.output.push((index, item.get().to_owned()));
        }
    }
}

fn kind(data: &[u8]) -> EventKind {
    // Most events are deltas, whose first member is the type. Those are not parsed.
    if let Some(word) = first_type(data) {
        return EventKind::parse(word);
    }
    ResponsesEvent::read(data).ok().flatten().map_or(EventKind::Other, |event| event.kind())
}

/// The error frame for a failure of another type than `response.failed`, such as `response.cancelled`: clients do not know
/// that it is the last event, and would wait.
fn unusual_failure(data: &[u8]) -> Option<Vec<u8>> {
    let event = ResponsesEvent::read(data).ok().flatten()?;
    if event.is_of_type("response.failed") {
        return None;
    }
    let fault = event.fault(data)?;
    Some(error_frame(
        fault.status,
        &error::responses_body(fault.kind, &fault.message, &ErrorNames::default()),
        &[],
    ))
}

/// The type of an event that begins with it, if it has no escapes.
fn first_type(data: &[u8]) -> Option<&str> {
    let rest = data.strip_prefix(b"{\"type\":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\\', rest)?;
    std::str::from_utf8(&rest[..end]).ok().filter(|_| rest.get(end) == Some(&b'"'))
}

/// Whether an item of a reply can be an item of the next request. Reasoning without its encrypted or its plain content can not:
/// providers look it up by its id, and do not have it if the response is not stored.
fn can_be_sent_back(item: &RawValue) -> bool {
    let Ok(OutputItem { r#type, encrypted_content, content }) = serde_json::from_str(item.get()) else {
        return true;
    };
    let is_reasoning = r#type.is_some_and(|word| word.as_str() == "reasoning");
    let is_encrypted = encrypted_content.is_some_and(|text| text.get().len() > 2 && text.get() != "null");
    !is_reasoning || is_encrypted || !content.0.is_empty()
}

/// The frame for an error inside of a stream, in the shape that clients of a WebSocket read: with the error as an object, and
/// a status. Its own members stay.
fn error_event(data: &[u8]) -> Vec<u8> {
    let fault = error::read_inside(data);
    let members: RawMembers<'_> = serde_json::from_slice(data).unwrap_or_default();
    let is_object = |value: &&RawValue| value.get().starts_with('{');
    let mut body = Vec::with_capacity(data.len() + 16);
    body.extend_from_slice(b"{\"error\":");
    match members.value("error").filter(is_object) {
        Some(error) => body.extend_from_slice(error.get().as_bytes()),
        None => {
            let fields = [("code", None), ("message", Some(&*fault.message)), ("param", None)];
            body.extend_from_slice(b"{\"type\":\"");
            body.extend_from_slice(fault.kind.openai().0.as_bytes());
            body.push(b'"');
            for (name, fallback) in fields {
                body.extend_from_slice(format!(",\"{name}\":").as_bytes());
                let own = members.value(name).map(|value| value.get().to_owned());
                let value = own.or_else(|| serde_json::to_string(&fallback).ok());
                body.extend_from_slice(value.as_deref().unwrap_or("null").as_bytes());
            }
            body.push(b'}');
        }
    }
    body.push(b'}');
    error_frame(fault.status, &body, &[])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(frame: EventFrame<'_>) -> String {
        match frame {
            EventFrame::Text(text) => String::from_utf8(text.into_owned()).unwrap(),
            EventFrame::Nothing => panic!("no frame"),
        }
    }

    /// The frames of these events, which must be the events, and what is kept.
    fn passed(events: &[&str], limit: usize) -> Option<(String, String)> {
        let mut frames = ReplyFrames::new(limit);
        for event in events {
            assert_eq!(text(frames.frame(event.as_bytes())), *event);
        }
        assert!(frames.has_ended());
        frames.finish()
    }

    #[test]
    fn events_pass_and_their_items_are_kept_in_the_order_of_the_output() {
        let kept = passed(
            &[
                r#"{"type":"response.created","response":{"id":"r"}}"#,
                r#"{"type":"response.output_text.delta","delta":"response.completed"}"#,
                r#"{ "output_index":1, "type" : "response.output_item.done", "item":{"b":1e2} }"#,
                r#"{"type":"response.output_item.done","output_index":0,"item":{"a":[1]},"sequence_number":3}"#,
                r#"{"type":"response.completed","response":{"id":"r\u0031","output":[{"other":1}]}}"#,
            ],
            100,
        );
        assert_eq!(kept, Some(("r1".to_owned(), r#"{"a":[1]},{"b":1e2}"#.to_owned())));
    }

    #[test]
    fn the_output_of_the_last_event_counts_if_no_item_came_before() {
        let last = r#"{"type":"response.incomplete","response":{"id":"r","output":[{"a":1},{"b":2}]}}"#;
        assert_eq!(passed(&[last], 100), Some(("r".to_owned(), r#"{"a":1},{"b":2}"#.to_owned())));
        assert_eq!(passed(&[last], 10), None, "too long");
        assert_eq!(passed(&[r#"{"type":"response.failed","response":{"id":"r"}}"#], 100), None);
        assert_eq!(passed(&[r#"{"type":"response.completed"}"#], 100), None);
    }

    #[test]
    fn reasoning_is_kept_only_if_it_can_be_sent_back() {
        for (item, kept) in [
            (r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"abc"}"#, true),
            (
                r#"{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"x"}]}"#,
                true,
            ),
            (
                r#"{"type":"reasoning","id":"rs_1","summary":[],"content":null,"encrypted_content":null}"#,
                false,
            ),
            (r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":""}"#, false),
            (r#"{"type":"message","id":"m"}"#, true),
        ] {
            let done = format!(r#"{{"type":"response.output_item.done","output_index":0,"item":{item}}}"#);
            let ended = r#"{"type":"response.completed","response":{"id":"r","output":[]}}"#;
            let (_, output) = passed(&[&done, ended], 1000).unwrap();
            assert_eq!(!output.is_empty(), kept, "{item}");
        }
    }

    #[test]
    fn errors_get_the_shape_that_clients_of_a_websocket_read() {
        for (event, status, error) in [
            (
                r#"{"type":"error","code":"rate_limit_exceeded","message":"slow","param":null,"sequence_number":4}"#,
                429,
                json!({"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "slow", "param": null}),
            ),
            (
                r#"{"type":"error","error":{"type":"server_error","message":"oops","x":1}}"#,
                502,
                json!({"type": "server_error", "message": "oops", "x": 1}),
            ),
            (r#"{"error":{"message":"cut","code":503}}"#, 503, json!({"message": "cut", "code": 503})),
        ] {
            let mut frames = ReplyFrames::new(100);
            let frame: Value = serde_json::from_str(&text(frames.frame(event.as_bytes()))).unwrap();
            assert_eq!(frame, json!({"type": "error", "status": status, "error": error}), "{event}");
            assert!(frames.has_ended() && frames.finish().is_none());
        }
    }

    /// Requirement: a reply has one last frame, of a kind that clients end with.
    #[test]
    fn nothing_follows_the_last_frame() {
        let failed =
            r#"{"type":"response.failed","sequence_number":9,"response":{"id":"r","status":"failed"}}"#;
        let cancelled =
            r#"{"type":"response.cancelled","response":{"id":"r","status":"cancelled","output":[]}}"#;
        let escaped = r#"{ "response":{"status":"cancelled"}, "type":"response.cancel\u006ced"}"#;
        let busy = r#"{"type":"response.cancelled","response":{"error":{"code":"rate_limit_exceeded","message":"busy"}}}"#;
        for (event, kind, status, message) in [
            (r#"{"type":"response.completed","response":{"id":"r"}}"#, "response.completed", None, None),
            (r#"{"type":"response.incomplete","response":{"id":"r"}}"#, "response.incomplete", None, None),
            (failed, "response.failed", None, None),
            (cancelled, "error", Some(502), Some("the upstream cancelled its reply")),
            (escaped, "error", Some(502), Some("the upstream cancelled its reply")),
            (busy, "error", Some(429), Some("busy")),
            (
                r#"{"type":"response.error","error":{"message":"oops","code":"server_error"}}"#,
                "error",
                Some(502),
                Some("oops"),
            ),
            (r#"{"type":"error","message":"oops","code":"server_error"}"#, "error", Some(502), Some("oops")),
        ] {
            let mut frames = ReplyFrames::new(100);
            let frame: Value = serde_json::from_str(&text(frames.frame(event.as_bytes()))).unwrap();
            assert_eq!((frame["type"].as_str(), frame["status"].as_u64()), (Some(kind), status), "{event}");
            assert_eq!(frame["error"]["message"].as_str(), message, "{event}");
            assert!(frames.has_ended(), "{event}");
            for behind in [failed, event, r#"{"type":"response.output_text.delta","delta":"x"}"#, "{}"] {
                assert_eq!(frames.frame(behind.as_bytes()), EventFrame::Nothing, "{event} {behind}");
            }
        }
    }

    #[test]
    fn the_end_mark_of_another_api_is_left_out_and_other_texts_pass() {
        let mut frames = ReplyFrames::new(100);
        assert_eq!(frames.frame(b"[DONE]"), EventFrame::Nothing);
        for odd in
            [&b"{}"[..], b"no json", b"{\"type\":\"resp\\u006fnse.new\"}", b"{\"type\":7}", b"{\"type\":\"x"]
        {
            assert_eq!(frames.frame(odd), EventFrame::Text(odd.into()));
        }
        assert!(!frames.has_ended());
    }
}
