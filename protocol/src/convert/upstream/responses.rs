//! The upstream codec of the Responses API: converts Messages requests to Responses requests, and the replies to Messages events.

mod decoder;
mod request;

pub use decoder::ResponsesDecoder;

use crate::{convert::Dropped, fault::RequestError, openai::members::OpenAiMembers, vocabulary::Delivery};

/// The upstream that a request is converted for.
#[derive(Clone, Copy, Debug)]
pub struct ResponsesUpstream<'a> {
    pub provider: &'a str,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// The model as the client named it; replies repeat it.
    pub requested_model: &'a str,
    /// The session that the client names in a header.
    pub session: Option<&'a str>,
    /// The client's settings, if it speaks Chat Completions.
    pub members: Option<&'a OpenAiMembers>,
}

/// A converted request, and the facts that its reply needs.
#[derive(Clone, Debug)]
pub struct ResponsesRequest {
    pub body: Vec<u8>,
    pub delivery: Delivery,
    pub reply: ResponsesReplyContext,
    /// The members that the Responses API, or this provider, does not accept.
    pub dropped: Dropped,
}

/// The facts of a request that its reply needs.
#[derive(Clone, Debug)]
pub struct ResponsesReplyContext {
    pub(crate) requested_model: String,
}

/// Converts a whole Messages request.
///
/// # Errors
/// The body is not JSON, lacks what the Messages API requires, or carries content that the Responses API cannot express and
/// whose loss would change its meaning.
pub fn request(body: &[u8], target: &ResponsesUpstream<'_>) -> Result<ResponsesRequest, RequestError> {
    request::convert(body, target)
}
