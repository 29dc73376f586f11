//! The web searches that vendors of OpenAI's APIs run themselves: for which models, and in which form a request asks for one.
//! `chat/request/hosted.rs` and `responses/request/hosted.rs` write the requests, `chat/search.rs` reads the replies of Chat
//! Completions.
//!
//! The forms are those of Chat Completions. In the Responses API, all of them but [`HostedSearch::Members`] are its own tool
//! `web_search`, for all models.
//!
//! Vendors without a form in Chat Completions, as of 2026-11: xAI answers `search_parameters` with 410 and searches in its Responses API alone
//! (docs.x.ai, "Comparison with Chat Completions API"); the OpenAI-compatible endpoint of the Gemini API documents no search
//! (ai.google.dev/gemini-api/docs/openai). Vertex AI takes `"web_search_options": {}` without sub-options
//! (cloud.google.com/vertex-ai, "Using OpenAI libraries"), which [`HostedSearch::Members`] expresses.

/// The form in which a provider is asked to search the web.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostedSearch {
    /// These members of the body (without braces), which the configuration has.
    Members(String),
    /// The server tools `openrouter:web_search` and `openrouter:web_fetch`. They replace the plugin `web`, which is deprecated.
    /// Source: openrouter.ai/docs/guides/features/server-tools, 2026-11.
    OpenRouter,
    /// `web_search_options`, which only OpenAI's search models accept. These always search.
    /// Source: developers.openai.com/api/docs/guides/tools-web-search, 2026-11.
    OpenAi,
    /// Perplexity's models always search; `search_domain_filter` and `web_search_options` limit the search.
    /// Source: docs.perplexity.ai/docs/sonar, 2026-11.
    Perplexity,
    /// The tool `web_search` of Z.ai. Source: docs.z.ai/api-reference/llm/chat-completion, 2026-11.
    Zai,
    /// The same tool on BigModel, whose search engines have other names.
    /// Source: docs.bigmodel.cn/api-reference, 2026-11.
    Bigmodel,
}

impl HostedSearch {
    /// The words that the configuration has for the forms.
    pub const WORDS: [&str; 5] = ["openrouter", "openai", "perplexity", "zai", "bigmodel"];

    /// Reads one of [`WORDS`](Self::WORDS).
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "openrouter" => Some(Self::OpenRouter),
            "openai" => Some(Self::OpenAi),
            "perplexity" => Some(Self::Perplexity),
            "zai" => Some(Self::Zai),
            "bigmodel" => Some(Self::Bigmodel),
            _ => None,
        }
    }

    /// Whether the provider can search for this model.
    pub(crate) fn serves(&self, model: &str) -> bool {
        match self {
            // gpt-4o-search-preview, gpt-4o-mini-search-preview, gpt-5-search-api. Others answer web_search_options with 400.
            Self::OpenAi => ["-search-preview", "-search-api"].iter().any(|part| model.contains(part)),
            Self::Members(_) | Self::OpenRouter | Self::Perplexity | Self::Zai | Self::Bigmodel => true,
        }
    }

    /// Whether the provider reads web pages, too.
    pub(crate) fn fetches(&self) -> bool {
        *self == Self::OpenRouter
    }

    /// The advice in the error for a model that the provider cannot search for.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::OpenAi => " (only its search models, such as gpt-5-search-api, can)",
            Self::Members(_) | Self::OpenRouter | Self::Perplexity | Self::Zai | Self::Bigmodel => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_a_form_and_only_openais_search_models_search() {
        for word in HostedSearch::WORDS {
            let form = HostedSearch::from_word(word).unwrap_or_else(|| panic!("{word}"));
            assert_eq!(form.serves("gpt-6.1-sol"), word != "openai", "{word}");
            assert!(
                form.serves("openai/gpt-5-search-api")
                    && form.serves("gpt-4o-mini-search-preview-2025-03-11")
            );
        }
        assert_eq!(HostedSearch::from_word("kagi"), None);
    }
}
