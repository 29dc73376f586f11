//! Which models a provider has: as the catalog remembers, else asked of the provider, else as it was once told.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use vandamme_actors::catalog::{Keep, Listing, Recall};
use vandamme_actors::provider::CallOutcome;
use vandamme_actors::settings::ProviderSettings;
use vandamme_protocol::bridge::Fault;
use vandamme_protocol::models::Models;
use vandamme_protocol::span::Head;
use vandamme_protocol::vocabulary::ErrorKind;

use super::call::Answered;
use super::{Answer, Endpoint, Exchange, Failure, Question};
use crate::gateway::Gateway;

/// A catalog that does not answer within this is starting anew, and knows nothing then.
const PATIENCE: Duration = Duration::from_secs(2);

/// A provider's list, byte for byte.
pub(crate) enum Listed {
    /// As the provider would say it now, or has said a moment ago.
    Current(Bytes),
    /// As it said it once: now it does not answer.
    Stale(Bytes),
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
        return ask(&gateway, id, provider, headers).await.map(Listed::Current).map_err(in_own_words);
    }
    let catalog = gateway.roster.load().catalog.clone();
    let recalled = catalog.send(Recall(provider.name.clone())).timeout(PATIENCE).await.ok().flatten();
    let ttl = gateway.terms().settings.limits.models_ttl;
    if remembered == Remembered::Serves
        && let Some(listing) = recalled.as_ref().filter(|listing| listing.holds(ttl))
    {
        return Ok(Listed::Current(listing.body.clone()));
    }
    match ask(&gateway, id, provider, headers).await {
        Ok(body) => {
            let listing =
                Listing { provider: provider.name.clone(), body: body.clone(), listed: Instant::now() };
            // Full or gone: then the next request asks again.
            drop(catalog.try_send(Keep(listing)));
            Ok(Listed::Current(body))
        }
        Err(failure) => match recalled {
            Some(listing) if is_the_moments(failure.status()) => Ok(Listed::Stale(listing.body)),
            Some(_) | None => Err(in_own_words(failure)),
        },
    }
}

async fn ask(
    gateway: &Arc<Gateway>,
    id: Arc<str>,
    provider: &Arc<ProviderSettings>,
    headers: &HeaderMap,
) -> Result<Bytes, Failure> {
    let question = Question {
        id,
        api: provider.api,
        endpoint: Endpoint::Models(provider.name.clone()),
        body: Bytes::new(),
        head: Head::of_nothing(),
        headers: headers.clone(),
        query: String::new(),
        peer: None,
        committed: Rc::new(Cell::new(false)),
    };
    let exchange = Exchange { gateway, question: &question };
    let (answered, lease) = exchange.run(|_, _| {}).await?;
    lease.finish(CallOutcome::Answered);
    let Answered::Whole { body, .. } = answered else {
        return Err(misbehaved(provider, "the provider answered with a stream of events"));
    };
    match Models::read(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(misbehaved(provider, &error.to_string())),
    }
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
        Failure::Cooling { wait, said, .. } => Failure::Cooling { answer: None, wait, said },
        Failure::NoLease(_) | Failure::NoClientKey(_) | Failure::Malformed(_) | Failure::Panicked => failure,
    }
}

/// Whether a list that was told a moment ago will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    Serves,
    PassedOver,
}
