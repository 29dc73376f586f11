//! What the process owes the system it runs on: signals here; its control socket, the directory of that, and the sessions
//! that it lives for below.

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

/// The signals that mean something here.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    hangup: Signal,
    /// Set when a terminal was there at the start.
    terminal: Option<Terminal>,
}

struct Terminal;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// SIGTERM, SIGINT, or SIGHUP of a terminal that has been closed: finish and go.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            terminal: std::io::stdin().is_terminal().then_some(Terminal),
        })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) -> Notice {
        let stop = select(Box::pin(self.term.recv()), Box::pin(self.int.recv()));
        match select(stop, Box::pin(self.hangup.recv())).await {
            Either::Left(_) => Notice::Stop,
            Either::Right(_) => self.terminal.as_ref().map_or(Notice::Reload, Terminal::meaning),
        }
    }

    /// Waits for the next one that means: finish and go.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Notice::Stop {}
    }
}

impl Terminal {
    /// A closed terminal sends the same signal as somebody who wants a reload; but then it can no longer be opened.
    fn meaning(&self) -> Notice {
        if File::open("/dev/tty").is_ok() { Notice::Reload } else { Notice::Stop }
    }
}
