//! The gateway as a service of systemd: notifications, the watchdog, passed sockets, and the journal. The tests play systemd
//! with sockets of their own.

mod journal;
mod notify;
mod sockets;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;

/// A datagram socket that a gateway sends to. Its path is short enough for one.
struct Receiver {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Receiver {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vdm-sd-{}-{number}", std::process::id()));
        let _left_over = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a writable directory");
        Self { socket, path }
    }

    fn path(&self) -> &str {
        self.path.to_str().expect("ASCII")
    }

    /// The next datagram; `None` if none arrives in time.
    fn receive_within(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience.max(Duration::from_millis(1)))).expect("a socket");
        let mut buffer = vec![0; 256 << 10];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).expect("UTF-8"))
    }

    /// Skips datagrams until one contains this.
    #[track_caller]
    fn await_one(&self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut seen = String::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Some(datagram) = self.receive_within(left) else { panic!("no {words:?} among:\n{seen}") };
            if datagram.contains(words) {
                return datagram;
            }
            seen.push_str(&datagram);
            seen.push('\n');
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _removed = fs::remove_file(&self.path);
    }
}

/// The line of a shell that starts a program in a mount namespace with an empty `/run`, where the journal's socket is this one,
/// or missing. `None`, with a notice, where the system allows no namespaces.
fn with_journal(socket: Option<&Path>) -> Option<String> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let options = if is_root { "-m" } else { "-rm" };
    let mount = "mount -t tmpfs tmpfs /run";
    let tried = Command::new("unshare").args([options, "sh", "-c", mount]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("SKIPPED: mount namespaces are not allowed here");
        return None;
    }
    let link = socket.map_or_else(String::new, |socket| {
        format!("&& mkdir -p /run/systemd/journal && ln -s {} /run/systemd/journal/socket", socket.display())
    });
    Some(format!("exec unshare {options} sh -c '{mount} {link} && exec \"$0\" \"$@\"' \"$0\" \"$@\""))
}
