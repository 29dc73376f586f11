//! A Chat Completions reply written for a client: chunk by chunk, or collected into one whole completion.

use bytes::BytesMut;

use crate::{
    fault::Fault,
    json::Write,
    openai::error::{self, DONE},
    vocabulary::Usage,
};

/// The fields that every chunk of one reply repeats.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) id: String,
    /// The creation time in seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: String,
    /// Whether a stream ends with the usage; a whole reply always has it.
    pub(crate) sends_usage: bool,
    pub(crate) calls: Calling,
}

/// The form of calls that a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calling {
    Tools,
    /// As one `function_call`, the older form; the request allows one at most.
    Function,
}

/// What a call invokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callee {
    Function,
    /// A tool whose input is plain text.
    Custom,
}

/// A page that a part of the text cites. Texts are inner texts; positions are in characters.
#[derive(Clone, Debug)]
pub(crate) struct CitedPage {
    pub(crate) url: String,
    pub(crate) title: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The next event of a reply. Texts are inner texts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChatEvent<'a> {
    Start,
    Text(&'a str),
    Reasoning(&'a str),
    /// The reason why there is no answer, or no more of it.
    Refusal(&'a str),
    /// The sources of the whole text, sent once: a client may keep the last list only.
    Sources(&'a [CitedPage]),
    /// The start of a tool call; `number` counts from 0.
    Call {
        number: u32,
        callee: Callee,
        id: &'a str,
        name: &'a str,
    },
    /// A function's arguments, or a custom tool's input.
    Arguments {
        number: u32,
        callee: Callee,
        fragment: &'a str,
    },
    End {
        finish_reason: &'static str,
        usage: Usage,
        /// The number of output tokens that are reasoning, if known.
        thinking: Option<u64>,
    },
    Error(&'a Fault),
}

/// The tokens of one reply.
#[derive(Clone, Copy)]
struct TokenCounts {
    usage: Usage,
    /// The part of the output that is reasoning, if that is known.
    thinking: Option<u64>,
}

/// Receives the events of one reply, in their order.
pub(crate) trait Sink {
    fn emit(&mut self, stamp: &Stamp, event: ChatEvent<'_>);
}

/// As server-sent events.
impl Sink for BytesMut {
    fn emit(&mut self, stamp: &Stamp, event: ChatEvent<'_>) {
        match event {
            ChatEvent::Start => {
                delta(stamp, self, |out| out.put(b"\"role\":\"assistant\",\"content\":\"\""));
            }
            ChatEvent::Text(inner) => delta(stamp, self, |out| {
                out.put(b"\"content\":");
                out.quoted(inner);
            }),
            ChatEvent::Reasoning(inner) => delta(stamp, self, |out| {
                out.put(b"\"reasoning_content\":");
                out.quoted(inner);
            }),
            ChatEvent::Refusal(inner) => delta(stamp, self, |out| {
                out.put(b"\"refusal\":");
                out.quoted(inner);
            }),
            ChatEvent::Sources(sources) => delta(stamp, self, |out| {
                out.put(b"\"annotations\":[");
                annotations(sources, ListForm::Chunk, out);
                out.put(b"]");
            }),
            ChatEvent::Call { number: 1.., .. } | ChatEvent::Arguments { number: 1.., .. }
                if stamp.calls == Calling::Function => {}
            ChatEvent::Call { name, .. } if stamp.calls == Calling::Function => delta(stamp, self, |out| {
                out.put(b"\"function_call\":{\"name\":");
                out.quoted(name);
                out.put(b",\"arguments\":\"\"}");
            }),
            ChatEvent::Arguments { fragment, .. } if stamp.calls == Calling::Function => {
                delta(stamp, self, |out| {
                    out.put(b"\"function_call\":{\"arguments\":");
                    out.quoted(fragment);
                    out.put(b"}");
                })
            }
            ChatEvent::Call { number, callee, id, name } => delta(stamp, self, |out| {
                out.put(b"\"tool_calls\":[{\"index\":");
                out.number(number.into());
                out.put(b",");
                call_head(callee, id, name, out);
                out.put(b"\"\"}}]");
            }),
            ChatEvent::Arguments { number, callee, fragment } => delta(stamp, self, |out| {
                out.put(b"\"tool_calls\":[{\"index\":");
                out.number(number.into());
                out.raw(match callee {
                    Callee::Function => ",\"function\":{\"arguments\":",
                    Callee::Custom => ",\"custom\":{\"input\":",
                });
                out.quoted(fragment);
                out.put(b"}}]");
            }),
            ChatEvent::End { finish_reason, usage, thinking } => {
                end(stamp, stamp.calls.reason(finish_reason), TokenCounts { usage, thinking }, self)
            }
            ChatEvent::Error(fault) => error::event(fault.kind, &fault.message, self),
        }
    }
}

impl Calling {
    /// Returns the finish reason: each form of calls has its own for a reply that ends with a call.
    fn reason(self, finish_reason: &'static str) -> &'static str {
        match (self, finish_reason) {
            (Self::Function, "tool_calls") => "function_call",
            (Self::Tools | Self::Function, reason) => reason,
        }
    }
}

/// The form of a list of annotations.
#[derive(Clone, Copy)]
enum ListForm {
    /// OpenAI's Python library requires an `index` in each entry of a list that comes in chunks.
    Chunk,
    Message,
}

/// Without brackets.
fn annotations(sources: &[CitedPage], form: ListForm, out: &mut impl Write) {
    for (at, source) in sources.iter().enumerate() {
        out.raw(if at == 0 { "{" } else { ",{" });
        match form {
            ListForm::Chunk => {
                out.put(b"\"index\":");
                out.number(at as u64);
                out.put(b",");
            }
            ListForm::Message => {}
        }
        out.put(b"\"type\":\"url_citation\",\"url_citation\":{\"start_index\":");
        out.number(source.start);
        out.put(b",\"end_index\":");
        out.number(source.end);
        out.put(b",\"title\":");
        out.quoted(&source.title);
        out.put(b",\"url\":");
        out.quoted(&source.url);
        out.put(b"}}");
    }
}

fn delta(stamp: &Stamp, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    chunk_head(stamp, out);
    out.put(b"{\"index\":0,\"delta\":{");
    write(out);
    out.put(b"},\"finish_reason\":null}");
    chunk_tail(stamp, out);
}

fn chunk_head(stamp: &Stamp, out: &mut BytesMut) {
    out.put(b"data: ");
    head(stamp, "chat.completion.chunk", out);
}

fn chunk_tail(stamp: &Stamp, out: &mut BytesMut) {
    // So it is documented for streams whose usage was asked for.
    out.put(if stamp.sends_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" });
}

fn end(stamp: &Stamp, finish_reason: &str, counts: TokenCounts, out: &mut BytesMut) {
    chunk_head(stamp, out);
    out.put(b"{\"index\":0,\"delta\":{},\"finish_reason\":\"");
    out.raw(finish_reason);
    out.put(b"\"}");
    chunk_tail(stamp, out);
    if stamp.sends_usage {
        chunk_head(stamp, out);
        out.put(b"],\"usage\":");
        usage_object(counts, out);
        out.put(b"}\n\n");
    }
    out.put(DONE);
}

fn head(stamp: &Stamp, object: &str, out: &mut impl Write) {
    out.put(b"{\"id\":\"");
    out.raw(&stamp.id);
    out.put(b"\",\"object\":\"");
    out.raw(object);
    out.put(b"\",\"created\":");
    out.number(stamp.created);
    out.put(b",\"model\":");
    out.string(&stamp.model);
    out.put(b",\"choices\":[");
}

/// Writes a call up to the value of `arguments` or `input`.
fn call_head(callee: Callee, id: &str, name: &str, out: &mut impl Write) {
    out.put(b"\"id\":");
    out.quoted(id);
    out.raw(match callee {
        Callee::Function => ",\"type\":\"function\",\"function\":{\"name\":",
        Callee::Custom => ",\"type\":\"custom\",\"custom\":{\"name\":",
    });
    out.quoted(name);
    out.raw(match callee {
        Callee::Function => ",\"arguments\":",
        Callee::Custom => ",\"input\":",
    });
}

fn usage_object(TokenCounts { usage, thinking }: TokenCounts, out: &mut impl Write) {
    let prompt = usage.prompt_total();
    out.put(b"{\"prompt_tokens\":");
    out.number(prompt);
    out.put(b",\"completion_tokens\":");
    out.number(usage.output);
    out.put(b",\"total_tokens\":");
    out.number(prompt.saturating_add(usage.output));
    out.put(b",\"prompt_tokens_details\":{\"cached_tokens\":");
    out.number(usage.cache_read);
    out.put(b",\"cache_write_tokens\":");
    out.number(usage.cache_creation);
    out.put(b"}");
    if let Some(thinking) = thinking {
        out.put(b",\"completion_tokens_details\":{\"reasoning_tokens\":");
        out.number(thinking.min(usage.output));
        out.put(b"}");
    }
    out.put(b"}");
}

/// One whole completion, whose parts have another order than the events.
#[derive(Default)]
pub(crate) struct WholeCompletion {
    text: String,
    reasoning: String,
    refusal: String,
    calls: Vec<ChunkCall>,
    sources: Vec<CitedPage>,
    body: Vec<u8>,
}

/// One call; the texts are inner texts.
struct ChunkCall {
    callee: Callee,
    id: String,
    name: String,
    arguments: String,
}

impl WholeCompletion {
    /// The completion, if its last event came.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body
    }

    fn finish(&mut self, stamp: &Stamp, finish_reason: &str, counts: TokenCounts) {
        let mut out = Vec::with_capacity(self.text.len() + self.reasoning.len() + 512);
        head(stamp, "chat.completion", &mut out);
        out.put(b"{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
        if self.text.is_empty() {
            out.put(b"null");
        } else {
            out.quoted(&self.text);
        }
        out.put(b",\"refusal\":");
        if self.refusal.is_empty() {
            out.put(b"null");
        } else {
            out.quoted(&self.refusal);
        }
        if !self.reasoning.is_empty() {
            out.put(b",\"reasoning_content\":");
            out.quoted(&self.reasoning);
        }
        if !self.sources.is_empty() {
            out.put(b",\"annotations\":[");
            annotations(&self.sources, ListForm::Message, &mut out);
            out.put(b"]");
        }
        self.write_calls(stamp.calls, &mut out);
        out.put(b"}");
        out.put(b",\"logprobs\":null,\"finish_reason\":\"");
        out.raw(finish_reason);
        out.put(b"\"}],\"usage\":");
        usage_object(counts, &mut out);
        out.put(b"}");
        self.body = out;
    }
}

impl WholeCompletion {
    fn write_calls(&self, calling: Calling, out: &mut Vec<u8>) {
        match (&self.calls[..], calling) {
            ([], _) => {}
            ([call, ..], Calling::Function) => {
                out.put(b",\"function_call\":{\"name\":");
                out.quoted(&call.name);
                out.put(b",\"arguments\":");
                out.quoted(&call.arguments);
                out.put(b"}");
            }
            (calls, Calling::Tools) => {
                for (at, call) in calls.iter().enumerate() {
                    out.raw(if at == 0 { ",\"tool_calls\":[{" } else { ",{" });
                    call_head(call.callee, &call.id, &call.name, out);
                    out.quoted(&call.arguments);
                    out.put(b"}}");
                }
                out.put(b"]");
            }
        }
    }
}

impl Sink for WholeCompletion {
    fn emit(&mut self, stamp: &Stamp, event: ChatEvent<'_>) {
        match event {
            ChatEvent::Text(inner) => self.text.push_str(inner),
            ChatEvent::Reasoning(inner) => self.reasoning.push_str(inner),
            ChatEvent::Refusal(inner) => self.refusal.push_str(inner),
            ChatEvent::Sources(sources) => self.sources.extend_from_slice(sources),
            ChatEvent::Call { callee, id, name, .. } => {
                let (id, name) = (id.to_owned(), name.to_owned());
                self.calls.push(ChunkCall { callee, id, name, arguments: String::new() });
            }
            ChatEvent::Arguments { number, fragment, .. } => {
                if let Some(call) = self.calls.get_mut(number as usize) {
                    call.arguments.push_str(fragment);
                }
            }
            ChatEvent::End { finish_reason, usage, thinking } => {
                self.finish(stamp, stamp.calls.reason(finish_reason), TokenCounts { usage, thinking })
            }
            ChatEvent::Start | ChatEvent::Error(_) => {}
        }
    }
}
