//! The URLs of upstream requests, as the HTTP client takes them. A URL that depends on the provider only is parsed once per
//! thread, since writing and parsing it took 5,500 instructions of every request.

use std::cell::RefCell;
use std::ptr;
use std::sync::{Arc, Weak};

use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::settings::{Azure, ProviderSettings};
use vandamme_actors::upstream::{CallUrl, SendError};
use vandamme_protocol::request::Streaming;

use super::{UpstreamCall, address};

/// The most URLs that a thread keeps. A provider has at most five.
const MOST: usize = 64;
/// The queries whose URLs are kept: none, and that of Anthropic's SDKs in beta methods, which Claude Code uses. Any other
/// query may be another one each time, or contain a key.
const KEPT_QUERIES: [&str; 2] = ["", "beta=true"];

thread_local! {
    static PARSED: RefCell<Vec<ParsedUrl>> = const { RefCell::new(Vec::new()) };
}

/// A URL that all requests for one endpoint of a provider have.
struct ParsedUrl {
    /// The settings that it was made from. A reload makes others, even if they are equal.
    provider: Weak<ProviderSettings>,
    endpoint: UpstreamEndpoint,
    /// One of [`KEPT_QUERIES`].
    query: &'static str,
    url: CallUrl,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UpstreamEndpoint {
    Messages,
    CountTokens,
    ChatCompletions,
    Responses,
}

/// The URL of one request.
pub(super) enum UpstreamUrl {
    Parsed(CallUrl),
    /// One that depends on the request, or that cannot be parsed.
    Text(String),
}

impl UpstreamUrl {
    /// Of a Messages request, with the client's query.
    pub(super) fn messages(provider: &Arc<ProviderSettings>, call: UpstreamCall, query: &str) -> Self {
        let text = || address::messages(provider, call, query);
        let endpoint = match call {
            UpstreamCall::Reply | UpstreamCall::Models | UpstreamCall::Endpoint(_) => {
                UpstreamEndpoint::Messages
            }
            UpstreamCall::Count => UpstreamEndpoint::CountTokens,
        };
        match KEPT_QUERIES.into_iter().find(|kept| *kept == query) {
            Some(query) => parsed_once(provider, endpoint, query, text),
            None => Self::Text(text()),
        }
    }

    /// Of a Messages request in the form of the provider's cloud; `None` for Anthropic's own form.
    pub(super) fn in_form(
        provider: &ProviderSettings,
        call: UpstreamCall,
        model: &str,
        delivery: Streaming,
    ) -> Option<Self> {
        address::in_form(provider, call, model, delivery).map(Self::Text)
    }

    /// Of a Chat Completions request for `model`.
    pub(super) fn chat_completions(provider: &Arc<ProviderSettings>, model: &str) -> Self {
        let text = || address::chat_completions(provider, model);
        match &provider.azure {
            None | Some(Azure::V1 { .. }) => {
                parsed_once(provider, UpstreamEndpoint::ChatCompletions, "", text)
            }
            Some(Azure::Deployments { .. }) => Self::Text(text()),
        }
    }

    /// Of a Responses request.
    pub(super) fn responses(provider: &Arc<ProviderSettings>) -> Self {
        parsed_once(provider, UpstreamEndpoint::Responses, "", || address::responses(provider))
    }

    /// Of a request to another endpoint of OpenAI's for `model`.
    pub(super) fn endpoint(provider: &Arc<ProviderSettings>, endpoint: OpenAiEndpoint, model: &str) -> Self {
        Self::Text(address::endpoint(provider, endpoint, model))
    }

    /// # Errors
    /// It is no URL.
    pub(super) fn parsed(&self) -> Result<CallUrl, SendError> {
        match self {
            Self::Parsed(url) => Ok(url.clone()),
            Self::Text(text) => CallUrl::parse(text),
        }
    }
}

fn parsed_once(
    provider: &Arc<ProviderSettings>,
    endpoint: UpstreamEndpoint,
    query: &'static str,
    text: impl FnOnce() -> String,
) -> UpstreamUrl {
    PARSED.with_borrow_mut(|known| {
        // While an entry is kept, no other settings can have its address.
        let is_it = |url: &&ParsedUrl| {
            url.endpoint == endpoint
                && url.query == query
                && ptr::eq(url.provider.as_ptr(), Arc::as_ptr(provider))
        };
        if let Some(found) = known.iter().find(is_it) {
            return UpstreamUrl::Parsed(found.url.clone());
        }
        let text = text();
        let Ok(url) = CallUrl::parse(&text) else { return UpstreamUrl::Text(text) };
        known.retain(|url| url.provider.strong_count() > 0);
        if known.len() >= MOST {
            known.clear();
        }
        known.push(ParsedUrl { provider: Arc::downgrade(provider), endpoint, query, url: url.clone() });
        UpstreamUrl::Parsed(url)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: [(UpstreamCall, &str); 6] = [
        (UpstreamCall::Reply, ""),
        (UpstreamCall::Reply, "other=1"),
        (UpstreamCall::Reply, "beta=true"),
        (UpstreamCall::Count, ""),
        (UpstreamCall::Count, "beta=true"),
        (UpstreamCall::Count, "other=1"),
    ];

    fn provider(base_url: &str) -> Arc<ProviderSettings> {
        Arc::new(crate::demo::provider(base_url))
    }

    /// The URL that a request gets, and that of its text.
    fn both(url: &UpstreamUrl, text: &str) -> (String, String) {
        let shown = |url: CallUrl| format!("{url:?}");
        (shown(url.parsed().unwrap()), shown(CallUrl::parse(text).unwrap()))
    }

    /// Requirement: a request goes to the URL of its own provider's settings, before and after a reload.
    #[test]
    fn a_parsed_url_is_that_of_the_text() {
        for round in 0..3 * MOST {
            let port = 1024 + round;
            let base = format!("https://api.example:{port}/v1");
            let provider = provider(&base);
            for _ in 0..2 {
                for (call, query) in REQUESTS {
                    let url = UpstreamUrl::messages(&provider, call, query);
                    assert_eq!(matches!(url, UpstreamUrl::Parsed(_)), query != "other=1");
                    let (parsed, expected) = both(&url, &address::messages(&provider, call, query));
                    assert_eq!(parsed, expected);
                }
                let url = UpstreamUrl::chat_completions(&provider, "m");
                let (parsed, expected) = both(&url, &format!("{base}/chat/completions"));
                assert_eq!(parsed, expected);
            }
            assert!(PARSED.with_borrow(Vec::len) <= MOST);
        }
    }

    #[test]
    fn deployments_have_urls_of_their_own() {
        let azure = Some(Azure::Deployments { api_version: "2024-10-21".into() });
        let provider = ProviderSettings { azure, ..crate::demo::provider("https://r.openai.azure.com") };
        let provider = Arc::new(provider);
        for model in ["one", "two"] {
            let url = UpstreamUrl::chat_completions(&provider, model);
            let (parsed, expected) = both(&url, &address::chat_completions(&provider, model));
            assert_eq!(parsed, expected);
        }
    }
}
