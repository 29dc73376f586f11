//! The events of a Messages stream, and the two places they can go: onto the wire, or into one whole message.

use bytes::BytesMut;

use crate::{
    anthropic::error::{self, PING},
    fault::Fault,
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
    /// A web search that the upstream has run; it says no more of it.
    ServerToolUse {
        id: &'a str,
    },
    /// What that search has found.
    SearchResult {
        id: &'a str,
        sources: &'a [Source],
    },
}

/// A piece of the open block; inner texts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delta<'a> {
    Text(&'a str),
    Thinking(&'a str),
    Signature(&'a str),
    Arguments(&'a str),
    Citation(&'a Source),
}

/// A web page; inner texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) url: String,
    pub(crate) title: String,
    /// What the page says, as far as it is quoted.
    pub(crate) quote: String,
}

/// Why the message ends; `sequence` is the inner text of the stop sequence that was met.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'a> {
    pub(crate) reason: StopReason,
    pub(crate) sequence: Option<&'a str>,
    /// How many web searches there were, for a client that asked for one.
    pub(crate) searches: Option<u64>,
    /// The client asked for a judgement of the tool calls, and there is none.
    pub(crate) is_unjudged: bool,
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
                usage_object(Usage::default(), (None, None), self);
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
                piece(delta, self);
                self.put(b"}\n\n");
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
                usage_object(usage, (thinking, end.searches), self);
                self.put(b"}\n\n");
            }
            Event::MessageStop => self.put(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
            Event::Error { fault } => error::event(fault.kind, &fault.message, self),
        }
    }
}

/// With `delta` as a member.
fn piece(delta: Delta<'_>, out: &mut impl Write) {
    let (start, inner) = match delta {
        Delta::Text(inner) => (&b",\"delta\":{\"type\":\"text_delta\",\"text\":"[..], inner),
        Delta::Thinking(inner) => (&b",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":"[..], inner),
        Delta::Signature(inner) => (&b",\"delta\":{\"type\":\"signature_delta\",\"signature\":"[..], inner),
        Delta::Arguments(inner) => {
            (&b",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"[..], inner)
        }
        Delta::Citation(source) => {
            out.put(b",\"delta\":{\"type\":\"citations_delta\",\"citation\":");
            citation(source, out);
            out.put(b"}");
            return;
        }
    };
    out.put(start);
    out.quoted(inner);
    out.put(b"}");
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
        Opening::ServerToolUse { id } => server_tool_use(id, out),
        Opening::SearchResult { id, sources } => search_result(id, sources, out),
    }
}

fn server_tool_use(id: &str, out: &mut impl Write) {
    out.put(b"{\"type\":\"server_tool_use\",\"id\":");
    out.quoted(id);
    // What was searched for is not known.
    out.put(b",\"name\":\"web_search\",\"input\":{}}");
}

fn search_result(id: &str, sources: &[Source], out: &mut impl Write) {
    out.put(b"{\"type\":\"web_search_tool_result\",\"tool_use_id\":");
    out.quoted(id);
    out.put(b",\"content\":[");
    for (at, source) in sources.iter().enumerate() {
        out.raw(if at > 0 { "," } else { "" });
        out.put(b"{\"type\":\"web_search_result\",\"url\":");
        out.quoted(&source.url);
        out.put(b",\"title\":");
        out.quoted(&source.title);
        out.put(b",\"encrypted_content\":\"\",\"page_age\":null}");
    }
    out.put(b"]}");
}

fn citation(source: &Source, out: &mut impl Write) {
    out.put(b"{\"type\":\"web_search_result_location\",\"url\":");
    out.quoted(&source.url);
    out.put(b",\"title\":");
    out.quoted(&source.title);
    out.put(b",\"encrypted_index\":\"\",\"cited_text\":");
    out.quoted(&source.quote);
    out.put(b"}");
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
    if ending.is_unjudged {
        // Never a verdict, since no model has judged the calls.
        out.put(b",\"safeguard_results\":[{\"type\":\"dangerous_tool_use\",\"status\":{\"type\":\"unsupported\"}}]");
    }
}

fn usage_object(usage: Usage, (thinking, searches): (Option<u64>, Option<u64>), out: &mut impl Write) {
    out.put(b"{\"input_tokens\":");
    out.number(usage.input);
    out.put(b",\"cache_creation_input_tokens\":");
    out.number(usage.cache_creation);
    out.put(b",\"cache_read_input_tokens\":");
    out.number(usage.cache_read);
    out.put(b",\"output_tokens\":");
    out.number(usage.output);
    if let Some(searches) = searches {
        out.put(b",\"server_tool_use\":{\"web_search_requests\":");
        out.number(searches);
        out.put(b",\"web_fetch_requests\":0}");
    }
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
    open: Open,
}

/// How the open block is to be closed.
#[derive(Default)]
enum Open {
    /// A text or a thought, which ends with its quote.
    #[default]
    Prose,
    /// A text with citations behind it.
    Cited,
    /// The arguments of a tool, inner text; they become JSON only when they are complete.
    Arguments(String),
    /// Nothing is missing.
    Complete,
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
        self.open = match block {
            Opening::Text => {
                self.body.put(b"{\"type\":\"text\",\"text\":\"");
                Open::Prose
            }
            Opening::Thinking => {
                self.body.put(b"{\"type\":\"thinking\",\"thinking\":\"");
                Open::Prose
            }
            Opening::ToolUse { id, name } => {
                tool_head(id, name, &mut self.body);
                Open::Arguments(String::new())
            }
            Opening::ServerToolUse { .. } | Opening::SearchResult { .. } => {
                opening(block, &mut self.body);
                Open::Complete
            }
        };
    }

    fn cite(&mut self, source: &Source) {
        let is_first = !matches!(self.open, Open::Cited);
        self.body.raw(if is_first { "\",\"citations\":[" } else { "," });
        citation(source, &mut self.body);
        self.open = Open::Cited;
    }

    fn close(&mut self) {
        match std::mem::take(&mut self.open) {
            Open::Prose => self.body.put(b"\"}"),
            Open::Cited => self.body.put(b"]}"),
            Open::Arguments(arguments) => {
                tool_input(&arguments, &mut self.body);
                self.body.put(b"}");
            }
            Open::Complete => {}
        }
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
                if let Open::Arguments(arguments) = &mut self.open {
                    arguments.push_str(inner);
                }
            }
            Event::Delta { delta: Delta::Citation(source), .. } => self.cite(source),
            Event::BlockStop { .. } => self.close(),
            Event::MessageDelta { ending: end, usage, thinking } => {
                self.body.put(b"],");
                ending(end, &mut self.body);
                self.body.put(b",\"usage\":");
                usage_object(usage, (thinking, end.searches), &mut self.body);
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
