//! What a service manager is notified of: the points in the life of the gateway, its drain, and that it works.

use std::time::{Duration, Instant};

use super::Master;
use crate::process::systemd;

/// When the service manager was last notified of what repeats.
pub(super) struct Notices {
    /// Half of the watchdog's interval, if the watchdog is on.
    watchdog: Option<Duration>,
    alive: Option<Instant>,
    /// The last report of a drain, with the requests in flight then.
    draining: Option<(Instant, usize)>,
}

/// A change of the requests in flight is reported this often at most.
const CHANGE: Duration = Duration::from_secs(1);

impl Notices {
    pub(super) fn new() -> Self {
        Self { watchdog: systemd::watchdog().map(|limit| limit / 2), alive: None, draining: None }
    }

    /// The longest time without a look at what is due.
    pub(super) fn wait(&self) -> Duration {
        self.watchdog.map_or(Duration::MAX, |half| half / 2)
    }
}

impl Master {
    /// A worker serves.
    pub(super) fn notify_ready(&self) {
        if let Some(status) = self.queries.last.as_ref().filter(|_| self.shutdown.is_none()) {
            systemd::ready(&systemd::serving(status.address));
        }
    }

    /// The gateway shuts down.
    pub(super) fn notify_stopping(&self) {
        systemd::stopping(&systemd::draining(self.in_flight()));
    }

    /// Extends the time of a shutdown, and notifies the watchdog if the gateway works: a worker serves, or the gateway shuts
    /// down. A worker that does not answer pings is replaced and does not serve meanwhile. If none can be started, systemd
    /// starts the gateway anew.
    pub(super) fn check_notices(&mut self, now: Instant) {
        let is_due =
            |last: Option<Instant>, interval| last.is_none_or(|last| now.duration_since(last) >= interval);
        let works = self.serving().is_some() || self.shutdown.is_some();
        if let Some(half) = self.notices.watchdog
            && works
            && is_due(self.notices.alive, half)
        {
            self.notices.alive = Some(now);
            systemd::alive();
        }
        let in_flight = self.in_flight();
        let is_news = self.notices.draining.is_none_or(|(last, reported)| {
            let interval = if reported == in_flight { systemd::DRAIN_NOTICE } else { CHANGE };
            now.duration_since(last) >= interval
        });
        if self.shutdown.is_some() && is_news {
            self.notices.draining = Some((now, in_flight));
            systemd::extend_timeout(2 * systemd::DRAIN_NOTICE, &systemd::draining(in_flight));
        }
    }
}
