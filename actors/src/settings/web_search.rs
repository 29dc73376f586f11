//! Who searches the web for models whose upstream cannot.

use std::time::Duration;

use vandamme_protocol::web_search::Service;

use super::ProviderSettings;
use crate::secret::ApiKey;

/// How the gateway searches the web for upstreams that cannot.
#[derive(Clone, Debug)]
pub struct WebSearch {
    /// Who searches, the preferred one first.
    pub by: Vec<Searcher>,
    /// The most searches for one request.
    pub max_searches: u64,
    /// The most pages of one search.
    pub max_results: usize,
    /// The longest wait for one search.
    pub timeout: Duration,
}

/// Who runs a search.
#[derive(Clone, Debug)]
pub enum Searcher {
    /// The provider of the model, if it has a search of its own.
    Provider,
    Service(Box<SearchService>),
}

/// A configured search service.
#[derive(Clone, Debug)]
pub struct SearchService {
    pub service: Service,
    pub key: Option<ApiKey>,
    /// The service as the HTTP client knows it.
    pub endpoint: ProviderSettings,
}

impl WebSearch {
    /// The services, the preferred one first.
    pub fn services(&self) -> impl Iterator<Item = &SearchService> {
        self.by.iter().filter_map(|searcher| match searcher {
            Searcher::Provider => None,
            Searcher::Service(service) => Some(&**service),
        })
    }

    /// Whether a provider's own search is preferred to every service.
    pub fn prefers_provider(&self) -> bool {
        matches!(self.by.first(), Some(Searcher::Provider))
    }
}
