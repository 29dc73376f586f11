//! The response object: the whole reply, or as much of it as there is.

use super::item::OutputItem;
use crate::{
    fault::Fault,
    json::Write,
    openai::error::{write_stream_error, write_stream_fault},
    vocabulary::Usage,
};

/// The members that do not change.
pub(super) struct ResponseHead {
    pub(super) id: String,
    /// The creation time in seconds since 1970.
    pub(super) created: u64,
    /// The model as the client named it.
    pub(super) model: String,
    /// Members of the request that every response object repeats, as JSON without braces.
    pub(super) echo: String,
}

/// The reply at one moment.
#[derive(Clone, Copy)]
pub(super) struct ResponseView<'a> {
    pub(super) head: &'a ResponseHead,
    pub(super) state: ResponseState<'a>,
    pub(super) items: &'a [OutputItem],
    /// Absent if it is not known.
    pub(super) usage: Option<Usage>,
}

/// How far the reply is.
#[derive(Clone, Copy)]
pub(super) enum ResponseState<'a> {
    Created,
    InProgress,
    Completed,
    Incomplete(IncompleteReason),
    Failed(&'a Fault),
}

/// Why a reply ends before the model has said all.
#[derive(Clone, Copy)]
pub(super) enum IncompleteReason {
    MaxOutputTokens,
    ContentFilter,
    /// Of Anthropic's API: a long turn of server tools has stopped in between.
    PauseTurn,
}

impl ResponseState<'_> {
    /// The event that reports it.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::Created => "response.created",
            Self::InProgress => "response.in_progress",
            Self::Completed => "response.completed",
            Self::Incomplete(_) => "response.incomplete",
            Self::Failed(_) => "response.failed",
        }
    }

    /// The value of `status`.
    fn status(self) -> &'static str {
        match self {
            Self::Created | Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether nothing follows.
    pub(super) fn is_final(self) -> bool {
        match self {
            Self::Created | Self::InProgress => false,
            Self::Completed | Self::Incomplete(_) | Self::Failed(_) => true,
        }
    }
}

impl ResponseView<'_> {
    /// Appends the object.
    pub(super) fn write(&self, out: &mut impl Write) {
        let ResponseHead { id, created, model, echo } = self.head;
        out.put(b"{\"id\":\"");
        out.raw(id);
        out.put(b"\",\"object\":\"response\",\"created_at\":");
        out.number(*created);
        out.put(b",\"status\":\"");
        out.raw(self.state.status());
        out.put(b"\",\"error\":");
        match self.state {
            ResponseState::Failed(fault) => write_stream_fault(fault.kind, &fault.message, out),
            ResponseState::Created
            | ResponseState::InProgress
            | ResponseState::Completed
            | ResponseState::Incomplete(_) => out.put(b"null"),
        }
        out.put(b",\"incomplete_details\":");
        out.raw(match self.state {
            ResponseState::Incomplete(IncompleteReason::MaxOutputTokens) => {
                "{\"reason\":\"max_output_tokens\"}"
            }
            ResponseState::Incomplete(IncompleteReason::ContentFilter) => "{\"reason\":\"content_filter\"}",
            ResponseState::Incomplete(IncompleteReason::PauseTurn) => "{\"reason\":\"pause_turn\"}",
            ResponseState::Created
            | ResponseState::InProgress
            | ResponseState::Completed
            | ResponseState::Failed(_) => "null",
        });
        out.put(b",\"model\":");
        out.string(model);
        out.put(b",\"output\":[");
        for (at, item) in self.items.iter().enumerate() {
            out.raw(if at == 0 { "" } else { "," });
            item.write(out);
        }
        out.put(b"],\"usage\":");
        write_usage(self.usage, out);
        if !echo.is_empty() {
            out.put(b",");
            out.raw(echo);
        }
        out.put(b"}");
    }

    /// Appends the members of its event that stand beside the object.
    pub(super) fn write_beside(&self, out: &mut impl Write) {
        if let ResponseState::Failed(fault) = self.state {
            out.put(b",\"error\":");
            write_stream_error(fault.kind, &fault.message, out);
        }
    }
}

/// The API counts cached tokens as input.
fn write_usage(usage: Option<Usage>, out: &mut impl Write) {
    let Some(usage) = usage else {
        out.put(b"null");
        return;
    };
    let input = usage.prompt_total();
    out.put(b"{\"input_tokens\":");
    out.number(input);
    out.put(b",\"input_tokens_details\":{\"cached_tokens\":");
    out.number(usage.cache_read);
    out.put(b",\"cache_write_tokens\":");
    out.number(usage.cache_creation);
    out.put(b"},\"output_tokens\":");
    out.number(usage.output);
    out.put(b",\"output_tokens_details\":{\"reasoning_tokens\":");
    out.number(usage.reasoning.min(usage.output));
    out.put(b"},\"total_tokens\":");
    out.number(input.saturating_add(usage.output));
    out.put(b"}");
}
