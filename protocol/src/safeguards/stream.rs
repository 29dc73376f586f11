//! A streamed reply whose tool calls are judged while it passes. Its end is held until the verdicts are there.

use std::collections::BTreeMap;
use std::mem::take;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::request::{INPUT, call_shown, text_shown};
use super::whole::{keep_last, with_member};
use super::{REPLY_MEMBER, ToolCall};
use crate::request::{Unwanted, trimmed};
use crate::sse::{self, Splitter};

/// The most bytes that are kept of the reply's text before a call.
const TEXT: usize = 4 << 10;
/// The most bytes that are held. An upstream that sends more behind its last `message_delta` gets no verdicts.
const MOST_HELD: usize = 1 << 20;
/// The most blocks that are open at once.
const OPEN: usize = 64;

/// Messages events on their way to the client.
pub struct JudgedStream {
    splitter: Splitter,
    open: BTreeMap<u64, OpenBlock>,
    /// What the reply has so far, for the judge.
    before: Vec<Value>,
    calls: Vec<ToolCall>,
    /// The events from the final `message_delta` on.
    held: BytesMut,
    /// Where the last `message_delta` is in them.
    last: Option<std::ops::Range<usize>>,
    /// The events behind the end exceeded the limit, so everything passes without verdicts.
    gave_up: bool,
}

enum OpenBlock {
    Text(String),
    Call { id: String, name: String, start: String, deltas: String, is_cut: bool },
}

#[derive(Deserialize)]
struct Event<'a> {
    r#type: String,
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    content_block: Option<StartedBlock<'a>>,
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct StartedBlock<'a> {
    r#type: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    text: String,
    #[serde(default)]
    partial_json: String,
    stop_reason: Option<Value>,
}

/// How an event is handled.
enum Step {
    Pass,
    Hold,
}

impl JudgedStream {
    /// `limit` bounds a single event, in bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            splitter: Splitter::new(limit),
            open: BTreeMap::new(),
            before: vec![],
            calls: vec![],
            held: BytesMut::new(),
            last: None,
            gave_up: false,
        }
    }

    /// Takes bytes of the reply; returns those that the client gets now.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        let Some(block) = self.splitter.pass(chunk) else { return Bytes::new() };
        if self.gave_up {
            return block;
        }
        let mut passed = BytesMut::new();
        let mut at = 0;
        for event in sse::events(&block) {
            let span = at..at + event.raw().len();
            at = span.end;
            match self.look(&event) {
                Step::Pass if self.held.is_empty() => {}
                // Only pings pass once the end is held.
                Step::Pass => passed.extend_from_slice(&block[span]),
                Step::Hold if self.held.is_empty() => {
                    passed.extend_from_slice(&block[..span.start]);
                    self.hold(&block[span]);
                }
                Step::Hold => self.hold(&block[span]),
            }
        }
        if self.held.is_empty() {
            return block;
        }
        // A line end behind the last event.
        self.held.extend_from_slice(&block[at..]);
        if self.held.len() > MOST_HELD {
            self.gave_up = true;
            self.last = None;
            passed.extend_from_slice(&take(&mut self.held));
        }
        passed.freeze()
    }

    /// The calls that have become complete.
    pub fn take_calls(&mut self) -> Vec<ToolCall> {
        take(&mut self.calls)
    }

    /// Whether the final event waits for the verdicts.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// The rest of the reply, with this value of `safeguard_results`.
    pub fn finish(&mut self, results: &str) -> Bytes {
        let held = take(&mut self.held).freeze();
        let rest = self.splitter.rest();
        let edited = self.last.take().and_then(|span| with_results(&held, span, results)).unwrap_or(held);
        if rest.is_empty() {
            return edited;
        }
        [edited, rest].concat().into()
    }

    fn hold(&mut self, event: &[u8]) {
        let start = self.held.len();
        self.held.extend_from_slice(event);
        if is_final(event) {
            self.last = Some(start..self.held.len());
        }
    }

    fn look(&mut self, event: &sse::Event<'_>) -> Step {
        let is_holding = self.is_holding();
        let Some(data) = event.data() else { return if is_holding { Step::Hold } else { Step::Pass } };
        let Ok(read) = serde_json::from_slice::<Event<'_>>(&data) else {
            return if is_holding { Step::Hold } else { Step::Pass };
        };
        match read.r#type.as_str() {
            "ping" => return Step::Pass,
            "content_block_start" => self.start(read),
            "content_block_delta" => self.extend(read.index, read.delta.unwrap_or_default()),
            "content_block_stop" => self.stop(read.index),
            "message_delta"
                if read.delta.is_some_and(|delta| delta.stop_reason.is_some_and(|it| !it.is_null())) =>
            {
                // A block without an end is complete now.
                let left: Vec<_> = self.open.keys().copied().collect();
                left.into_iter().for_each(|index| self.stop(index));
                return Step::Hold;
            }
            _ => {}
        }
        if is_holding { Step::Hold } else { Step::Pass }
    }

    fn start(&mut self, event: Event<'_>) {
        let Some(block) = event.content_block.filter(|_| self.open.len() < OPEN) else { return };
        let opened = match block.r#type.as_str() {
            "text" => OpenBlock::Text(String::new()),
            "tool_use" => OpenBlock::Call {
                id: block.id,
                name: block.name,
                start: block.input.map_or("{}", RawValue::get).to_owned(),
                deltas: String::new(),
                is_cut: false,
            },
            _ => return,
        };
        self.open.insert(event.index, opened);
    }

    fn extend(&mut self, index: u64, delta: Delta) {
        match self.open.get_mut(&index) {
            Some(OpenBlock::Text(text)) if text.len() < TEXT => text.push_str(&delta.text),
            Some(OpenBlock::Call { deltas, is_cut, .. }) if deltas.len() > INPUT => {
                *is_cut |= !delta.partial_json.is_empty();
            }
            Some(OpenBlock::Call { deltas, .. }) => deltas.push_str(&delta.partial_json),
            Some(OpenBlock::Text(_)) | None => {}
        }
    }

    fn stop(&mut self, index: u64) {
        match self.open.remove(&index) {
            Some(OpenBlock::Text(text)) => self.before.push(text_shown(&text)),
            Some(OpenBlock::Call { id, name, start, deltas, is_cut }) => {
                let input = if deltas.is_empty() { start } else { deltas };
                let shown = call_shown(&name, &input);
                let before = self.before.clone();
                self.calls.push(ToolCall { id, name, input, is_cut, before });
                self.before.push(shown);
            }
            None => {}
        }
        keep_last(&mut self.before);
    }
}

/// Whether the event is a `message_delta`.
fn is_final(event: &[u8]) -> bool {
    let read = |data: &[u8]| {
        serde_json::from_slice::<Event<'_>>(data).is_ok_and(|read| read.r#type == "message_delta")
    };
    sse::events(event).any(|event| event.data().is_some_and(|data| read(&data)))
}

/// The events with the results in the `message_delta` in `span`; every other byte is preserved.
fn with_results(held: &Bytes, span: std::ops::Range<usize>, results: &str) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        delta: &'a RawValue,
    }
    let event = held.slice(span.clone());
    let data =
        sse::events(&event).find_map(|event| event.data().map(|data| Bytes::from(data.into_owned())))?;
    let path = vec!["delta", REPLY_MEMBER];
    let clean = trimmed(&data, &Unwanted { members: vec![path], keywords: vec![] });
    let wire: Wire<'_> = serde_json::from_slice(&clean).ok()?;
    let delta = wire.delta.get();
    let start = delta.as_ptr() as usize - clean.as_ptr() as usize;
    let edited = with_member(&clean, start..start + delta.len(), results)?;
    let event = match memmem::find(&event, &data) {
        Some(at) => [&event[..at], &edited, &event[at + data.len()..]].concat(),
        // The data has several lines.
        None => {
            let lines: Vec<_> = edited.split(|byte| *byte == b'\n').collect();
            [b"event: message_delta\ndata: ", &*lines.join(&b"\ndata: "[..]), b"\n\n"].concat()
        }
    };
    Some([&held[..span.start], &event, &held[span.end..]].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"Bash\",\"input\":{}}}\n\n";
    const INPUT_1: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"command\\\":\"}}\n\n";
    const INPUT_2: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\\\"ls\\\"}\"}}\n\n";
    const STOP: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n";
    const END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\", \"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\n";
    const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    const LAST: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    fn pushed(stream: &mut JudgedStream, text: &str) -> String {
        String::from_utf8(stream.push(Bytes::from(text.to_owned())).to_vec()).unwrap()
    }

    fn finished(stream: &mut JudgedStream) -> String {
        String::from_utf8(stream.finish("[1]").to_vec()).unwrap()
    }

    /// Requirement: text and calls pass at once, a call is known when its block is complete, and only the end is held.
    #[test]
    fn everything_but_the_end_passes_at_once() {
        let mut stream = JudgedStream::new(1 << 20);
        for event in [START, INPUT_1, INPUT_2] {
            assert_eq!(pushed(&mut stream, event), event);
            assert!(stream.take_calls().is_empty());
        }
        assert_eq!(pushed(&mut stream, STOP), STOP);
        let calls = stream.take_calls();
        assert_eq!(
            (&*calls[0].id, &*calls[0].name, &*calls[0].input),
            ("t1", "Bash", "{\"command\":\"ls\"}")
        );
        assert_eq!(pushed(&mut stream, &format!("{PING}{END}{PING}")), format!("{PING}{PING}"));
        assert!(stream.is_holding());
        assert_eq!(pushed(&mut stream, LAST), "");
        let end = END.replace("\"tool_use\"}", "\"tool_use\",\"safeguard_results\":[1]}");
        assert_eq!(finished(&mut stream), format!("{end}{LAST}"));
    }

    /// Requirement: the result does not depend on how the bytes are split.
    #[test]
    fn the_result_does_not_depend_on_pieces() {
        let all = [START, INPUT_1, INPUT_2, STOP, PING, END, LAST].concat();
        let expected = all.replace("\"tool_use\"}", "\"tool_use\",\"safeguard_results\":[1]}");
        for size in [1, 7, 100, all.len()] {
            let mut stream = JudgedStream::new(1 << 20);
            let mut out = String::new();
            for piece in all.as_bytes().chunks(size) {
                out.push_str(&pushed(&mut stream, std::str::from_utf8(piece).unwrap()));
            }
            assert_eq!(stream.take_calls().len(), 1);
            out.push_str(&finished(&mut stream));
            assert_eq!(out, expected, "{size}");
        }
    }

    /// Requirement: results go into the last `message_delta` and replace those of an upstream that is not asked.
    #[test]
    fn the_last_delta_gets_the_results() {
        let own = END.replace("\"tool_use\"}", "\"tool_use\",\"safeguard_results\":[7]}");
        let usage = "data: {\"type\":\"message_delta\",\"delta\":{},\ndata: \"usage\":{}}\n\n";
        let mut stream = JudgedStream::new(1 << 20);
        assert_eq!(pushed(&mut stream, &format!("{own}{LAST}")), "");
        let end = END.replace("\"tool_use\"}", "\"tool_use\",\"safeguard_results\":[1]}");
        assert_eq!(finished(&mut stream), format!("{end}{LAST}"));
        let mut stream = JudgedStream::new(1 << 20);
        pushed(&mut stream, &format!("{END}{usage}{LAST}"));
        let last = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"safeguard_results\":[1]},\ndata: \"usage\":{}}\n\n";
        assert_eq!(finished(&mut stream), format!("{END}{last}{LAST}"));
    }

    /// Requirement: a reply that breaks off stays as it is.
    #[test]
    fn a_reply_without_an_end_passes_unchanged() {
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n";
        let mut stream = JudgedStream::new(1 << 20);
        let text = format!("{START}{error}data: {{\"cut");
        assert_eq!(pushed(&mut stream, &text), format!("{START}{error}"));
        assert!(!stream.is_holding());
        assert_eq!(finished(&mut stream), "data: {\"cut");
    }

    /// Requirement: what is held is bounded.
    #[test]
    fn a_flood_behind_the_end_passes() {
        let mut stream = JudgedStream::new(1 << 20);
        assert_eq!(pushed(&mut stream, END), "");
        let flood = LAST.repeat(MOST_HELD / LAST.len() + 1);
        assert_eq!(pushed(&mut stream, &flood), format!("{END}{flood}"));
        assert!(!stream.is_holding());
        assert_eq!(pushed(&mut stream, END), END);
        assert_eq!(finished(&mut stream), "");
    }

    /// Requirement: what is kept of a call is bounded, and marked as cut.
    #[test]
    fn a_large_call_is_cut() {
        let mut stream = JudgedStream::new(1 << 20);
        let piece = INPUT_1.replace("{\\\"command\\\":", &"x".repeat(INPUT / 2 + 1));
        pushed(&mut stream, &[START, &piece, &piece, &piece, &piece, STOP].concat());
        let calls = stream.take_calls();
        assert!(calls[0].is_cut && calls[0].input.len() <= 2 * INPUT);
    }
}
