//! The upstream codec of the Responses API: converts Messages requests to Responses requests, and the replies to Messages events.

mod decoder;
mod request;

pub use decoder::ResponsesDecoder;

use std::collections::HashMap;

use super::dialect::Dialect;
use crate::{
    convert::Dropped, fault::RequestError, openai::members::OpenAiMembers, signature, tool_id::Maker,
    vocabulary::Delivery,
};

/// The upstream that a request is converted for.
#[derive(Clone, Copy, Debug)]
pub struct ResponsesUpstream<'a> {
    pub provider: &'a str,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// The model as the client named it; replies repeat it.
    pub requested_model: &'a str,
    pub dialect: &'a Dialect,
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
    pub(super) requested_model: String,
    /// Signs thinking blocks; absent if the client did not ask for thinking. What is carried behind it is a JSON object with `id`
    /// and `encrypted_content` of the reasoning item, which goes back to the same provider and model.
    pub(super) signature: Option<String>,
    /// The API has no stop sequences: the reply is cut where one of them begins.
    pub(super) stop_sequences: Vec<String>,
    /// Whether the client requested a web search that the upstream performs.
    pub(super) searches: bool,
    /// Whether the client requested that the server judge tool calls (`safeguards`). The reply reports `unsupported`.
    pub(super) asks_for_judgement: bool,
    /// Makes the ids of the calls.
    pub(super) maker: Maker,
    /// Maps upstream tool names to client tool names (escaped JSON text).
    pub(super) names: HashMap<String, String>,
}

impl ResponsesReplyContext {
    /// Of a request for this provider's model that asks for an answer alone. The client named the model `requested_model`.
    #[must_use]
    pub fn new(provider: &str, model: &str, requested_model: &str) -> Self {
        Self {
            requested_model: requested_model.to_owned(),
            signature: None,
            stop_sequences: Vec::new(),
            searches: false,
            asks_for_judgement: false,
            maker: Maker::new(provider, model),
            names: HashMap::new(),
        }
    }

    /// Of a request that also asks for thinking.
    #[must_use]
    pub fn with_thinking(self, provider: &str, model: &str) -> Self {
        Self { signature: Some(signature::mint(provider, model)), ..self }
    }

    /// Of a request that also asks for a web search, which the upstream performs.
    #[must_use]
    pub fn with_search(self) -> Self {
        Self { searches: true, ..self }
    }

    /// Of a request with these stop sequences.
    #[must_use]
    pub fn with_stop_sequences(self, stop_sequences: Vec<String>) -> Self {
        Self { stop_sequences, ..self }
    }

    /// Leaves `safeguard_results` to the gateway, which has the calls judged.
    pub fn leave_verdicts_to_the_gateway(&mut self) {
        self.asks_for_judgement = false;
    }
}

/// Converts a whole Messages request.
///
/// # Errors
/// The body is not JSON, lacks what the Messages API requires, or carries content that the Responses API cannot express and
/// whose loss would change its meaning.
pub fn request(body: &[u8], target: &ResponsesUpstream<'_>) -> Result<ResponsesRequest, RequestError> {
    request::convert(body, target)
}
