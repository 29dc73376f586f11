//! The numbers that change while a page is open.

use serde::Serialize;
use vandamme_actors::ledger::Active;

use crate::dashboard::present::Present;
use crate::gateway::Gateway;

/// What a `tick` says.
#[derive(Debug, Serialize)]
pub(super) struct Tick {
    /// Readable numbers, by the name in `data-live`.
    live: Present,
    /// The requests in flight whose output has begun: their output tokens so far.
    progress: Vec<(String, u64)>,
}

/// The most requests whose progress is sent, so that a tick stays small.
const PROGRESS: usize = 16;

impl Tick {
    pub(super) fn read(gateway: &Gateway, active: &[Active]) -> Self {
        let moving = active.iter().filter(|active| active.usage.output > 0).take(PROGRESS);
        let progress = moving.map(|active| (active.request_id.to_string(), active.usage.output)).collect();
        Self { live: Present::read(gateway, active.len()), progress }
    }
}
