//! The upstream codec of Chat Completions: converts Messages requests to Chat Completions requests, and the replies to Messages
//! events.
//!
//! *Inner text* is the text of a JSON string without its quotes and with its escapes. The codec copies it from body to body without
//! decoding it.

mod calls;
mod decoder;
mod extras;
mod finish;
mod own_members;
mod request;
mod thinking;

pub use super::{
    dialect::{Dialect, PLAIN, ReasoningModels, ReasoningParameter, Replay},
    hosted_search::HostedSearch,
    reasoning::{AS_OF, FAMILIES, Family, Off, StopSupport, efforts},
};
pub use decoder::ChatDecoder;
pub use own_members::{is_kept, with_members_of};

use std::collections::HashMap;

use crate::{
    anthropic::request::MessagesRequestBody, convert::Dropped, fault::RequestError,
    openai::members::OpenAiMembers, tool_id::Maker, vocabulary::Delivery,
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
    /// The session that the client names in a header.
    pub session: Option<&'a str>,
    /// The settings of a client of OpenAI's other API. They replace those of the Messages request, and nothing is set that
    /// this client left open.
    pub members: Option<&'a OpenAiMembers>,
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
    /// The stop sequences that are not sent to the upstream: the reply is cut where one of them begins.
    cut_at: Vec<String>,
    /// Whether the client requested a web search that the upstream performs.
    searches: bool,
    /// Whether the client requested that the server judge tool calls (`safeguards`). The reply reports `unsupported`.
    asks_for_judgement: bool,
    /// Makes the ids of the calls.
    maker: Maker,
    /// Maps upstream tool names to client tool names (escaped JSON text).
    names: HashMap<String, String>,
    think_tag: Option<Tag>,
    /// Whether the client must send thoughts back as the upstream's own objects (`reasoning_details` of OpenRouter).
    keeps_details: bool,
    /// Whether the client must send back the data that accompanies calls and texts. Example: Gemini's `extra_content` with the
    /// signature of a call.
    keeps_extras: bool,
    /// Whether the signature of a call arrives after the call. Example: OpenRouter with Gemini's models. The signature must be in a
    /// thinking block before the call, so calls are held until the end of the reply.
    signs_late: bool,
}

impl ChatReplyContext {
    /// Leaves `safeguard_results` to the gateway, which has the calls judged.
    pub fn leave_verdicts_to_the_gateway(&mut self) {
        self.asks_for_judgement = false;
    }

    /// Cuts the reply at every stop sequence, because the request was changed so that the upstream receives none.
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
