//! Keeps the idle connections of one provider on one thread. awc has its own pool, but it takes an interim reply for
//! the final one and detects a closed connection only when it needs it. Therefore it never gets a connection to keep
//! (see [`ReplyIo`](super::reply_io::ReplyIo)).

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::uri::Authority;
use actix_rt::time::{Instant, sleep};
use bytes::BytesMut;
use tokio_util::io::poll_read_buf;

use super::forward::Forwarding;
use super::transport::{IdleRead, Transport};

/// The most idle connections kept.
const MAX_IDLE: usize = 256;
/// The age at which a connection is replaced between two requests, since load balancers move.
const LIFETIME: Duration = Duration::from_secs(600);
/// Shorter than the 60 s or more after which providers close idle connections.
const IDLE_TLS: Duration = Duration::from_secs(50);
/// Shorter than the 5 s of local servers (uvicorn, Node.js, actix). A new connection without TLS costs almost nothing.
const IDLE_PLAIN: Duration = Duration::from_secs(4);
/// The space for a head and the start of a body, in bytes.
const INPUT: usize = 4 << 10;
/// The interval at which idle connections are checked.
const SWEEP: Duration = Duration::from_secs(1);
/// How long an upstream gets a new connection for each request after its replies did not end where their framing says.
const DISTRUST: Duration = Duration::from_secs(600);

/// Connections with the same origin are interchangeable. A connection through a proxy belongs to its upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConnectionOrigin {
    pub(super) authority: Authority,
    pub(super) tls: bool,
}

/// A connection, idle or in use.
#[derive(Debug)]
pub(super) struct UpstreamConnection {
    pub(super) transport: Transport,
    pub(super) origin: ConnectionOrigin,
    /// Set if the connection leads to a proxy that forwards its requests.
    pub(super) forwarding: Option<Forwarding>,
    opened: Instant,
    /// Bytes that have been read but not consumed: the head of a reply and the bytes after it. Empty while idle.
    pub(super) input: BytesMut,
}

impl UpstreamConnection {
    /// Boxed, since a connection is moved often.
    pub(super) fn new(
        transport: Transport,
        origin: ConnectionOrigin,
        forwarding: Option<Forwarding>,
    ) -> Box<Self> {
        Box::new(Self { transport, origin, forwarding, opened: Instant::now(), input: BytesMut::new() })
    }

    /// Reads into `input`; `Ok(0)` is the end.
    pub(super) fn poll_input(&mut self, task: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(INPUT);
        poll_read_buf(Pin::new(&mut self.transport), task, &mut self.input)
    }
}

struct Idle {
    connection: Box<UpstreamConnection>,
    until: Instant,
}

pub(super) struct Pool {
    provider: Arc<str>,
    /// The most recently used connection is last.
    idle: RefCell<Vec<Idle>>,
    is_swept: Cell<bool>,
    distrusted_until: Cell<Option<Instant>>,
    /// Set while a request is sent that must use a new connection.
    new_only: Cell<bool>,
}

impl Pool {
    pub(super) fn new(provider: Arc<str>) -> Rc<Self> {
        Rc::new(Self {
            provider,
            idle: RefCell::default(),
            is_swept: Cell::new(false),
            distrusted_until: Cell::new(None),
            new_only: Cell::new(false),
        })
    }

    /// Runs `poll`; meanwhile the pool gives out no idle connections.
    pub(super) fn with_new_only<T>(&self, poll: impl FnOnce() -> T) -> T {
        self.new_only.set(true);
        let result = poll();
        self.new_only.set(false);
        result
    }

    /// An idle connection to `origin` that has received nothing since its last reply.
    pub(super) fn take(&self, origin: &ConnectionOrigin) -> Option<Box<UpstreamConnection>> {
        if self.new_only.get() {
            return None;
        }
        let now = Instant::now();
        loop {
            let Idle { mut connection, until } = {
                let mut idle = self.idle.borrow_mut();
                let index = idle.iter().rposition(|idle| idle.connection.origin == *origin)?;
                idle.remove(index)
            };
            if now < until && self.is_quiet(&mut connection) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose reply has ended. `keep_alive`: the seconds for which the upstream keeps it open.
    pub(super) fn put(self: &Rc<Self>, connection: Box<UpstreamConnection>, keep_alive: Option<u64>) {
        let now = Instant::now();
        let full = self.idle.borrow().len() >= MAX_IDLE;
        if full || self.is_distrusted(now) || now.duration_since(connection.opened) >= LIFETIME {
            return;
        }
        let longest = if connection.origin.tls { IDLE_TLS } else { IDLE_PLAIN };
        // One second less, because the upstream starts counting earlier.
        let announced = keep_alive.map(|seconds| Duration::from_secs(seconds.saturating_sub(1)));
        let until = now + announced.map_or(longest, |announced| announced.min(IDLE_TLS));
        self.idle.borrow_mut().push(Idle { connection, until });
        if !self.is_swept.replace(true) {
            actix_rt::spawn(sweep(Rc::downgrade(self)));
        }
    }

    /// Stops reusing connections for a while: the upstream sends bytes that belong to no reply, and these bytes must not
    /// become part of the reply to another request.
    pub(super) fn distrust(&self) {
        let now = Instant::now();
        if !self.is_distrusted(now) {
            log::warn!(
                "provider '{}' sent bytes that belong to no reply; its connections are not reused for {} s",
                self.provider,
                DISTRUST.as_secs()
            );
        }
        self.distrusted_until.set(Some(now + DISTRUST));
        self.idle.borrow_mut().clear();
    }

    fn is_distrusted(&self, now: Instant) -> bool {
        self.distrusted_until.get().is_some_and(|until| now < until)
    }

    fn is_quiet(&self, connection: &mut UpstreamConnection) -> bool {
        match connection.transport.received_while_idle() {
            IdleRead::Nothing => true,
            IdleRead::Closed => false,
            IdleRead::Bytes => {
                self.distrust();
                false
            }
        }
    }

    /// Closes connections that were idle for too long, were closed by the upstream, or received bytes. Returns `false`
    /// when no connection is left.
    fn sweep(&self) -> bool {
        let now = Instant::now();
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        let mut kept: Vec<_> = idle
            .into_iter()
            .filter_map(|mut idle| (now < idle.until && self.is_quiet(&mut idle.connection)).then_some(idle))
            .collect();
        if self.is_distrusted(now) {
            kept.clear();
        }
        let left = !kept.is_empty();
        *self.idle.borrow_mut() = kept;
        left
    }
}

/// Runs until no idle connection is left.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.sweep() {
            pool.is_swept.set(false);
            return;
        }
    }
}
