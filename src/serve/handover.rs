//! What a worker hands over to the next one.

use crate::gateway::Gateway;
use crate::process::channel::LONGEST_ATTACHMENT;

/// What the next worker should begin with, if it is not too large.
pub(super) fn export(gateway: &Gateway) -> Vec<u8> {
    let state = export_state(gateway);
    if state.len() > LONGEST_ATTACHMENT {
        log::warn!(
            "the state of this worker ({} bytes) is too large to be handed over; the next worker begins without it",
            state.len()
        );
        return vec![];
    }
    state
}

/// Begins with the state of an earlier worker.
pub(super) fn import(gateway: &Gateway, state: &[u8]) {
    if !state.is_empty() {
        import_state(gateway, state);
    }
}

fn export_state(_gateway: &Gateway) -> Vec<u8> {
    vec![]
}

fn import_state(_gateway: &Gateway, _state: &[u8]) {}
