//! Thoughts: what middleware wants remembered between the requests of one conversation, such as the signatures of
//! Gemini's thoughts, for clients that cannot carry it themselves.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Recall`] | an exchange | those of the wanted facts that are remembered |
//! | [`Remember`] | an exchange, a converter | – |
//!
//! It is a memory that may be lost: nobody waits for it for long, and a new one starts empty.

mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, MessageResult, Supervised};

use self::store::Store;
use crate::observe::Ping;
use crate::registry::Roster;
use crate::snapshot::Snapshot;

pub(crate) const MAILBOX: usize = 1024;

/// Who calls, as far as it must be told apart from others: a hash, never a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerId(pub [u8; 16]);

/// Whose memory: one caller's, of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    pub caller: CallerId,
    pub provider: Arc<str>,
}

/// How much is remembered, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Retention {
    /// Entries; beyond, the oldest go.
    pub entries: usize,
    pub ttl: Duration,
    /// How often those that are too old are thrown away though nobody asks.
    pub sweep: Duration,
}

pub struct Thoughts {
    retention: Retention,
    store: Store,
}

/// Asks for what is remembered under these keys.
#[derive(Message, Debug)]
#[rtype(result = "HashMap<String, String>")]
pub struct Recall {
    pub scope: Scope,
    pub keys: Vec<String>,
}

/// Has facts remembered, each under its key; a new one takes an old one's place.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Remember {
    pub scope: Scope,
    pub facts: Vec<(String, String)>,
}

/// The way to the memory of one exchange.
#[derive(Clone)]
pub struct Keeping {
    pub roster: Snapshot<Roster>,
    pub scope: Scope,
}

impl Keeping {
    /// Has these remembered, unless too much waits to be: then they are not.
    pub fn keep(&self, facts: Vec<(String, String)>) {
        if !facts.is_empty() {
            let remember = Remember { scope: self.scope.clone(), facts };
            drop(self.roster.load().thoughts.try_send(remember));
        }
    }

    /// What is remembered of these; nothing if there is no answer in time.
    pub async fn recall(&self, keys: Vec<String>, patience: Duration) -> HashMap<String, String> {
        let thoughts = self.roster.load().thoughts.clone();
        let recall = Recall { scope: self.scope.clone(), keys };
        thoughts.send(recall).timeout(patience).await.unwrap_or_default()
    }
}

impl Thoughts {
    pub fn new(retention: Retention) -> Self {
        Self { retention, store: Store::default() }
    }
}

impl Actor for Thoughts {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(self.retention.sweep, |thoughts, _| {
            thoughts.store.forget_older(Instant::now(), thoughts.retention.ttl);
        });
    }
}

impl Supervised for Thoughts {
    /// A message that panicked may have left half of its work.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.store = Store::default();
    }
}

impl Handler<Recall> for Thoughts {
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

impl Handler<Remember> for Thoughts {
    type Result = ();

    fn handle(&mut self, Remember { scope, facts }: Remember, _: &mut Self::Context) {
        let now = Instant::now();
        self.store.forget_older(now, self.retention.ttl);
        for (key, fact) in facts {
            self.store.keep((scope.clone(), key), fact, (now, self.retention.entries));
        }
    }
}

impl Handler<Ping> for Thoughts {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}
