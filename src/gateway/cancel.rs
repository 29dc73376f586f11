//! Cancels a request in flight on an operator's order.

use std::time::Duration;

use vandamme_actors::ledger::CancelRequest;
use vandamme_actors::settings::Metrics;

use super::Gateway;

/// The longest wait for the ledger, which restarts within this time after a fault.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why no request was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotCancelled {
    /// The id is unknown, or its request has ended.
    NotInFlight,
    /// The requests in flight are not recorded.
    NotRecorded,
    Busy,
}

impl NotCancelled {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::NotInFlight => {
                "no request in flight has this id: it has ended, or an earlier worker still serves it"
            }
            Self::NotRecorded => {
                "requests in flight are not recorded: set LOG_REQUEST_METRICS=true to cancel them"
            }
            Self::Busy => "the gateway is busy; try again",
        }
    }
}

impl Gateway {
    /// Ends a request in flight: its upstream connection is closed, and its client gets an error. The health of the provider and
    /// its key does not change.
    pub(crate) async fn cancel_request(&self, id: &str) -> Result<(), NotCancelled> {
        if self.live_config().settings.request_metrics == Metrics::Off {
            return Err(NotCancelled::NotRecorded);
        }
        let ledger = self.registry.load().ledger.clone();
        match ledger.send(CancelRequest(id.to_owned())).timeout(PATIENCE).await {
            Ok(true) => {
                log::info!(REQUEST_ID = id; "{id} was cancelled by an operator");
                Ok(())
            }
            Ok(false) => Err(NotCancelled::NotInFlight),
            Err(_) => Err(NotCancelled::Busy),
        }
    }
}
