//! `GET /v1/models` and `/v1/models/{id}`: the models of a provider, in the format of either API.
//!
//! Messages clients are known by their `anthropic-version` header. `?format=` overrides what the headers say, and a
//! `provider` header what `?provider=` says.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::routing::Unroutable;
use vandamme_actors::settings::{Api, ProviderSettings};
use vandamme_protocol::models::{Cursor, Models, Page};
use vandamme_protocol::vocabulary::ErrorKind;

use super::endpoint::{self, Refused};
use super::{discovery, profiles, query};
use super::{guarded, shared};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::models::{self, Listed, Remembered};
use crate::request_id::RequestId;

/// Says that this is what the provider said before: it does not answer, or has not been waited for.
pub(super) const CACHE: HeaderName = HeaderName::from_static("x-vdm-cache");
/// As at Anthropic (platform.claude.com/docs/en/api/models-list).
const PAGE: usize = 20;
const LARGEST_PAGE: usize = 1000;

/// How a list is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Of(Api),
    /// As the provider wrote it.
    Raw,
}

/// The query string and the headers, as far as they count.
#[derive(Debug)]
struct ListQuery {
    /// With which the client may bring its own key.
    headers: HeaderMap,
    format: Format,
    provider: Option<String>,
    remembered: Remembered,
    limit: usize,
    after: Option<String>,
    before: Option<String>,
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
    // An answer to a question that cannot be read still is in the caller's words.
    let spoken = spoken(request.headers());
    let handler = async {
        let query = ListQuery::read(request.query_string(), request.headers());
        let api = match &query {
            Ok(ListQuery { format: Format::Of(api), .. }) => *api,
            Ok(ListQuery { format: Format::Raw, .. }) | Err(_) => spoken,
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
        let told = match model {
            None => all(&gateway, &query, &id).await,
            Some(model) => single(&gateway, &query, (&model, &id)).await,
        };
        told.unwrap_or_else(|failed| failed.response(api, &id))
    };
    guarded(spoken, &id, handler).await
}

/// Why there is no list.
enum Failed {
    Failure(Failure),
    Refused(Refused),
}

impl Failed {
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

async fn all(gateway: &Arc<Gateway>, query: &ListQuery, id: &RequestId) -> Result<HttpResponse, Failed> {
    if query.provider.is_none() && query.format == Format::Of(Api::Messages) {
        let everything = discovery::everything(gateway).await;
        return Ok(endpoint::whole(200, in_json(), query.paged(&read(&everything)?)?, id));
    }
    let routes = gateway.registry.load().routes.clone();
    if let Some(profile) = profiles::requested(&gateway.live_config().settings, query.provider.as_deref()) {
        let profile = profile.map_err(Failed::unroutable)?;
        let listed = profiles::models_of(&profile);
        let models = read(&listed)?;
        let body = match query.format {
            Format::Raw | Format::Of(Api::ChatCompletions) => models.chat("").into(),
            Format::Of(Api::Messages) => query.paged(&models)?,
        };
        return Ok(endpoint::whole(200, in_json(), body, id));
    }
    let provider = routes.provider(query.provider.as_deref()).map_err(Failed::unroutable)?;
    let (body, headers) = listed(gateway, (provider, id), (query, query.remembered)).await?;
    let body = match query.format {
        Format::Raw => body,
        Format::Of(Api::ChatCompletions) => read(&body)?.chat(&provider.name).into(),
        Format::Of(Api::Messages) => query.paged(&read(&body)?)?,
    };
    Ok(endpoint::whole(200, headers, body, id))
}

/// A model by the name that a request would call it by, so `provider:model` and aliases count.
async fn single(
    gateway: &Arc<Gateway>,
    query: &ListQuery,
    (name, id): (&str, &RequestId),
) -> Result<HttpResponse, Failed> {
    let routes = gateway.registry.load().routes.clone();
    let (provider, model) = match &query.provider {
        Some(provider) => {
            (routes.provider(Some(provider)).map_err(Failed::unroutable)?.clone(), Arc::from(name))
        }
        None => {
            let route = routes.resolve(name).map_err(Failed::unroutable)?;
            (route.provider, route.model)
        }
    };
    // An old list may lack it.
    let remembered = match query.remembered {
        Remembered::Serves => Remembered::ServesWhileItHolds,
        other @ (Remembered::ServesWhileItHolds | Remembered::PassedOver) => other,
    };
    let (body, headers) = listed(gateway, (&provider, id), (query, remembered)).await?;
    let models = read(&body)?;
    let Some(found) = models.find(&model) else {
        let message = format!("provider '{}' lists no model '{model}'", provider.name);
        return Err(Failed::Refused(Refused(404, ErrorKind::NotFound, message)));
    };
    let written = match query.format {
        Format::Raw => found.raw(),
        Format::Of(Api::ChatCompletions) => found.chat(&provider.name),
        Format::Of(Api::Messages) => found.messages(),
    };
    Ok(endpoint::whole(200, headers, written.into(), id))
}

async fn listed(
    gateway: &Arc<Gateway>,
    (provider, id): (&Arc<ProviderSettings>, &RequestId),
    (query, remembered): (&ListQuery, Remembered),
) -> Result<(bytes::Bytes, HeaderMap), Failed> {
    let listed = models::list(gateway.clone(), id.shared(), provider, &query.headers, remembered).await;
    let mut headers = in_json();
    match listed.map_err(Failed::Failure)? {
        Listed::Current(listing) => Ok((listing.body, headers)),
        Listed::Stale(listing) => {
            headers.insert(CACHE, HeaderValue::from_static("stale"));
            Ok((listing.body, headers))
        }
    }
}

fn in_json() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// It could be read when it came.
fn read(body: &[u8]) -> Result<Models<'_>, Failed> {
    Models::read(body).map_err(|error| Failed::Refused(Refused(502, ErrorKind::Api, error.to_string())))
}

fn spoken(headers: &HeaderMap) -> Api {
    if headers.contains_key("anthropic-version") { Api::Messages } else { Api::ChatCompletions }
}

impl ListQuery {
    /// The error is for the client.
    fn read(text: &str, headers: &HeaderMap) -> Result<Self, String> {
        let mut query = Self {
            headers: headers.clone(),
            format: Format::Of(spoken(headers)),
            provider: None,
            remembered: Remembered::Serves,
            limit: PAGE,
            after: None,
            before: None,
        };
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "format" => query.format = Format::parse(&value)?,
                "provider" if !value.is_empty() => query.provider = Some(value.into_owned()),
                "refresh" => query.remembered = refresh(&value)?,
                "limit" => query.limit = query::limit("limit", &value, LARGEST_PAGE)?,
                "after_id" => query.after = Some(value.into_owned()),
                "before_id" => query.before = Some(value.into_owned()),
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
    fn paged(&self, models: &Models<'_>) -> Result<bytes::Bytes, Failed> {
        let cursor = match (&self.after, &self.before) {
            (Some(id), _) => Cursor::After(id),
            (None, Some(id)) => Cursor::Before(id),
            (None, None) => Cursor::Front,
        };
        let page = models.messages(&Page { limit: self.limit, cursor });
        page.map(Into::into).map_err(|id| {
            let message = format!("after_id and before_id name a model of the list, which has no '{id}'");
            Failed::Refused(Refused(400, ErrorKind::InvalidRequest, message))
        })
    }
}

impl Format {
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
