//! One worker thread's client connections: how they are accepted, and the sweep that closes those that wait too long.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_rt::net::TcpStream;
use actix_web::rt::time::{sleep, timeout};
use tokio::sync::oneshot;
use vandamme_actors::settings::Limits;

use super::client_io::{self, ClientIo};
use super::limiter::{Claim, Class};
use super::{ClientStream, Closing, Connection, ConnectionLimiter, Phase, Registration, Security};
use crate::gateway::Gateway;

/// Clients keep their connections; balancers in front of us close theirs after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The longest that a connection of the reserve waits for a request.
const RESERVED_WAIT: Duration = Duration::from_secs(1);
/// A new connection has this long for its first request before another one may take its place.
const FRESH: Duration = Duration::from_secs(1);
/// Between two sweeps.
const SLOWEST: Duration = Duration::from_secs(1);
const FASTEST: Duration = Duration::from_millis(50);
/// How long the other threads may take to find a connection to close.
const PATIENCE: Duration = Duration::from_secs(1);
/// So much may wait in the system's buffer unsent. More would only hide how slowly a client reads.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 << 10;

/// The connections of this thread.
struct Worker {
    connections: RefCell<Vec<Rc<Connection>>>,
    /// When the last sweep began.
    now: Cell<Instant>,
    swept: Cell<bool>,
    turns: Cell<u64>,
}

thread_local! {
    static HERE: Worker = Worker {
        connections: RefCell::default(),
        now: Cell::new(Instant::now()),
        swept: Cell::new(false),
        turns: Cell::new(0),
    };
}

/// The time of the last sweep: good enough for waits of a minute, and no system call.
pub(super) fn about_now() -> Instant {
    HERE.with(|here| here.now.get())
}

pub(super) fn next_turn() -> u64 {
    HERE.with(|here| {
        here.turns.set(here.turns.get() + 1);
        here.turns.get()
    })
}

/// Sets a new connection up, or refuses it.
pub(crate) async fn accept(
    io: TcpStream,
    gateway: &Gateway,
    limiter: &Arc<ConnectionLimiter>,
) -> io::Result<(ClientStream, Option<SocketAddr>)> {
    let peer = io.peer_addr().ok();
    let tls = gateway.tls();
    let security = if tls.is_some() { Security::Tls } else { Security::Plain };
    let live = gateway.live_config();
    let limits = &live.settings.limits;
    let slot = match limiter.claim(peer.map(|peer| peer.ip()), limits) {
        Claim::Granted(slot) => slot,
        Claim::Full(mut slot) => {
            // Another one may have closed meanwhile.
            if !make_room(gateway).await && !slot.fits(limits) {
                slot.class = Class::Reserved;
                if slot.exceeds_reserve(limits) && !close_longest_waiting(Class::Reserved) {
                    return Err(refuse(
                        &io,
                        security,
                        "the gateway has as many client connections as it may have",
                    ));
                }
            }
            slot
        }
        Claim::Refused => {
            return Err(refuse(&io, security, "there are too many connections from this address"));
        }
    };
    set_up(&io, limits);
    let registration = HERE.with(|here| here.add(Connection::new(slot, peer, security)));
    let io = match tls.as_ref() {
        None => ClientIo::Plain(io),
        Some(tls) => {
            let connection = &registration.0;
            let secured = client_io::secured(io, tls.server_config(), connection).await;
            let secured = secured.inspect_err(|error| {
                log::debug!("the TLS handshake with {} failed: {error}", connection.peer());
            })?;
            // The time for the first head begins now.
            connection.enter(Phase::Idle, Instant::now());
            secured
        }
    };
    Ok((ClientStream::new(io, registration), peer))
}

fn set_up(io: &TcpStream, limits: &Limits) {
    // Otherwise a reply that is written in several pieces waits for acknowledgements (measured).
    let _ = io.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        // The system closes the connection of a client that takes nothing at all.
        if let Some(patience) = limits.client_timeout {
            let longest = i32::MAX.unsigned_abs();
            let patience =
                u32::try_from(patience.as_millis()).map_or(longest, |millis| millis.clamp(1, longest));
            if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(io, patience) {
                log::warn!("limits.client-timeout has no effect: {error}");
            }
        }
        if let Err(error) = socket2::SockRef::from(io).set_tcp_notsent_lowat(UNSENT) {
            log::debug!("the system buffers more for slow clients than it should: {error}");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = limits;
}

/// Says why as far as that is possible without waiting, and leaves the connection to be closed. Before a TLS handshake no
/// answer can be sent.
fn refuse(io: &TcpStream, security: Security, why: &str) -> io::Error {
    if security == Security::Tls {
        return io::ErrorKind::ConnectionRefused.into();
    }
    let body = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\"message\":\"{why}\"}}}}");
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // A client that does not take it has lost nothing but the reason.
    let _ = socket2::SockRef::from(io).send(reply.as_bytes());
    io::ErrorKind::ConnectionRefused.into()
}

/// Closes the connection that has waited longest for a request, on this thread or another one; `false` when all are in use.
async fn make_room(gateway: &Gateway) -> bool {
    if close_longest_waiting(Class::Ordinary) {
        return true;
    }
    let elsewhere = async {
        for worker in gateway.workers().iter() {
            let (answer, closed) = oneshot::channel();
            worker.spawn_fn(move || {
                // Whoever asked may have given up.
                let _ = answer.send(close_longest_waiting(Class::Ordinary));
            });
            if closed.await == Ok(true) {
                return true;
            }
        }
        false
    };
    timeout(PATIENCE, elsewhere).await == Ok(true)
}

fn close_longest_waiting(class: Class) -> bool {
    HERE.with(|here| {
        let now = Instant::now();
        let connections = here.connections.borrow();
        let waiting = connections.iter().filter(|connection| connection.may_be_replaced(class, now));
        let longest = waiting.min_by_key(|connection| connection.turn.get());
        longest.inspect(|connection| connection.close(Closing::Idle)).is_some()
    })
}

impl Worker {
    fn add(&self, connection: Connection) -> Registration {
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

/// Called when a connection's registration is dropped.
pub(super) fn forget(connection: &Connection) {
    // The thread may be on its way down.
    let _ = HERE.try_with(|here| here.remove(connection.index.get()));
}

/// Sweeps the connections of this thread from now on.
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

/// A fraction of what is measured.
fn pause(limits: &Limits) -> Duration {
    (limits.request_head_timeout.min(limits.reply_grace) / 4).clamp(FASTEST, SLOWEST)
}

impl Connection {
    /// Whether it can be closed in favour of a new connection.
    fn may_be_replaced(&self, class: Class, now: Instant) -> bool {
        let waits = match self.phase.get() {
            Phase::Idle | Phase::Head | Phase::Discarding => true,
            Phase::Serving => false,
        };
        let settled = self.used.get() && self.phase.get() == Phase::Idle
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
            Phase::Idle if self.used.get() => {
                if waited >= longest(KEEP_ALIVE) {
                    self.close(Closing::Idle);
                }
            }
            Phase::Idle | Phase::Head => {
                if waited >= head_timeout {
                    self.close(Closing::HeadTimeout);
                }
            }
            Phase::Discarding => {
                if waited >= head_timeout {
                    self.close(Closing::Idle);
                }
            }
            Phase::Serving => {}
        }
        match self.flow.get().at_sweep(passed, limits.reply_grace, limits.reply_min_rate) {
            Ok(flow) => self.flow.set(flow),
            Err(_too_slow) => {
                if self.closing.get().is_none() {
                    log::info!(
                        "a client at {} takes less than limits.reply-min-rate of its reply: the connection is closed",
                        self.peer()
                    );
                }
                self.close(Closing::Abort);
            }
        }
    }
}
