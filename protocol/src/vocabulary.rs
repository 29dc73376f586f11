//! The words both vendors' APIs have for the same thing, each pair once.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Why a request failed, in the categories of Anthropic's `error.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    InvalidRequest,
    Authentication,
    Billing,
    Permission,
    NotFound,
    TooLarge,
    RateLimit,
    Api,
    Timeout,
    Overloaded,
}

impl ErrorKind {
    /// Every kind, in the order of its status.
    pub const ALL: [Self; 10] = [
        Self::InvalidRequest,
        Self::Authentication,
        Self::Billing,
        Self::Permission,
        Self::NotFound,
        Self::TooLarge,
        Self::RateLimit,
        Self::Api,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// The value of `error.type` on the Messages API.
    pub fn anthropic(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Billing => "billing_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Api => "api_error",
            Self::Timeout => "timeout_error",
            Self::Overloaded => "overloaded_error",
        }
    }

    /// The HTTP status that Anthropic gives this kind.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimit => 429,
            Self::Api => 500,
            Self::Timeout => 504,
            Self::Overloaded => 529,
        }
    }

    /// The kind of an upstream's status. Statuses without a kind of their own are the client's fault
    /// below 500 and the upstream's from there on (also below 400: an upstream has nothing to redirect to).
    pub fn from_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 | 524 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Api,
        }
    }

    /// The kind of an Anthropic `error.type`, or `None` for a word not known here.
    pub fn from_anthropic(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.anthropic() == word)
    }

    /// `error.type` and `error.code` on the Chat Completions API.
    pub fn openai(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::InvalidRequest => ("invalid_request_error", None),
            Self::Authentication => ("invalid_request_error", Some("invalid_api_key")),
            Self::Billing => ("insufficient_quota", Some("insufficient_quota")),
            Self::Permission => ("invalid_request_error", Some("permission_denied")),
            Self::NotFound => ("invalid_request_error", Some("model_not_found")),
            Self::TooLarge => ("invalid_request_error", Some("request_too_large")),
            Self::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
            Self::Api => ("server_error", None),
            Self::Timeout => ("server_error", Some("timeout")),
            Self::Overloaded => ("server_error", Some("overloaded")),
        }
    }

    /// The kind of failure that a Chat Completions `finish_reason` reports, in the words that OpenRouter, vLLM, GLM,
    /// Gemini (for a call it could not spell) and DeepSeek have for a reply that broke off; `None` if it ended for a
    /// [`StopReason`].
    pub fn from_finish_reason(word: &str) -> Option<Self> {
        match &*plain_reason(word) {
            "error" | "abort" | "network_error" => Some(Self::Api),
            "malformed_function_call" | "malformed_response" | "unexpected_tool_call" => Some(Self::Api),
            "function_call_filter" => Some(Self::Api),
            "insufficient_system_resource" => Some(Self::Overloaded),
            _ => None,
        }
    }
}

/// The most tokens of one kind that a request can have. The largest context windows have ten million.
const MOST_TOKENS: u64 = 1_000_000_000;

/// Tokens of one exchange, in Anthropic's meaning: `input` excludes what was read from or written to a cache.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_creation: u64,
    /// The part of `cache_creation` that the cache keeps for one hour, which costs more than five minutes.
    #[serde(default)]
    pub cache_creation_1h: u64,
    /// The part of `output` that is reasoning.
    #[serde(default)]
    pub reasoning: u64,
}

impl Usage {
    /// From a Chat Completions prompt total, which includes the cached tokens. Whatever the upstream claims, the
    /// three input parts add up to `prompt`.
    pub fn from_prompt_total(prompt: u64, output: u64, cache_read: u64, cache_creation: u64) -> Self {
        let cache_read = cache_read.min(prompt);
        let cache_creation = cache_creation.min(prompt - cache_read);
        let input = prompt - cache_read - cache_creation;
        Self { input, output, cache_read, cache_creation, ..Self::default() }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_creation: self.cache_creation.saturating_add(other.cache_creation),
            cache_creation_1h: self.cache_creation_1h.saturating_add(other.cache_creation_1h),
            reasoning: self.reasoning.saturating_add(other.reasoning),
        }
    }

    /// Without counts that no request can have: one of them would spoil every sum for as long as the sums are kept.
    #[must_use]
    pub fn plausible(self) -> Self {
        let count = |tokens: u64| if tokens > MOST_TOKENS { 0 } else { tokens };
        Self {
            input: count(self.input),
            output: count(self.output),
            cache_read: count(self.cache_read),
            cache_creation: count(self.cache_creation),
            cache_creation_1h: count(self.cache_creation_1h),
            reasoning: count(self.reasoning),
        }
    }

    /// The way back: what Chat Completions calls `prompt_tokens`.
    pub fn prompt_total(self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_creation)
    }
}

/// Why a reply ended, in Anthropic's categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    EndTurn,
    MaxTokens,
    StopSequence,
    ToolUse,
    PauseTurn,
    Refusal,
    ModelContextWindowExceeded,
    /// The conversation was summarised, and the reply stops behind the summary.
    Compaction,
}

impl StopReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::EndTurn,
        Self::MaxTokens,
        Self::StopSequence,
        Self::ToolUse,
        Self::PauseTurn,
        Self::Refusal,
        Self::ModelContextWindowExceeded,
        Self::Compaction,
    ];

    /// The value of `stop_reason` on the Messages API.
    pub fn anthropic(self) -> &'static str {
        match self {
            Self::EndTurn => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::StopSequence => "stop_sequence",
            Self::ToolUse => "tool_use",
            Self::PauseTurn => "pause_turn",
            Self::Refusal => "refusal",
            Self::ModelContextWindowExceeded => "model_context_window_exceeded",
            Self::Compaction => "compaction",
        }
    }

    /// The reason of an Anthropic `stop_reason`, or `None` for a word not known here.
    pub fn from_anthropic(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.anthropic() == word)
    }

    /// The reason that agrees with the number of tool calls: `tool_use` exactly if there are calls, unless the reply was cut
    /// or refused.
    pub(crate) fn with_calls(self, calls: u32) -> Self {
        let is_complete = match self {
            Self::EndTurn | Self::StopSequence | Self::ToolUse | Self::PauseTurn | Self::Compaction => true,
            Self::MaxTokens | Self::Refusal | Self::ModelContextWindowExceeded => false,
        };
        match calls {
            1.. if is_complete => Self::ToolUse,
            0 if self == Self::ToolUse => Self::EndTurn,
            _ => self,
        }
    }

    /// The `finish_reason` that OpenAI's own API would give. A paused turn is cut for a client that cannot resume it.
    pub fn finish_reason(self) -> &'static str {
        match self {
            Self::EndTurn | Self::StopSequence | Self::Compaction => "stop",
            Self::MaxTokens | Self::PauseTurn | Self::ModelContextWindowExceeded => "length",
            Self::ToolUse => "tool_calls",
            Self::Refusal => "content_filter",
        }
    }

    /// The reason of a Chat Completions `finish_reason`, or `None` for a word not known here. Besides
    /// OpenAI's words it knows those that compatible vendors let through from below (Gemini's, in capitals or not,
    /// Mistral's `model_length`, Text Generation Inference's `eos_token`).
    pub fn from_finish_reason(word: &str) -> Option<Self> {
        match &*plain_reason(word) {
            "stop" | "eos" | "eos_token" | "end_turn" => Some(Self::EndTurn),
            "length" | "max_tokens" => Some(Self::MaxTokens),
            "stop_sequence" => Some(Self::StopSequence),
            "tool_calls" | "function_call" | "tool_use" => Some(Self::ToolUse),
            "content_filter" | "refusal" | "sensitive" => Some(Self::Refusal),
            "safety" | "recitation" | "prohibited_content" | "blocklist" | "spii" | "language" => {
                Some(Self::Refusal)
            }
            "image_safety" | "image_prohibited_content" | "image_recitation" => Some(Self::Refusal),
            "model_length" | "model_context_window_exceeded" => Some(Self::ModelContextWindowExceeded),
            _ => None,
        }
    }
}

/// Gemini writes its reasons in capitals, and some behind what they are an instance of
/// (`content_filter: PROHIBITED_CONTENT`).
fn plain_reason(word: &str) -> Cow<'_, str> {
    // OpenAI's words, as nearly all upstreams send them.
    if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return Cow::Borrowed(word);
    }
    Cow::Owned(word.rsplit(':').next().unwrap_or(word).trim().to_ascii_lowercase())
}

/// The form of reply that the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Streamed,
    Whole,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_kind_is_read_back_from_its_word_and_its_status() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_anthropic(kind.anthropic()), Some(kind));
            assert_eq!(ErrorKind::from_status(kind.status()), kind);
        }
        assert_eq!(ErrorKind::from_anthropic("teapot_error"), None);
    }

    #[test]
    fn every_stop_reason_is_read_back_from_its_word() {
        for reason in StopReason::ALL {
            assert_eq!(StopReason::from_anthropic(reason.anthropic()), Some(reason));
        }
    }

    #[test]
    fn every_finish_reason_is_one_that_openai_has_and_can_be_read_back() {
        for reason in StopReason::ALL {
            let word = reason.finish_reason();
            assert!(["stop", "length", "tool_calls", "content_filter"].contains(&word));
            assert_eq!(StopReason::from_finish_reason(word).map(StopReason::finish_reason), Some(word));
        }
    }

    #[test]
    fn geminis_reasons_are_known_in_capitals_and_out_of_them() {
        let reasons = [
            ("STOP", StopReason::EndTurn),
            ("MAX_TOKENS", StopReason::MaxTokens),
            ("SAFETY", StopReason::Refusal),
            ("RECITATION", StopReason::Refusal),
            ("PROHIBITED_CONTENT", StopReason::Refusal),
            ("BLOCKLIST", StopReason::Refusal),
            ("content_filter: SPII", StopReason::Refusal),
            ("IMAGE_SAFETY", StopReason::Refusal),
        ];
        for (word, reason) in reasons {
            for word in [word.to_owned(), word.to_ascii_lowercase()] {
                assert_eq!(StopReason::from_finish_reason(&word), Some(reason), "{word}");
                assert_eq!(ErrorKind::from_finish_reason(&word), None, "{word}");
            }
        }
        for word in ["MALFORMED_FUNCTION_CALL", "function_call_filter: malformed_function_call"] {
            assert_eq!(ErrorKind::from_finish_reason(word), Some(ErrorKind::Api), "{word}");
        }
    }

    /// Complaint of gateway users: cached tokens are lost or counted as fresh.
    #[test]
    fn the_input_parts_add_up_to_the_prompt_whatever_the_upstream_claims() {
        for (prompt, read, creation) in [(100, 40, 10), (10, 40, 10), (10, 4, 90), (0, 1, 1)] {
            let usage = Usage::from_prompt_total(prompt, 7, read, creation);
            assert_eq!(usage.prompt_total(), prompt);
        }
    }
}
