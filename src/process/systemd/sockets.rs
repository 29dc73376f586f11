//! Listening sockets that a service manager opens and passes (`LISTEN_FDS`, socket activation).

use std::io::{Error, Result as IoResult};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;

use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use socket2::SockRef;

/// The most sockets that are accepted. All of them are passed between processes in one message.
const MOST: usize = 16;
/// Descriptors for the next program begin here, beyond those that are usually open.
const FIRST: i32 = 100;
/// How often a sequence of free descriptors is searched.
const ATTEMPTS: usize = 16;

/// The listening TCP sockets that the service manager has passed to this process; empty if there are none. Only the first call
/// returns them. Call it before other threads start, because it removes `LISTEN_FDS` and `LISTEN_PID` from the environment.
///
/// # Errors
/// One line for the user, if a socket cannot serve HTTP clients.
pub(crate) fn passed_listeners() -> Result<Vec<TcpListener>, String> {
    let count = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<usize>().ok());
    if let Some(count) = count.filter(|&count| count > MOST) {
        return Err(format!(
            "LISTEN_FDS passes {count} sockets, but vdm accepts {MOST}; list fewer in the socket unit"
        ));
    }
    let mut passed = ListenFd::from_env();
    (0..passed.len()).filter_map(|index| listener(&mut passed, index).transpose()).collect()
}

fn listener(passed: &mut ListenFd, index: usize) -> Result<Option<TcpListener>, String> {
    let listener = passed.take_tcp_listener(index).map_err(|error| {
        format!("LISTEN_FDS passes a socket that is not TCP ({error}); use ListenStream=ADDRESS:PORT in the socket unit")
    })?;
    let Some(listener) = listener else { return Ok(None) };
    match SockRef::from(&listener).is_listener() {
        Ok(true) => Ok(Some(listener)),
        Ok(false) => {
            Err("LISTEN_FDS passes a connection instead of a listener; set Accept=no in the socket unit"
                .to_owned())
        }
        Err(error) => Err(format!("a socket of LISTEN_FDS cannot be used: {error}")),
    }
}

/// Passed sockets that are kept for a program that replaces this one.
#[derive(Default)]
pub(crate) struct PassedSockets(Vec<TcpListener>);

impl PassedSockets {
    /// Keeps copies of these listeners.
    ///
    /// # Errors
    /// If no more descriptors are available.
    pub(crate) fn new(listeners: &[TcpListener]) -> IoResult<Self> {
        listeners.iter().map(TcpListener::try_clone).collect::<IoResult<_>>().map(Self)
    }

    /// The address of the first one; `None` if there are none.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.first()?.local_addr().ok()
    }

    /// Passes them on to a program that replaces this process: it finds them as this one did. The returned descriptors must
    /// stay open until then.
    ///
    /// # Errors
    /// If no descriptors in a row are available.
    pub(crate) fn pass_on(&self, command: &mut Command) -> IoResult<Vec<OwnedFd>> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let descriptors = self.in_a_row()?;
        for descriptor in &descriptors {
            fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        let first = descriptors.first().map(OwnedFd::as_raw_fd).unwrap_or_default();
        command.env("LISTEN_FDS", descriptors.len().to_string());
        // `listenfd` reads it; systemd itself always begins at 3, where this process may have another file open.
        command.env("LISTEN_FDS_FIRST_FD", first.to_string());
        command.env("LISTEN_PID", std::process::id().to_string());
        Ok(descriptors)
    }

    /// Copies with consecutive numbers.
    fn in_a_row(&self) -> IoResult<Vec<OwnedFd>> {
        let mut first = FIRST;
        for _ in 0..ATTEMPTS {
            let mut copies: Vec<OwnedFd> = Vec::new();
            for listener in &self.0 {
                let next = copies.last().map_or(first, |copy| copy.as_raw_fd() + 1);
                copies.push(fcntl_dupfd_cloexec(listener, next)?);
            }
            let numbers = copies.iter().map(|copy| copy.as_raw_fd());
            let (lowest, highest) = (numbers.clone().min().unwrap_or(first), numbers.max().unwrap_or(first));
            if usize::try_from(highest - lowest).is_ok_and(|distance| distance + 1 == copies.len()) {
                return Ok(copies);
            }
            first = highest + 1;
        }
        Err(Error::other("no descriptors in a row are free for the passed sockets"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: a program that replaces this one gets passed sockets under consecutive descriptors, even where some are taken.
    #[test]
    fn sockets_are_passed_on_in_a_row() {
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = [bind(), bind(), bind()];
        let passed = PassedSockets::new(&listeners).unwrap();
        assert_eq!(passed.address(), Some(listeners[0].local_addr().unwrap()));
        let _in_the_way = fcntl_dupfd_cloexec(&listeners[0], FIRST + 1).unwrap();
        let mut command = Command::new("true");

        let descriptors = passed.pass_on(&mut command).unwrap();

        let numbers: Vec<i32> = descriptors.iter().map(|descriptor| descriptor.as_raw_fd()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        let environment: Vec<_> =
            command.get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
        let value = |name: &str| {
            let found = environment.iter().find(|(key, _)| *key == name).unwrap();
            found.1.to_string_lossy().into_owned()
        };
        assert_eq!(value("LISTEN_FDS"), "3");
        assert_eq!(value("LISTEN_FDS_FIRST_FD"), numbers[0].to_string());
        assert_eq!(value("LISTEN_PID"), std::process::id().to_string());
    }

    /// Requirement: without passed sockets, the next program gets no variables.
    #[test]
    fn without_passed_sockets_nothing_is_passed_on() {
        let mut command = Command::new("true");
        assert!(PassedSockets::default().pass_on(&mut command).unwrap().is_empty());
        assert_eq!(command.get_envs().count(), 0);
        assert_eq!(PassedSockets::default().address(), None);
    }
}
