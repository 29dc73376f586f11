//! The events of a Messages reply, as codecs exchange them: a decoder yields them, an encoder takes them.
//!
//! *Inner* texts are the contents of JSON string literals, still escaped, so that a text goes from an upstream's event to the
//! client's without being decoded.

use crate::{
    fault::Fault,
    vocabulary::{StopReason, Usage},
};

/// One event of a reply.
#[derive(Clone, Copy, Debug)]
pub enum MessagesEvent<'a> {
    /// The reply begins. `id` and `model` are inner texts, empty if the upstream does not send them.
    MessageStart {
        id: &'a str,
        model: &'a str,
        counts: Option<ReportedUsage>,
    },
    Ping,
    /// A content block begins. `index` is absent if the upstream sends none.
    BlockStart {
        index: Option<u64>,
        block: ContentBlockStart<'a>,
    },
    /// A piece of an open block.
    Delta {
        index: Option<u64>,
        delta: BlockDelta<'a>,
    },
    BlockStop {
        index: Option<u64>,
    },
    /// Why the reply ends, and the tokens so far.
    MessageDelta {
        ending: ReplyEnding<'a>,
        counts: Option<ReportedUsage>,
    },
    /// The reply is complete.
    MessageStop,
    /// The reply ends incomplete.
    Error(&'a Fault),
}

/// The kind of a block, and what only its beginning carries. Text that an upstream sends with the beginning follows as a
/// [`BlockDelta`].
#[derive(Clone, Copy, Debug)]
pub enum ContentBlockStart<'a> {
    Text,
    /// Why the model does not answer. For a client of Messages it is a text.
    Refusal,
    Thinking,
    /// A summary that replaces the conversation so far.
    Compaction,
    /// A call that the client runs. `id` and `name` are inner texts; `input` is raw JSON, absent if it comes in deltas.
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Option<&'a str>,
    },
    /// A web search that the upstream has run. Its query is unknown. `id` is inner text.
    ServerToolUse {
        id: &'a str,
    },
    /// The pages that the search with this id (inner text) has found.
    SearchResult {
        id: &'a str,
        sources: &'a [WebSource],
    },
    /// Hidden thoughts; `data` is inner text.
    RedactedThinking {
        data: &'a str,
    },
    /// Other calls that an upstream runs itself, files, and kinds that are new to the API.
    Other,
}

/// A piece of the open block; inner texts.
#[derive(Clone, Copy, Debug)]
pub enum BlockDelta<'a> {
    Text(&'a str),
    /// A piece of a refusal.
    Refusal(&'a str),
    Thinking(&'a str),
    Signature(&'a str),
    /// A piece of a call's arguments.
    Arguments(&'a str),
    /// A piece of a compaction's summary.
    Summary(&'a str),
    Citation(Citation<'a>),
    /// A delta that carries none of these.
    Other,
}

/// The web page that a text cites; inner texts, empty if absent.
#[derive(Clone, Copy, Debug)]
pub struct Citation<'a> {
    pub url: &'a str,
    pub title: &'a str,
    /// The part of the page that is quoted.
    pub quote: &'a str,
    /// The `encrypted_index`.
    pub index: &'a str,
}

/// A web page, owned; inner texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSource {
    pub url: String,
    pub title: String,
    /// The part of the page that is quoted.
    pub quote: String,
    /// When the page was published or changed, in the vendor's words; empty if unknown.
    pub age: String,
    /// `encrypted_content` of the page.
    pub sealed: String,
    /// `encrypted_index` of its citations.
    pub index: String,
}

impl<'a> From<&'a WebSource> for Citation<'a> {
    fn from(source: &'a WebSource) -> Self {
        Self { url: &source.url, title: &source.title, quote: &source.quote, index: &source.index }
    }
}

/// What `stop_details` of a Messages reply says where no model refused, inner text.
pub(crate) const FILTERED: &str = "The provider's content filter stopped this reply.";

/// Why a reply ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplyEnding<'a> {
    /// Absent if the upstream sends none.
    pub reason: Option<StopReason>,
    /// The stop sequence that was met, inner text.
    pub sequence: Option<&'a str>,
    /// The explanation of a refusal, inner text; empty if absent. A refusal that came as a block is here again.
    pub explanation: &'a str,
    /// With the reason `refusal`: a filter stopped the reply, and the model itself did not refuse.
    pub is_filtered: bool,
    /// The number of web searches, for a client that asked for one. Decoders of the Messages API do not read it.
    pub searches: Option<u64>,
    /// The client asked for a judgement of the tool calls, and the upstream gives none.
    pub is_unjudged: bool,
}

/// The tokens that one event reports. Counts are cumulative: a reported one replaces the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedUsage {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_creation: Option<u64>,
    /// The part of `cache_creation` that the cache keeps for one hour.
    pub cache_creation_1h: Option<u64>,
    /// The part of the output that is thinking.
    pub thinking: Option<u64>,
    /// The web searches that the upstream has run. [`ReplyEnding::searches`] is what a client gets.
    pub searches: Option<u64>,
}

impl ReportedUsage {
    /// All counts, after those that were known before.
    pub(crate) fn after(self, known: Usage) -> Usage {
        Usage {
            input: self.input.unwrap_or(known.input),
            output: self.output.unwrap_or(known.output),
            cache_read: self.cache_read.unwrap_or(known.cache_read),
            cache_creation: self.cache_creation.unwrap_or(known.cache_creation),
            cache_creation_1h: self.cache_creation_1h.unwrap_or(known.cache_creation_1h),
            reasoning: self.thinking.unwrap_or(known.reasoning),
        }
    }
}

impl From<Usage> for ReportedUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input: Some(usage.input),
            output: Some(usage.output),
            cache_read: Some(usage.cache_read),
            cache_creation: Some(usage.cache_creation),
            cache_creation_1h: None,
            thinking: None,
            searches: None,
        }
    }
}

/// Receives the events of one reply, in their order.
pub trait EventSink {
    fn emit(&mut self, event: MessagesEvent<'_>);
}
