//! Recommended models from an aggregator's catalogue. The catalogue is fetched only if the configuration enables it,
//! and cached like any list of models.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::timeout;
use serde::Serialize;
use vandamme_actors::catalog::Listing;
use vandamme_actors::settings::TopModels;
use vandamme_protocol::models::Models;
use vandamme_protocol::models::top::{self, TopModel, TopModelFilter};

use super::list::{ListedModels, Remembered, last, list, remembered};
use crate::gateway::Gateway;
use crate::request_id::RequestId;
use crate::timestamp::rfc3339;

const FEW: usize = 10;

/// Which of the models to list.
#[derive(Clone, Debug)]
pub(crate) struct TopQuery {
    pub(crate) limit: usize,
    pub(crate) remembered: Remembered,
    /// Matches the catalogue's provider or the model's owner.
    pub(crate) provider: Option<String>,
    /// Matches the model's owner.
    pub(crate) sub_provider: Option<String>,
    pub(crate) cache_info: bool,
}

/// The answer, in the shape of the Python original.
#[derive(Debug, Serialize)]
pub(crate) struct TopList {
    object: &'static str,
    source: &'static str,
    /// When the catalogue was fetched; `null` if never.
    pub(crate) last_updated: Option<String>,
    /// Whether the list comes from the cache.
    pub(crate) cached: bool,
    /// The age of a list from the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
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

/// Why there is no list.
#[derive(Debug)]
pub(crate) struct TopUnavailable {
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Default for TopQuery {
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

impl TopQuery {
    fn matches(&self, model: &TopModel) -> bool {
        let is = |name: &String, owner: &str| owner.eq_ignore_ascii_case(name);
        self.provider.as_ref().is_none_or(|name| is(name, &model.provider) || is(name, &model.sub_provider))
            && self.sub_provider.as_ref().is_none_or(|name| is(name, &model.sub_provider))
    }
}

/// The recommended models that match the query.
pub(crate) async fn top_models(gateway: &Arc<Gateway>, query: &TopQuery) -> Result<TopList, TopUnavailable> {
    let Some(top) = &gateway.live_config().settings.top_models else { return Ok(TopList::disabled()) };
    let began = rounded_now();
    let (listing, stale) = match listed(gateway, top, query.remembered).await? {
        ListedModels::Current(listing) => (listing, false),
        ListedModels::Stale(listing) => (listing, true),
    };
    let all = chosen(top, &listing);
    let suggested = top::suggestions(&all);
    let models: Vec<_> = all.into_iter().filter(|model| query.matches(model)).take(query.limit).collect();
    let shown = |id: &String| models.iter().any(|model| model.id == *id);
    let cache = query.cache_info.then(|| CacheInfo {
        rankings_file: top
            .ranking
            .as_ref()
            .and_then(|ranking| Some(ranking.file.as_ref()?.display().to_string())),
        cache_ttl_seconds: gateway.live_config().settings.limits.models_cache_ttl.as_secs(),
    });
    Ok(TopList {
        object: "top_models",
        source: if top.ranking.is_some() { "manual_rankings" } else { "openrouter" },
        last_updated: Some(rfc3339(UNIX_EPOCH + Duration::from_millis(listing.listed))),
        cached: listing.listed < began,
        age_seconds: (listing.listed < began).then(|| rounded_now().saturating_sub(listing.listed) / 1000),
        stale,
        providers: distinct(models.iter().map(|model| &model.provider)),
        sub_providers: distinct(models.iter().map(|model| &model.sub_provider)),
        suggested_aliases: suggested.into_iter().filter(|(_, id)| shown(id)).collect(),
        models,
        meta: Meta { excluded_rules: top.exclude.clone(), cache },
    })
}

/// The aliases that the last known catalogue suggests. An old catalogue is fetched again in the background.
pub(crate) async fn suggested_aliases(gateway: &Arc<Gateway>) -> BTreeMap<&'static str, String> {
    let Some(top) = &gateway.live_config().settings.top_models else { return BTreeMap::new() };
    // Starts the background fetch if the list is old.
    drop(remembered(gateway, vec![top.catalogue.clone()]).await);
    let Some(listing) = last(gateway, &top.catalogue).await else { return BTreeMap::new() };
    let models = chosen(top, &listing);
    let few: Vec<_> = models.iter().take(FEW).map(|model| model.id.clone()).collect();
    top::suggestions(&models).into_iter().filter(|(_, id)| few.contains(id)).collect()
}

async fn listed(
    gateway: &Arc<Gateway>,
    top: &TopModels,
    remembered: Remembered,
) -> Result<ListedModels, TopUnavailable> {
    let no_headers = HeaderMap::new();
    let id = RequestId::new().shared();
    let asked = list(gateway.clone(), id, &top.catalogue, &no_headers, remembered);
    let failed = match timeout(top.timeout, asked).await {
        Ok(Ok(listed)) => return Ok(listed),
        Ok(Err(failure)) => TopUnavailable { status: 502, message: failure.message() },
        Err(_elapsed) => TopUnavailable { status: 504, message: "no answer in time".to_owned() },
    };
    match last(gateway, &top.catalogue).await {
        Some(listing) => Ok(ListedModels::Stale(listing)),
        None => {
            let message = format!(
                "Failed to list top models: the catalogue of {} is not available: {}; TOP_MODELS_SOURCE=disabled turns it off",
                top.catalogue.name, failed.message
            );
            Err(TopUnavailable { message, ..failed })
        }
    }
}

fn chosen(top: &TopModels, listing: &Listing) -> Vec<TopModel> {
    let choice = TopModelFilter {
        ranking: top.ranking.as_ref().map(|ranking| &ranking.ids[..]),
        exclude: &top.exclude,
    };
    // The list was valid when it was fetched.
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

impl TopList {
    /// For a configuration without a catalogue.
    fn disabled() -> Self {
        Self {
            object: "top_models",
            source: "disabled",
            last_updated: None,
            cached: false,
            age_seconds: None,
            stale: false,
            providers: vec![],
            sub_providers: vec![],
            models: vec![],
            suggested_aliases: BTreeMap::new(),
            meta: Meta { excluded_rules: vec![], cache: None },
        }
    }
}
