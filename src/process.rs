//! Interaction with the operating system: signals and the terminal in this file; the control socket, its directory, sessions,
//! descriptors and systemd in the modules below.

pub(crate) mod channel;
pub(crate) mod control;
pub(crate) mod descriptors;
pub(crate) mod directory;
pub(crate) mod sessions;
pub(crate) mod systemd;

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use futures_util::future::{Either, select};

/// Execs another program. The process, its terminal, group and parent stay, so signals, job control and the exit code are those
/// of the new program. Returns only if exec fails.
pub(crate) fn become_program(command: &mut Command) -> std::io::Error {
    command.exec()
}

/// Truncates stderr's file above `limit` bytes.
pub(crate) fn bound_output(limit: u64) -> std::io::Result<()> {
    let output = File::from(std::io::stderr().as_fd().try_clone_to_owned()?);
    let metadata = output.metadata()?;
    if metadata.is_file() && metadata.len() > limit { output.set_len(0) } else { Ok(()) }
}

/// Detaches from the terminal. Input there, and its end, no longer send signals to this process.
pub(crate) fn leave_terminal() {
    // setsid fails for the leader of a process group; such a process has no terminal here.
    let _leads_already = rustix::process::setsid();
}

/// The signals that control a gateway. A gateway without a master acts on them; a worker receives and ignores them.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    hangup: Signal,
    user: Signal,
    terminal: Option<Terminal>,
}

/// The terminal that this process was started from.
pub(crate) struct Terminal;

/// The request that a signal makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalRequest {
    /// SIGTERM, SIGINT, or SIGHUP of a terminal that has been closed: drain and exit.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR2: run the program that is on disk now.
    Restart,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined2())?,
            terminal: Terminal::of_process(),
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> SignalRequest {
        let stop = select(Box::pin(self.term.recv()), Box::pin(self.int.recv()));
        let others = select(Box::pin(self.hangup.recv()), Box::pin(self.user.recv()));
        match select(stop, others).await {
            Either::Left(_) => SignalRequest::Stop,
            Either::Right((Either::Left(_), _)) => Terminal::hangup(self.terminal.as_ref()),
            Either::Right((Either::Right(_), _)) => SignalRequest::Restart,
        }
    }
}

impl Terminal {
    /// `None` for a process that was started without one.
    pub(crate) fn of_process() -> Option<Self> {
        std::io::stdin().is_terminal().then_some(Self)
    }

    /// What SIGHUP means. A closed terminal sends the same signal as a user who requests a reload, but then it can no longer
    /// be opened.
    pub(crate) fn hangup(terminal: Option<&Self>) -> SignalRequest {
        match terminal {
            Some(Self) if File::open("/dev/tty").is_err() => SignalRequest::Stop,
            Some(Self) | None => SignalRequest::Reload,
        }
    }
}
