//! Chat Completions served over an upstream that speaks the Messages API.
//!
//! [`request`] translates the client's body. The reply goes through one [`Machine`], whether it comes as a stream or
//! whole, and whether it leaves as a stream or whole.

mod calls;
mod cited;
mod custom;
mod reply;
mod request;
mod stream;

pub use reply::{Collector, whole, whole_as_events};
pub use stream::Machine;

use crate::{
    convert::{Dropped, RequestError},
    openai::chunk::Calling,
    tool_id::Maker,
    vocabulary::Delivery,
};

/// What a request is translated for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub provider: &'a str,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// The model as the client named it; replies repeat it.
    pub requested_model: &'a str,
}

/// A translated request, and what its reply needs to know.
#[derive(Clone, Debug)]
pub struct MessagesRequest {
    pub body: Vec<u8>,
    pub delivery: Delivery,
    pub reply: ReplyContext,
    /// What the Messages API cannot take.
    pub dropped: Dropped,
}

/// What a reply must know of its request.
#[derive(Clone, Debug)]
pub struct ReplyContext {
    requested_model: String,
    /// Whether the client wants the usage at the end of a stream.
    tells_usage: bool,
    /// Whether the client asked for reasoning, and so gets to see it.
    shows_reasoning: bool,
    calls: Calling,
    /// The names of the custom tools.
    custom: Vec<String>,
    /// Who makes the ids of the calls.
    maker: Maker,
}

/// What makes a reply one of its own.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    /// Where the reply's id and missing call ids come from; new for every reply.
    pub seed: u128,
    /// Seconds since 1970.
    pub created: u64,
}

/// Translates a whole request body.
///
/// # Errors
/// The body is not JSON, lacks what Chat Completions requires, or carries content that the Messages API cannot
/// express and whose loss would change its meaning.
pub fn request(body: &[u8], target: &Target<'_>) -> Result<MessagesRequest, RequestError> {
    request::translate(body, target)
}
