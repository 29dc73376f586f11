//! The Messages API served over an upstream that speaks Chat Completions.
//!
//! [`request`] translates the client's body. The reply goes through one [`Machine`], whether it comes as a stream or
//! whole, and whether it leaves as a stream or whole.

mod arguments;
mod calls;
mod cut;
mod dialect;
mod extras;
mod finish;
mod halves;
mod names;
mod reasoning;
mod reply;
mod request;
mod search;
mod stream;
mod thinking;

pub use dialect::{Dialect, PLAIN, Reasoning, Replay};
pub use reasoning::{AS_OF, FAMILIES, Family, Off, Stop};
pub use reply::{Collector, whole, whole_as_events};
pub use stream::Machine;

use std::collections::HashMap;

use crate::{
    convert::{Dropped, RequestError},
    tool_id::Maker,
    vocabulary::Delivery,
};
use thinking::Tag;

/// What a request is translated for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub provider: &'a str,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// The model as the client named it; replies repeat it.
    pub requested_model: &'a str,
    pub dialect: &'a Dialect,
    /// The session that the client names beside the body.
    pub session: Option<&'a str>,
}

/// A translated request, and what its reply needs to know.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub body: Vec<u8>,
    pub delivery: Delivery,
    pub reply: ReplyContext,
    /// What Chat Completions, or this provider, cannot take.
    pub dropped: Dropped,
}

/// What a reply must know of its request.
#[derive(Clone, Debug)]
pub struct ReplyContext {
    requested_model: String,
    /// Signs thinking blocks; absent if the client did not ask for thinking.
    signature: Option<String>,
    stop_sequences: Vec<String>,
    /// Those that the upstream is not told: the reply is cut where one of them begins.
    cut_at: Vec<String>,
    /// The client asked for a web search, and the upstream has one.
    searches: bool,
    /// The client asked the server to judge tool calls (`safeguards`). The reply says `unsupported`.
    asks_for_judgement: bool,
    /// Who makes the ids of the calls.
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

impl ReplyContext {
    /// The upstream is not sent the stop sequences after all: the reply is cut at each of them.
    pub fn cut_at_stop_sequences(&mut self) {
        self.cut_at = self.stop_sequences.iter().filter(|sequence| !sequence.is_empty()).cloned().collect();
    }
}

/// Translates a whole request body.
///
/// # Errors
/// The body is not JSON, lacks what the Messages API requires, or carries content that Chat Completions cannot
/// express and whose loss would change its meaning.
pub fn request(body: &[u8], target: &Target<'_>) -> Result<ChatRequest, RequestError> {
    request::translate(body, target)
}
