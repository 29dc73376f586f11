//! One search: a call to the first configured service that answers. The query is never logged.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::rt::time::timeout;
use bytes::Bytes;
use vandamme_actors::settings::{SearchService, WebSearch};
use vandamme_actors::upstream::{self, CallHead, CallUrl};
use vandamme_protocol::web_search::{Found, Page, SearchError, SearchQuery, SearchTool, ServiceRequest};

use crate::gateway::Gateway;

/// The longest answer that is read.
const LONGEST_ANSWER: usize = 2 << 20;

pub(super) struct SearchClient<'r> {
    pub(super) gateway: &'r Gateway,
    pub(super) request_id: &'r str,
    pub(super) search: &'r WebSearch,
    pub(super) tool: &'r SearchTool,
}

/// Why a service has no pages. The text is for the log: it has neither the query nor a key.
struct ServiceFailure {
    error: SearchError,
    message: String,
}

impl ServiceFailure {
    fn unavailable(message: impl Into<String>) -> Self {
        Self { error: SearchError::Unavailable, message: message.into() }
    }
}

impl SearchClient<'_> {
    /// Asks one service after the other, until one answers.
    pub(super) async fn search(&self, text: &str) -> Found {
        let mut last = SearchError::Unavailable;
        for service in self.search.services() {
            let name = service.service.name();
            let failed = match self.ask_in_time(service, text).await {
                Ok(pages) => {
                    self.gateway.counters.count_web_search(service.service);
                    log::info!(
                        REQUEST_ID = self.request_id;
                        "{} web search by {name}: {} pages", self.request_id, pages.len()
                    );
                    return Ok(pages);
                }
                Err(failed) => failed,
            };
            log::warn!(
                REQUEST_ID = self.request_id;
                "{} web search by {name} failed: {} ({})", self.request_id, failed.message, failed.error.code()
            );
            last = failed.error;
        }
        Err(last)
    }

    async fn ask_in_time(&self, service: &SearchService, text: &str) -> Result<Vec<Page>, ServiceFailure> {
        let limit = self.search.timeout;
        let answered = timeout(limit, self.ask(service, text)).await;
        answered.unwrap_or_else(|_elapsed| {
            Err(ServiceFailure::unavailable(format!("no answer within {} s", limit.as_secs_f64())))
        })
    }

    async fn ask(&self, service: &SearchService, text: &str) -> Result<Vec<Page>, ServiceFailure> {
        let longest = service.service.longest_query();
        if text.chars().count() > longest {
            let message = format!("the query has more than {longest} characters");
            return Err(ServiceFailure { error: SearchError::QueryTooLong, message });
        }
        let query = SearchQuery {
            text,
            domains: &self.tool.domains,
            location: self.tool.location.as_ref(),
            pages: self.search.max_results,
        };
        let request = service.service.request(&service.endpoint.base_url, &query);
        let answer = self.call(service, request).await?;
        let pages = service.service.pages(&answer, &query);
        pages.map_err(|error| ServiceFailure::unavailable(error.to_string()))
    }

    async fn call(&self, service: &SearchService, request: ServiceRequest) -> Result<Bytes, ServiceFailure> {
        let ServiceRequest { url, body } = request;
        let stopped = |_closed| ServiceFailure::unavailable("the HTTP client has stopped");
        let client = upstream::client(&service.endpoint, &self.gateway.wiring).await.map_err(stopped)?;
        // An error of the URL would repeat the query.
        let url = CallUrl::parse(&url).map_err(|_| ServiceFailure::unavailable("the URL is not valid"))?;
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let head = CallHead { method, url, headers: headers(service, body.as_deref())? };
        let body = Bytes::from(body.unwrap_or_default());
        let response = client.send(head, || body.clone()).await;
        let mut response = response.map_err(|error| ServiceFailure::unavailable(error.to_string()))?;
        let status = response.status().as_u16();
        let answer = response.body().limit(LONGEST_ANSWER).await;
        let error = match status {
            200..=299 => {
                return answer.map_err(|_| {
                    let message = format!("the answer was cut, or has more than {LONGEST_ANSWER} bytes");
                    ServiceFailure::unavailable(message)
                });
            }
            429 => SearchError::TooManyRequests,
            400 | 422 => SearchError::InvalidInput,
            413 | 414 => SearchError::QueryTooLong,
            _ => SearchError::Unavailable,
        };
        let advice = match status {
            401 | 403 if service.key.is_some() => "; check its key",
            403 => "; it must allow the format json",
            300..=399 => "; redirects are not followed, check its base URL",
            _ => "",
        };
        Err(ServiceFailure { error, message: format!("status {status}{advice}") })
    }
}

fn headers(service: &SearchService, body: Option<&str>) -> Result<HeaderMap, ServiceFailure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let agent = concat!("vdm/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    if body.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let (Some(key), Some((name, before))) = (&service.key, service.service.key_header()) {
        let value = HeaderValue::try_from(format!("{before}{}", key.expose()));
        let mut value = value.map_err(|_| ServiceFailure::unavailable("its key is not valid in a header"))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}
