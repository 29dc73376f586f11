//! The state that one process passes to the next.

use std::time::Duration;

use vandamme_actors::exported_state::ExportedState;

use super::Gateway;

/// How long the export and the import of state wait for each actor.
const STATE_PATIENCE: Duration = Duration::from_secs(5);

impl Gateway {
    /// The state that is worth keeping when another process continues, as bytes for [`import_state`](Self::import_state).
    /// Contains no key. Empty if the state cannot be written.
    pub(crate) async fn export_state(&self) -> Vec<u8> {
        let registry = self.registry.load();
        let state = ExportedState::read(&registry, STATE_PATIENCE).await;
        // The ledger has answered, so all requests that have ended are in the queue.
        self.flush_history().await;
        let bytes = state.to_bytes().inspect_err(|error| log::warn!("no state is carried over: {error}"));
        bytes.unwrap_or_default()
    }

    /// Adds the state that another process has exported. What this one has learned itself is kept. Bytes that are damaged
    /// or of another version have no effect.
    pub(crate) async fn import_state(&self, bytes: &[u8]) {
        match ExportedState::parse(bytes) {
            Ok(state) => state.import(&self.registry.load(), STATE_PATIENCE).await,
            Err(error) => log::warn!(
                "the state of the previous process is ignored: {error}; key cooldowns, learned rules and totals start empty"
            ),
        }
    }
}
