//! SignatureStore: keeps the facts that middleware needs between the requests of one conversation, such as Gemini's
//! signatures, for clients that cannot send them back themselves.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Recall`] | a request | the requested facts that are stored |
//! | [`Remember`] | a request, a converter | – |
//! | [`Observe`](crate::observe::Observe) | the export of state | [`ExportedSignatures`] |
//! | `ImportSignatures` | the import of state | – |
//!
//! Its contents may be lost: requests wait for it only briefly, and a replacement starts empty.

mod exported;
mod store;

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, AsyncContext as _, Context, Handler, Message, MessageResult, Supervised};
use serde::{Deserialize, Serialize};

pub use self::exported::ExportedSignatures;
pub(crate) use self::exported::ImportSignatures;
use self::store::FactStore;
use crate::clock;
use crate::observe::Ping;
use crate::settings::Retention;

pub(crate) const MAILBOX: usize = 1024;

/// Identifies a caller by a hash; never contains a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallerId(pub [u8; 16]);

/// The owner of stored facts: one caller at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignatureScope {
    pub caller: CallerId,
    pub provider: Arc<str>,
}

/// The actor that owns the stored facts of all callers.
pub struct SignatureStore {
    retention: Retention,
    store: FactStore,
}

/// Requests the facts stored under these keys.
#[derive(Message, Debug)]
#[rtype(result = "HashMap<String, String>")]
pub struct Recall {
    pub scope: SignatureScope,
    pub keys: Vec<String>,
}

/// Stores facts, each under its key. A new fact replaces the old one under the same key.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Remember {
    pub scope: SignatureScope,
    pub facts: Vec<(String, String)>,
}

impl SignatureStore {
    /// An empty store.
    pub fn new(retention: Retention) -> Self {
        Self { retention, store: FactStore::default() }
    }

    /// Removes expired facts regularly, even if no message arrives.
    fn schedule_sweeps(&self, context: &mut Context<Self>) {
        context.run_interval(self.retention.sweep, |signatures, _| {
            signatures.store.forget_older(clock::boot(), signatures.retention.ttl);
        });
    }
}

impl Actor for SignatureStore {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.schedule_sweeps(context);
    }
}

impl Supervised for SignatureStore {
    /// A message that panicked may have left the store inconsistent. The panic has cancelled the timer.
    fn restarting(&mut self, context: &mut Self::Context) {
        self.store = FactStore::default();
        self.schedule_sweeps(context);
    }
}

impl Handler<Recall> for SignatureStore {
    type Result = MessageResult<Recall>;

    fn handle(&mut self, Recall { scope, keys }: Recall, _: &mut Self::Context) -> Self::Result {
        self.store.forget_older(clock::boot(), self.retention.ttl);
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
        let now = clock::boot();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_rt::time::sleep;
    use actix_rt::{Arbiter, System};

    use super::*;
    use crate::faults::InjectedFault;
    use crate::panic_guard;

    /// Reads the number of stored facts, without removing expired ones.
    #[derive(Message)]
    #[rtype(result = "usize")]
    struct CountFacts;

    impl Handler<CountFacts> for SignatureStore {
        type Result = usize;

        fn handle(&mut self, _: CountFacts, _: &mut Self::Context) -> usize {
            self.store.count()
        }
    }

    /// An idle store frees expired facts, also after a panic.
    #[test]
    fn expired_facts_are_removed_after_a_panic() {
        System::new().block_on(async {
            let retention =
                Retention { entries: 10, ttl: Duration::from_millis(20), sweep: Duration::from_millis(10) };
            let build = move || SignatureStore::new(retention);
            let store = panic_guard::start(&Arbiter::current(), "signatures", MAILBOX, build);
            assert!(store.send(InjectedFault::Panic).await.is_err());
            let scope = SignatureScope { caller: CallerId([1; 16]), provider: "p".into() };
            store.send(Remember { scope, facts: vec![("key".into(), "fact".into())] }).await.unwrap();
            let emptied = async {
                while store.send(CountFacts).await.unwrap() > 0 {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            actix_rt::time::timeout(Duration::from_secs(5), emptied).await.expect("a fact is kept");
        });
    }
}
