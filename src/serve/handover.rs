//! What a worker hands over to the next one.

use crate::gateway::Gateway;
use crate::process::channel::LONGEST_ATTACHMENT;

/// What the next worker should begin with, if it is not too large.
pub(super) async fn export(gateway: &Gateway) -> Vec<u8> {
    let state = gateway.export_state().await;
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
pub(super) async fn import(gateway: &Gateway, state: &[u8]) {
    if !state.is_empty() {
        gateway.import_state(state).await;
    }
}
