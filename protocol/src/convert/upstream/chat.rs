//! Upstreams of Chat Completions: Messages requests as their requests, and their replies as Messages events.

mod arguments;
mod calls;
mod cut;
mod decoder;
mod dialect;
mod extras;
mod finish;
mod halves;
mod names;
mod reasoning;
mod request;
mod search;
mod thinking;

pub use decoder::ChatDecoder;
pub use dialect::{Dialect, PLAIN, ReasoningModels, ReasoningParameter, Replay};
pub use reasoning::{AS_OF, FAMILIES, Family, Off, StopSupport};

use std::collections::HashMap;

use crate::{
    anthropic::request::MessagesRequestBody, convert::Dropped, fault::RequestError, tool_id::Maker,
    vocabulary::Delivery,
};
use thinking::Tag;

/// The upstream that a request is converted for.
#[derive(Clone, Copy, Debug)]
pub struct ChatUpstream<'a> {
    pub provider: &'a str,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// The model as the client named it; replies repeat it.
    pub requested_model: &'a str,
    pub dialect: &'a Dialect,
    /// The session that the client names beside the body.
    pub session: Option<&'a str>,
}

/// A converted request, and the facts that its reply needs.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub body: Vec<u8>,
    pub delivery: Delivery,
    pub reply: ChatReplyContext,
    /// The members that Chat Completions, or this provider, does not accept.
    pub dropped: Dropped,
}

/// The facts of a request that its reply needs.
#[derive(Clone, Debug)]
pub struct ChatReplyContext {
    requested_model: String,
    /// Signs thinking blocks; absent if the client did not ask for thinking.
    signature: Option<String>,
    stop_sequences: Vec<String>,
    /// Those that the upstream does not get: the reply is cut where one of them begins.
    cut_at: Vec<String>,
    /// The client asked for a web search, and the upstream has one.
    searches: bool,
    /// The client asked the server to judge tool calls (`safeguards`). The reply says `unsupported`.
    asks_for_judgement: bool,
    /// Makes the ids of the calls.
    maker: Maker,
    /// What the upstream calls by the first name is the client's second, inner texts.
    names: HashMap<String, String>,
    think_tag: Option<Tag>,
    /// Thoughts must come back as the upstream's own objects.
    keeps_details: bool,
    /// What comes beside calls and texts must come back with them.
    keeps_extras: bool,
    /// What must come back with a call comes behind it, so that calls wait for the end of the reply: nothing can travel
    /// in front of a block that the client has.
    signs_late: bool,
}

impl ChatReplyContext {
    /// The upstream is not sent the stop sequences after all: the reply is cut at each of them.
    pub fn cut_at_stop_sequences(&mut self) {
        self.cut_at = self.stop_sequences.iter().filter(|sequence| !sequence.is_empty()).cloned().collect();
    }
}

/// Converts a whole request body.
///
/// # Errors
/// The body is not JSON, lacks what the Messages API requires, or carries content that Chat Completions cannot
/// express and whose loss would change its meaning.
pub fn request(body: &[u8], target: &ChatUpstream<'_>) -> Result<ChatRequest, RequestError> {
    request::convert(&MessagesRequestBody::parse(body)?, body.len(), target)
}
