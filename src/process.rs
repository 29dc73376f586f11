//! What the process owes the system it runs on: signals here; its control socket, the directory of that, and the sessions
//! that it lives for below.

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

/// Puts another program in the place of this one. Process, terminal, group and parent stay, so that signals, job control and exit
/// code are that program's own. Returns only why that was not possible.
pub(crate) fn become_program(command: &mut Command) -> std::io::Error {
    command.exec()
}

/// Empties what this process writes its messages to, once that is a file of more than so many bytes.
pub(crate) fn bound_output(limit: u64) -> std::io::Result<()> {
    let output = File::from(std::io::stderr().as_fd().try_clone_to_owned()?);
    let metadata = output.metadata()?;
    if metadata.is_file() && metadata.len() > limit { output.set_len(0) } else { Ok(()) }
}

/// Leaves the terminal that this process was started from: what is typed and closed there does not concern it.
pub(crate) fn leave_terminal() {
    // It fails in a process that leads a group already, which then has no terminal to lose.
    let _leads_already = rustix::process::setsid();
}

/// The signals to a gateway that has no master.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    hangup: Signal,
    user: Signal,
    terminal: Option<Terminal>,
}

/// The terminal that this process was started from.
pub(crate) struct Terminal;

/// What a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
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

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) -> Notice {
        let stop = select(Box::pin(self.term.recv()), Box::pin(self.int.recv()));
        let others = select(Box::pin(self.hangup.recv()), Box::pin(self.user.recv()));
        match select(stop, others).await {
            Either::Left(_) => Notice::Stop,
            Either::Right((Either::Left(_), _)) => Terminal::hangup(self.terminal.as_ref()),
            Either::Right((Either::Right(_), _)) => Notice::Restart,
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
    pub(crate) fn hangup(terminal: Option<&Self>) -> Notice {
        match terminal {
            Some(Self) if File::open("/dev/tty").is_err() => Notice::Stop,
            Some(Self) | None => Notice::Reload,
        }
    }
}
