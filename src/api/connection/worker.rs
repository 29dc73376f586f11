//! The client connections of one worker thread: accepts them, and closes those that wait too long in a regular sweep.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use vandamme_actors::settings::Limits;

use super::limiter::Class;
use super::{ClientConnection, Closing, ConnectionPhase, Registration};
use crate::gateway::Gateway;

/// How long an idle connection is kept. Load balancers commonly close theirs after a minute, and must do so first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a connection of the reserve may wait for a request.
const RESERVED_WAIT: Duration = Duration::from_secs(1);
/// How long a new connection may wait for its first request before another one can replace it.
const FRESH: Duration = Duration::from_secs(1);
/// The longest and the shortest interval between two sweeps.
const SLOWEST: Duration = Duration::from_secs(1);
const FASTEST: Duration = Duration::from_millis(50);

/// The connections of this thread.
struct ThreadConnections {
    connections: RefCell<Vec<Rc<ClientConnection>>>,
    /// When the last sweep began.
    now: Cell<Instant>,
    swept: Cell<bool>,
    turns: Cell<u64>,
    /// Replies close their connections, since another process accepts new ones.
    retired: Cell<bool>,
}

thread_local! {
    static HERE: ThreadConnections = ThreadConnections {
        connections: RefCell::default(),
        now: Cell::new(Instant::now()),
        swept: Cell::new(false),
        turns: Cell::new(0),
        retired: Cell::new(false),
    };
}

/// The time of the last sweep. It is accurate enough for waits of a minute, and costs no system call.
pub(super) fn about_now() -> Instant {
    HERE.with(|here| here.now.get())
}

pub(super) fn next_turn() -> u64 {
    HERE.with(|here| {
        here.turns.set(here.turns.get() + 1);
        here.turns.get()
    })
}

/// From now on, each reply of this thread closes its connection.
pub(crate) fn retire_here() {
    HERE.with(|here| here.retired.set(true));
}

pub(super) fn is_retired() -> bool {
    HERE.with(|here| here.retired.get())
}

pub(super) fn add(connection: ClientConnection) -> Registration {
    HERE.with(|here| here.add(connection))
}

/// Closes the connection of this thread that has waited longest for a request; `false` if all are in use.
pub(super) fn close_longest_waiting(class: Class) -> bool {
    HERE.with(|here| {
        let now = Instant::now();
        let connections = here.connections.borrow();
        let waiting = connections.iter().filter(|connection| connection.may_be_replaced(class, now));
        let longest = waiting.min_by_key(|connection| connection.turn.get());
        longest.inspect(|connection| connection.close(Closing::Idle)).is_some()
    })
}

impl ThreadConnections {
    fn add(&self, connection: ClientConnection) -> Registration {
        let connection = Rc::new(connection);
        let mut connections = self.connections.borrow_mut();
        connection.index.set(connections.len());
        connections.push(connection.clone());
        Registration(connection)
    }

    fn remove(&self, index: usize) {
        let mut connections = self.connections.borrow_mut();
        if index < connections.len() {
            connections.swap_remove(index);
            if let Some(moved) = connections.get(index) {
                moved.index.set(index);
            }
        }
    }
}

/// Removes a connection whose registration has been dropped.
pub(super) fn forget(connection: &ClientConnection) {
    // The thread-local value may already be destroyed at the end of the thread.
    let _ = HERE.try_with(|here| here.remove(connection.index.get()));
}

/// Starts the sweeps of this thread's connections.
pub(crate) fn start_sweeps(gateway: Arc<Gateway>) {
    if !HERE.with(|here| here.swept.replace(true)) {
        actix_web::rt::spawn(sweep_for_ever(gateway));
    }
}

async fn sweep_for_ever(gateway: Arc<Gateway>) {
    let mut last = Instant::now();
    loop {
        let limits = gateway.live_config().settings.limits.clone();
        sleep(pause(&limits)).await;
        let now = Instant::now();
        HERE.with(|here| {
            here.now.set(now);
            for connection in here.connections.borrow().iter() {
                connection.sweep(now, now.saturating_duration_since(last), &limits);
            }
        });
        last = now;
    }
}

/// The interval between sweeps: a fraction of the shortest timeout that they check.
fn pause(limits: &Limits) -> Duration {
    (limits.request_head_timeout.min(limits.reply_grace) / 4).clamp(FASTEST, SLOWEST)
}

impl ClientConnection {
    /// Whether it can be closed in favour of a new connection.
    fn may_be_replaced(&self, class: Class, now: Instant) -> bool {
        let waits = match self.phase.get() {
            ConnectionPhase::Idle | ConnectionPhase::Head | ConnectionPhase::Discarding => true,
            ConnectionPhase::Serving => false,
        };
        let settled = self.used.get() && self.phase.get() == ConnectionPhase::Idle
            || class == Class::Reserved
            || now.saturating_duration_since(self.since.get()) >= FRESH;
        waits && settled && self.slot.class == class && self.closing.get().is_none()
    }

    fn sweep(&self, now: Instant, passed: Duration, limits: &Limits) {
        let waited = now.saturating_duration_since(self.since.get());
        let longest = |limit: Duration| match self.slot.class {
            Class::Ordinary => limit,
            Class::Reserved => limit.min(RESERVED_WAIT),
        };
        let head_timeout = longest(limits.request_head_timeout);
        match self.phase.get() {
            ConnectionPhase::Idle if self.used.get() => {
                if waited >= longest(KEEP_ALIVE) {
                    self.close(Closing::Idle);
                }
            }
            ConnectionPhase::Idle | ConnectionPhase::Head => {
                if waited >= head_timeout {
                    self.close(Closing::HeadTimeout);
                }
            }
            ConnectionPhase::Discarding => {
                if waited >= head_timeout {
                    self.close(Closing::Idle);
                }
            }
            ConnectionPhase::Serving => {}
        }
        match self.flow.get().at_sweep(passed, limits.reply_grace, limits.reply_min_rate) {
            Ok(flow) => self.flow.set(flow),
            Err(_too_slow) => {
                if self.closing.get().is_none() {
                    log::info!(
                        "a client at {} reads its reply more slowly than limits.reply-min-rate: closing the connection",
                        self.peer()
                    );
                }
                self.close(Closing::Abort);
            }
        }
    }
}
