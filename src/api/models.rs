//! `GET /v1/models` and `/v1/models/{id}`: the models of a provider, in the format of either API.
//!
//! Messages clients are recognised by their `anthropic-version` header. `?format=` overrides the headers, and the header
//! `provider` overrides `?provider=`. A list has an entity tag, so that a client that has it gets no body.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::rt::time::timeout;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join;
use sha2::{Digest as _, Sha256};
use vandamme_actors::routing::Unroutable;
use vandamme_actors::settings::{Api, ProviderSettings};
use vandamme_protocol::models::{Models, Page, PageCursor};
use vandamme_protocol::vocabulary::ErrorKind;

use super::endpoint::{self, Refused};
use super::{codex_models, discovery, profiles, query};
use super::{guarded, shared};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::models::{self, ListedModels, Remembered};
use crate::request_id::RequestId;

/// Marks an older list, because the provider does not answer or the client does not wait for it.
pub(super) const CACHE: HeaderName = HeaderName::from_static("x-vdm-cache");
/// The same as Anthropic's (platform.claude.com/docs/en/api/models-list).
const PAGE: usize = 20;
const LARGEST_PAGE: usize = 1000;
/// Codex waits 5 s for the list.
const CODEX_PATIENCE: Duration = Duration::from_secs(3);

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListFormat {
    Of(Api),
    /// Unchanged, as the provider sent it.
    Raw,
}

/// The relevant parts of the query string and the headers.
#[derive(Debug)]
struct ListQuery {
    /// The headers, which can contain the client's own key.
    headers: HeaderMap,
    format: ListFormat,
    provider: Option<String>,
    remembered: Remembered,
    limit: usize,
    after: Option<String>,
    before: Option<String>,
    /// Codex asks, which names its version.
    is_codex: bool,
}

pub(super) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    answer(request, gateway, None).await
}

pub(super) async fn one(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    id: web::Path<String>,
) -> HttpResponse {
    let id = id.into_inner();
    answer(request, gateway, Some(id.trim_end_matches('/').to_owned())).await
}

async fn answer(request: HttpRequest, gateway: web::Data<Gateway>, model: Option<String>) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    // The error for an unreadable query has the caller's format, too.
    let spoken = spoken(request.headers());
    let handler = async {
        let query = ListQuery::read(request.query_string(), request.headers());
        let api = match &query {
            Ok(ListQuery { format: ListFormat::Of(api), .. }) => *api,
            Ok(ListQuery { format: ListFormat::Raw, .. }) | Err(_) => spoken,
        };
        let _admission = match endpoint::admitted(&request, &gateway) {
            Ok(admission) => admission,
            Err(refused) => return refused.response(api, &id),
        };
        let query = match query {
            Ok(query) => query,
            Err(message) => return Refused(400, ErrorKind::InvalidRequest, message).response(api, &id),
        };
        let named =
            [model.as_deref(), query.provider.as_deref(), query.after.as_deref(), query.before.as_deref()];
        if let Err(message) = named
            .into_iter()
            .flatten()
            .try_for_each(|name| endpoint::model_name(name, &gateway.live_config(), None))
        {
            return Refused(400, ErrorKind::InvalidRequest, message).response(api, &id);
        }
        let call = ListCall { gateway: &gateway, query: &query, id: &id };
        let reply = match model {
            None => call.all().await,
            Some(model) => call.single(&model).await,
        };
        reply.unwrap_or_else(|failed| failed.response(api, &id))
    };
    guarded(spoken, &id, handler).await
}

/// Why there is no list.
enum ListFailure {
    Failure(Failure),
    Refused(Refused),
}

impl ListFailure {
    fn response(self, api: Api, id: &RequestId) -> HttpResponse {
        match self {
            Self::Failure(failure) => failure.response(api, id.as_str()),
            Self::Refused(refused) => refused.response(api, id),
        }
    }

    fn unroutable(reason: Unroutable) -> Self {
        Self::Failure(Failure::Unroutable(reason))
    }
}

/// One call of these endpoints.
#[derive(Clone, Copy)]
struct ListCall<'a> {
    gateway: &'a Arc<Gateway>,
    query: &'a ListQuery,
    id: &'a RequestId,
}

/// A provider's list, with the headers of the reply.
struct ListReply {
    body: bytes::Bytes,
    headers: HeaderMap,
}

impl ListReply {
    /// The reply with a tag, or without a body to a client that has it already.
    fn response(self, call: ListCall<'_>) -> HttpResponse {
        let Self { body, mut headers } = self;
        let tag = entity_tag(&body);
        let is_known = call.query.headers.get_all(header::IF_NONE_MATCH).any(|known| names(known, &tag));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        if !is_known {
            return endpoint::whole(200, headers, body, call.id);
        }
        headers.remove(header::CONTENT_TYPE);
        endpoint::whole(304, headers, bytes::Bytes::new(), call.id)
    }
}

/// The same for the same bytes.
fn entity_tag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let half: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{half}\"")
}

/// Whether a value of `if-none-match` has this tag (RFC 9110, section 13.1.2: weak comparison).
fn names(value: &HeaderValue, tag: &str) -> bool {
    let value = value.to_str().unwrap_or_default();
    value.trim() == "*" || value.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)
}

impl ListCall<'_> {
    async fn all(self) -> Result<HttpResponse, ListFailure> {
        let Self { query, .. } = self;
        match query.format {
            ListFormat::Of(Api::ChatCompletions | Api::Responses) if query.is_codex => self.for_codex().await,
            ListFormat::Raw | ListFormat::Of(_) => Ok(self.listed_for_client().await?.response(self)),
        }
    }

    /// The list with Codex's own beside it. It does not wait long for the first lists of the providers, because Codex does not.
    async fn for_codex(self) -> Result<HttpResponse, ListFailure> {
        let live = self.gateway.live_config();
        let first_lists = models::first_lists(self.gateway, &live.settings.providers);
        let (listed, _) =
            join(timeout(CODEX_PATIENCE, self.listed_for_client()), timeout(CODEX_PATIENCE, first_lists))
                .await;
        let data = match listed {
            Ok(Ok(ListReply { body, .. })) => body,
            // The list of this provider is what the client asks for.
            Ok(Err(failure)) if self.query.provider.is_some() => return Err(failure),
            Ok(Err(_)) | Err(_) => bytes::Bytes::new(),
        };
        let body = codex_models::catalogue(self.gateway, &data).await.into();
        Ok(ListReply { body, headers: in_json() }.response(self))
    }

    async fn listed_for_client(self) -> Result<ListReply, ListFailure> {
        let Self { gateway, query, .. } = self;
        if query.provider.is_none() && query.format == ListFormat::Of(Api::Messages) {
            let everything = discovery::everything(gateway).await;
            return Ok(ListReply { body: query.paged(&read(&everything)?)?, headers: in_json() });
        }
        let routes = gateway.registry.load().routes.clone();
        if let Some(profile) = profiles::requested(&gateway.live_config().settings, query.provider.as_deref())
        {
            let profile = profile.map_err(ListFailure::unroutable)?;
            let listed = profiles::models_of(&profile);
            let models = read(&listed)?;
            let body = match query.format {
                ListFormat::Raw | ListFormat::Of(Api::ChatCompletions | Api::Responses) => {
                    models.chat("").into()
                }
                ListFormat::Of(Api::Messages) => query.paged(&models)?,
            };
            return Ok(ListReply { body, headers: in_json() });
        }
        let provider = routes.provider(query.provider.as_deref()).map_err(ListFailure::unroutable)?;
        let ListReply { body, headers } = self.listed(provider, query.remembered).await?;
        let body = match query.format {
            ListFormat::Raw => body,
            ListFormat::Of(Api::ChatCompletions | Api::Responses) => read(&body)?.chat(&provider.name).into(),
            ListFormat::Of(Api::Messages) => query.paged(&read(&body)?)?,
        };
        Ok(ListReply { body, headers })
    }

    /// A model by any name that a request can use, such as `provider:model` or an alias.
    async fn single(self, name: &str) -> Result<HttpResponse, ListFailure> {
        let Self { gateway, query, id } = self;
        let routes = gateway.registry.load().routes.clone();
        let (provider, model) = match &query.provider {
            Some(provider) => {
                (routes.provider(Some(provider)).map_err(ListFailure::unroutable)?.clone(), Arc::from(name))
            }
            None => {
                let route = routes.resolve(name).map_err(ListFailure::unroutable)?;
                (route.provider, route.model)
            }
        };
        // An old list may lack the model.
        let remembered = match query.remembered {
            Remembered::Serves => Remembered::ServesWhileItHolds,
            other @ (Remembered::ServesWhileItHolds | Remembered::PassedOver) => other,
        };
        let ListReply { body, headers } = self.listed(&provider, remembered).await?;
        let models = read(&body)?;
        let Some(found) = models.find(&model) else {
            let message = format!("provider '{}' lists no model '{model}'", provider.name);
            return Err(ListFailure::Refused(Refused(404, ErrorKind::NotFound, message)));
        };
        let written = match query.format {
            ListFormat::Raw => found.raw(),
            ListFormat::Of(Api::ChatCompletions | Api::Responses) => found.chat(&provider.name),
            ListFormat::Of(Api::Messages) => found.messages(),
        };
        Ok(endpoint::whole(200, headers, written.into(), id))
    }

    async fn listed(
        self,
        provider: &Arc<ProviderSettings>,
        remembered: Remembered,
    ) -> Result<ListReply, ListFailure> {
        let Self { gateway, query, id } = self;
        let listed = models::list(gateway.clone(), id.shared(), provider, &query.headers, remembered).await;
        let mut headers = in_json();
        let body = match listed.map_err(ListFailure::Failure)? {
            ListedModels::Current(listing) => listing.body,
            ListedModels::Stale(listing) => {
                headers.insert(CACHE, HeaderValue::from_static("stale"));
                listing.body
            }
        };
        Ok(ListReply { body, headers })
    }
}

fn in_json() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// The list was valid when it was fetched.
fn read(body: &[u8]) -> Result<Models<'_>, ListFailure> {
    Models::read(body).map_err(|error| ListFailure::Refused(Refused(502, ErrorKind::Api, error.to_string())))
}

fn spoken(headers: &HeaderMap) -> Api {
    if headers.contains_key("anthropic-version") { Api::Messages } else { Api::ChatCompletions }
}

impl ListQuery {
    /// The error is for the client.
    fn read(text: &str, headers: &HeaderMap) -> Result<Self, String> {
        let mut query = Self {
            headers: headers.clone(),
            format: ListFormat::Of(spoken(headers)),
            provider: None,
            remembered: Remembered::Serves,
            limit: PAGE,
            after: None,
            before: None,
            is_codex: false,
        };
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "format" => query.format = ListFormat::parse(&value)?,
                "provider" if !value.is_empty() => query.provider = Some(value.into_owned()),
                "refresh" => query.remembered = refresh(&value)?,
                "limit" => query.limit = query::limit("limit", &value, LARGEST_PAGE)?,
                "after_id" => query.after = Some(value.into_owned()),
                "before_id" => query.before = Some(value.into_owned()),
                "client_version" => query.is_codex = true,
                _ => {}
            }
        }
        if query.after.is_some() && query.before.is_some() {
            return Err("after_id and before_id exclude each other".to_owned());
        }
        if let Some(named) = headers.get("provider").and_then(|value| value.to_str().ok()) {
            query.provider = Some(named.trim().to_owned());
        }
        Ok(query)
    }

    /// The requested page of a list.
    fn paged(&self, models: &Models<'_>) -> Result<bytes::Bytes, ListFailure> {
        let cursor = match (&self.after, &self.before) {
            (Some(id), _) => PageCursor::After(id),
            (None, Some(id)) => PageCursor::Before(id),
            (None, None) => PageCursor::Front,
        };
        let page = models.messages(&Page { limit: self.limit, cursor });
        page.map(Into::into).map_err(|id| {
            let message = format!("after_id and before_id name a model of the list, which has no '{id}'");
            ListFailure::Refused(Refused(400, ErrorKind::InvalidRequest, message))
        })
    }
}

impl ListFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "anthropic" => Ok(Self::Of(Api::Messages)),
            "openai" => Ok(Self::Of(Api::ChatCompletions)),
            "raw" => Ok(Self::Raw),
            _ => Err("format: expected anthropic, openai or raw".to_owned()),
        }
    }
}

pub(super) fn refresh(text: &str) -> Result<Remembered, String> {
    Ok(match query::flag("refresh", text)? {
        true => Remembered::PassedOver,
        false => Remembered::Serves,
    })
}
