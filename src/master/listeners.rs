//! The sockets on which the gateway listens. The master owns them, so that they stay open while workers are replaced.

use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use crate::process::systemd;

/// Connections that wait to be accepted, while a worker starts for example. The system may have a lower limit.
const BACKLOG: i32 = 4096;

/// Listeners and the address that they belong to: the configured one, or that of the first socket that the service manager has
/// passed.
pub(crate) struct BoundListeners {
    pub(crate) host: String,
    /// Zero for any free one.
    pub(crate) port: u16,
    /// At least one.
    pub(crate) listeners: Vec<TcpListener>,
}

impl BoundListeners {
    /// # Errors
    /// One line for the user who starts the gateway.
    pub(crate) fn new(host: &str, port: u16) -> Result<Self, String> {
        let listener = TcpListener::bind((host, port)).map_err(|error| refusal(host, port, &error))?;
        if let Err(error) = rustix::net::listen(&listener, BACKLOG) {
            log::debug!("the backlog of the listener keeps its length: {error}");
        }
        Ok(Self { host: host.to_owned(), port, listeners: vec![listener] })
    }

    /// The sockets that the service manager has passed; `None` if there are none.
    ///
    /// # Errors
    /// One line for the user who starts the gateway.
    pub(crate) fn passed() -> Result<Option<Self>, String> {
        let listeners = systemd::passed_listeners()?;
        let Some(first) = listeners.first() else { return Ok(None) };
        let address =
            first.local_addr().map_err(|error| format!("a passed socket has no address: {error}"))?;
        Ok(Some(Self { host: address.ip().to_string(), port: address.port(), listeners }))
    }

    /// The address of the first listener.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listeners.first()?.local_addr().ok()
    }

    /// The descriptors for a worker.
    pub(super) fn descriptors(&self) -> std::io::Result<Vec<OwnedFd>> {
        self.listeners.iter().map(|listener| Ok(listener.try_clone()?.into())).collect()
    }

    /// Whether it belongs to this configured address.
    pub(super) fn is_at(&self, host: &str, port: u16) -> bool {
        self.host == host && self.port == port
    }
}

fn refusal(host: &str, port: u16, error: &Error) -> String {
    if error.kind() == ErrorKind::AddrInUse {
        return format!(
            "port {port} on {host} is already in use; stop the program that uses it, or choose another port with --port or PORT"
        );
    }
    if error.kind() == ErrorKind::PermissionDenied {
        return format!(
            "no permission to listen on port {port} of {host}; choose a port above 1023 with --port or PORT"
        );
    }
    format!("cannot listen on {host}, port {port}: {error}; choose another host with --host or HOST")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_told_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();

        let refusal = BoundListeners::new("127.0.0.1", port).err().unwrap();

        let expected = format!(
            "port {port} on 127.0.0.1 is already in use; stop the program that uses it, or choose another port with --port or PORT"
        );
        assert_eq!(refusal, expected);
    }

    #[test]
    fn port_zero_takes_any_free_one() {
        let bound = BoundListeners::new("127.0.0.1", 0).unwrap();
        assert_ne!(bound.listeners[0].local_addr().unwrap().port(), 0);
        assert!(bound.is_at("127.0.0.1", 0));
    }
}
