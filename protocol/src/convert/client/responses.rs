//! Clients of the Responses API: their requests as Messages requests, and Messages events as their replies.

mod context;
mod encoder;
mod request;

pub use context::ResponsesClientContext;
pub use encoder::ResponsesEncoder;

use crate::{convert::Dropped, fault::RequestError, openai::members::OpenAiMembers, vocabulary::Delivery};

/// The upstream that a request is converted for.
#[derive(Clone, Copy, Debug)]
pub struct MessagesTarget<'a> {
    pub provider: &'a str,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// The model as the client named it; replies repeat it.
    pub requested_model: &'a str,
    pub upstream: UpstreamKind,
}

/// What the Messages request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamKind {
    /// It is sent as it is, so it must be within the limits of Anthropic's models.
    Messages,
    /// It is converted once more, for an upstream of Chat Completions. Settings that Messages does not have are in
    /// [`MessagesOfResponses::members`].
    ChatCompletions,
    /// The same for an upstream of the Responses API.
    Responses,
}

/// A converted request, and the facts that its reply needs.
#[derive(Clone, Debug)]
pub struct MessagesOfResponses {
    pub body: Vec<u8>,
    pub delivery: Delivery,
    pub reply: ResponsesClientContext,
    /// For an upstream of Chat Completions.
    pub members: OpenAiMembers,
    /// The members that the upstream's API does not accept.
    pub dropped: Dropped,
}

/// Converts a whole request body.
///
/// # Errors
/// The body is not JSON, lacks what the Responses API requires, or asks for something that only a server with a memory can
/// do, or whose loss would change the meaning of the request.
pub fn request(body: &[u8], target: &MessagesTarget<'_>) -> Result<MessagesOfResponses, RequestError> {
    request::convert(body, target)
}
