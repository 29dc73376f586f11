//! A provider's variant of OpenAI's APIs: what it accepts beyond the common subset, and in which fields. What only Chat Completions
//! has (the place of thoughts, for example) means nothing for the Responses API.
//!
//! The configuration sets every field; the built-in configuration does so for known vendors. No field is guessed from an address.

use super::hosted_search::HostedSearch;
use crate::wildcard;

/// One provider's variant. [`PLAIN`] is the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The parameter for the effort of models that reason.
    pub reasoning: ReasoningParameter,
    /// The models for which the parameter is sent.
    pub reasoning_models: ReasoningModels,
    /// How a model's earlier thoughts are sent back to it.
    pub replay: Replay,
    /// Text between `<think>` and `</think>` at the start of a reply is thinking.
    pub think_tags: bool,
    /// System messages are accepted anywhere; otherwise all but the first become user messages.
    pub system_anywhere: bool,
    /// Whether `cache_control` marks are accepted.
    pub cache_control: bool,
    /// Whether `top_k` is accepted.
    pub top_k: bool,
    /// Whether tool names may contain only letters, digits and `_`.
    pub plain_tool_names: bool,
    /// Fields that take the id of the client's user, 64 characters at most.
    pub user_fields: Vec<String>,
    /// Whether `cache_control` becomes `prompt_cache_breakpoint` (if the model accepts it) and the session `prompt_cache_key`.
    pub prompt_cache: bool,
    /// How the upstream is asked to search the web itself.
    pub web_search: Option<HostedSearch>,
    /// Whether `extra_content` of calls and texts (signatures) is sent back with them, if the client returns it.
    pub extras: bool,
    /// Minimum of `max_tokens`; lower values are raised.
    pub min_tokens: Option<u64>,
    /// Maximum of `max_tokens`; higher values are lowered.
    pub max_tokens: Option<u64>,
}

/// The parameter that sets the effort of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningParameter {
    /// `"reasoning_effort": "low" | "medium" | "high"` (OpenAI and most compatible vendors).
    Effort,
    /// `"reasoning": {"effort": …}` (OpenRouter).
    Nested,
    /// `"thinking": {"type": "enabled" | "disabled"}` (GLM, Kimi, DeepSeek).
    Switch,
}

/// The models that get the parameter for the effort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReasoningModels {
    /// The configuration lists no models: those in [`FAMILIES`](super::reasoning::FAMILIES) that reason.
    ByFamily,
    /// No model.
    Disabled,
    /// Models whose names match one of these patterns; `*` matches any characters.
    Listed(Vec<String>),
}

/// The field of an assistant message that contains the model's earlier thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// `reasoning_content`, a text (GLM, vLLM).
    Content,
    /// `reasoning_content`, which is required in messages with calls, at least while the model reasons (DeepSeek, Kimi).
    Required,
    /// `reasoning_details`, the unchanged objects of the reply (OpenRouter); if there are none, `reasoning_content`.
    Details,
    /// No field accepts them.
    Nothing,
}

/// The default.
pub static PLAIN: Dialect = Dialect {
    reasoning: ReasoningParameter::Effort,
    reasoning_models: ReasoningModels::ByFamily,
    replay: Replay::Content,
    think_tags: false,
    system_anywhere: false,
    cache_control: false,
    top_k: false,
    plain_tool_names: false,
    user_fields: Vec::new(),
    prompt_cache: false,
    web_search: None,
    extras: true,
    min_tokens: None,
    max_tokens: None,
};

impl Default for Dialect {
    fn default() -> Self {
        PLAIN.clone()
    }
}

impl Dialect {
    /// The upstream's own web search, if it can search for this model.
    pub fn hosted_search(&self, model: &str) -> Option<&HostedSearch> {
        self.web_search.as_ref().filter(|search| search.serves(model))
    }

    /// Whether the provider's configuration lists this model as one that reasons. Case is ignored, and so is a vendor's prefix
    /// (`openai/`) unless the pattern has one.
    pub(crate) fn lists(&self, model: &str) -> bool {
        let ReasoningModels::Listed(patterns) = &self.reasoning_models else { return false };
        let model = model.to_ascii_lowercase();
        let name = model.rsplit('/').next().unwrap_or(&model);
        patterns.iter().any(|pattern| {
            let pattern = pattern.to_ascii_lowercase();
            wildcard::matches(&pattern, if pattern.contains('/') { &model } else { name })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_prefix_counts_only_where_the_pattern_has_one() {
        let reasoning_models = ReasoningModels::Listed(vec!["GPT-5*".into(), "z-ai/glm*".into()]);
        let dialect = Dialect { reasoning_models, ..Dialect::default() };
        for (model, reasons) in [
            ("openai/gpt-5.1", true),
            ("gpt-5", true),
            ("z-ai/GLM-4.6", true),
            ("glm-4.6", false),
            ("gpt-4o", false),
        ] {
            assert_eq!(dialect.lists(model), reasons, "{model}");
        }
    }
}
