//! What a service manager such as systemd and this process exchange: notifications (`NOTIFY_SOCKET`), the watchdog
//! (`WATCHDOG_USEC`) and passed sockets (`LISTEN_FDS`). Without these variables, nothing here has an effect. A worker process
//! does not get them, so that only its master notifies.

mod sockets;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

pub(crate) use self::sockets::{PassedSockets, passed_listeners};

/// Variables of the service manager for the process that it has started. Other programs that this process starts do not get
/// them.
pub(crate) const VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// The status line during a reload.
pub(crate) const RELOADING: &str = "reloading the configuration";
/// How often a drain is reported. Each report extends the time to stop by twice as much.
pub(crate) const DRAIN_NOTICE: Duration = Duration::from_secs(10);
/// Whether a failed notification has been reported.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// The status line of a gateway that serves.
pub(crate) fn serving(address: SocketAddr) -> String {
    format!("serving on http://{address}")
}

/// The status line of a gateway that shuts down.
pub(crate) fn draining(in_flight: usize) -> String {
    format!("shutting down; requests in flight: {in_flight}")
}

/// The process serves, or has finished a reload.
pub(crate) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins, or a restart in the same process. [`ready`] must follow, whether it succeeds or not.
pub(crate) fn reloading(status: &str) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now, NotifyState::Status(status)]),
        // Since version 253, systemd ends a service that reports a reload without the time.
        Err(error) => {
            log::warn!("systemd is not notified of the reload: there is no monotonic clock: {error}")
        }
    }
}

/// The process begins to stop. It must not become ready again: systemd ends it when the time to stop is over.
pub(crate) fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// The process needs up to `more` from now on, even if that is beyond `TimeoutStopSec=`.
pub(crate) fn extend_timeout(more: Duration, status: &str) {
    let more = u32::try_from(more.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status(status)]);
}

/// How often the watchdog must be notified at least, if it is on for this process.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

/// The process works: notifies the watchdog.
pub(crate) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states)
        && !REPORTED.swap(true, Ordering::Relaxed)
    {
        log::warn!("the service manager cannot be notified at NOTIFY_SOCKET: {error}");
    }
}
