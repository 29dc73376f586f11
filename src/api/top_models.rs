//! `GET /top-models`: top models from an aggregator's catalogue. The catalogue is queried only if the configuration
//! says so, and cached like any list of models.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::timeout;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use vandamme_actors::catalog::Listing;
use vandamme_actors::settings::{Api, TopModels};
use vandamme_protocol::models::Models;
use vandamme_protocol::models::top::{self, Choice, TopModel};
use vandamme_protocol::vocabulary::ErrorKind;

use super::endpoint::{self, Refused};
use super::models::{CACHE, refresh, truth};
use super::report::rfc3339;
use super::request_id::RequestId;
use super::shared;
use crate::gateway::Gateway;
use crate::proxy::{self, Listed, Remembered};

const MOST: usize = 50;
const FEW: usize = 10;

/// The query.
#[derive(Clone, Debug)]
pub(crate) struct TopModelsQuery {
    pub(crate) limit: usize,
    pub(crate) remembered: Remembered,
    /// The catalogue's or a model's owner.
    pub(crate) provider: Option<String>,
    /// A model's owner.
    pub(crate) sub_provider: Option<String>,
    pub(crate) cache_info: bool,
}

/// The answer, in the shape of the Python original.
#[derive(Debug, Serialize)]
pub(crate) struct TopModelsReport {
    object: &'static str,
    source: &'static str,
    /// When the catalogue was last fetched; `null` before the first time.
    pub(crate) last_updated: Option<String>,
    /// Whether it comes from the cache.
    pub(crate) cached: bool,
    #[serde(skip)]
    pub(crate) stale: bool,
    providers: Vec<String>,
    sub_providers: Vec<String>,
    pub(crate) models: Vec<TopModel>,
    pub(crate) suggested_aliases: BTreeMap<&'static str, String>,
    meta: Meta,
}

#[derive(Debug, Serialize)]
struct Meta {
    excluded_rules: Vec<String>,
    #[serde(flatten)]
    cache: Option<CacheInfo>,
}

#[derive(Debug, Serialize)]
struct CacheInfo {
    rankings_file: Option<String>,
    cache_ttl_seconds: u64,
}

/// Why there are none: the status and the words for it.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Default for TopModelsQuery {
    fn default() -> Self {
        Self {
            limit: FEW,
            remembered: Remembered::Serves,
            provider: None,
            sub_provider: None,
            cache_info: false,
        }
    }
}

impl TopModelsQuery {
    /// The error is for the client.
    fn read(query: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => wanted.limit = limit(&value)?,
                "refresh" => wanted.remembered = refresh(&value)?,
                "include_cache_info" => wanted.cache_info = truth("include_cache_info", &value)?,
                "provider" if !value.is_empty() => wanted.provider = Some(value.into_owned()),
                "sub_provider" if !value.is_empty() => wanted.sub_provider = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(wanted)
    }

    fn takes(&self, model: &TopModel) -> bool {
        let is = |name: &String, owner: &str| owner.eq_ignore_ascii_case(name);
        self.provider.as_ref().is_none_or(|name| is(name, &model.provider) || is(name, &model.sub_provider))
            && self.sub_provider.as_ref().is_none_or(|name| is(name, &model.sub_provider))
    }
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| format!("limit: expected a number from 1 to {MOST}"))
}

pub(super) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let refused = |refused: Refused| refused.response(Api::Messages, &id);
    let _admission = match endpoint::admitted(&request, &gateway) {
        Ok(admission) => admission,
        Err(reason) => return refused(reason),
    };
    let wanted = match TopModelsQuery::read(request.query_string()) {
        Ok(wanted) => wanted,
        Err(message) => return refused(Refused(400, ErrorKind::InvalidRequest, message)),
    };
    match tell(&gateway, &wanted).await {
        Ok(told) if told.stale => HttpResponse::Ok().insert_header((CACHE, "stale")).json(told),
        Ok(told) => HttpResponse::Ok().json(told),
        Err(Unknown { status, message }) => refused(Refused(status, ErrorKind::Api, message)),
    }
}

/// The models that fit the query.
pub(crate) async fn tell(
    gateway: &Arc<Gateway>,
    wanted: &TopModelsQuery,
) -> Result<TopModelsReport, Unknown> {
    let Some(top) = &gateway.terms().settings.top_models else { return Ok(TopModelsReport::disabled()) };
    let began = rounded_now();
    let (listing, stale) = match listed(gateway, top, wanted.remembered).await? {
        Listed::Current(listing) => (listing, false),
        Listed::Stale(listing) => (listing, true),
    };
    let all = chosen(top, &listing);
    let suggested = top::suggestions(&all);
    let models: Vec<_> = all.into_iter().filter(|model| wanted.takes(model)).take(wanted.limit).collect();
    let shown = |id: &String| models.iter().any(|model| model.id == *id);
    let cache = wanted.cache_info.then(|| CacheInfo {
        rankings_file: top.ranking.as_ref().map(|ranking| ranking.file.display().to_string()),
        cache_ttl_seconds: gateway.terms().settings.limits.models_cache_ttl.as_secs(),
    });
    Ok(TopModelsReport {
        object: "top_models",
        source: if top.ranking.is_some() { "manual_rankings" } else { "openrouter" },
        last_updated: Some(rfc3339(UNIX_EPOCH + Duration::from_millis(listing.listed))),
        cached: listing.listed < began,
        stale,
        providers: distinct(models.iter().map(|model| &model.provider)),
        sub_providers: distinct(models.iter().map(|model| &model.sub_provider)),
        suggested_aliases: suggested.into_iter().filter(|(_, id)| shown(id)).collect(),
        models,
        meta: Meta { excluded_rules: top.exclude.clone(), cache },
    })
}

/// The suggestions from the cached catalogue, which is fetched in the background if it is old.
pub(super) async fn remembered(gateway: &Arc<Gateway>) -> BTreeMap<&'static str, String> {
    let Some(top) = &gateway.terms().settings.top_models else { return BTreeMap::new() };
    // This starts a fetch if one is due.
    drop(proxy::remembered(gateway, vec![top.catalogue.clone()]).await);
    let Some(listing) = proxy::last(gateway, &top.catalogue).await else { return BTreeMap::new() };
    let models = chosen(top, &listing);
    let few: Vec<_> = models.iter().take(FEW).map(|model| model.id.clone()).collect();
    top::suggestions(&models).into_iter().filter(|(_, id)| few.contains(id)).collect()
}

async fn listed(gateway: &Arc<Gateway>, top: &TopModels, remembered: Remembered) -> Result<Listed, Unknown> {
    let nobody = HeaderMap::new();
    let id = RequestId::new().shared();
    let asked = proxy::models(gateway.clone(), id, (&top.catalogue, &nobody), remembered);
    let failed = match timeout(top.timeout, asked).await {
        Ok(Ok(listed)) => return Ok(listed),
        Ok(Err(failure)) => Unknown { status: 502, message: failure.message() },
        Err(_elapsed) => Unknown { status: 504, message: "no answer in time".to_owned() },
    };
    match proxy::last(gateway, &top.catalogue).await {
        Some(listing) => Ok(Listed::Stale(listing)),
        None => {
            let message = format!(
                "Failed to list top models: the catalogue of {} is not available: {}; TOP_MODELS_SOURCE=disabled turns it off",
                top.catalogue.name, failed.message
            );
            Err(Unknown { message, ..failed })
        }
    }
}

fn chosen(top: &TopModels, listing: &Listing) -> Vec<TopModel> {
    let choice =
        Choice { ranking: top.ranking.as_ref().map(|ranking| &ranking.ids[..]), exclude: &top.exclude };
    // It could be read when it came.
    Models::read(&listing.body)
        .map(|models| top::top(&models, &top.catalogue.name, choice))
        .unwrap_or_default()
}

fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut distinct: Vec<_> = names.filter(|name| !name.is_empty()).cloned().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

fn rounded_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl TopModelsReport {
    /// Top models are off.
    fn disabled() -> Self {
        Self {
            object: "top_models",
            source: "disabled",
            last_updated: None,
            cached: false,
            stale: false,
            providers: vec![],
            sub_providers: vec![],
            models: vec![],
            suggested_aliases: BTreeMap::new(),
            meta: Meta { excluded_rules: vec![], cache: None },
        }
    }
}
