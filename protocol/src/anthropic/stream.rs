//! The events of a Messages stream, and the two places they can go: onto the wire, or into one whole message.

use bytes::BytesMut;

use crate::{
    anthropic::error::{self, PING},
    bridge::Fault,
    json::{self, Write},
    vocabulary::{StopReason, Usage},
};

/// One event. Texts called *inner* are JSON string contents, still escaped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    MessageStart {
        id: &'a str,
        model: &'a str,
    },
    Ping,
    BlockStart {
        index: u64,
        block: Opening<'a>,
    },
    Delta {
        index: u64,
        delta: Delta<'a>,
    },
    BlockStop {
        index: u64,
    },
    /// `thinking` is how much of the output are thoughts, if that is known.
    MessageDelta {
        ending: Ending<'a>,
        usage: Usage,
        thinking: Option<u64>,
    },
    MessageStop,
    Error {
        fault: &'a Fault,
    },
}

/// What kind of block begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Opening<'a> {
    Text,
    Thinking,
    /// `id` and `name` are inner texts.
    ToolUse {
        id: &'a str,
        name: &'a str,
    },
}

/// A piece of the open block; inner texts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delta<'a> {
    Text(&'a str),
    Thinking(&'a str),
    Signature(&'a str),
    Arguments(&'a str),
}

/// Why the message ends; `sequence` is the inner text of the stop sequence that was met.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'a> {
    pub(crate) reason: StopReason,
    pub(crate) sequence: Option<&'a str>,
}

/// Where events go.
pub(crate) trait Sink {
    fn emit(&mut self, event: Event<'_>);
}

/// Onto the wire, as server-sent events.
impl Sink for BytesMut {
    fn emit(&mut self, event: Event<'_>) {
        match event {
            Event::MessageStart { id, model } => {
                self.put(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
                message_head(id, model, self);
                self.put(b"[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
                usage_object(Usage::default(), None, self);
                self.put(b"}}\n\n");
            }
            Event::Ping => self.put(PING),
            Event::BlockStart { index, block } => {
                self.put(b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":");
                self.number(index);
                self.put(b",\"content_block\":");
                opening(block, self);
                self.put(b"}\n\n");
            }
            Event::Delta { index, delta } => {
                self.put(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
                self.number(index);
                let (start, inner) = match delta {
                    Delta::Text(inner) => (&b",\"delta\":{\"type\":\"text_delta\",\"text\":"[..], inner),
                    Delta::Thinking(inner) => {
                        (&b",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":"[..], inner)
                    }
                    Delta::Signature(inner) => {
                        (&b",\"delta\":{\"type\":\"signature_delta\",\"signature\":"[..], inner)
                    }
                    Delta::Arguments(inner) => {
                        (&b",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"[..], inner)
                    }
                };
                self.put(start);
                self.quoted(inner);
                self.put(b"}}\n\n");
            }
            Event::BlockStop { index } => {
                self.put(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
                self.number(index);
                self.put(b"}\n\n");
            }
            Event::MessageDelta { ending: end, usage, thinking } => {
                self.put(b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{");
                ending(end, self);
                self.put(b"},\"usage\":");
                usage_object(usage, thinking, self);
                self.put(b"}\n\n");
            }
            Event::MessageStop => self.put(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
            Event::Error { fault } => error::event(fault.kind, &fault.message, self),
        }
    }
}

fn message_head(id: &str, model: &str, out: &mut impl Write) {
    out.put(b"{\"id\":\"");
    out.raw(id);
    out.put(b"\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    out.string(model);
    out.put(b",\"content\":");
}

fn opening(block: Opening<'_>, out: &mut impl Write) {
    match block {
        Opening::Text => out.put(b"{\"type\":\"text\",\"text\":\"\"}"),
        Opening::Thinking => out.put(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"),
        Opening::ToolUse { id, name } => {
            tool_head(id, name, out);
            out.put(b"{}}");
        }
    }
}

fn tool_head(id: &str, name: &str, out: &mut impl Write) {
    out.put(b"{\"type\":\"tool_use\",\"id\":");
    out.quoted(id);
    out.put(b",\"name\":");
    out.quoted(name);
    out.put(b",\"input\":");
}

fn ending(ending: Ending<'_>, out: &mut impl Write) {
    out.put(b"\"stop_reason\":\"");
    out.raw(ending.reason.anthropic());
    out.put(b"\",\"stop_sequence\":");
    match ending.sequence {
        Some(inner) => out.quoted(inner),
        None => out.put(b"null"),
    }
}

fn usage_object(usage: Usage, thinking: Option<u64>, out: &mut impl Write) {
    out.put(b"{\"input_tokens\":");
    out.number(usage.input);
    out.put(b",\"cache_creation_input_tokens\":");
    out.number(usage.cache_creation);
    out.put(b",\"cache_read_input_tokens\":");
    out.number(usage.cache_read);
    out.put(b",\"output_tokens\":");
    out.number(usage.output);
    if let Some(thinking) = thinking {
        out.put(b",\"output_tokens_details\":{\"thinking_tokens\":");
        out.number(thinking.min(usage.output));
        out.put(b"}");
    }
    out.put(b"}");
}

/// Into one whole message: the JSON object grows as the events come.
#[derive(Default)]
pub(crate) struct Collected {
    body: Vec<u8>,
    /// The arguments of the open tool, inner text; they become JSON only when they are complete.
    arguments: Option<String>,
}

impl Collected {
    /// The message, if its last event came.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body
    }

    fn open(&mut self, index: u64, block: Opening<'_>) {
        if index > 0 {
            self.body.put(b",");
        }
        match block {
            Opening::Text => self.body.put(b"{\"type\":\"text\",\"text\":\""),
            Opening::Thinking => self.body.put(b"{\"type\":\"thinking\",\"thinking\":\""),
            Opening::ToolUse { id, name } => {
                tool_head(id, name, &mut self.body);
                self.arguments = Some(String::new());
            }
        }
    }

    fn close(&mut self) {
        match self.arguments.take() {
            Some(arguments) => tool_input(&arguments, &mut self.body),
            None => self.body.put(b"\""),
        }
        self.body.put(b"}");
    }
}

impl Sink for Collected {
    fn emit(&mut self, event: Event<'_>) {
        match event {
            Event::MessageStart { id, model } => {
                message_head(id, model, &mut self.body);
                self.body.put(b"[");
            }
            Event::BlockStart { index, block } => self.open(index, block),
            Event::Delta { delta: Delta::Text(inner) | Delta::Thinking(inner), .. } => self.body.raw(inner),
            Event::Delta { delta: Delta::Signature(inner), .. } => {
                self.body.put(b"\",\"signature\":\"");
                self.body.raw(inner);
            }
            Event::Delta { delta: Delta::Arguments(inner), .. } => {
                self.arguments.get_or_insert_default().push_str(inner);
            }
            Event::BlockStop { .. } => self.close(),
            Event::MessageDelta { ending: end, usage, thinking } => {
                self.body.put(b"],");
                ending(end, &mut self.body);
                self.body.put(b",\"usage\":");
                usage_object(usage, thinking, &mut self.body);
                self.body.put(b"}");
            }
            Event::Ping | Event::MessageStop | Event::Error { .. } => {}
        }
    }
}

/// `input` of a whole tool_use block: the arguments if they are an object, else kept as they are beside a name that
/// tells the model and the client what happened (arguments cut off by `length`, or never JSON).
pub(crate) fn tool_input(arguments: &str, out: &mut Vec<u8>) {
    let decoded = json::decode(arguments);
    let object = decoded.as_deref().map(str::trim).filter(|text| text.starts_with('{'));
    match object.filter(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()) {
        Some(object) => out.raw(object),
        None => {
            out.put(b"{\"raw_arguments\":");
            out.quoted(arguments);
            out.put(b"}");
        }
    }
}
