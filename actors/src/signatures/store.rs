//! Stores facts by age, bounded in number and in bytes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::SignatureScope;
use crate::clock::{Millis, millis};

/// The most bytes in total; a signature has a few thousand.
const MAX_BYTES: usize = 64 << 20;
/// The most bytes of one fact with its key; a larger fact is not stored.
const MAX_FACT_BYTES: usize = 1 << 20;

#[derive(Default)]
pub(super) struct FactStore {
    facts: HashMap<SignatureScope, HashMap<String, Fact>>,
    /// By number, oldest first.
    order: BTreeMap<u64, (SignatureScope, String)>,
    next: u64,
    bytes: usize,
}

/// A fact with its place, as it is exported.
#[derive(Debug)]
pub(super) struct StoredFact {
    pub(super) scope: SignatureScope,
    pub(super) key: String,
    pub(super) text: String,
    pub(super) stored_at: Millis,
}

struct Fact {
    text: String,
    number: u64,
    stored_at: Millis,
}

impl FactStore {
    pub(super) fn find(&self, scope: &SignatureScope, key: &str) -> Option<&str> {
        self.facts.get(scope)?.get(key).map(|fact| fact.text.as_str())
    }

    /// Stores a fact and keeps the total at `most` facts or fewer.
    pub(super) fn keep(
        &mut self,
        scope: SignatureScope,
        key: String,
        text: String,
        now: Millis,
        most: usize,
    ) {
        self.forget(&scope, &key);
        let size = size(&key, &text);
        if size > MAX_FACT_BYTES {
            return;
        }
        // Removes a tenth at once, so that a full store does not have to remove a fact for each new one.
        if self.order.len() >= most {
            self.forget_oldest((most / 10).max(1));
        }
        while self.bytes + size > MAX_BYTES && !self.order.is_empty() {
            self.forget_oldest(1);
        }
        let number = self.next;
        self.next += 1;
        self.bytes += size;
        self.order.insert(number, (scope.clone(), key.clone()));
        self.facts.entry(scope).or_default().insert(key, Fact { text, number, stored_at: now });
    }

    pub(super) fn forget_older(&mut self, now: Millis, ttl: Duration) {
        while let Some((_, (scope, key))) = self.order.first_key_value() {
            let stored_at = self.facts.get(scope).and_then(|facts| facts.get(key)).map(|fact| fact.stored_at);
            if stored_at.is_some_and(|stored_at| now.saturating_sub(stored_at) < millis(ttl)) {
                break;
            }
            self.forget_oldest(1);
        }
    }

    /// The newest facts, up to `most` bytes in total; the newest first.
    pub(super) fn newest(&self, most: usize) -> Vec<StoredFact> {
        let mut bytes = 0;
        let stored = self.order.values().rev().map_while(|(scope, key)| {
            let Fact { text, stored_at, .. } = self.facts.get(scope)?.get(key)?;
            bytes += size(key, text);
            let (scope, key) = (scope.clone(), key.clone());
            (bytes <= most).then(|| StoredFact { scope, key, text: text.clone(), stored_at: *stored_at })
        });
        stored.collect()
    }

    /// Adds facts whose keys are not stored yet, by age.
    pub(super) fn merge(&mut self, facts: Vec<StoredFact>, most: usize) {
        let mut facts = facts;
        facts.retain(|fact| self.find(&fact.scope, &fact.key).is_none());
        facts.extend(std::mem::take(self).newest(MAX_BYTES));
        // The order of facts of the same age must not change.
        facts.reverse();
        facts.sort_by_key(|fact| fact.stored_at);
        for StoredFact { scope, key, text, stored_at } in facts {
            self.keep(scope, key, text, stored_at, most);
        }
    }

    /// The number of facts.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.order.len()
    }

    fn forget_oldest(&mut self, count: usize) {
        for _ in 0..count {
            let Some((_, (scope, key))) = self.order.pop_first() else { return };
            self.forget(&scope, &key);
        }
    }

    fn forget(&mut self, scope: &SignatureScope, key: &str) {
        let Some(facts) = self.facts.get_mut(scope) else { return };
        if let Some(fact) = facts.remove(key) {
            self.order.remove(&fact.number);
            self.bytes -= size(key, &fact.text);
        }
        if facts.is_empty() {
            self.facts.remove(scope);
        }
    }
}

/// The key is stored twice, and its length depends on the upstream.
fn size(key: &str, text: &str) -> usize {
    2 * key.len() + text.len()
}

#[cfg(test)]
mod tests {
    use super::super::CallerId;
    use super::*;

    const TTL: Duration = Duration::from_secs(10);
    const NOW: Millis = 1_000_000;

    fn scope(caller: u8, provider: &str) -> SignatureScope {
        SignatureScope { caller: CallerId([caller; 16]), provider: provider.into() }
    }

    fn keep(store: &mut FactStore, key: &str, text: &str, at: (Millis, usize)) {
        store.keep(scope(1, "p"), key.to_owned(), text.to_owned(), at.0, at.1);
    }

    #[test]
    fn a_fact_is_visible_to_its_caller_and_provider_only() {
        let mut store = FactStore::default();
        keep(&mut store, "k", "fact", (NOW, 10));
        assert_eq!(store.find(&scope(1, "p"), "k"), Some("fact"));
        assert_eq!(store.find(&scope(2, "p"), "k"), None);
        assert_eq!(store.find(&scope(1, "q"), "k"), None);
    }

    /// Requirement: TTL, size limit with eviction of the oldest tenth, most recent match wins.
    #[test]
    fn the_oldest_tenth_is_removed_when_the_store_is_full() {
        let (mut store, now) = (FactStore::default(), NOW);
        for at in 0..20 {
            keep(&mut store, &at.to_string(), "x", (now, 20));
        }
        // A repeated fact becomes the newest and takes no additional space.
        keep(&mut store, "0", "y", (now, 20));
        keep(&mut store, "20", "x", (now, 20));
        let known = |key: &str| store.find(&scope(1, "p"), key).is_some();
        assert!(!known("1") && !known("2") && known("3") && known("20"));
        assert_eq!(store.find(&scope(1, "p"), "0"), Some("y"));
        let bytes = store.facts.values().flatten().map(|(key, fact)| size(key, &fact.text)).sum::<usize>();
        assert_eq!((store.order.len(), store.bytes), (19, bytes));
    }

    /// Requirement: TTL, size limit with eviction of the oldest tenth, most recent match wins.
    #[test]
    fn a_fact_is_forgotten_in_time_and_leaves_nothing_behind() {
        let (mut store, now) = (FactStore::default(), NOW);
        keep(&mut store, "a", "x", (now, 10));
        keep(&mut store, "b", "x", (now + millis(TTL) / 2, 10));
        store.forget_older(now + millis(TTL), TTL);
        assert_eq!((store.find(&scope(1, "p"), "a"), store.find(&scope(1, "p"), "b")), (None, Some("x")));
        store.forget_older(now + 2 * millis(TTL), TTL);
        assert!(store.facts.is_empty() && store.order.is_empty() && store.bytes == 0);
    }

    #[test]
    fn total_bytes_are_bounded_and_include_keys() {
        let (mut store, now) = (FactStore::default(), NOW);
        let large = "x".repeat(MAX_FACT_BYTES / 4);
        for at in 0..1_000 {
            keep(&mut store, &format!("{at}{large}"), &large, (now, 10_000));
        }
        assert!(store.bytes <= MAX_BYTES && (60..=90).contains(&store.order.len()), "{}", store.order.len());
        keep(&mut store, "k", &"x".repeat(MAX_FACT_BYTES), (now, 10_000));
        assert_eq!(store.find(&scope(1, "p"), "k"), None, "one is larger than all others may be");
    }
}
