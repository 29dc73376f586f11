//! Exports the stored facts, and imports them into another process.

use actix::{Handler, Message, MessageResult};
use serde::{Deserialize, Serialize};

use super::store::StoredFact;
use super::{CallerId, SignatureScope, SignatureStore};
use crate::clock::{self, ImportClock, Millis, Offset};
use crate::observe::Observe;

/// The most bytes of facts that are exported, the newest first.
const EXPORTED_BYTES: usize = 4 << 20;

/// The newest facts, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedSignatures {
    facts: Vec<ExportedFact>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ExportedFact {
    caller: CallerId,
    provider: String,
    key: String,
    text: String,
    stored: Offset,
}

/// Adds exported facts that are `elapsed` milliseconds older than when they were exported. Facts that are stored under
/// the same key already are kept.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ImportSignatures {
    pub(crate) exported: ExportedSignatures,
    pub(crate) elapsed: Millis,
}

impl ExportedFact {
    fn new(fact: StoredFact, now: Millis) -> Self {
        let StoredFact { scope, key, text, stored_at } = fact;
        let stored = Offset::from_time(stored_at, now);
        Self { caller: scope.caller, provider: scope.provider.to_string(), key, text, stored }
    }

    fn import(self, clock: ImportClock) -> StoredFact {
        let scope = SignatureScope { caller: self.caller, provider: self.provider.into() };
        StoredFact { scope, key: self.key, text: self.text, stored_at: clock.past(self.stored) }
    }
}

impl Handler<Observe<ExportedSignatures>> for SignatureStore {
    type Result = MessageResult<Observe<ExportedSignatures>>;

    fn handle(&mut self, _: Observe<ExportedSignatures>, _: &mut Self::Context) -> Self::Result {
        let now = clock::boot();
        self.store.forget_older(now, self.retention.ttl);
        let facts = self.store.newest(EXPORTED_BYTES).into_iter().map(|fact| ExportedFact::new(fact, now));
        MessageResult(ExportedSignatures { facts: facts.collect() })
    }
}

impl Handler<ImportSignatures> for SignatureStore {
    type Result = ();

    fn handle(&mut self, import: ImportSignatures, _: &mut Self::Context) {
        let now = clock::boot();
        let clock = ImportClock::new(now, import.elapsed);
        let facts = import.exported.facts.into_iter().map(|fact| fact.import(clock));
        self.store.merge(facts.collect(), self.retention.entries);
        self.store.forget_older(now, self.retention.ttl);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix::Actor as _;

    use super::super::{Recall, Remember};
    use super::*;
    use crate::settings::Retention;

    const HOUR: Duration = Duration::from_secs(3600);

    fn scope() -> SignatureScope {
        SignatureScope { caller: CallerId([7; 16]), provider: "p".into() }
    }

    fn fact(key: &str, text: &str) -> (String, String) {
        (key.to_owned(), text.to_owned())
    }

    /// Requirement: an export is bounded, and the newest signatures are kept.
    #[actix_rt::test]
    async fn the_newest_facts_are_exported_up_to_a_bound() {
        let store = SignatureStore::new(Retention { entries: 100, ttl: HOUR, sweep: HOUR }).start();
        for number in 0..10 {
            let text = "x".repeat(EXPORTED_BYTES / 8);
            let facts = vec![(number.to_string(), text)];
            store.send(Remember { scope: scope(), facts }).await.unwrap();
        }
        let exported = store.send(Observe::<ExportedSignatures>::new()).await.unwrap();
        let keys: Vec<_> = exported.facts.iter().map(|fact| fact.key.as_str()).collect();
        assert_eq!(keys, ["9", "8", "7", "6", "5", "4", "3"]);
    }

    /// Requirement: signatures survive a restart of the process: a conversation with Gemini continues. What the new
    /// process has stored itself is newer and is kept, and a fact that has expired since is not imported.
    #[actix_rt::test]
    async fn signatures_move_to_another_store_and_newer_ones_are_kept() {
        let start = || SignatureStore::new(Retention { entries: 100, ttl: HOUR, sweep: HOUR }).start();
        let (old, new, late) = (start(), start(), start());
        let facts = vec![fact("a", "old a"), fact("b", "old b")];
        old.send(Remember { scope: scope(), facts }).await.unwrap();
        new.send(Remember { scope: scope(), facts: vec![fact("a", "new a")] }).await.unwrap();

        let exported = old.send(Observe::<ExportedSignatures>::new()).await.unwrap();
        let json = serde_json::to_vec(&exported).unwrap();
        let exported: ExportedSignatures = serde_json::from_slice(&json).unwrap();
        let import = |elapsed| ImportSignatures { exported: exported.clone(), elapsed };
        new.send(import(0)).await.unwrap();
        late.send(import(clock::millis(2 * HOUR))).await.unwrap();

        let recall = || Recall { scope: scope(), keys: vec!["a".to_owned(), "b".to_owned()] };
        let known = new.send(recall()).await.unwrap();
        assert_eq!((known["a"].as_str(), known["b"].as_str()), ("new a", "old b"));
        assert!(late.send(recall()).await.unwrap().is_empty());
    }
}
