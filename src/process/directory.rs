//! The directory of the control sockets, which only this user can open.

use std::fs::{self, DirBuilder, Metadata};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Maximum number of directory entries that are read. Each configuration of a session leaves two files that are not sockets.
const ENTRIES: usize = 16 << 10;
/// Maximum number of sockets that are returned.
const SOCKETS: usize = 512;

/// The sockets of the system service (scripts/systemd/vandamme-proxy.service), which runs as a user of its own. Only root can
/// create it, and only root may use the sockets of another user.
const OF_SERVICE: &str = "/run/vandamme-proxy/vandamme";

/// Minimum age of a socket that may be removed. An older socket cannot belong to a gateway that is just starting.
const SETTLED: Duration = Duration::from_secs(60);

/// Returns the directory for the socket of a new gateway, and creates it if it does not exist.
///
/// # Errors
/// If the directory cannot be created, or if other users can open it.
pub(crate) fn create() -> Result<PathBuf> {
    let place = places().next().unwrap_or_else(temporary);
    if let Err(error) = DirBuilder::new().mode(0o700).create(&place)
        && error.kind() != ErrorKind::AlreadyExists
    {
        let message =
            format!("{}: {error}; set XDG_RUNTIME_DIR to a writable directory of yours", place.display());
        return Err(Error::new(error.kind(), message));
    }
    if is_ours(&place) {
        return Ok(place);
    }
    let message = format!(
        "{} is not a directory of this user alone; remove it, or set XDG_RUNTIME_DIR",
        place.display()
    );
    Err(Error::new(ErrorKind::PermissionDenied, message))
}

/// All existing directories with sockets of this user. A service and a shell can have different environments, and so different
/// directories. For root, the list includes the directory of the system service.
pub(crate) fn existing() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for place in places() {
        if !found.contains(&place) && is_ours(&place) {
            found.push(place);
        }
    }
    let of_service = Path::new(OF_SERVICE);
    if user() == 0 && !is_ours(of_service) && is_closed(of_service) {
        found.push(of_service.to_owned());
    }
    found
}

/// The control sockets in `directory`.
pub(crate) fn sockets(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().take(ENTRIES);
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_socket = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sock");
    let mut sockets: Vec<_> = paths.filter(is_socket).take(SOCKETS).collect();
    sockets.sort();
    sockets
}

/// Removes a socket on which no process listens. A recent one stays, because a starting gateway may be replacing it.
pub(crate) fn remove_dead(socket: &Path) {
    let is_dead =
        || UnixStream::connect(socket).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    let age = |metadata: Metadata| metadata.modified().ok()?.elapsed().ok();
    let is_old = fs::symlink_metadata(socket).ok().and_then(age).is_some_and(|age| age > SETTLED);
    // Sockets of another user's service are not removed.
    if is_old && socket.parent().is_some_and(is_ours) && is_dead() {
        let _gone_anyway = fs::remove_file(socket);
    }
}

/// The effective user.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The possible directories, preferred ones first. The system creates the first two for each user who is logged in.
fn places() -> impl Iterator<Item = PathBuf> {
    let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = PathBuf::from(format!("/run/user/{}", user()));
    let of_system = named.into_iter().chain([usual]);
    // After `sudo -E` the first directory belongs to another user, so the gateway must not create its directory in it.
    let of_system = of_system.filter(|path| path.is_absolute() && is_users(path));
    of_system.map(|path| path.join("vandamme")).chain([temporary()])
}

fn temporary() -> PathBuf {
    std::env::temp_dir().join(format!("vandamme-{}", user()))
}

fn is_users(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user())
}

/// Whether the path is a directory (not a link) of this user that no other user can read or write.
fn is_ours(path: &Path) -> bool {
    is_closed(path) && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.uid() == user())
}

/// Whether the path is a directory (not a link) that only its owner can read or write.
fn is_closed(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.mode() & 0o077 == 0)
}
