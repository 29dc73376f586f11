//! The points in the life of the gateway that a service manager is interested in.

/// A worker serves.
pub(super) fn ready(pid: u32) {
    log::debug!("ready; master process {pid}");
}

/// The configuration is read again, or the program is replaced. [`ready`] follows.
pub(super) fn reloading() {
    log::debug!("reloading");
}

/// The gateway shuts down.
pub(super) fn stopping() {
    log::debug!("stopping");
}
