//! Refusals that point from one of OpenAI's two APIs to the other, and rules for one of them in the words of the other.
//!
//! OpenAI and Azure serve some models over one API only. A server that copies OpenAI's Chat Completions may lack Responses.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Fixup, FixupCondition, TOKEN_LIMITS};
use crate::openai;

/// One of the two APIs that OpenAI has for replies of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OpenAiApi {
    ChatCompletions,
    Responses,
}

impl OpenAiApi {
    /// Its word in `api-format`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "openai",
            Self::Responses => "responses",
        }
    }
}

/// Chat Completions refuse a model, or a combination that the model has over Responses.
const NOT_OVER_CHAT: [&str; 4] = [
    // OpenAI: "This model is only supported in v1/responses and not in v1/chat/completions."
    "v1/responses",
    "responses api",
    // OpenAI: "This is not a chat model and thus not supported in the v1/chat/completions endpoint."
    "not a chat model",
    // Azure: "The chatCompletion operation does not work with the specified model, gpt-5.1-codex."
    "chatcompletion operation does not work with the specified model",
];

/// Responses refuse a model.
const NOT_OVER_RESPONSES: [&str; 4] = [
    // OpenAI: "The requested model 'gpt-4o-search-preview' is not supported with the Responses API."
    "not supported with the responses api",
    "not supported in the responses api",
    "does not support the responses api",
    // Azure.
    "responses operation does not work with the specified model",
];

/// A server does not know the path of the Responses API.
const NO_ENDPOINT: [&str; 10] = [
    "invalid url",
    "unknown url",
    "unknown request url",
    "unrecognized request url",
    "no route",
    "cannot post",
    "method not allowed",
    "not implemented",
    "resource not found",
    "/responses",
];

/// The API that a refusal of a request over `used` points to.
#[must_use]
pub fn other_api(used: OpenAiApi, status: u16, body: &[u8]) -> Option<OpenAiApi> {
    if !matches!(status, 400 | 404 | 405 | 422 | 501) {
        return None;
    }
    let message = openai::error::read(status, body).message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    match used {
        OpenAiApi::ChatCompletions => says(&NOT_OVER_CHAT).then_some(OpenAiApi::Responses),
        OpenAiApi::Responses => {
            // An unknown model, item or file is a 404, too.
            let is_unknown = matches!(status, 404 | 405 | 501);
            let has_no_endpoint =
                is_unknown && (says(&NO_ENDPOINT) || message.trim_matches('.') == "not found");
            (has_no_endpoint || says(&NOT_OVER_RESPONSES)).then_some(OpenAiApi::ChatCompletions)
        }
    }
}

/// Members of Chat Completions that have another place in Responses.
const MOVED: [(&str, &str); 3] = [
    ("reasoning_effort", "reasoning.effort"),
    ("verbosity", "text.verbosity"),
    ("response_format", "text.format"),
];

impl Fixup {
    /// The API that it names.
    #[must_use]
    pub fn api(&self) -> Option<OpenAiApi> {
        match self {
            Self::Over(api) => Some(*api),
            Self::Param(_)
            | Self::Value(..)
            | Self::Beside(..)
            | Self::Set(..)
            | Self::Nearest(..)
            | Self::Bound(..)
            | Self::Keyword(_)
            | Self::ToolSchemas
            | Self::Reasoning(_)
            | Self::Beta(_)
            | Self::Limit(_)
            | Self::ToolIds(_) => None,
        }
    }

    /// The same rule for a request of the Responses API: a provider's rules are written for Chat Completions, where it has
    /// both APIs.
    #[must_use]
    pub fn over_responses(&self) -> Cow<'_, Self> {
        match self {
            Self::Param(path) => {
                moved(path).map_or(Cow::Borrowed(self), |path| Cow::Owned(Self::Param(path)))
            }
            Self::Value(path, value) => {
                moved(path).map_or(Cow::Borrowed(self), |path| Cow::Owned(Self::Value(path, value.clone())))
            }
            Self::Beside(path, condition) => {
                Cow::Owned(Self::Beside(place(path), condition.over_responses()))
            }
            Self::Set(path, value, condition) => {
                let condition = condition.as_ref().map(FixupCondition::over_responses);
                Cow::Owned(Self::Set(place(path), value.clone(), condition))
            }
            Self::Nearest(..)
            | Self::Bound(..)
            | Self::Keyword(_)
            | Self::ToolSchemas
            | Self::Reasoning(_)
            | Self::Beta(_)
            | Self::Limit(_)
            | Self::ToolIds(_)
            | Self::Over(_) => Cow::Borrowed(self),
        }
    }
}

impl FixupCondition {
    fn over_responses(&self) -> Self {
        let and = self.and.as_ref().map(|and| Box::new(and.over_responses()));
        Self { path: place(&self.path), value: self.value.clone(), and }
    }
}

/// The place of a member in Responses.
fn place(path: &str) -> Box<str> {
    moved(path).unwrap_or_else(|| path.into())
}

/// The other place of a member in Responses.
fn moved(path: &str) -> Option<Box<str>> {
    if TOKEN_LIMITS.contains(&path) {
        return Some("max_output_tokens".into());
    }
    MOVED.iter().find(|(chat, _)| *chat == path).map(|(_, responses)| (*responses).into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::compat::{FixupRule, apply};

    fn error(message: &str) -> Vec<u8> {
        serde_json::json!({"error": {"message": message, "type": "invalid_request_error", "param": "model"}})
            .to_string()
            .into_bytes()
    }

    /// Requirement: the wordings of OpenAI and Azure lead to the other API.
    #[test]
    fn a_refused_model_is_served_over_the_other_api() {
        use OpenAiApi::{ChatCompletions, Responses};
        for (used, status, message) in [
            (
                ChatCompletions,
                404,
                "This model is only supported in v1/responses and not in v1/chat/completions.",
            ),
            (
                ChatCompletions,
                404,
                "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?",
            ),
            (
                ChatCompletions,
                400,
                "The chatCompletion operation does not work with the specified model, gpt-5.1-codex. Please choose different model and try again.",
            ),
            (
                ChatCompletions,
                400,
                "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
            ),
            (
                Responses,
                400,
                "The requested model 'gpt-4o-search-preview' is not supported with the Responses API.",
            ),
            (Responses, 404, "Invalid URL (POST /v1/responses)"),
            (Responses, 404, "Not Found"),
            (Responses, 404, "Resource not found"),
            (Responses, 405, "Method Not Allowed"),
        ] {
            let other = if used == Responses { ChatCompletions } else { Responses };
            assert_eq!(other_api(used, status, &error(message)), Some(other), "{message}");
        }
        assert_eq!(other_api(Responses, 404, br#"{"detail":"Not Found"}"#), Some(ChatCompletions));
    }

    /// Requirement: an unknown model or item, and any other refusal, is no reason for another call.
    #[test]
    fn other_refusals_point_nowhere() {
        use OpenAiApi::{ChatCompletions, Responses};
        for (used, status, message) in [
            (Responses, 404, "The model `gpt-9` does not exist or you do not have access to it."),
            (
                Responses,
                404,
                "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.",
            ),
            (Responses, 400, "Previous response with id 'resp_1' not found."),
            (Responses, 404, "The API deployment for this resource does not exist."),
            (Responses, 400, "Unsupported parameter: 'temperature' is not supported with this model."),
            (Responses, 500, "not implemented"),
            (ChatCompletions, 404, "The model `gpt-9` does not exist or you do not have access to it."),
            (ChatCompletions, 404, "Not Found"),
            (ChatCompletions, 429, "use the Responses API"),
        ] {
            assert_eq!(other_api(used, status, &error(message)), None, "{message}");
        }
    }

    /// Requirement: a rule for Chat Completions changes a Responses request in the same way, and adds no member that the API
    /// does not have.
    #[test]
    fn a_rule_for_chat_completions_is_a_rule_for_responses() {
        let rules = [
            FixupRule::set("reasoning_effort=none&tools"),
            FixupRule::drop("verbosity"),
            FixupRule::drop("temperature&reasoning_effort"),
            FixupRule::limit("max_tokens<=100"),
            FixupRule::set("service_tier=flex"),
        ];
        let rules: Vec<_> = rules.into_iter().map(|rule| rule.unwrap().fixup).collect();
        let moved: Vec<_> = rules.iter().map(Fixup::over_responses).collect();
        let body = Bytes::from_static(
            br#"{"reasoning":{"effort":"high","summary":"auto"},"temperature":1,"text":{"verbosity":"low","format":{}},"max_output_tokens":500,"tools":[{}]}"#,
        );
        let fixed = apply(moved.iter().map(|fixup| &**fixup), &body, "");
        let fixed: serde_json::Value = serde_json::from_slice(&fixed.body).unwrap();
        assert_eq!(
            fixed,
            serde_json::json!({
                "reasoning": {"effort": "none", "summary": "auto"}, "text": {"format": {}}, "max_output_tokens": 100,
                "tools": [{}], "service_tier": "flex",
            })
        );
    }
}
