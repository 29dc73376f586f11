//! What the process owes the system it runs on: signals here; its control socket, the directory of that, and the sessions
//! that it lives for below.

pub(crate) mod control;
pub(crate) mod directory;

use std::fs::File;
use std::io::IsTerminal as _;

use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use futures_util::future::{Either, select};

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
