//! A provider's variant of Chat Completions: what it accepts beyond the common subset, and in which fields.
//!
//! Nothing here is guessed from an address: the configuration sets it, for the known vendors the built-in one.

use crate::wildcard;

/// One provider's variant. [`PLAIN`] is the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The parameter for the effort of models that reason.
    pub reasoning: ReasoningParameter,
    /// The models that get the parameter.
    pub reasoning_models: ReasoningModels,
    /// How a model gets its own earlier thoughts back.
    pub replay: Replay,
    /// Text between `<think>` and `</think>` at the start of a reply is thinking.
    pub think_tags: bool,
    /// System messages are accepted anywhere; otherwise all but the first become user messages.
    pub system_anywhere: bool,
    /// `cache_control` marks are understood.
    pub cache_control: bool,
    /// `top_k` is understood.
    pub top_k: bool,
    /// Tool names are letters, digits and `_` alone.
    pub plain_tool_names: bool,
    /// Fields that take the id of the client's user, 64 characters at most.
    pub user_fields: Vec<String>,
    /// `cache_control` becomes `prompt_cache_breakpoint` where the model takes it, and the session `prompt_cache_key`.
    pub prompt_cache: bool,
    /// Members of the body (without braces) that make the upstream search the web itself.
    pub web_search: Option<String>,
    /// Signatures beside calls and texts (`extra_content`) go back with them, as far as the client carries them.
    pub extras: bool,
    /// `max_tokens` is raised to this at least.
    pub min_tokens: Option<u64>,
    /// `max_tokens` is lowered to this at most.
    pub max_tokens: Option<u64>,
}

/// The parameter for how much a model is to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningParameter {
    /// `"reasoning_effort": "low" | "medium" | "high"` (OpenAI, and most who copy it).
    Effort,
    /// `"reasoning": {"effort": …}` (OpenRouter).
    Nested,
    /// `"thinking": {"type": "enabled" | "disabled"}` (GLM, Kimi, DeepSeek).
    Switch,
}

/// The models that get the parameter for the effort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReasoningModels {
    /// The configuration lists no models: those in [`super::FAMILIES`] that reason.
    ByFamily,
    /// No model.
    Disabled,
    /// Models whose names match one of these patterns; `*` matches any characters.
    Listed(Vec<String>),
}

/// The field of an assistant message that takes the model's earlier thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// `reasoning_content`, a text (GLM, vLLM).
    Content,
    /// The same, and a message with calls is refused without it, at least while the model thinks (DeepSeek, Kimi).
    Required,
    /// `reasoning_details`, the very objects that came (OpenRouter); where none came, `reasoning_content`.
    Details,
    /// None takes them.
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
    /// Whether the provider's configuration lists this model as one that reasons. Case is ignored, and so is a vendor's prefix
    /// (`openai/`) unless the pattern has one.
    pub(super) fn lists(&self, model: &str) -> bool {
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
