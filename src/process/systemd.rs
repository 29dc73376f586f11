//! What a service manager such as systemd and this process exchange: notifications (`NOTIFY_SOCKET`), the watchdog
//! (`WATCHDOG_USEC`) and passed sockets (`LISTEN_FDS`). Without these variables, nothing here has an effect. A worker process
//! does not get them, so that only its master notifies.

mod sockets;

use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
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
/// The longest wait for a service manager that reads too slowly.
const PATIENCE: Duration = Duration::from_secs(1);
/// Whether a failed notification has been reported.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// Whether a notification waits for a service manager that reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// It is repeated.
    None,
    /// For [`PATIENCE`].
    Short,
}

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
    notify(&[NotifyState::Ready, NotifyState::Status(status)], Patience::Short);
}

/// A reload begins, or a restart in the same process. [`ready`] must follow, whether it succeeds or not.
pub(crate) fn reloading(status: &str) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now, NotifyState::Status(status)], Patience::Short),
        // Since version 253, systemd ends a service that reports a reload without the time.
        Err(error) => {
            log::warn!("systemd is not notified of the reload: there is no monotonic clock: {error}")
        }
    }
}

/// The process begins to stop. It must not become ready again: systemd ends it when the time to stop is over.
pub(crate) fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)], Patience::Short);
}

/// The process needs up to `more` from now on, even if that is beyond `TimeoutStopSec=`.
pub(crate) fn extend_timeout(more: Duration, status: &str) {
    let more = u32::try_from(more.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status(status)], Patience::None);
}

/// How often the watchdog must be notified at least, if it is on for this process.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

/// The process works: notifies the watchdog.
pub(crate) fn alive() {
    notify(&[NotifyState::Watchdog], Patience::None);
}

/// Sends these states; waits for `patience` at most if the service manager reads too slowly.
fn notify(states: &[NotifyState<'_>], patience: Patience) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    match send(Path::new(&path), states, patience) {
        Ok(()) => {}
        // It is repeated soon.
        Err(error) if error.kind() == ErrorKind::WouldBlock && patience == Patience::None => {}
        Err(error) if REPORTED.swap(true, Ordering::Relaxed) => {
            log::debug!("the service manager cannot be notified: {error}");
        }
        Err(error) => log::warn!("the service manager cannot be notified at NOTIFY_SOCKET: {error}"),
    }
}

/// Not `sd_notify::notify`, which waits without a limit.
fn send(path: &Path, states: &[NotifyState<'_>], patience: Patience) -> Result<()> {
    let socket = UnixDatagram::unbound()?;
    match patience {
        Patience::None => socket.set_nonblocking(true)?,
        Patience::Short => socket.set_write_timeout(Some(PATIENCE))?,
    }
    let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
    socket.send_to(lines.as_bytes(), path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Requirement: a service manager that does not read delays the gateway by a second at most, and not at all for notices that
    /// are repeated.
    #[test]
    fn a_service_manager_that_does_not_read_costs_little_time() {
        let path = std::env::temp_dir().join(format!("vdm-notify-{}", std::process::id()));
        let _left_over = std::fs::remove_file(&path);
        let manager = UnixDatagram::bind(&path).unwrap();
        send(&path, &[NotifyState::Ready, NotifyState::Status("x")], Patience::Short).unwrap();
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=x\n");

        let began = Instant::now();
        let is_full = (0..10_000).any(|_| send(&path, &[NotifyState::Watchdog], Patience::None).is_err());
        assert!(is_full);
        let error = send(&path, &[NotifyState::Ready], Patience::Short).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(began.elapsed() < 10 * PATIENCE);
        std::fs::remove_file(&path).unwrap();
    }
}
