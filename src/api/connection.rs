//! Client connections: when the server may read the next request, and when a connection is closed.
//!
//! actix-http has a timeout for the first head of a connection only, reads further requests while one is in progress, and
//! stops reading when those fill its buffer. Therefore it reads through a [`ClientStream`], which passes on one request at a
//! time and records what the connection waits for. Each worker thread checks its connections at intervals ([`worker`]).

mod accept;
mod client_io;
mod framing;
mod limiter;
mod service;
mod stream;
mod worker;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;

pub(crate) use self::accept::accept;
pub(crate) use self::limiter::ConnectionLimiter;
use self::limiter::ConnectionSlot;
pub(crate) use self::service::serve;
pub(crate) use self::stream::ClientStream;
pub(crate) use self::worker::{retire_here, start_sweeps};

/// The state of one client connection, shared by its stream, its requests and the sweep of its worker thread.
pub(crate) struct ClientConnection {
    slot: ConnectionSlot,
    peer: Option<SocketAddr>,
    phase: Cell<ConnectionPhase>,
    /// When this phase began. For idle connections, accurate to one sweep.
    since: Cell<Instant>,
    /// Orders the connections of a thread by when they became idle.
    turn: Cell<u64>,
    /// The position in the worker's list.
    index: Cell<usize>,
    /// Whether the request in progress has arrived completely.
    read: Cell<bool>,
    /// Whether the connection has served a request.
    used: Cell<bool>,
    /// Bytes of the next request, which wait for the reply to the current one.
    held: Cell<Held>,
    closing: Cell<Option<Closing>>,
    /// Wakes the task that reads and writes the connection.
    task: RefCell<Option<Waker>>,
    interim: Cell<Interim>,
    flow: Cell<Outflow>,
    /// The reply's body is not polled, because the client does not read what has been written.
    paused: Cell<bool>,
    security: Security,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    Plain,
    Tls,
}

/// A connection in the list of its worker thread. Its drop removes it.
pub(crate) struct Registration(Rc<ClientConnection>);

impl Drop for Registration {
    fn drop(&mut self) {
        worker::forget(&self.0);
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    /// No byte of the next request has arrived.
    Idle,
    /// A part of a request's head has arrived.
    Head,
    /// A request is in progress.
    Serving,
    /// A request was answered before its whole body had arrived. The rest of the body is discarded.
    Discarding,
}

/// Why a connection is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// No request is in progress.
    Idle,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The client reads too slowly. Unsent bytes are discarded.
    Abort,
}

/// What arrived after the request that is in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Held {
    #[default]
    Nothing,
    Bytes,
    /// More than the limit. The bytes have been discarded, and the connection is closed after the reply. They had to be read,
    /// because a disconnect is visible only to a reader.
    Discarded,
}

/// The state of `100 Continue`, if the client waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Interim {
    #[default]
    None,
    /// The client waits for it, and no code has read the body yet.
    Expected,
    /// The number of bytes of it that have been sent.
    Sending(usize),
}

/// How fast the client reads.
#[derive(Clone, Copy, Debug)]
struct Outflow {
    /// Bytes wait to be sent.
    blocked: bool,
    /// Bytes have had to wait, so a period of measurement has begun.
    measured: bool,
    /// Bytes sent in this period.
    taken: u64,
    /// How long bytes waited in this period.
    waited: Duration,
}

impl Outflow {
    const START: Self = Self { blocked: false, measured: false, taken: 0, waited: Duration::ZERO };

    fn after(self, written: &Poll<std::io::Result<usize>>) -> Self {
        match written {
            // A period begins when bytes have to wait. Earlier bytes do not show how fast the client reads.
            Poll::Pending if self.measured => Self { blocked: true, ..self },
            Poll::Pending => Self { blocked: true, measured: true, ..Self::START },
            Poll::Ready(Ok(taken)) => Self { blocked: false, taken: self.taken + *taken as u64, ..self },
            Poll::Ready(Err(_)) => Self { blocked: false, ..self },
        }
    }

    /// The state after `passed` more time. Returns an error if bytes have waited for `grace` in all, and the client read less
    /// than `rate` bytes a second in that time.
    fn at_sweep(self, passed: Duration, grace: Duration, rate: u64) -> Result<Self, TooSlow> {
        let waited = if self.blocked { self.waited + passed } else { self.waited };
        if waited < grace {
            return Ok(Self { waited, ..self });
        }
        if (self.taken as f64) < rate as f64 * waited.as_secs_f64() {
            return Err(TooSlow);
        }
        Ok(Self { blocked: self.blocked, measured: self.blocked, ..Self::START })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct TooSlow;

impl ClientConnection {
    fn new(slot: ConnectionSlot, peer: Option<SocketAddr>, security: Security) -> Self {
        Self {
            slot,
            peer,
            phase: Cell::new(ConnectionPhase::Idle),
            since: Cell::new(Instant::now()),
            turn: Cell::new(worker::next_turn()),
            index: Cell::new(usize::MAX),
            read: Cell::new(false),
            used: Cell::new(false),
            held: Cell::default(),
            closing: Cell::new(None),
            task: RefCell::default(),
            interim: Cell::default(),
            flow: Cell::new(Outflow::START),
            paused: Cell::new(false),
            security,
        }
    }

    /// The client's address for log lines.
    fn peer(&self) -> String {
        self.peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string())
    }

    fn enter(&self, phase: ConnectionPhase, since: Instant) {
        self.phase.set(phase);
        self.since.set(since);
        self.turn.set(worker::next_turn());
    }

    /// Records the task to wake.
    fn runs_in(&self, task: &Context<'_>) {
        let mut known = self.task.borrow_mut();
        match &mut *known {
            Some(waker) if waker.will_wake(task.waker()) => {}
            Some(waker) => waker.clone_from(task.waker()),
            none => *none = Some(task.waker().clone()),
        }
    }

    fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    /// Closes the connection as soon as its task runs.
    fn close(&self, closing: Closing) {
        if self.closing.get().is_none() {
            self.closing.set(Some(closing));
            self.wake();
        }
    }

    /// The head of a request has arrived.
    fn begin(&self) {
        self.read.set(false);
        self.phase.set(ConnectionPhase::Serving);
    }

    /// The request in progress has arrived completely.
    fn request_read(&self) {
        self.read.set(true);
        if self.phase.get() == ConnectionPhase::Discarding {
            self.enter(ConnectionPhase::Idle, worker::about_now());
        }
    }

    /// The HTTP server has received the whole reply to the request in progress.
    fn answered(&self) {
        self.used.set(true);
        if self.phase.get() == ConnectionPhase::Serving {
            let phase = if self.read.get() { ConnectionPhase::Idle } else { ConnectionPhase::Discarding };
            self.enter(phase, worker::about_now());
            if self.held.get() != Held::Nothing {
                self.wake();
            }
        }
    }

    /// The final reply is ready, so an interim reply that has not begun is omitted. Returns `true` if no code has read the body.
    fn end_interim(&self) -> bool {
        let interim = self.interim.get();
        if matches!(interim, Interim::Expected | Interim::Sending(0)) {
            self.interim.set(Interim::None);
        }
        interim == Interim::Expected
    }

    /// The body is being read, so `100 Continue` is sent to a client that waits for it.
    fn body_wanted(&self) {
        if self.interim.get() == Interim::Expected {
            self.interim.set(Interim::Sending(0));
        }
    }
}

/// Whether the client's connection is encrypted up to this gateway.
pub(super) fn security(request: &HttpRequest) -> Security {
    request.conn_data::<Rc<ClientConnection>>().map_or(Security::Plain, |connection| connection.security)
}

/// Whether the client sends the body of its request only after `100 Continue`.
pub(super) fn awaits_continue(request: &HttpRequest) -> bool {
    let connection = request.conn_data::<Rc<ClientConnection>>();
    connection.is_some_and(|connection| connection.interim.get() == Interim::Expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn wrote(bytes: usize) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes))
    }

    #[test]
    fn only_the_time_in_which_bytes_wait_counts() {
        let mut flow = Outflow::START.after(&wrote(1 << 20));
        for _ in 0..1000 {
            flow = flow.at_sweep(SECOND, 60 * SECOND, 1024).unwrap();
        }
        flow = flow.after(&Poll::Pending);
        for _ in 0..59 {
            flow = flow.at_sweep(SECOND, 60 * SECOND, 1024).unwrap();
        }
        assert_eq!(flow.at_sweep(SECOND, 60 * SECOND, 1024).err(), Some(TooSlow));
        assert!(flow.at_sweep(SECOND, 60 * SECOND, 0).is_ok(), "no minimum");
    }

    #[test]
    fn a_client_that_reads_fast_enough_gets_another_period() {
        let mut flow = Outflow::START.after(&Poll::Pending);
        for _ in 0..600 {
            flow = flow.after(&wrote(1024)).after(&Poll::Pending);
            flow = flow.at_sweep(SECOND, 60 * SECOND, 1024).unwrap();
        }
        let slow = (0..60).try_fold(flow, |flow, _| {
            flow.after(&wrote(1000)).after(&Poll::Pending).at_sweep(SECOND, 60 * SECOND, 1024)
        });
        assert_eq!(slow.err(), Some(TooSlow));
    }

    #[test]
    fn bytes_sent_before_any_had_to_wait_do_not_count() {
        let flow = Outflow::START.after(&wrote(1 << 30)).after(&Poll::Pending);
        assert_eq!(flow.at_sweep(60 * SECOND, 60 * SECOND, 1024).err(), Some(TooSlow));
    }
}
