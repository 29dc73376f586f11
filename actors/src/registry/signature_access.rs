//! A request's access to the signature store, which may be replaced at any time.

use std::collections::HashMap;
use std::time::Duration;

use super::Registry;
use crate::signatures::{Recall, Remember, SignatureScope};
use crate::snapshot::Snapshot;

/// A request's access to the store.
#[derive(Clone)]
pub struct ScopedSignatures {
    pub registry: Snapshot<Registry>,
    pub scope: SignatureScope,
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
