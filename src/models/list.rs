//! The models of a provider: from the catalog if its list is recent, otherwise from the provider, otherwise the last known
//! list.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::rt::task::JoinHandle;
use actix_web::rt::time::{sleep, timeout};
use bytes::Bytes;
use futures_util::future::join_all;
use vandamme_actors::catalog::{
    ClaimRefresh, Flush, GetListing, KnownListings, ListKnown, Listing, ListingKey, StoreListing,
};
use vandamme_actors::excerpt;
use vandamme_actors::settings::ProviderSettings;
use vandamme_protocol::models::Named;

use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::proxy::fetch_models;
use crate::request_id::RequestId;
use crate::single_flight::NoOutcome;

/// A catalog that does not answer within this time is restarting and knows no list.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same for a client that waits less than a second.
const SURVEY_PATIENCE: Duration = Duration::from_millis(500);
/// How often, and after which pauses, a request looks for a call that another one has announced.
const CHECKS: u32 = 15;
const CHECK_PAUSE: Duration = Duration::from_millis(20);
/// The longest time of a background refresh.
const BACKGROUND: Duration = Duration::from_secs(60);

/// A provider's list, byte for byte.
pub(crate) enum ListedModels {
    /// The provider's list of now or of a moment ago.
    Current(Listing),
    /// An older list: the provider does not answer, or the client does not wait for it.
    Stale(Listing),
}

/// The models of `provider`; `remembered` says whether a cached list may serve.
pub(crate) async fn list(
    gateway: Arc<Gateway>,
    id: Arc<str>,
    provider: &Arc<ProviderSettings>,
    headers: &HeaderMap,
    remembered: Remembered,
) -> Result<ListedModels, Failure> {
    if provider.passthrough {
        // A list that belongs to one client's key is not shared.
        let asked = fetch_models(&gateway, id, provider, headers).await.map_err(with_own_words);
        return asked.map(|body| ListedModels::Current(Listing::fresh(provider, body)));
    }
    let catalog = gateway.registry.load().catalog.clone();
    let limits = &gateway.live_config().settings.limits;
    let recalled = recall(&gateway, provider, limits.models_ttl).await;
    let old = recalled.as_ref().filter(|_| remembered != Remembered::PassedOver);
    match old {
        Some(listing) if listing.holds(limits.models_ttl) => {
            return Ok(ListedModels::Current(listing.clone()));
        }
        Some(listing) if remembered == Remembered::Serves && listing.holds(limits.models_cache_ttl) => {
            let claim = ClaimRefresh { provider: provider.clone(), ttl: limits.models_ttl };
            let due = catalog.send(claim).timeout(PATIENCE).await;
            if due.unwrap_or(false) {
                actix_web::rt::spawn(refreshed(gateway.clone(), provider.clone()));
            }
            return Ok(ListedModels::Stale(listing.clone()));
        }
        Some(_) | None => {}
    }
    let ttl = if remembered == Remembered::PassedOver { Duration::ZERO } else { limits.models_ttl };
    match fetched(&gateway, id, provider, headers, ttl).await {
        Ok(listing) => Ok(ListedModels::Current(listing)),
        Err(failure) => match recalled {
            Some(listing) if is_temporary(failure.status()) => Ok(ListedModels::Stale(listing)),
            Some(_) | None => Err(with_own_words(failure)),
        },
    }
}

/// The provider's last known list, however old.
pub(crate) async fn last(gateway: &Gateway, provider: &Arc<ProviderSettings>) -> Option<Listing> {
    let catalog = gateway.registry.load().catalog.clone();
    let recall =
        GetListing { provider: provider.clone(), ttl: gateway.live_config().settings.limits.models_ttl };
    catalog.send(recall).timeout(SURVEY_PATIENCE).await.ok().flatten()
}

/// The cached models of these providers, without waiting. Old and missing lists are refreshed in the background.
pub(crate) async fn remembered(
    gateway: &Arc<Gateway>,
    providers: Vec<Arc<ProviderSettings>>,
) -> HashMap<Arc<str>, Arc<[Named]>> {
    survey(gateway, &providers).await.known
}

/// Waits until each of these providers has a list, or has failed to send its first one. Old lists are refreshed in the
/// background. If the caller does not wait to the end, the calls go on.
pub(crate) async fn first_lists(gateway: &Arc<Gateway>, providers: &[Arc<ProviderSettings>]) {
    let Survey { known, mut refreshes } = survey(gateway, providers).await;
    let missing =
        providers.iter().filter(|provider| !provider.passthrough && !known.contains_key(&provider.name));
    let lists = missing.map(|provider| {
        let own = refreshes.remove(&provider.name);
        async move {
            match own {
                Some(refresh) => drop(refresh.await),
                None => fetched_elsewhere(gateway, provider).await,
            }
        }
    });
    let lists: Vec<_> = lists.collect();
    join_all(lists).await;
}

/// Waits for the call of another request, which may be about to start it. If a call has failed a moment ago, there is none.
async fn fetched_elsewhere(gateway: &Gateway, provider: &Arc<ProviderSettings>) {
    let key = ListingKey::new(provider);
    for _ in 0..CHECKS {
        if let Some(call) = gateway.listings.running(&key) {
            return call.await;
        }
        sleep(CHECK_PAUSE).await;
    }
}

/// What the catalog knows, and the refreshes that have begun, by provider.
#[derive(Default)]
struct Survey {
    known: HashMap<Arc<str>, Arc<[Named]>>,
    refreshes: HashMap<Arc<str>, JoinHandle<()>>,
}

async fn survey(gateway: &Arc<Gateway>, providers: &[Arc<ProviderSettings>]) -> Survey {
    // A list that belongs to one client's key is not shared.
    let providers = providers.iter().filter(|provider| !provider.passthrough).cloned().collect();
    let catalog = gateway.registry.load().catalog.clone();
    let survey = ListKnown { providers, ttl: gateway.live_config().settings.limits.models_ttl };
    let Ok(KnownListings { known, due }) = catalog.send(survey).timeout(SURVEY_PATIENCE).await else {
        return Survey::default();
    };
    let refresh = |provider: Arc<ProviderSettings>| {
        (provider.name.clone(), actix_web::rt::spawn(refreshed(gateway.clone(), provider)))
    };
    Survey { known, refreshes: due.into_iter().map(refresh).collect() }
}

/// The provider's list, fetched now.
pub(crate) async fn reached(
    gateway: &Arc<Gateway>,
    provider: &Arc<ProviderSettings>,
) -> Result<Listing, Failure> {
    let no_headers = HeaderMap::new();
    let id = RequestId::new().shared();
    fetched(gateway, id, provider, &no_headers, Duration::ZERO).await.map_err(with_own_words)
}

/// Resolves when the catalog has written its lists to disk, or does not answer.
pub(crate) async fn lists_written(gateway: &Gateway, provider: &Arc<ProviderSettings>) {
    let catalog = gateway.registry.load().catalog.clone();
    let _settled = catalog.send(Flush(provider.clone())).await;
}

/// Refreshes the catalog's list of a provider.
async fn refreshed(gateway: Arc<Gateway>, provider: Arc<ProviderSettings>) {
    let no_headers = HeaderMap::new();
    let ttl = gateway.live_config().settings.limits.models_ttl;
    let fetched = fetched(&gateway, RequestId::new().shared(), &provider, &no_headers, ttl);
    match timeout(BACKGROUND, fetched).await {
        Ok(Ok(_kept)) => {}
        Ok(Err(failure)) => {
            let why = excerpt::one_line(&failure.message(), excerpt::LINE);
            log::info!("the models of {} are not known: {why}", provider.name);
        }
        Err(_elapsed) => log::info!("the models of {} are not known: no answer in time", provider.name),
    }
}

async fn recall(gateway: &Gateway, provider: &Arc<ProviderSettings>, ttl: Duration) -> Option<Listing> {
    let catalog = gateway.registry.load().catalog.clone();
    catalog.send(GetListing { provider: provider.clone(), ttl }).timeout(PATIENCE).await.ok().flatten()
}

/// The provider's list. Requests that need it at the same time share one call. A list in the catalog that is not older than
/// `ttl` saves the call.
async fn fetched(
    gateway: &Arc<Gateway>,
    id: Arc<str>,
    provider: &Arc<ProviderSettings>,
    headers: &HeaderMap,
    ttl: Duration,
) -> Result<Listing, Failure> {
    let call = || {
        let (gateway, provider, id) = (gateway.clone(), provider.clone(), id.clone());
        let headers = headers.clone();
        async move {
            if !ttl.is_zero() {
                // A call that has just ended has sent its list before this message.
                let recalled = recall(&gateway, &provider, ttl).await;
                if let Some(listing) = recalled.filter(|listing| listing.holds(ttl)) {
                    return Ok(listing);
                }
            }
            let body = fetch_models(&gateway, id, &provider, &headers).await?;
            Ok(keep(&gateway, &provider, body))
        }
    };
    let shared = gateway.listings.share(&ListingKey::new(provider), call).await;
    shared.unwrap_or_else(|NoOutcome| Err(Failure::Panicked))
}

fn keep(gateway: &Gateway, provider: &Arc<ProviderSettings>, body: Bytes) -> Listing {
    let listing = Listing::fresh(provider, body);
    let keep = StoreListing { provider: provider.clone(), listing: listing.clone() };
    // If the mailbox is full, the next request fetches the list again.
    drop(gateway.registry.load().catalog.try_send(keep));
    listing
}

/// Whether the failure is temporary: then an old list is better than none.
fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}

/// The gateway's words for a provider's error: its body is about an API that the client has not called.
fn with_own_words(failure: Failure) -> Failure {
    match failure {
        Failure::Upstream(mut answer) => {
            answer.relayed = None;
            answer.fault.message = format!("Failed to list models: {}", answer.fault.message);
            Failure::Upstream(answer)
        }
        Failure::Unroutable(_)
        | Failure::NoLease(_)
        | Failure::NoAnswer
        | Failure::NoClientKey(_)
        | Failure::Malformed(_)
        | Failure::Stopping
        | Failure::Cancelled
        | Failure::Panicked => failure,
    }
}

/// Whether a cached list may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// An old list, too. It is then refreshed in the background.
    Serves,
    /// A list that has not expired; an older one only if the provider does not answer.
    ServesWhileItHolds,
    /// Only if the provider does not answer.
    PassedOver,
}
