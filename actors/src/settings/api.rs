//! The APIs that clients and upstreams speak.

/// The API that an upstream or a client speaks. Code matches on the pair of both APIs instead of testing for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Anthropic's Messages API: `{base}/v1/messages`. In the configuration: `anthropic`.
    Messages,
    /// OpenAI's Chat Completions API: `{base}/chat/completions`. In the configuration: `openai`.
    ChatCompletions,
    /// OpenAI's Responses API: `{base}/responses`. In the configuration: `responses`.
    Responses,
}

impl Api {
    /// Its word in the configuration and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "anthropic",
            Self::ChatCompletions => "openai",
            Self::Responses => "responses",
        }
    }

    /// Its word in labels, reports, log fields and the history. `anthropic` and `openai` are providers there.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::ChatCompletions => "chat-completions",
            Self::Responses => "responses",
        }
    }
}
