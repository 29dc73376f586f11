//! OpenAI's endpoints that are passed through by the model of the request: everything but conversations.

/// An endpoint whose requests name a model and are stateless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenAiEndpoint {
    Embeddings,
    /// The legacy API of prompts without messages.
    Completions,
    Moderations,
    ImageGenerations,
    ImageEdits,
    ImageVariations,
    Speech,
    Transcriptions,
    Translations,
    /// Not OpenAI's own: Cohere's, as many vendors and servers have it.
    Rerank,
    /// Shortens a conversation of the Responses API.
    ResponsesCompact,
    /// Counts the tokens of a request of the Responses API.
    ResponsesInputTokens,
}

impl OpenAiEndpoint {
    /// Every endpoint.
    pub const ALL: [Self; 12] = [
        Self::Embeddings,
        Self::Completions,
        Self::Moderations,
        Self::ImageGenerations,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
        Self::Rerank,
        Self::ResponsesCompact,
        Self::ResponsesInputTokens,
    ];

    /// Its path behind the base URL.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Completions => "completions",
            Self::Moderations => "moderations",
            Self::ImageGenerations => "images/generations",
            Self::ImageEdits => "images/edits",
            Self::ImageVariations => "images/variations",
            Self::Speech => "audio/speech",
            Self::Transcriptions => "audio/transcriptions",
            Self::Translations => "audio/translations",
            Self::Rerank => "rerank",
            Self::ResponsesCompact => "responses/compact",
            Self::ResponsesInputTokens => "responses/input_tokens",
        }
    }

    /// Its word in labels, reports and the history, beside those of the APIs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Completions => "completions",
            Self::Moderations => "moderations",
            Self::ImageGenerations => "image-generations",
            Self::ImageEdits => "image-edits",
            Self::ImageVariations => "image-variations",
            Self::Speech => "speech",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
            Self::Rerank => "rerank",
            Self::ResponsesCompact => "responses-compact",
            Self::ResponsesInputTokens => "responses-input-tokens",
        }
    }

    /// What it does, in the words of OpenTelemetry (`gen_ai.operation.name`), whose list is open.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Completions => "text_completion",
            Self::ImageGenerations
            | Self::ImageEdits
            | Self::ImageVariations
            | Self::Speech
            | Self::Transcriptions
            | Self::Translations => "generate_content",
            Self::Moderations => "moderation",
            Self::Rerank => "rerank",
            Self::ResponsesCompact | Self::ResponsesInputTokens => CHAT,
        }
    }

    /// The endpoint with this path, as [`path`](Self::path) writes it.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }
}

const CHAT: &str = "chat";

/// The operation behind a word of [`RequestSummary::api_word`](crate::ledger::RequestSummary::api_word).
pub fn operation(api_word: &str) -> &'static str {
    let endpoint = OpenAiEndpoint::ALL.into_iter().find(|endpoint| endpoint.word() == api_word);
    endpoint.map_or(CHAT, OpenAiEndpoint::operation)
}
