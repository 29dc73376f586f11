//! Reports output items that the client's API has no place for. The headers are sent before they are known, so the log names them.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

/// The number of providers and types that are remembered.
const MOST: usize = 256;

static REPORTED: LazyLock<Mutex<HashSet<(String, String)>>> = LazyLock::new(Mutex::default);

/// Logs each type of a provider once.
pub(super) fn report(provider: &str, types: &[Box<str>]) {
    if types.is_empty() {
        return;
    }
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in types {
        if reported.len() < MOST && reported.insert((provider.to_owned(), kind.to_string())) {
            log::info!(
                "{provider}: output items of the type {kind} are left out of replies to clients of other APIs; a client of \
                 /v1/responses gets them"
            );
        }
    }
}
