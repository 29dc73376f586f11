//! Settings that OpenAI's two APIs have and Messages has not, on their way from a client of one API to an upstream of the other.

use serde_json::value::RawValue;

use crate::json::RawMembers;

/// The settings of one request, in the client's notation. The upstream gets what is here in place of what the conversion through
/// Messages would set, and none of them where the client set none.
#[derive(Clone, Debug, Default)]
pub struct OpenAiMembers {
    /// `max_completion_tokens`, `max_tokens` or `max_output_tokens`.
    pub max_tokens: Option<Box<RawValue>>,
    pub temperature: Option<Box<RawValue>>,
    pub top_p: Option<Box<RawValue>>,
    /// `reasoning_effort` or `reasoning.effort`.
    pub effort: Option<Box<RawValue>>,
    /// `verbosity` or `text.verbosity`.
    pub verbosity: Option<Box<RawValue>>,
    /// `response_format` or `text.format`, in the notation of Chat Completions.
    pub format: Option<Box<RawValue>>,
    pub parallel_tool_calls: Option<Box<RawValue>>,
    pub service_tier: Option<Box<RawValue>>,
    pub metadata: Option<Box<RawValue>>,
    pub user: Option<Box<RawValue>>,
    pub safety_identifier: Option<Box<RawValue>>,
    pub prompt_cache_key: Option<Box<RawValue>>,
    pub prompt_cache_retention: Option<Box<RawValue>>,
    pub prompt_cache_options: Option<Box<RawValue>>,
    pub top_logprobs: Option<Box<RawValue>>,
    /// Of Chat Completions only: `logprobs`.
    pub logprobs: Option<Box<RawValue>>,
    /// Of Chat Completions only.
    pub seed: Option<Box<RawValue>>,
    /// Of Chat Completions only.
    pub frequency_penalty: Option<Box<RawValue>>,
    /// Of Chat Completions only.
    pub presence_penalty: Option<Box<RawValue>>,
    /// Of Chat Completions only.
    pub logit_bias: Option<Box<RawValue>>,
    /// Of Chat Completions only.
    pub stop: Option<Box<RawValue>>,
    /// Of Chat Completions only.
    pub n: Option<Box<RawValue>>,
}

/// The members of a Chat Completions request that are settings here. `stop` and `n` have a place in Messages, too.
const OF_CHAT: [&str; 21] = [
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "reasoning_effort",
    "verbosity",
    "response_format",
    "parallel_tool_calls",
    "service_tier",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "top_logprobs",
    "logprobs",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
];

impl OpenAiMembers {
    /// Whether [`of_chat`](Self::of_chat) reads this member, which Messages does not have or has in another form.
    pub fn reads_of_chat(name: &str) -> bool {
        OF_CHAT.contains(&name)
    }

    /// The settings of a Chat Completions request; none if it is no object. A member that is `null` counts as absent.
    pub fn of_chat(body: &[u8]) -> Self {
        let members: RawMembers<'_> = serde_json::from_slice(body).unwrap_or_default();
        let read = |name: &str| {
            let value = members.value(name).filter(|value| value.get() != "null");
            value.map(RawValue::to_owned)
        };
        Self {
            max_tokens: read("max_completion_tokens").or_else(|| read("max_tokens")),
            temperature: read("temperature"),
            top_p: read("top_p"),
            effort: read("reasoning_effort"),
            verbosity: read("verbosity"),
            format: read("response_format"),
            parallel_tool_calls: read("parallel_tool_calls"),
            service_tier: read("service_tier"),
            metadata: read("metadata"),
            user: read("user"),
            safety_identifier: read("safety_identifier"),
            prompt_cache_key: read("prompt_cache_key"),
            prompt_cache_retention: read("prompt_cache_retention"),
            prompt_cache_options: read("prompt_cache_options"),
            top_logprobs: read("top_logprobs"),
            logprobs: read("logprobs"),
            seed: read("seed"),
            frequency_penalty: read("frequency_penalty"),
            presence_penalty: read("presence_penalty"),
            logit_bias: read("logit_bias"),
            stop: read("stop"),
            n: read("n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(member: &Option<Box<RawValue>>) -> Option<&str> {
        member.as_deref().map(RawValue::get)
    }

    /// Requirement: a client's settings keep their notation.
    #[test]
    fn settings_of_a_chat_request_keep_their_notation() {
        let members = OpenAiMembers::of_chat(
            br#"{"model":"m","max_tokens":5,"max_completion_tokens":7e0,"temperature":1.50,"seed":null,
            "response_format":{"type": "text"},"logit_bias":{"1":-100},"n":1,"stop":["a"]}"#,
        );
        assert_eq!(
            [&members.max_tokens, &members.temperature, &members.seed, &members.format].map(text),
            [Some("7e0"), Some("1.50"), None, Some(r#"{"type": "text"}"#)]
        );
        assert_eq!(
            [&members.logit_bias, &members.n, &members.stop, &members.effort].map(text),
            [Some(r#"{"1":-100}"#), Some("1"), Some(r#"["a"]"#), None]
        );
        let older = OpenAiMembers::of_chat(br#"{"max_tokens":5,"max_completion_tokens":null}"#);
        assert_eq!(text(&older.max_tokens), Some("5"));
        assert!(OpenAiMembers::of_chat(b"[1]").max_tokens.is_none());
    }
}
