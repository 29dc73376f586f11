//! Decides in which API a request is sent to its provider.

use vandamme_protocol::openai::responses_models::{self, ResponsesAdvice};

use super::{Api, ProviderSettings};

impl ProviderSettings {
    /// The APIs that its requests can use.
    pub fn apis(&self) -> Vec<Api> {
        match (self.api, self.responses) {
            (Api::ChatCompletions, ResponsesSupport::Known) => vec![Api::ChatCompletions, Api::Responses],
            (api, _) => vec![api],
        }
    }

    /// The API in which a request for `model` by a client of `client` is sent.
    pub fn api_for(&self, client: Api, model: &str) -> Api {
        if self.api != Api::ChatCompletions || self.responses != ResponsesSupport::Known {
            return self.api;
        }
        match (client, responses_models::advice(model)) {
            (Api::Responses, _)
            | (_, ResponsesAdvice::Required)
            | (Api::Messages, ResponsesAdvice::Preferred) => Api::Responses,
            (Api::ChatCompletions, ResponsesAdvice::Preferred) | (_, ResponsesAdvice::None) => {
                Api::ChatCompletions
            }
        }
    }
}

/// Whether a provider of Chat Completions has the Responses API, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponsesSupport {
    /// The vendor's host has it.
    Known,
    /// Nothing is known of the host. A model that it refuses over Chat Completions may be served over Responses.
    Unknown,
    /// `api-format` names the only API.
    Excluded,
}
