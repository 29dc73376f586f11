//! What the ledger reports of the client's request.

use std::sync::Arc;

use vandamme_protocol::request::{PromptPrefix, ToolHistory};
use vandamme_protocol::trace_context::RequestSpan;

use crate::openai_endpoint::OpenAiEndpoint;
use crate::settings::Api;

/// The parts of the client's request that the ledger reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestSummary {
    /// The model name in the client's request.
    pub model: Arc<str>,
    pub streamed: bool,
    /// Counts the tool use in the history that the client sent.
    pub tools: ToolHistory,
    /// The number of messages in that history; a separate system prompt does not count.
    pub messages: u32,
    /// The size of the body, in bytes.
    pub size: usize,
    /// The name of the client's key; `None` if the key has none, or no key is required.
    pub client: Option<Arc<str>>,
    /// The API of the client's endpoint; `None` until the request is read.
    pub api: Option<Api>,
    /// The endpoint, if it is none of that API's conversations.
    pub endpoint: Option<OpenAiEndpoint>,
    /// The session that the client names, such as Claude Code's. The client chooses it.
    pub session: Option<Arc<str>>,
    /// The agent in that session that the client names; `None` for the main one.
    pub agent: Option<Arc<str>>,
    /// The role by which `[routing]` has chosen its model.
    pub role: Option<Arc<str>>,
    /// The hashes of its prompt, of requests with a session. Only the ledger needs them.
    pub prefix: Option<Arc<PromptPrefix>>,
    /// The request's span; `None` if no traces are exported.
    pub span: Option<Arc<RequestSpan>>,
    /// Set if the gateway makes the request itself.
    pub origin: Option<Arc<SubrequestOrigin>>,
}

impl RequestSummary {
    /// The word for what the client has called: an API, or an endpoint beside it. It stands in labels, reports and the history.
    pub fn api_word(&self) -> Option<&'static str> {
        self.endpoint.map(OpenAiEndpoint::word).or_else(|| self.api.map(Api::word))
    }

    /// The id of the client's request that this one serves.
    pub fn parent(&self) -> Option<&str> {
        self.origin.as_ref().map(|origin| &*origin.parent)
    }

    /// The purpose of a request of the gateway itself.
    pub fn purpose(&self) -> Option<&'static str> {
        self.origin.as_ref().map(|origin| origin.purpose)
    }
}

/// The client's request that a request of the gateway serves, and its purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubrequestOrigin {
    /// The id of the client's request.
    pub parent: Arc<str>,
    /// One word, such as `judge`.
    pub purpose: &'static str,
}
