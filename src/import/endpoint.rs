//! Converts addresses: claude-code-router has the full URL of an endpoint, vdm the base URL and the API.

use url::Url;

/// The API of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenAi,
    Responses,
    Anthropic,
}

/// A base URL, and what the endpoint's URL says beyond it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) base_url: String,
    pub(super) format: Format,
    /// Azure's.
    pub(super) api_version: Option<String>,
    pub(super) note: Option<&'static str>,
}

const GEMINI: &str = "generativelanguage.googleapis.com";
const VERTEX: &str = "Vertex AI requires short-lived tokens of Google, which vdm does not fetch; use Gemini's API with a key \
                      (provider gemini), or a proxy that adds the token";
const GEMINI_NOTE: &str = "Gemini is called at its OpenAI-compatible endpoint";
const BARE_NOTE: &str = "the URL names no endpoint, so it is taken as the base URL";

impl Format {
    /// The value of `api-format`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
        }
    }
}

/// The base URL and API of this endpoint. `named` is the format that the transformers name.
///
/// # Errors
/// Why the URL cannot be used, without its text, which may contain a password.
pub(super) fn read(text: &str, named: Option<Format>) -> Result<Endpoint, &'static str> {
    let url = Url::parse(text.trim())
        .map_err(|_| "expected a URL such as \"https://api.example.com/v1/chat/completions\"")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the URL must start with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL contains a user name or password, which vdm refuses; use api_key");
    }
    let host = url.host_str().unwrap_or_default();
    if host.ends_with("aiplatform.googleapis.com") {
        return Err(VERTEX);
    }
    if host == GEMINI && named != Some(Format::Anthropic) {
        let base_url = with_path(&url, &["v1beta", "openai"]);
        return Ok(Endpoint { base_url, format: Format::OpenAi, api_version: None, note: Some(GEMINI_NOTE) });
    }
    if host.ends_with(".openai.azure.com") {
        return azure(&url);
    }
    if url.query().is_some() {
        return Err(
            "the URL has a query (?), which vdm cannot send; remove it, or use a provider without one",
        );
    }
    Ok(by_path(&url, named))
}

fn azure(url: &Url) -> Result<Endpoint, &'static str> {
    let api_version =
        url.query_pairs().find(|(name, _)| name == "api-version").map(|(_, value)| value.into_owned());
    let is_v1 = url.path().starts_with("/openai/v1");
    if api_version.is_none() && !is_v1 {
        return Err("the URL of an Azure resource needs ?api-version=…");
    }
    let base_url = with_path(url, if is_v1 { &["openai", "v1"] } else { &[] });
    let note =
        (!is_v1).then_some("a model is the name of a deployment; the deployment in the URL is not fixed");
    Ok(Endpoint { base_url, format: Format::OpenAi, api_version, note })
}

fn by_path(url: &Url, named: Option<Format>) -> Endpoint {
    let path: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    let (base, format, note) = match path.as_slice() {
        [base @ .., "chat", "completions"] => (base, Format::OpenAi, None),
        [base @ .., "v1", "messages"] | [base @ .., "messages"] => (base, Format::Anthropic, None),
        [base @ .., "responses"] => (base, Format::Responses, None),
        [base @ .., "completions"] => (base, Format::OpenAi, None),
        base => (base, named.unwrap_or(Format::OpenAi), Some(BARE_NOTE)),
    };
    Endpoint { base_url: with_path(url, base), format, api_version: None, note }
}

fn with_path(url: &Url, path: &[&str]) -> String {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    base.set_path(&path.join("/"));
    base.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: the URL of an endpoint becomes the base URL, and its path says the API.
    #[test]
    fn an_endpoint_becomes_a_base_url_and_an_api() {
        for (url, base, format) in [
            ("https://openrouter.ai/api/v1/chat/completions", "https://openrouter.ai/api/v1", Format::OpenAi),
            ("https://api.deepseek.com/chat/completions", "https://api.deepseek.com", Format::OpenAi),
            ("http://localhost:11434/v1/chat/completions/", "http://localhost:11434/v1", Format::OpenAi),
            ("https://x/anthropic/v1/messages", "https://x/anthropic", Format::Anthropic),
            ("https://api.anthropic.com/v1/messages", "https://api.anthropic.com", Format::Anthropic),
            ("https://x/v1/responses", "https://x/v1", Format::Responses),
            ("https://x/v1", "https://x/v1", Format::OpenAi),
            (
                "https://generativelanguage.googleapis.com/v1beta/models/",
                "https://generativelanguage.googleapis.com/v1beta/openai",
                Format::OpenAi,
            ),
            (
                "https://r.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
                "https://r.openai.azure.com",
                Format::OpenAi,
            ),
        ] {
            let endpoint = read(url, None).unwrap();
            assert_eq!((endpoint.base_url.as_str(), endpoint.format), (base, format), "{url}");
        }
        let azure = read("https://r.openai.azure.com/openai/deployments/g?api-version=v", None).unwrap();
        assert_eq!(azure.api_version.as_deref(), Some("v"));
        assert_eq!(read("https://x/api", Some(Format::Anthropic)).unwrap().format, Format::Anthropic);
    }

    /// Requirement: a URL that vdm cannot use is refused without repeating it.
    #[test]
    fn an_unusable_url_is_refused() {
        for (url, why) in [
            ("", "expected a URL"),
            ("api.x.com/v1", "expected a URL"),
            ("ftp://x/v1", "http://"),
            ("https://me:secret@x/v1/chat/completions", "password"),
            ("https://x/v1/chat/completions?key=secret", "query"),
            ("https://us-central1-aiplatform.googleapis.com/v1/projects/p", "Vertex"),
            ("https://r.openai.azure.com/openai/deployments/gpt/chat/completions", "api-version"),
        ] {
            let refusal = read(url, None).unwrap_err();
            assert!(refusal.contains(why) && !refusal.contains("secret"), "{url}: {refusal}");
        }
    }
}
