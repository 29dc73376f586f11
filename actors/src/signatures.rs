//! SignatureStore: keeps the facts that middleware needs between the requests of one conversation, such as Gemini's
//! signatures, for clients that cannot send them back themselves.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Recall`] | a request | the requested facts that are stored |
//! | [`Remember`] | a request, a converter | – |
//!
//! Its contents may be lost: requests wait for it only briefly, and a replacement starts empty.

mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, MessageResult, Supervised};

use self::store::Store;
use crate::observe::Ping;
use crate::registry::Registry;
use crate::snapshot::Snapshot;

pub(crate) const MAILBOX: usize = 1024;

/// Identifies a caller by a hash; never contains a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerId(pub [u8; 16]);

/// The owner of stored facts: one caller at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    pub caller: CallerId,
    pub provider: Arc<str>,
}

/// How many facts are kept, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Retention {
    /// The most entries; beyond that, the oldest are removed.
    pub entries: usize,
    pub ttl: Duration,
    /// The interval at which expired entries are removed even without requests.
    pub sweep: Duration,
}

/// The actor that owns the stored facts of all callers.
pub struct SignatureStore {
    retention: Retention,
    store: Store,
}

/// Requests the facts stored under these keys.
#[derive(Message, Debug)]
#[rtype(result = "HashMap<String, String>")]
pub struct Recall {
    pub scope: Scope,
    pub keys: Vec<String>,
}

/// Stores facts, each under its key. A new fact replaces the old one under the same key.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Remember {
    pub scope: Scope,
    pub facts: Vec<(String, String)>,
}

/// A request's access to the store.
#[derive(Clone)]
pub struct ScopedSignatures {
    pub registry: Snapshot<Registry>,
    pub scope: Scope,
}

impl ScopedSignatures {
    /// Stores the facts. They are dropped if the store's mailbox is full.
    pub fn keep(&self, facts: Vec<(String, String)>) {
        if !facts.is_empty() {
            let remember = Remember { scope: self.scope.clone(), facts };
            drop(self.registry.load().signatures.try_send(remember));
        }
    }

    /// The facts stored under these keys; none if the store does not answer within `patience`.
    pub async fn recall(&self, keys: Vec<String>, patience: Duration) -> HashMap<String, String> {
        let signatures = self.registry.load().signatures.clone();
        let recall = Recall { scope: self.scope.clone(), keys };
        signatures.send(recall).timeout(patience).await.unwrap_or_default()
    }
}

impl SignatureStore {
    /// An empty store.
    pub fn new(retention: Retention) -> Self {
        Self { retention, store: Store::default() }
    }
}

impl Actor for SignatureStore {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(self.retention.sweep, |signatures, _| {
            signatures.store.forget_older(Instant::now(), signatures.retention.ttl);
        });
    }
}

impl Supervised for SignatureStore {
    /// A message that panicked may have left the store inconsistent.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.store = Store::default();
    }
}

impl Handler<Recall> for SignatureStore {
    type Result = MessageResult<Recall>;

    fn handle(&mut self, Recall { scope, keys }: Recall, _: &mut Self::Context) -> Self::Result {
        self.store.forget_older(Instant::now(), self.retention.ttl);
        let known = keys.into_iter().filter_map(|key| {
            let fact = self.store.find(&scope, &key)?.to_owned();
            Some((key, fact))
        });
        MessageResult(known.collect())
    }
}

impl Handler<Remember> for SignatureStore {
    type Result = ();

    fn handle(&mut self, Remember { scope, facts }: Remember, _: &mut Self::Context) {
        let now = Instant::now();
        self.store.forget_older(now, self.retention.ttl);
        for (key, fact) in facts {
            self.store.keep(scope.clone(), key, fact, now, self.retention.entries);
        }
    }
}

impl Handler<Ping> for SignatureStore {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}
