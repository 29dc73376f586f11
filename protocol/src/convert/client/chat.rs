//! Clients of Chat Completions: their requests as Messages requests, and Messages events as their replies.

mod calls;
mod cited;
mod encoder;
mod request;

pub use encoder::ChatEncoder;

use crate::{
    convert::Dropped, fault::RequestError, openai::chunk::Calling, tool_id::Maker, vocabulary::Delivery,
};

/// The upstream that a request is converted for.
#[derive(Clone, Copy, Debug)]
pub struct MessagesUpstream<'a> {
    pub provider: &'a str,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// The model as the client named it; replies repeat it.
    pub requested_model: &'a str,
}

/// A converted request, and the facts that its reply needs.
#[derive(Clone, Debug)]
pub struct MessagesRequest {
    pub body: Vec<u8>,
    pub delivery: Delivery,
    pub reply: MessagesReplyContext,
    /// The members that the Messages API does not accept.
    pub dropped: Dropped,
}

/// The facts of a request that its reply needs.
#[derive(Clone, Debug)]
pub struct MessagesReplyContext {
    requested_model: String,
    /// Whether a stream ends with the usage.
    sends_usage: bool,
    /// Whether the client asked for reasoning.
    shows_reasoning: bool,
    calls: Calling,
    /// The names of the custom tools.
    custom: Vec<String>,
    /// Makes the ids of the calls.
    maker: Maker,
}

/// What tells one reply from every other.
#[derive(Clone, Copy, Debug)]
pub struct ReplyIdentity {
    /// The source of the reply's id and of missing call ids; new for every reply.
    pub seed: u128,
    /// Seconds since 1970.
    pub created: u64,
}

/// Converts a whole request body.
///
/// # Errors
/// The body is not JSON, lacks what Chat Completions requires, or carries content that the Messages API cannot
/// express and whose loss would change its meaning.
pub fn request(body: &[u8], target: &MessagesUpstream<'_>) -> Result<MessagesRequest, RequestError> {
    request::convert(body, target)
}
