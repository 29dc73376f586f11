//! Settings that OpenAI's two APIs have and Messages has not, on their way from a client of one API to an upstream of the other.

use serde_json::value::RawValue;

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
