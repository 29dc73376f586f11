//! How a request gets a lease: through the thread's router, or of a provider that is known.

use std::time::Duration;

use actix_web::rt::time::{sleep, timeout};
use futures_util::future::{Either, select};
use tokio::sync::oneshot;
use vandamme_actors::provider::{Alternatives, Held, Lease, LeaseKey, NoLease, Size};
use vandamme_actors::router::{self, Dispatch};
use vandamme_actors::secret::KeyId;

use super::fallbacks::Place;
use super::{Endpoint, Exchange, Question};

/// The pause before an actor that is being replaced is asked again.
const PAUSE: Duration = Duration::from_millis(250);
/// What a lease may take beyond the wait for a permit: the wait for a session's key, and some slack.
const LEASE_SLACK: Duration = Duration::from_secs(9);

impl Exchange<'_> {
    /// A lease like this one with a key that was not tried.
    pub(super) async fn another(&self, lease: &Lease, tried: &[KeyId]) -> Result<Lease, Option<NoLease>> {
        self.lease(Some(&Place::of(lease)), lease.alternatives, (tried, lease.held())).await
    }

    /// A key for this request, not one of `tried`: from the provider of `place`, or the one whose models are listed, or else
    /// the one that the router chooses. Asks again when the actor is replaced meanwhile.
    pub(super) async fn lease(
        &self,
        place: Option<&Place>,
        alternatives: Alternatives,
        (tried, held): (&[KeyId], Option<Held>),
    ) -> Result<Lease, Option<NoLease>> {
        let known = match (place, &self.question.endpoint) {
            (Some(place), _) => Some(place.clone()),
            (None, Endpoint::Models(provider)) => {
                Some(Place { provider: provider.clone(), model: "".into(), profile: None })
            }
            (None, Endpoint::Reply | Endpoint::Count) => None,
        };
        let (session, size) = (self.session, self.size());
        for _ in 0..3 {
            let registry = self.gateway.registry.load();
            let (reply, answer) = oneshot::channel();
            let sent = match &known {
                None => router::here(&self.gateway.registry)
                    .try_send(Dispatch { model: (*self.question.head.model).into(), session, size, reply })
                    .is_ok(),
                Some(Place { provider, model, profile }) => {
                    // An actor that is being replaced is listed here; this provider has been removed.
                    let Some(provider) = registry.provider(provider) else { return Err(None) };
                    let request = LeaseKey {
                        model: model.clone(),
                        profile: profile.clone(),
                        session,
                        size,
                        alternatives,
                        tried: tried.to_vec(),
                        held: held.clone(),
                        reply,
                    };
                    provider.try_send(request).is_ok()
                }
            };
            if sent && let Some(answer) = self.awaited(answer, registry.generation).await {
                return answer.map_err(Some);
            }
            sleep(PAUSE).await;
        }
        Err(None)
    }

    /// The answer, or `None` when it will not come. No short timer stands here: each that is set before all others costs
    /// a thread a wake-up (measured).
    async fn awaited(
        &self,
        answer: oneshot::Receiver<Result<Lease, NoLease>>,
        generation: u64,
    ) -> Option<Result<Lease, NoLease>> {
        let patience = self.gateway.terms().settings.limits.provider_queue_wait + LEASE_SLACK;
        let replaced = Box::pin(self.replaced(generation));
        match timeout(patience, select(answer, replaced)).await {
            Ok(Either::Left((answer, _))) => answer.ok(),
            Ok(Either::Right(_)) | Err(_) => None,
        }
    }

    /// Ends when an actor has been replaced since that generation.
    async fn replaced(&self, generation: u64) {
        loop {
            let changed = self.gateway.registry.changed();
            if self.gateway.registry.load().generation != generation {
                return;
            }
            changed.await;
        }
    }

    fn size(&self) -> Size {
        let Question { body, head, .. } = self.question;
        Size { body: body.len(), max_tokens: head.max_tokens.unwrap_or_default() }
    }
}
