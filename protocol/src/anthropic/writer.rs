//! Events written for a client of the Messages API: as server-sent events, or collected into one whole message.

use bytes::BytesMut;

use crate::{
    anthropic::{
        error::{self, PING},
        event::{
            BlockDelta, Citation, ContentBlockStart, EventSink, FILTERED, MessagesEvent, ReplyEnding,
            ReportedUsage, WebSource,
        },
    },
    json::{self, Write},
    vocabulary::{StopReason, Usage},
};

/// As server-sent events.
impl EventSink for BytesMut {
    fn emit(&mut self, event: MessagesEvent<'_>) {
        match event {
            MessagesEvent::MessageStart { id, model, counts } => {
                self.put(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
                message_head(id, model, self);
                self.put(b"[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
                usage(counts, None, self);
                self.put(b"}}\n\n");
            }
            MessagesEvent::Ping => self.put(PING),
            MessagesEvent::BlockStart { index, block } => {
                self.put(b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":");
                self.number(index.unwrap_or_default());
                self.put(b",\"content_block\":");
                block_start(block, self);
                self.put(b"}\n\n");
            }
            MessagesEvent::Delta { delta: BlockDelta::Other, .. } => {}
            MessagesEvent::Delta { index, delta } => {
                self.put(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
                self.number(index.unwrap_or_default());
                block_delta(delta, self);
                self.put(b"}}\n\n");
            }
            MessagesEvent::BlockStop { index } => {
                self.put(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
                self.number(index.unwrap_or_default());
                self.put(b"}\n\n");
            }
            MessagesEvent::MessageDelta { ending: end, counts } => {
                self.put(b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{");
                ending(end, self);
                self.put(b"},\"usage\":");
                usage(counts, end.searches, self);
                self.put(b"}\n\n");
            }
            MessagesEvent::MessageStop => {
                self.put(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
            }
            MessagesEvent::Error(fault) => error::event(fault.kind, &fault.message, self),
        }
    }
}

/// The member `delta`, without its closing bracket.
fn block_delta(delta: BlockDelta<'_>, out: &mut impl Write) {
    let (start, inner) = match delta {
        BlockDelta::Text(inner) | BlockDelta::Refusal(inner) => {
            (&b",\"delta\":{\"type\":\"text_delta\",\"text\":\""[..], inner)
        }
        BlockDelta::Thinking(inner) => {
            (&b",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\""[..], inner)
        }
        BlockDelta::Signature(inner) => {
            (&b",\"delta\":{\"type\":\"signature_delta\",\"signature\":\""[..], inner)
        }
        BlockDelta::Arguments(inner) => {
            (&b",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\""[..], inner)
        }
        BlockDelta::Summary(inner) => {
            (&b",\"delta\":{\"type\":\"compaction_delta\",\"content\":\""[..], inner)
        }
        BlockDelta::Citation(source) => {
            out.put(b",\"delta\":{\"type\":\"citations_delta\",\"citation\":");
            citation(source, out);
            return;
        }
        BlockDelta::Other => (&b",\"delta\":{\"type\":\"text_delta\",\"text\":\""[..], ""),
    };
    out.put(start);
    out.raw(inner);
    out.put(b"\"");
}

fn message_head(id: &str, model: &str, out: &mut impl Write) {
    out.put(b"{\"id\":\"");
    out.raw(id);
    out.put(b"\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    out.quoted(model);
    out.put(b",\"content\":");
}

fn block_start(block: ContentBlockStart<'_>, out: &mut impl Write) {
    match block {
        // A kind that has no form here is an empty text, so that the indexes stay consecutive.
        ContentBlockStart::Text | ContentBlockStart::Refusal | ContentBlockStart::Other => {
            out.put(b"{\"type\":\"text\",\"text\":\"\"}")
        }
        ContentBlockStart::Thinking => {
            out.put(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
        }
        ContentBlockStart::Compaction => out.put(b"{\"type\":\"compaction\",\"content\":\"\"}"),
        ContentBlockStart::ToolUse { id, name, input } => {
            tool_head(id, name, out);
            out.raw(input.unwrap_or("{}"));
            out.put(b"}");
        }
        ContentBlockStart::ServerToolUse { id } => server_tool_use(id, out),
        ContentBlockStart::RedactedThinking { data } => {
            out.put(b"{\"type\":\"redacted_thinking\",\"data\":");
            out.quoted(data);
            out.put(b"}");
        }
        ContentBlockStart::SearchResult { id, sources } => search_result(id, sources, out),
    }
}

fn server_tool_use(id: &str, out: &mut impl Write) {
    out.put(b"{\"type\":\"server_tool_use\",\"id\":");
    out.quoted(id);
    // What was searched for is not known.
    out.put(b",\"name\":\"web_search\",\"input\":{}}");
}

fn search_result(id: &str, sources: &[WebSource], out: &mut impl Write) {
    out.put(b"{\"type\":\"web_search_tool_result\",\"tool_use_id\":");
    out.quoted(id);
    out.put(b",\"content\":[");
    for (at, source) in sources.iter().enumerate() {
        out.raw(if at > 0 { "," } else { "" });
        out.put(b"{\"type\":\"web_search_result\",\"url\":");
        out.quoted(&source.url);
        out.put(b",\"title\":");
        out.quoted(&source.title);
        out.put(b",\"encrypted_content\":");
        out.quoted(&source.sealed);
        out.put(b",\"page_age\":");
        match &*source.age {
            "" => out.put(b"null"),
            age => out.quoted(age),
        }
        out.put(b"}");
    }
    out.put(b"]}");
}

fn citation(source: Citation<'_>, out: &mut impl Write) {
    out.put(b"{\"type\":\"web_search_result_location\",\"url\":");
    out.quoted(source.url);
    out.put(b",\"title\":");
    out.quoted(source.title);
    out.put(b",\"encrypted_index\":");
    out.quoted(source.index);
    out.put(b",\"cited_text\":");
    out.quoted(source.quote);
    out.put(b"}");
}

fn tool_head(id: &str, name: &str, out: &mut impl Write) {
    out.put(b"{\"type\":\"tool_use\",\"id\":");
    out.quoted(id);
    out.put(b",\"name\":");
    out.quoted(name);
    out.put(b",\"input\":");
}

fn ending(ending: ReplyEnding<'_>, out: &mut impl Write) {
    out.put(b"\"stop_reason\":\"");
    out.raw(ending.reason.unwrap_or(StopReason::EndTurn).anthropic());
    out.put(b"\",\"stop_sequence\":");
    match ending.sequence {
        Some(inner) => out.quoted(inner),
        None => out.put(b"null"),
    }
    let is_unexplained = ending.is_filtered && ending.explanation.is_empty();
    let explanation = if is_unexplained { FILTERED } else { ending.explanation };
    if !explanation.is_empty() {
        out.put(b",\"stop_details\":{\"type\":\"refusal\",\"explanation\":");
        out.quoted(explanation);
        out.put(b"}");
    }
    if ending.is_unjudged {
        // The status claims no judgement, since no model has judged the calls.
        out.put(b",\"safeguard_results\":[{\"type\":\"dangerous_tool_use\",\"status\":{\"type\":\"unsupported\"}}]");
    }
}

fn usage(counts: Option<ReportedUsage>, searches: Option<u64>, out: &mut impl Write) {
    let counts = counts.unwrap_or_default();
    let usage = counts.after(Usage::default());
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
    if let Some(thinking) = counts.thinking {
        out.put(b",\"output_tokens_details\":{\"thinking_tokens\":");
        out.number(thinking.min(usage.output));
        out.put(b"}");
    }
    out.put(b"}");
}

/// One whole message: the JSON object grows with the events.
#[derive(Debug, Default)]
pub(crate) struct WholeMessage {
    body: Vec<u8>,
    open: OpenBlock,
}

/// What the open block needs at its end.
#[derive(Debug, Default)]
enum OpenBlock {
    /// Of a text, a thought or a summary: the quote.
    #[default]
    Prose,
    /// Of a text with citations behind it: the bracket.
    Cited,
    /// The arguments of a tool, inner text. They become JSON when they are complete.
    Arguments(String),
    /// Nothing.
    Complete,
}

impl WholeMessage {
    /// The message, once its last event has come.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body
    }

    fn open(&mut self, block: ContentBlockStart<'_>) {
        if !self.body.ends_with(b"[") {
            self.body.put(b",");
        }
        self.open = match block {
            ContentBlockStart::Text | ContentBlockStart::Refusal | ContentBlockStart::Other => {
                self.body.put(b"{\"type\":\"text\",\"text\":\"");
                OpenBlock::Prose
            }
            ContentBlockStart::Thinking => {
                self.body.put(b"{\"type\":\"thinking\",\"thinking\":\"");
                OpenBlock::Prose
            }
            ContentBlockStart::Compaction => {
                self.body.put(b"{\"type\":\"compaction\",\"content\":\"");
                OpenBlock::Prose
            }
            ContentBlockStart::ToolUse { id, name, input } => {
                tool_head(id, name, &mut self.body);
                OpenBlock::Arguments(input.map(json::escape_text).unwrap_or_default())
            }
            ContentBlockStart::ServerToolUse { .. }
            | ContentBlockStart::SearchResult { .. }
            | ContentBlockStart::RedactedThinking { .. } => {
                block_start(block, &mut self.body);
                OpenBlock::Complete
            }
        };
    }

    fn delta(&mut self, delta: BlockDelta<'_>) {
        match delta {
            BlockDelta::Text(inner)
            | BlockDelta::Refusal(inner)
            | BlockDelta::Thinking(inner)
            | BlockDelta::Summary(inner) => self.body.raw(inner),
            BlockDelta::Signature(inner) => {
                self.body.put(b"\",\"signature\":\"");
                self.body.raw(inner);
            }
            BlockDelta::Arguments(inner) => {
                if let OpenBlock::Arguments(arguments) = &mut self.open {
                    arguments.push_str(inner);
                }
            }
            BlockDelta::Citation(source) => self.cite(source),
            BlockDelta::Other => {}
        }
    }

    fn cite(&mut self, source: Citation<'_>) {
        let is_first = !matches!(self.open, OpenBlock::Cited);
        self.body.raw(if is_first { "\",\"citations\":[" } else { "," });
        citation(source, &mut self.body);
        self.open = OpenBlock::Cited;
    }

    fn close(&mut self) {
        match std::mem::take(&mut self.open) {
            OpenBlock::Prose => self.body.put(b"\"}"),
            OpenBlock::Cited => self.body.put(b"]}"),
            OpenBlock::Arguments(arguments) => {
                tool_input(&arguments, &mut self.body);
                self.body.put(b"}");
            }
            OpenBlock::Complete => {}
        }
    }
}

impl EventSink for WholeMessage {
    fn emit(&mut self, event: MessagesEvent<'_>) {
        match event {
            MessagesEvent::MessageStart { id, model, .. } => {
                message_head(id, model, &mut self.body);
                self.body.put(b"[");
            }
            MessagesEvent::BlockStart { block, .. } => self.open(block),
            MessagesEvent::Delta { delta, .. } => self.delta(delta),
            MessagesEvent::BlockStop { .. } => self.close(),
            MessagesEvent::MessageDelta { ending: end, counts } => {
                self.body.put(b"],");
                ending(end, &mut self.body);
                self.body.put(b",\"usage\":");
                usage(counts, end.searches, &mut self.body);
                self.body.put(b"}");
            }
            MessagesEvent::Ping | MessagesEvent::MessageStop | MessagesEvent::Error(_) => {}
        }
    }
}

/// The `input` of a whole tool_use block: the arguments if they are an object. Others (cut off by `length`, or not JSON)
/// are kept in a member whose name shows the model and the client what happened.
pub(crate) fn tool_input(arguments: &str, out: &mut Vec<u8>) {
    let decoded = json::decode_text(arguments);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{anthropic::reader::read_event, sse};

    /// The events of one reply with every kind of block.
    fn events() -> Vec<MessagesEvent<'static>> {
        let quote = Citation { url: "https://a", title: "A", quote: "said", index: "i" };
        let call = ContentBlockStart::ToolUse { id: "i", name: "n", input: Some(r#"{"a":1}"#) };
        let refused = ReplyEnding {
            reason: Some(StopReason::Refusal),
            explanation: "no \\\"x\\\"",
            ..ReplyEnding::default()
        };
        vec![
            MessagesEvent::MessageStart { id: "msg_1", model: "m", counts: None },
            MessagesEvent::BlockStart { index: Some(0), block: ContentBlockStart::Compaction },
            MessagesEvent::Delta { index: Some(0), delta: BlockDelta::Summary("before") },
            MessagesEvent::BlockStop { index: Some(0) },
            MessagesEvent::BlockStart { index: Some(1), block: ContentBlockStart::Other },
            MessagesEvent::Delta { index: Some(1), delta: BlockDelta::Other },
            MessagesEvent::BlockStop { index: Some(1) },
            MessagesEvent::BlockStart { index: Some(2), block: ContentBlockStart::Text },
            MessagesEvent::Delta { index: Some(2), delta: BlockDelta::Text("t") },
            MessagesEvent::Delta { index: Some(2), delta: BlockDelta::Citation(quote) },
            MessagesEvent::BlockStop { index: Some(2) },
            MessagesEvent::BlockStart { index: Some(3), block: call },
            MessagesEvent::BlockStop { index: Some(3) },
            MessagesEvent::MessageDelta { ending: refused, counts: None },
        ]
    }

    #[test]
    fn a_whole_message_has_every_block_and_the_explanation() {
        let mut whole = WholeMessage::default();
        events().into_iter().for_each(|event| whole.emit(event));
        let message: serde_json::Value = serde_json::from_slice(&whole.into_body()).unwrap();
        assert_eq!(
            message["content"],
            serde_json::json!([
                {"type": "compaction", "content": "before"},
                {"type": "text", "text": ""},
                {"type": "text", "text": "t", "citations": [{"type": "web_search_result_location",
                    "url": "https://a", "title": "A", "encrypted_index": "i", "cited_text": "said"}]},
                {"type": "tool_use", "id": "i", "name": "n", "input": {"a": 1}},
            ])
        );
        assert_eq!(message["stop_details"]["explanation"], "no \"x\"");
    }

    #[test]
    fn the_reader_reads_what_was_written() {
        /// Keeps the events, as text.
        #[derive(Default)]
        struct Kept(Vec<String>);
        impl EventSink for Kept {
            fn emit(&mut self, event: MessagesEvent<'_>) {
                self.0.push(format!("{event:?}"));
            }
        }
        let mut wire = BytesMut::new();
        events().into_iter().for_each(|event| wire.emit(event));
        let mut read = Kept::default();
        for event in sse::events(&wire) {
            read_event(&event.data().unwrap(), &mut read).unwrap();
        }
        let mut expected = Kept::default();
        let counts = Some(ReportedUsage::from(Usage::default()));
        for event in events() {
            match event {
                // What has no form on the wire is an empty text, and its pieces are left out.
                MessagesEvent::Delta { delta: BlockDelta::Other, .. } => {}
                MessagesEvent::BlockStart { index, block: ContentBlockStart::Other } => {
                    expected.emit(MessagesEvent::BlockStart { index, block: ContentBlockStart::Text });
                }
                MessagesEvent::MessageStart { id, model, .. } => {
                    expected.emit(MessagesEvent::MessageStart { id, model, counts })
                }
                MessagesEvent::MessageDelta { ending, .. } => {
                    expected.emit(MessagesEvent::MessageDelta { ending, counts })
                }
                MessagesEvent::Ping
                | MessagesEvent::BlockStart { .. }
                | MessagesEvent::Delta { .. }
                | MessagesEvent::BlockStop { .. }
                | MessagesEvent::MessageStop
                | MessagesEvent::Error(_) => expected.emit(event),
            }
        }
        assert_eq!(read.0, expected.0);
    }
}
