//! Starts and ends the history of a gateway that serves.

use std::time::Duration;

use actix_rt::time::timeout;
use vandamme_actors::history::{HistorySettings, Retention};

use super::Gateway;

const DAY: Duration = Duration::from_secs(86_400);

/// How long an end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an export of state waits for the disk: less than the master waits for the state.
const EXPORT_PATIENCE: Duration = Duration::from_millis(500);

impl Gateway {
    /// Records requests from now on. A command that sends requests of its own does not call it.
    pub(crate) fn start_history(&self) {
        let live = self.live_config();
        let limits = &live.settings.limits;
        let days = u32::try_from(limits.history_days).unwrap_or(u32::MAX);
        let retention = Retention { age: DAY.saturating_mul(days), requests: limits.history_requests as u64 };
        let settings = HistorySettings { file: live.settings.history.clone(), retention };
        let live = self.live.clone();
        self.registry.load().history.start(settings, move |text| live.load().secrets.scrub(text));
    }

    /// Waits until the requests that have ended are written, unless the disk is too slow.
    pub(super) async fn flush_history(&self) {
        let history = self.registry.load().history.clone();
        if history.status().error.is_none() {
            drop(timeout(EXPORT_PATIENCE, history.flushed()).await);
        }
    }

    /// Ends the history: the process is about to exit.
    pub(crate) async fn end_history(&self) {
        let history = self.registry.load().history.clone();
        let is_ended = timeout(PATIENCE, history.close()).await.is_ok();
        let missing = history.status().waiting;
        if missing > 0 {
            let why = if is_ended { "it cannot be written" } else { "the disk is too slow" };
            log::warn!("{missing} requests are missing in the history: {why}");
        }
    }
}
