//! Owner: fetches the credentials of one identity, on a thread of its own, and publishes the current one.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Wanted`] | a request whose credential is missing, about to expire, or due for renewal | the credential, if it waits for one |
//!
//! Requests read what is published, without a message. Nothing is fetched on a timer: a request that reads a credential which
//! is due for renewal orders the fetch and does not wait for it. An identity that nobody uses is therefore not renewed.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, Supervised,
    WrapFuture as _,
};
use actix_rt::time::timeout;
use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::http::CredentialHttp;
use super::{CloudCredential, CredentialError, aws, google};
use crate::clock::{self, Millis};
use crate::panic_guard;
use crate::settings::CloudIdentity;
use crate::snapshot::Snapshot;
use crate::upstream::ConnectionSettings;

/// Messages of requests that wait for a credential.
const MAILBOX: usize = 4096;
/// The longest fetch, with all calls that it takes.
const LONGEST_FETCH: Duration = Duration::from_secs(30);
/// The longest wait of a request.
const LONGEST_WAIT: Duration = Duration::from_secs(35);
/// How long before its expiry a credential is renewed, unless its lifetime is short.
const AHEAD: Millis = 5 * 60 * 1000;
/// A credential with less than this left is not given to a request, unless the fetch of another fails.
const TOO_LATE: Millis = 30 * 1000;
/// Upstreams may cause one fetch in this time by refusing credentials.
const REFUSAL_PAUSE: Millis = 5 * 1000;
/// The pause after a failed fetch doubles from the first to the longest, which is shorter while requests fail.
const FIRST_PAUSE: Millis = 1000;
const LONGEST_PAUSE: Millis = 60 * 1000;
const LONGEST_PAUSE_WITHOUT: Millis = 8 * 1000;
/// How long a renewal that was ordered is not ordered again.
const ORDERED: Millis = 60 * 1000;

type Answer = Result<CloudCredential, CredentialError>;

/// The owner of an identity's credentials, as requests see it. Its thread ends with the last of them.
pub(super) struct OwnerHandle {
    pub(super) identity: CloudIdentity,
    address: Addr<Owner>,
    thread: ArbiterHandle,
    published: Arc<Published>,
}

/// What the owner and all requests share.
#[derive(Default)]
struct Published {
    held: Snapshot<Option<Held>>,
    /// The newest generation that an upstream has refused.
    refused: AtomicU64,
    /// When that was, by the boot clock; 0 for never.
    refused_at: AtomicU64,
    /// No renewal is ordered before this time of the boot clock.
    renewal_after: AtomicU64,
    last_used: AtomicU64,
}

/// A credential and its times.
#[derive(Clone)]
struct Held {
    credential: CloudCredential,
    /// Counts the fetches of the owner, from 1.
    generation: u64,
    times: Option<Times>,
}

/// Times of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    renew: Millis,
    too_late: Millis,
    expires: Millis,
}

/// What a request does with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    Fresh,
    /// It is used, and another is ordered.
    Due,
    /// The request waits for another.
    TooLate,
    Expired,
}

/// Why an owner does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnerGone {
    /// Its task has ended. Another can be started at once.
    Ended,
    /// It hangs, and the request has waited for long enough.
    Hangs,
}

/// Wants a credential that is not about to expire.
#[derive(Message)]
#[rtype(result = "()")]
struct Wanted {
    /// `None` for a renewal, which nobody waits for.
    reply: Option<oneshot::Sender<Answer>>,
}

/// The actor.
struct Owner {
    identity: CloudIdentity,
    http: Rc<CredentialHttp>,
    published: Arc<Published>,
    waiting: Vec<oneshot::Sender<Answer>>,
    is_fetching: bool,
    failure: Option<Failure>,
}

/// The last fetch of a streak of failures.
struct Failure {
    error: CredentialError,
    times: u32,
    /// No fetch starts before this time of the boot clock.
    until: Millis,
}

impl OwnerHandle {
    /// Starts the owner. It fetches nothing before it is asked.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn start(identity: CloudIdentity, wiring: ConnectionSettings) -> std::io::Result<Self> {
        let arbiter = Arbiter::try_new()?;
        let published = Arc::new(Published::default());
        published.last_used.store(clock::boot(), Ordering::Relaxed);
        let (of_owner, shared) = (identity.clone(), published.clone());
        let address = panic_guard::start(&arbiter, "credentials", MAILBOX, move || Owner {
            identity: of_owner,
            http: Rc::new(CredentialHttp::new(wiring)),
            published: shared,
            waiting: vec![],
            is_fetching: false,
            failure: None,
        });
        Ok(Self { identity, address, thread: arbiter.handle(), published })
    }

    /// The current credential.
    ///
    /// # Errors
    /// The owner is gone.
    pub(super) async fn get(&self) -> Result<Answer, OwnerGone> {
        self.published.last_used.store(clock::boot(), Ordering::Relaxed);
        if let Some(held) = self.published.usable() {
            let (now, after) = (clock::boot(), &self.published.renewal_after);
            if held.freshness(clock::wall()) == Freshness::Due && now >= after.load(Ordering::Relaxed) {
                after.store(now + ORDERED, Ordering::Relaxed);
                self.address.do_send(Wanted { reply: None });
            }
            return Ok(Ok(held.credential));
        }
        let (reply, answer) = oneshot::channel();
        self.address.do_send(Wanted { reply: Some(reply) });
        match timeout(LONGEST_WAIT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(OwnerGone::Ended),
            Err(_elapsed) => Err(OwnerGone::Hangs),
        }
    }

    pub(super) fn refused(&self, credential: &CloudCredential) {
        let held = self.published.held.load();
        let Some(held) = held.as_ref().as_ref().filter(|held| is_same(&held.credential, credential)) else {
            return;
        };
        let (now, before) = (clock::boot(), &self.published.refused_at);
        let last = before.load(Ordering::Relaxed);
        if last == 0 || now.saturating_sub(last) >= REFUSAL_PAUSE {
            before.store(now.max(1), Ordering::Relaxed);
            self.published.refused.fetch_max(held.generation, Ordering::Relaxed);
        }
    }

    /// Ends the thread, as a crash would, and waits for its end.
    #[cfg(test)]
    pub(super) async fn stop(&self) {
        self.thread.stop();
        while self.address.connected() {
            actix_rt::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn last_used(&self) -> Millis {
        self.published.last_used.load(Ordering::Relaxed)
    }
}

impl Drop for OwnerHandle {
    fn drop(&mut self) {
        self.thread.stop();
    }
}

impl Published {
    /// The credential that a request uses without waiting.
    fn usable(&self) -> Option<Held> {
        let held = self.held.load();
        let held = held.as_ref().as_ref()?;
        let is_fresh = matches!(held.freshness(clock::wall()), Freshness::Fresh | Freshness::Due);
        (is_fresh && held.generation > self.refused.load(Ordering::Relaxed)).then(|| held.clone())
    }

    /// The credential that is still valid, if no better can be fetched.
    fn valid(&self) -> Option<CloudCredential> {
        let held = self.held.load();
        let held = held.as_ref().as_ref()?;
        (held.freshness(clock::wall()) != Freshness::Expired).then(|| held.credential.clone())
    }
}

impl Held {
    fn freshness(&self, now: Millis) -> Freshness {
        self.times.map_or(Freshness::Fresh, |times| times.freshness(now))
    }
}

impl Times {
    /// The times of a credential that was fetched `now`. `random` is between 0 and 1: gateways that started together do not
    /// renew together.
    fn new(now: Millis, expires: Millis, random: f64) -> Self {
        let lifetime = expires.saturating_sub(now);
        let ahead = AHEAD.min(lifetime / 4);
        let spread = Duration::from_millis(AHEAD.min(lifetime / 8)).mul_f64(random.clamp(0.0, 1.0));
        Self {
            renew: expires.saturating_sub(ahead + clock::millis(spread)),
            too_late: expires.saturating_sub(TOO_LATE.min(lifetime / 10)),
            expires,
        }
    }

    fn freshness(self, now: Millis) -> Freshness {
        if now >= self.expires {
            Freshness::Expired
        } else if now >= self.too_late {
            Freshness::TooLate
        } else if now >= self.renew {
            Freshness::Due
        } else {
            Freshness::Fresh
        }
    }
}

impl Owner {
    fn start_fetch(&mut self, context: &mut Context<Self>) {
        self.is_fetching = true;
        let (identity, http) = (self.identity.clone(), self.http.clone());
        // A task of its own: its panic ends neither the actor nor its mailbox.
        let fetched = answer_of(actix_rt::spawn(async move { fetch(&identity, &http).await }));
        context.spawn(fetched.into_actor(self).map(|answer, owner, _| owner.finish(answer)));
    }

    fn finish(&mut self, answer: Answer) {
        self.is_fetching = false;
        let now = clock::wall();
        let expires = answer.as_ref().ok().and_then(CloudCredential::expires).map(wall_millis);
        let answer = match answer {
            Ok(_) if expires.is_some_and(|expires| expires <= now) => {
                let message =
                    "the source gave credentials that have expired already; check this machine's clock";
                Err(CredentialError::refused(message.to_owned()))
            }
            answer => answer,
        };
        let answer = match answer {
            Ok(credential) => {
                let times = expires.map(|expires| Times::new(now, expires, fastrand::f64()));
                self.publish(&credential, times);
                Ok(credential)
            }
            Err(error) => {
                self.fail(error.clone());
                self.published.valid().ok_or(error)
            }
        };
        for reply in self.waiting.drain(..) {
            // A client that has left receives nothing.
            let _ = reply.send(answer.clone());
        }
    }

    fn publish(&mut self, credential: &CloudCredential, times: Option<Times>) {
        if self.failure.take().is_some() {
            log::info!("{} are available again", self.identity);
        }
        let before = self.published.held.load().as_ref().as_ref().map_or(0, |held| held.generation);
        let held = Held { credential: credential.clone(), generation: before + 1, times };
        self.published.held.store(Some(held));
        self.published.renewal_after.store(0, Ordering::Relaxed);
    }

    fn fail(&mut self, error: CredentialError) {
        let times = self.failure.as_ref().map_or(0, |failure| failure.times);
        let longest = if self.published.valid().is_some() { LONGEST_PAUSE } else { LONGEST_PAUSE_WITHOUT };
        let pause = FIRST_PAUSE.saturating_mul(1 << times.min(10)).min(longest);
        let until = clock::boot() + pause;
        if times == 0 {
            log::warn!("cannot get {}: {error}", self.identity);
        }
        self.published.renewal_after.store(until, Ordering::Relaxed);
        self.failure = Some(Failure { error, times: times + 1, until });
    }
}

impl Actor for Owner {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
    }
}

impl Supervised for Owner {
    fn restarting(&mut self, _: &mut Self::Context) {
        // The requests that wait see that their senders are gone.
        self.waiting.clear();
        self.is_fetching = false;
    }
}

impl Handler<Wanted> for Owner {
    type Result = ();

    fn handle(&mut self, Wanted { reply }: Wanted, context: &mut Self::Context) {
        let is_renewal = reply.is_none();
        let usable = self.published.usable();
        let is_due = usable.as_ref().is_none_or(|held| held.freshness(clock::wall()) == Freshness::Due);
        if let Some(reply) = reply {
            let failed = self.failure.as_ref().filter(|failure| clock::boot() < failure.until);
            let answer = match (usable, failed) {
                (Some(held), _) => Some(Ok(held.credential)),
                (None, Some(_)) if self.is_fetching => None,
                (None, Some(failed)) => Some(self.published.valid().ok_or_else(|| failed.error.clone())),
                (None, None) => None,
            };
            match answer {
                Some(answer) => {
                    let _ = reply.send(answer);
                    return;
                }
                None => self.waiting.push(reply),
            }
        }
        if !self.is_fetching && (!is_renewal || is_due) {
            self.start_fetch(context);
        }
    }
}

async fn fetch(identity: &CloudIdentity, http: &CredentialHttp) -> Answer {
    match identity {
        CloudIdentity::Aws(identity) => {
            let credentials = aws::fetch(identity, http).await?;
            Ok(CloudCredential::Aws(Arc::new(credentials)))
        }
        CloudIdentity::Google(identity) => {
            let token = google::fetch(identity, http).await?;
            Ok(CloudCredential::Google(Arc::new(token)))
        }
    }
}

/// The answer of a task that may panic or hang.
async fn answer_of(mut task: JoinHandle<Answer>) -> Answer {
    match timeout(LONGEST_FETCH, &mut task).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => {
            Err(CredentialError::unreachable("an internal error of the gateway; see the log".to_owned()))
        }
        Err(_elapsed) => {
            task.abort();
            let limit = LONGEST_FETCH.as_secs();
            Err(CredentialError::unreachable(format!("the sources did not answer within {limit} s")))
        }
    }
}

fn is_same(one: &CloudCredential, other: &CloudCredential) -> bool {
    match (one, other) {
        (CloudCredential::Aws(one), CloudCredential::Aws(other)) => Arc::ptr_eq(one, other),
        (CloudCredential::Google(one), CloudCredential::Google(other)) => Arc::ptr_eq(one, other),
        (CloudCredential::Aws(_), CloudCredential::Google(_))
        | (CloudCredential::Google(_), CloudCredential::Aws(_)) => false,
    }
}

fn wall_millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH).map_or(0, clock::millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;

    #[test]
    fn a_credential_is_renewed_at_least_five_minutes_ahead_with_jitter() {
        for random in [0.0, 0.5, 1.0] {
            let times = Times::new(0, 60 * MINUTE, random);
            assert!((50 * MINUTE..=55 * MINUTE).contains(&times.renew), "{times:?}");
            assert_eq!(times.too_late, 60 * MINUTE - TOO_LATE);
        }
        assert_ne!(Times::new(0, 60 * MINUTE, 0.0), Times::new(0, 60 * MINUTE, 1.0));
    }

    #[actix_rt::test]
    async fn a_panic_of_a_fetch_is_one_failed_fetch() {
        let answer = answer_of(actix_rt::spawn(async { panic!("broken on purpose") })).await;
        assert_eq!(answer.unwrap_err().message, "an internal error of the gateway; see the log");
    }

    #[test]
    fn a_short_lifetime_is_used_for_the_most_part() {
        let times = Times::new(1000, 5000, 1.0);
        assert_eq!(times, Times { renew: 3500, too_late: 4600, expires: 5000 });
        let of = |now| times.freshness(now);
        assert_eq!(
            [of(1000), of(3499), of(3500), of(4600), of(5000)],
            [Freshness::Fresh, Freshness::Fresh, Freshness::Due, Freshness::TooLate, Freshness::Expired]
        );
    }
}
