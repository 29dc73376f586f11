//! Which models a provider has: as the catalog remembers, else asked of the provider, else as it was once told.

mod flights;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::rt::time::timeout;
use bytes::Bytes;
use vandamme_actors::catalog::{Claim, Keep, Listing, ListingKey, Recall, Settle, Survey, Surveyed};
use vandamme_actors::excerpt;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::settings::ProviderSettings;
use vandamme_actors::upstream::{self, Borrow, Request};
use vandamme_protocol::bridge::Fault;
use vandamme_protocol::models::{Models, Named};
use vandamme_protocol::request::RequestHead;
use vandamme_protocol::vocabulary::ErrorKind;

pub(crate) use self::flights::Flights;
use super::address;
use super::attempt::Answered;
use super::{Answer, Endpoint, Exchange, Failure, Question, Targets, Trail, upstream_body};
use crate::api::RequestId;
use crate::gateway::Gateway;

/// A catalog that does not answer within this is starting anew, and knows nothing then.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same where the client waits for less than a second.
const SURVEY_PATIENCE: Duration = Duration::from_millis(500);
/// What nobody waits for ends, too.
const BACKGROUND: Duration = Duration::from_secs(60);
/// The largest known catalogue has half a megabyte.
pub(super) const LARGEST: usize = 8 << 20;
const AGENT: &str = concat!("vandamme-proxy/", env!("CARGO_PKG_VERSION"));

/// A provider's list, byte for byte.
pub(crate) enum Listed {
    /// As the provider would say it now, or has said a moment ago.
    Current(Listing),
    /// As it said it once: it does not answer now, or has not been waited for.
    Stale(Listing),
}

/// The models of `provider`; `remembered` says whether one told a moment ago will do.
pub(crate) async fn models(
    gateway: Arc<Gateway>,
    id: Arc<str>,
    (provider, headers): (&Arc<ProviderSettings>, &HeaderMap),
    remembered: Remembered,
) -> Result<Listed, Failure> {
    if provider.passthrough {
        // What one client's key may see is nobody else's business.
        let asked = ask(&gateway, id, provider, headers).await.map_err(in_own_words);
        return asked.map(|body| Listed::Current(Listing::fresh(provider, body)));
    }
    let catalog = gateway.registry.load().catalog.clone();
    let limits = &gateway.terms().settings.limits;
    let recalled = recall(&gateway, provider, limits.models_ttl).await;
    let old = recalled.as_ref().filter(|_| remembered != Remembered::PassedOver);
    match old {
        Some(listing) if listing.holds(limits.models_ttl) => {
            return Ok(Listed::Current(listing.clone()));
        }
        Some(listing) if remembered == Remembered::Serves && listing.holds(limits.models_cache_ttl) => {
            let claim = Claim { provider: provider.clone(), ttl: limits.models_ttl };
            let due = catalog.send(claim).timeout(PATIENCE).await;
            if due.unwrap_or(false) {
                actix_web::rt::spawn(refreshed(gateway.clone(), provider.clone()));
            }
            return Ok(Listed::Stale(listing.clone()));
        }
        Some(_) | None => {}
    }
    let ttl = if remembered == Remembered::PassedOver { Duration::ZERO } else { limits.models_ttl };
    match fetched(&gateway, id, (provider, headers), ttl).await {
        Ok(listing) => Ok(Listed::Current(listing)),
        Err(failure) => match recalled {
            Some(listing) if is_the_moments(failure.status()) => Ok(Listed::Stale(listing)),
            Some(_) | None => Err(in_own_words(failure)),
        },
    }
}

/// What a provider last listed, however long ago.
pub(crate) async fn last(gateway: &Gateway, provider: &Arc<ProviderSettings>) -> Option<Listing> {
    let catalog = gateway.registry.load().catalog.clone();
    let recall = Recall { provider: provider.clone(), ttl: gateway.terms().settings.limits.models_ttl };
    catalog.send(recall).timeout(SURVEY_PATIENCE).await.ok().flatten()
}

/// What is remembered of these providers' models, at once: a catalog that is starting anew knows nothing. Those that are
/// old or not known are asked in the background, for the next time.
pub(crate) async fn remembered(
    gateway: &Arc<Gateway>,
    providers: Vec<Arc<ProviderSettings>>,
) -> HashMap<Arc<str>, Arc<[Named]>> {
    // What one client's key may see is nobody else's business.
    let providers = providers.into_iter().filter(|provider| !provider.passthrough).collect();
    let catalog = gateway.registry.load().catalog.clone();
    let survey = Survey { providers, ttl: gateway.terms().settings.limits.models_ttl };
    let Ok(Surveyed { known, due }) = catalog.send(survey).timeout(SURVEY_PATIENCE).await else {
        return HashMap::new();
    };
    for provider in due {
        actix_web::rt::spawn(refreshed(gateway.clone(), provider));
    }
    known
}

/// What a provider says when it is asked now.
pub(crate) async fn reached(
    gateway: &Arc<Gateway>,
    provider: &Arc<ProviderSettings>,
) -> Result<Listing, Failure> {
    let nobody = HeaderMap::new();
    let id = RequestId::new().shared();
    fetched(gateway, id, (provider, &nobody), Duration::ZERO).await.map_err(in_own_words)
}

/// Ends when the disk has what the catalog was told before, or does not answer.
pub(crate) async fn written(gateway: &Gateway, provider: &Arc<ProviderSettings>) {
    let catalog = gateway.registry.load().catalog.clone();
    let _settled = catalog.send(Settle(provider.clone())).await;
}

/// Asks a provider anew, for the catalog alone.
async fn refreshed(gateway: Arc<Gateway>, provider: Arc<ProviderSettings>) {
    let nobody = HeaderMap::new();
    let ttl = gateway.terms().settings.limits.models_ttl;
    let fetched = fetched(&gateway, RequestId::new().shared(), (&provider, &nobody), ttl);
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
    catalog.send(Recall { provider: provider.clone(), ttl }).timeout(PATIENCE).await.ok().flatten()
}

/// The provider's list. Requests that need it at the same time share one call. A list that the catalog has received meanwhile
/// and that is not older than `ttl` saves the call.
async fn fetched(
    gateway: &Arc<Gateway>,
    id: Arc<str>,
    (provider, headers): (&Arc<ProviderSettings>, &HeaderMap),
    ttl: Duration,
) -> Result<Listing, Failure> {
    let call = || {
        let (gateway, provider, id) = (gateway.clone(), provider.clone(), id.clone());
        let headers = headers.clone();
        async move {
            if !ttl.is_zero() {
                // A call that has just ended has sent its list to the catalog before this message.
                let recalled = recall(&gateway, &provider, ttl).await;
                if let Some(listing) = recalled.filter(|listing| listing.holds(ttl)) {
                    return Ok(listing);
                }
            }
            let body = ask(&gateway, id, &provider, &headers).await?;
            Ok(keep(&gateway, &provider, body))
        }
    };
    gateway.flights.share(&ListingKey::new(provider), call).await
}

fn keep(gateway: &Gateway, provider: &Arc<ProviderSettings>, body: Bytes) -> Listing {
    let listing = Listing::fresh(provider, body);
    let keep = Keep { provider: provider.clone(), listing: listing.clone() };
    // Full or gone: then the next request asks again.
    drop(gateway.registry.load().catalog.try_send(keep));
    listing
}

async fn ask(
    gateway: &Arc<Gateway>,
    id: Arc<str>,
    provider: &Arc<ProviderSettings>,
    headers: &HeaderMap,
) -> Result<Bytes, Failure> {
    if provider.keys.is_empty() && !provider.passthrough {
        return in_public(gateway, provider).await;
    }
    let question = Question {
        id,
        api: provider.api,
        endpoint: Endpoint::Models(provider.name.clone()),
        targets: Targets::FirstAlone,
        body: Bytes::new(),
        head: RequestHead::of_nothing(),
        headers: headers.clone(),
        query: String::new(),
        peer: None,
        committed: Rc::new(Cell::new(false)),
        trail: Trail::default(),
    };
    let exchange = Exchange::new(gateway, &question);
    let (answered, lease) = exchange.run(|_| {}).await?;
    // It shows that the host works, and nothing of a model or of the key's limits.
    lease.finish(Outcome::RequestRefused);
    let Answered::Whole { body, .. } = answered else {
        return Err(misbehaved(provider, "the provider answered with a stream of events"));
    };
    match Models::read(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(misbehaved(provider, &error.to_string())),
    }
}

/// The list of one who is no provider of ours, but shows it to everybody.
async fn in_public(gateway: &Gateway, provider: &ProviderSettings) -> Result<Bytes, Failure> {
    let nobody = || Failure::NoLease(None);
    let client = upstream::here(&provider.name, &gateway.wiring).send(Borrow).await.map_err(|_| nobody())?;
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    let request = Request { method: Method::GET, url: address::models(provider), headers };
    let sent = client.send(request, || ()).await;
    let response = sent.map_err(|error| misbehaved(provider, &error.to_string()))?;
    if !response.status().is_success() {
        return Err(misbehaved(provider, &format!("it answers with status {}", response.status())));
    }
    let (body, _) =
        upstream_body::body(response).map_err(|error| misbehaved(provider, &error.to_string()))?;
    let body = upstream_body::read_up_to(Bytes::new(), body, LARGEST).await;
    let body = body.map_err(|error| misbehaved(provider, &error.to_string()))?;
    let body =
        body.ok_or_else(|| misbehaved(provider, &format!("its list has more than {LARGEST} bytes")))?;
    Models::read(&body).map_err(|error| misbehaved(provider, &error.to_string()))?;
    Ok(body)
}

fn misbehaved(provider: &ProviderSettings, how: &str) -> Failure {
    let message = format!("{how} (provider '{}')", provider.name);
    Failure::Upstream(Box::new(Answer::own(Fault { kind: ErrorKind::Api, status: 502, message })))
}

/// Whether it will pass: then an old list is better than none.
fn is_the_moments(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}

/// A provider's error body is about an API that the client may not know it has asked.
fn in_own_words(failure: Failure) -> Failure {
    match failure {
        Failure::Upstream(mut answer) => {
            answer.relayed = None;
            answer.fault.message = format!("Failed to list models: {}", answer.fault.message);
            Failure::Upstream(answer)
        }
        Failure::NoLease(_)
        | Failure::NoClientKey(_)
        | Failure::Malformed(_)
        | Failure::Stopping
        | Failure::Panicked => failure,
    }
}

/// Whether a list that was told a moment ago will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// An old one, too: a new one is then asked for in the background.
    Serves,
    /// While it holds; else only if the provider does not answer.
    ServesWhileItHolds,
    /// Only if the provider does not answer.
    PassedOver,
}
