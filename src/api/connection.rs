//! Client connections: when the server may read the next request, and when a connection is closed.
//!
//! actix-http times the first head of a connection only, reads further requests while one is in progress, and stops reading
//! when those fill its buffer. So its requests come through a [`ClientStream`], which hands it one request at a time and
//! knows what the connection waits for; once in a while each worker thread looks at all of its connections ([`worker`]).

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

pub(crate) use self::limiter::ConnectionLimiter;
use self::limiter::Slot;
pub(crate) use self::service::serve;
pub(crate) use self::stream::ClientStream;
pub(crate) use self::worker::{accept, start_sweeps};

/// One client connection, as its stream, its requests and the sweep of its worker thread share it.
pub(crate) struct Connection {
    slot: Slot,
    peer: Option<SocketAddr>,
    phase: Cell<Phase>,
    /// Since when it is in this phase; of idle ones, to within a sweep.
    since: Cell<Instant>,
    /// Orders the connections of a thread by when they became idle.
    turn: Cell<u64>,
    /// Its place in the worker's list.
    index: Cell<usize>,
    /// Whether all of the request in progress has arrived.
    read: Cell<bool>,
    /// A request has been answered on it.
    used: Cell<bool>,
    /// Bytes of the next request are held back until this one has been answered.
    held: Cell<Held>,
    closing: Cell<Option<Closing>>,
    /// Of the task that reads and writes the connection.
    task: RefCell<Option<Waker>>,
    interim: Cell<Interim>,
    flow: Cell<Outflow>,
    /// The reply has not been asked for more, since the client does not take what it has.
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
pub(crate) struct Registration(Rc<Connection>);

impl Drop for Registration {
    fn drop(&mut self) {
        worker::forget(&self.0);
    }
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No byte of the next request has arrived.
    Idle,
    /// A part of a request's head has arrived.
    Head,
    /// A request is in progress.
    Serving,
    /// A request has been answered before all of its body was there.
    Discarding,
}

/// Why a connection is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// No request is in progress.
    Idle,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The client is not worth waiting for: what it has not taken yet is thrown away.
    Abort,
}

/// What arrived behind the request that is in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Held {
    #[default]
    Nothing,
    Bytes,
    /// More than is held back. It has been thrown away, and the connection is closed behind the reply: if it were not read, the
    /// client's end of the connection could not be seen.
    Discarded,
}

/// `100 Continue`, where a client waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Interim {
    #[default]
    None,
    /// The client waits for it, and nobody has asked for the body yet.
    Expected,
    /// So many bytes of it have been sent.
    Sending(usize),
}

/// How the client takes what it is sent.
#[derive(Clone, Copy, Debug)]
struct Outflow {
    /// Something waits to be taken.
    blocked: bool,
    /// Something has had to wait, so that the period has begun.
    measured: bool,
    /// Bytes that were taken in the period of measurement.
    taken: u64,
    /// For how long something waited in it.
    waited: Duration,
}

impl Outflow {
    const START: Self = Self { blocked: false, measured: false, taken: 0, waited: Duration::ZERO };

    fn after(self, written: &Poll<std::io::Result<usize>>) -> Self {
        match written {
            // A period begins when something has to wait; what went out before says nothing.
            Poll::Pending if self.measured => Self { blocked: true, ..self },
            Poll::Pending => Self { blocked: true, measured: true, ..Self::START },
            Poll::Ready(Ok(taken)) => Self { blocked: false, taken: self.taken + *taken as u64, ..self },
            Poll::Ready(Err(_)) => Self { blocked: false, ..self },
        }
    }

    /// After so much more time. The error says that the client took less than `rate` bytes a second while something waited
    /// for it, `grace` in all.
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

impl Connection {
    fn new(slot: Slot, peer: Option<SocketAddr>, security: Security) -> Self {
        Self {
            slot,
            peer,
            phase: Cell::new(Phase::Idle),
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

    /// For messages.
    fn peer(&self) -> String {
        self.peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string())
    }

    fn enter(&self, phase: Phase, since: Instant) {
        self.phase.set(phase);
        self.since.set(since);
        self.turn.set(worker::next_turn());
    }

    /// Remembers whom to wake.
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

    /// Closes it as soon as its task runs.
    fn close(&self, closing: Closing) {
        if self.closing.get().is_none() {
            self.closing.set(Some(closing));
            self.wake();
        }
    }

    /// The head of a request has arrived.
    fn begin(&self) {
        self.read.set(false);
        self.phase.set(Phase::Serving);
    }

    /// All of the request in progress has arrived.
    fn request_read(&self) {
        self.read.set(true);
        if self.phase.get() == Phase::Discarding {
            self.enter(Phase::Idle, worker::about_now());
        }
    }

    /// The reply to the request in progress has been handed over.
    fn answered(&self) {
        self.used.set(true);
        if self.phase.get() == Phase::Serving {
            let phase = if self.read.get() { Phase::Idle } else { Phase::Discarding };
            self.enter(phase, worker::about_now());
            if self.held.get() != Held::Nothing {
                self.wake();
            }
        }
    }

    /// The final reply is there: an interim one that has not begun is of no more use. `true` when nobody has asked for the body.
    fn end_interim(&self) -> bool {
        let interim = self.interim.get();
        if matches!(interim, Interim::Expected | Interim::Sending(0)) {
            self.interim.set(Interim::None);
        }
        interim == Interim::Expected
    }

    /// The body is wanted: a client that waits for `100 Continue` gets it.
    fn body_wanted(&self) {
        if self.interim.get() == Interim::Expected {
            self.interim.set(Interim::Sending(0));
        }
    }
}

/// Whether the client's connection is encrypted up to this gateway.
pub(super) fn security(request: &HttpRequest) -> Security {
    request.conn_data::<Rc<Connection>>().map_or(Security::Plain, |connection| connection.security)
}

/// Whether the client keeps the body of its request back until it has read `100 Continue`.
pub(super) fn awaits_continue(request: &HttpRequest) -> bool {
    let connection = request.conn_data::<Rc<Connection>>();
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
    fn only_time_counts_during_which_something_waits() {
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
    fn who_takes_enough_gets_another_period() {
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
    fn what_went_out_before_something_had_to_wait_does_not_count() {
        let flow = Outflow::START.after(&wrote(1 << 30)).after(&Poll::Pending);
        assert_eq!(flow.at_sweep(60 * SECOND, 60 * SECOND, 1024).err(), Some(TooSlow));
    }
}
