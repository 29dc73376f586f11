//! The owner of all credentials: fetches each one once, whoever asks for it, and publishes it.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Fetch`] | a request without a usable credential | the credential, or why there is none |
//! | [`Renew`] | a request whose credential is about to expire | – |
//!
//! It waits for the services that issue credentials in tasks of its own, never inside its mailbox.

use std::collections::HashMap;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, ResponseFuture, Supervised,
    WrapFuture as _,
};
use actix_rt::time::timeout;
use tokio::sync::oneshot;

use super::http::CredentialHttp;
use super::{CloudCredential, CredentialError, CredentialErrorKind, Published, PublishedCredential};
use crate::clock::{self, Millis};
use crate::settings::{AwsIdentity, CloudIdentity, GoogleIdentity};

pub(super) const MAILBOX: usize = 4096;
/// The longest wait for a credential, over all calls that it takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// A credential that is younger is not fetched again, even if an upstream refuses it.
const YOUNG: Millis = 3_000;
/// The pause after a failure, in which the same answer is given.
const PAUSE: Millis = 1_000;
/// The pause after a failure to renew a credential that is still valid.
const RENEWAL_PAUSE: Millis = 20_000;
/// The requests that wait for one identity. They are bounded by the requests in flight, too.
const MOST_WAITING: usize = 16_384;

type Answer = Result<CloudCredential, CredentialError>;

/// Owns the credentials of every identity.
pub(super) struct CredentialOwner {
    http: CredentialHttp,
    published: Published,
    identities: HashMap<CloudIdentity, Identity>,
}

/// What is known of one identity.
#[derive(Default)]
struct Identity {
    is_fetching: bool,
    waiting: Vec<oneshot::Sender<Answer>>,
    /// The last failure and its time.
    failed: Option<(Millis, CredentialError)>,
    fetched: Option<Millis>,
}

/// Requests a credential other than `refused`.
#[derive(Message)]
#[rtype(result = "Answer")]
pub(super) struct Fetch {
    pub(super) identity: CloudIdentity,
    pub(super) refused: Option<CloudCredential>,
}

/// Requests a newer credential, which nobody waits for.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Renew(pub(super) CloudIdentity);

impl CredentialOwner {
    pub(super) fn new(http: CredentialHttp, published: Published) -> Self {
        Self { http, published, identities: HashMap::new() }
    }

    /// The published credential, if it can serve this request.
    fn usable(&self, Fetch { identity, refused }: &Fetch) -> Option<CloudCredential> {
        let published = self.published.load();
        let current = published.get(identity).filter(|current| current.is_usable(clock::wall()))?;
        let is_refused = refused.as_ref() == Some(&current.credential);
        let is_young = || {
            let fetched = self.identities.get(identity).and_then(|known| known.fetched);
            fetched.is_some_and(|fetched| clock::boot() < fetched + YOUNG)
        };
        (!is_refused || is_young()).then(|| current.credential.clone())
    }

    fn fetch(&mut self, identity: CloudIdentity, context: &mut Context<Self>) {
        let known = self.identities.entry(identity.clone()).or_default();
        if std::mem::replace(&mut known.is_fetching, true) {
            return;
        }
        let (http, wanted) = (self.http.clone(), identity.clone());
        let fetched = async move {
            let fetched = timeout(PATIENCE, fetch(&wanted, &http)).await;
            fetched.unwrap_or_else(|_elapsed| {
                let message = format!("no credentials arrived within {} s", PATIENCE.as_secs());
                Err(CredentialError { kind: CredentialErrorKind::Unreachable, message })
            })
        };
        let stored = fetched.into_actor(self).map(move |answer, owner, _| owner.store(identity, answer));
        context.spawn(stored);
    }

    fn store(&mut self, identity: CloudIdentity, answer: Answer) {
        let now = clock::wall();
        let known = self.identities.entry(identity.clone()).or_default();
        known.is_fetching = false;
        let waiting = std::mem::take(&mut known.waiting);
        match &answer {
            Ok(credential) => {
                if known.failed.take().is_some() {
                    log::info!("credentials are available again: {}", identity.described());
                }
                known.fetched = Some(clock::boot());
                let mut all = HashMap::clone(&self.published.load());
                all.insert(identity, PublishedCredential::new(credential.clone(), now));
                self.published.store(all);
            }
            Err(error) => {
                // One line for a streak of failures.
                if known.failed.is_none() {
                    log::warn!("{}: {error}", identity.described());
                }
                known.failed = Some((clock::boot(), error.clone()));
            }
        }
        for request in waiting {
            // A request that is gone does not care.
            drop(request.send(answer.clone()));
        }
    }
}

async fn fetch(identity: &CloudIdentity, http: &CredentialHttp) -> Answer {
    match identity {
        CloudIdentity::Aws(identity) => fetch_aws(identity, http).await,
        CloudIdentity::Google(identity) => fetch_google(identity, http).await,
    }
}

#[cfg(feature = "aws")]
async fn fetch_aws(identity: &AwsIdentity, http: &CredentialHttp) -> Answer {
    super::aws::fetch(identity, http).await.map(|credentials| CloudCredential::Aws(credentials.into()))
}

#[cfg(not(feature = "aws"))]
async fn fetch_aws(_: &AwsIdentity, _: &CredentialHttp) -> Answer {
    Err(CredentialError::missing("this vdm was built without the feature 'aws'"))
}

#[cfg(feature = "google")]
async fn fetch_google(identity: &GoogleIdentity, http: &CredentialHttp) -> Answer {
    super::google::fetch(identity, http).await.map(|token| CloudCredential::Google(token.into()))
}

#[cfg(not(feature = "google"))]
async fn fetch_google(_: &GoogleIdentity, _: &CredentialHttp) -> Answer {
    Err(CredentialError::missing("this vdm was built without the feature 'google'"))
}

impl Actor for CredentialOwner {
    type Context = Context<Self>;
}

impl Supervised for CredentialOwner {
    /// The requests that waited get an error; what is published stays.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.identities.clear();
    }
}

impl Handler<Fetch> for CredentialOwner {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, wanted: Fetch, context: &mut Self::Context) -> Self::Result {
        if let Some(usable) = self.usable(&wanted) {
            return Box::pin(async { Ok(usable) });
        }
        let known = self.identities.entry(wanted.identity.clone()).or_default();
        if let Some((_, error)) = known.failed.clone().filter(|(at, _)| clock::boot() < at + PAUSE) {
            return Box::pin(async { Err(error) });
        }
        let (sender, receiver) = oneshot::channel();
        if known.waiting.len() < MOST_WAITING {
            known.waiting.push(sender);
        }
        self.fetch(wanted.identity, context);
        Box::pin(async { receiver.await.unwrap_or_else(|_dropped| Err(CredentialError::stopped())) })
    }
}

impl Handler<Renew> for CredentialOwner {
    type Result = ();

    fn handle(&mut self, Renew(identity): Renew, context: &mut Self::Context) {
        let known = self.identities.entry(identity.clone()).or_default();
        let has_just_failed = known.failed.as_ref().is_some_and(|(at, _)| clock::boot() < at + RENEWAL_PAUSE);
        let is_new = known.fetched.is_some_and(|fetched| clock::boot() < fetched + YOUNG);
        if !has_just_failed && !is_new {
            self.fetch(identity, context);
        }
    }
}
