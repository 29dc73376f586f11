//! The command line's end of the control socket.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ANSWER, Answer, ControlCommand, ControlReply, Question, Status, VERSION, name};
use crate::process::directory;

/// Maximum wait for an answer that needs no work. A gateway that hangs must not block the command line.
const PATIENCE: Duration = Duration::from_secs(3);
/// Maximum wait for a gateway that reads and checks a configuration.
const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// Maximum wait for a new worker to serve or fail: 30 s to read the configuration, 2 s for the state of the old worker, 30 s
/// to start.
const RESTART_PATIENCE: Duration = Duration::from_secs(65);

/// A running gateway and its socket.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) socket: PathBuf,
    pub(crate) status: Status,
}

/// An answer of several lines, read one by one.
pub(crate) struct Answers {
    lines: BufReader<UnixStream>,
}

/// All running gateways of this user. Removes the sockets of gateways that were killed.
pub(crate) fn running() -> Vec<Running> {
    let sockets = directory::existing().into_iter().flat_map(|directory| directory::sockets(&directory));
    let found = sockets.filter_map(|socket| {
        let running = at(&socket);
        if running.is_none() {
            directory::remove_dead(&socket);
        }
        running
    });
    found.collect()
}

/// The running gateway, if exactly one was started as a server and none listens at this address. Its port may have changed in
/// the configuration since it started. Gateways of `vdm wrap` belong to their sessions and do not count.
pub(crate) fn only_other(host: &str, port: u16) -> Option<Running> {
    if held(host, port).is_some() {
        return None;
    }
    let mut servers = running().into_iter().filter(|running| !running.status.wrapped);
    servers.next().filter(|_| servers.next().is_none())
}

/// The socket of this address, if a process listens on it. The process may not answer.
pub(crate) fn held(host: &str, port: u16) -> Option<PathBuf> {
    sockets_of(&addresses(host, port)).into_iter().find(|socket| UnixStream::connect(socket).is_ok())
}

fn addresses(host: &str, port: u16) -> Vec<SocketAddr> {
    (host, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

fn sockets_of(addresses: &[SocketAddr]) -> Vec<PathBuf> {
    let directories = directory::existing();
    let named = directories
        .iter()
        .flat_map(|directory| addresses.iter().map(|address| directory.join(name(*address))));
    named.collect()
}

/// The gateway that listens on this address: the one whose socket has that name, otherwise one that reaches the address under
/// another name.
pub(crate) fn find(host: &str, port: u16) -> Option<Running> {
    let addresses = addresses(host, port);
    sockets_of(&addresses).iter().find_map(|socket| at(socket)).or_else(|| {
        let everywhere = |address: &SocketAddr| address.ip().is_unspecified();
        let reaches = |address: SocketAddr| {
            let is_named = addresses.contains(&address);
            address.port() == port && (is_named || everywhere(&address) || addresses.iter().any(everywhere))
        };
        running().into_iter().find(|running| reaches(running.status.address))
    })
}

/// The gateway behind this socket.
pub(crate) fn at(socket: &Path) -> Option<Running> {
    match ask(socket, ControlCommand::Status).ok()?.next().ok()?? {
        ControlReply::Status(status) => Some(Running { socket: socket.to_owned(), status: *status }),
        ControlReply::Joined { .. }
        | ControlReply::Reloaded(_)
        | ControlReply::HealthReset(_)
        | ControlReply::DashboardLink { .. }
        | ControlReply::Stopping { .. }
        | ControlReply::Restarted(_)
        | ControlReply::Refused(_) => None,
    }
}

/// Makes the gateway behind this socket run at least as long as this process. Returns the address at which it listens.
///
/// # Errors
/// If no gateway listens on the socket, or if it refuses or exits.
pub(crate) fn join(socket: &Path) -> Result<SocketAddr> {
    match ask(socket, ControlCommand::Join)?.next()? {
        Some(ControlReply::Joined { address }) => Ok(address),
        Some(ControlReply::Refused(lines)) => Err(Error::other(lines.join("; "))),
        Some(
            ControlReply::Status(_)
            | ControlReply::Reloaded(_)
            | ControlReply::HealthReset(_)
            | ControlReply::DashboardLink { .. }
            | ControlReply::Stopping { .. }
            | ControlReply::Restarted(_),
        )
        | None => Err(Error::other("the gateway is about to go")),
    }
}

/// Sends a command to the gateway behind this socket.
///
/// # Errors
/// If no gateway listens on the socket, or if the command cannot be sent.
pub(crate) fn ask(socket: &Path, ask: ControlCommand) -> Result<Answers> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(match ask {
        ControlCommand::Status | ControlCommand::Join => PATIENCE,
        ControlCommand::ResetHealth(_)
        | ControlCommand::DashboardLink
        | ControlCommand::Reload
        | ControlCommand::Stop
        | ControlCommand::StopNow => LONG_PATIENCE,
        ControlCommand::Restart => RESTART_PATIENCE,
    }))?;
    let mut question = serde_json::to_vec(&Question { version: VERSION, ask })?;
    question.push(b'\n');
    stream.write_all(&question)?;
    Ok(Answers { lines: BufReader::new(stream) })
}

impl Answers {
    /// Reads the next line. Returns `None` when the gateway has closed the connection or exited.
    ///
    /// # Errors
    /// If no line arrives in time, or if this version cannot parse it.
    pub(crate) fn next(&mut self) -> Result<Option<ControlReply>> {
        let mut line = String::new();
        let limit = u64::try_from(ANSWER).unwrap_or(u64::MAX);
        match self.lines.by_ref().take(limit).read_line(&mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            // The gateway exited before the rest was read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
        let answer: Answer = serde_json::from_str(&line)
            .map_err(|_| Error::other("the gateway that runs speaks otherwise: it is of another version"))?;
        Ok(Some(answer.said))
    }

    /// Sets the maximum wait for the next line.
    pub(crate) fn wait_at_most(&self, patience: Duration) -> Result<()> {
        self.lines.get_ref().set_read_timeout(Some(patience.max(Duration::from_millis(1))))
    }
}
