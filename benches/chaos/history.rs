//! What happened: the faults with their times, and the requests that did not end as their order says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::client::{Outcome, Waits};
use crate::order::{Form, Order, Script};

/// The clocks of client and driver are read at different moments.
const TOLERANCE: Duration = Duration::from_millis(100);

/// What a fault may cost the requests that overlap it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// The worker is killed: anything, for connections that it has.
    Killed,
    /// The master is killed: no connection until it is started again. The old worker finishes its requests and accepts no others,
    /// also on connections that it has.
    MasterKilled,
    /// More requests than `limits.in-flight`: 503 with `retry-after`.
    Overload,
    /// The upstream is down: an error, and repeated calls.
    UpstreamDown,
    /// An actor panics or hangs: an error status.
    ActorFault,
    /// A converter panics: one reply.
    OneReply,
}

/// A fault and its duration.
struct Window {
    excuse: Excuse,
    from: Instant,
    until: Instant,
    /// Earlier connections belong to a worker that is not concerned.
    connected_since: Option<Instant>,
}

/// A request that did not end as its order says.
#[derive(Clone, Debug)]
pub(crate) struct Suspect {
    pub(crate) order: Order,
    pub(crate) outcome: Outcome,
    pub(crate) calls: usize,
    /// When the connection was opened, if it is an earlier one.
    pub(crate) opened: Option<Instant>,
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
}

pub(crate) struct History {
    began: Instant,
    next_id: AtomicU64,
    /// The generation of the configuration that every new request must be served with.
    applied: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    windows: Vec<Window>,
    suspects: Vec<Suspect>,
    lost: Vec<u64>,
    timeline: Vec<String>,
    violations: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

/// Everything at the end.
pub(crate) struct Summary {
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) timeline: Vec<String>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            next_id: AtomicU64::new(1),
            applied: AtomicU64::new(0),
            inner: Mutex::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::SeqCst)
    }

    pub(crate) fn set_applied(&self, generation: u64) {
        self.applied.store(generation, Ordering::SeqCst);
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.began).as_secs_f64()
    }

    pub(crate) fn note(&self, words: &str) {
        let line = format!("{:8.2} s  {words}", self.seconds(Instant::now()));
        eprintln!("{line}");
        self.lock().timeline.push(line);
    }

    /// A fault from `from` until now, whose effects last for `after`.
    pub(crate) fn excuse(&self, excuse: Excuse, from: Instant, after: Duration) {
        let until = Instant::now() + after;
        self.lock().windows.push(Window { excuse, from, until, connected_since: None });
    }

    /// A kill since `from` of the worker that accepts connections since `connected_since`.
    pub(crate) fn excuse_kill(&self, from: Instant, connected_since: Instant) {
        // The kernel closes the sockets after the signal.
        let until = Instant::now() + Duration::from_millis(300);
        let connected_since = Some(connected_since);
        self.lock().windows.push(Window { excuse: Excuse::Killed, from, until, connected_since });
    }

    pub(crate) fn violate(&self, words: String) {
        self.note(&format!("VIOLATION: {words}"));
        self.lock().violations.push(words);
    }

    pub(crate) fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    pub(crate) fn counted(&self, what: &str) -> u64 {
        self.lock().counts.get(what).copied().unwrap_or_default()
    }

    /// The requests whose client received no whole reply: a call of them may arrive late.
    pub(crate) fn lost(&self) -> Vec<u64> {
        self.lock().lost.clone()
    }

    /// Records how a request ended.
    pub(crate) fn record(&self, suspect: Suspect) {
        self.count("requests");
        self.count(name(&suspect.outcome));
        if matches!(suspect.outcome, Outcome::Lost(_)) {
            self.lock().lost.push(suspect.order.id);
        }
        if !is_expected(&suspect) {
            self.lock().suspects.push(suspect);
        }
    }

    /// Compares the suspects with the faults.
    pub(crate) fn conclude(&self) -> Summary {
        let mut inner = self.lock();
        let suspects = std::mem::take(&mut inner.suspects);
        let mut single_replies =
            inner.windows.iter().filter(|window| window.excuse == Excuse::OneReply).count();
        for suspect in suspects {
            // The excuse for a single reply is the last one.
            let mut excuses: Vec<_> =
                inner.windows.iter().filter(|window| window.excuses(&suspect)).collect();
            excuses.sort_by_key(|window| window.excuse == Excuse::OneReply);
            let excused = excuses.first().map(|window| window.excuse);
            let excused = match excused {
                Some(Excuse::OneReply) if single_replies == 0 => None,
                Some(Excuse::OneReply) => {
                    single_replies -= 1;
                    Some(Excuse::OneReply)
                }
                other => other,
            };
            let Some(excuse) = excused else {
                let story = self.story(&suspect);
                inner.violations.push(story);
                continue;
            };
            *inner.counts.entry(excuse.name()).or_default() += 1;
        }
        Summary {
            counts: inner.counts.clone(),
            violations: inner.violations.clone(),
            timeline: inner.timeline.clone(),
        }
    }

    fn story(&self, suspect: &Suspect) -> String {
        let Suspect { order, outcome, calls, opened, started, ended } = suspect;
        let connection = opened.map_or_else(
            || "on a new connection".to_owned(),
            |opened| format!("on a connection opened at {:.2} s", self.seconds(opened)),
        );
        format!(
            "{:.2} s to {:.2} s, {connection}, {calls} calls: {order:?} ended with {outcome:?}",
            self.seconds(*started),
            self.seconds(*ended)
        )
    }
}

impl Window {
    fn excuses(&self, suspect: &Suspect) -> bool {
        let overlaps = suspect.started <= self.until + TOLERANCE && suspect.ended + TOLERANCE >= self.from;
        let connected = suspect.opened.unwrap_or(suspect.started);
        let concerned = self.connected_since.is_none_or(|since| connected + TOLERANCE >= since);
        let is_old = suspect.opened.is_some_and(|opened| opened <= self.from + TOLERANCE);
        let outlives = self.excuse == Excuse::MasterKilled && is_old && suspect.ended >= self.from;
        (overlaps || outlives) && concerned && self.excuse.permits(suspect)
    }
}

impl Excuse {
    fn name(self) -> &'static str {
        match self {
            Self::Killed => "excused by a kill",
            Self::MasterKilled => "excused by a kill of the master",
            Self::Overload => "excused by a flood",
            Self::UpstreamDown => "excused by the upstream",
            Self::ActorFault => "excused by an actor fault",
            Self::OneReply => "excused by a converter panic",
        }
    }

    fn permits(self, suspect: &Suspect) -> bool {
        match (&suspect.outcome, self) {
            (Outcome::Lost(_), Self::Killed) => true,
            (Outcome::Lost(_) | Outcome::Refused { status: 503, .. }, Self::MasterKilled) => {
                suspect.calls == 0
            }
            (Outcome::Refused { status: 503, waits: Waits::Stated }, Self::Overload) => true,
            (
                Outcome::Refused { status: 500.., .. },
                Self::UpstreamDown | Self::ActorFault | Self::OneReply,
            ) => true,
            (Outcome::Broken, Self::UpstreamDown | Self::OneReply) => true,
            // The reply is right, but the upstream was called more than once.
            (Outcome::Complete | Outcome::Left, Self::UpstreamDown) => true,
            _ => false,
        }
    }
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Refused { .. } => "refused",
        Outcome::Broken => "ended with an error event",
        Outcome::Left => "left by the client",
        Outcome::Lost(_) => "lost",
        Outcome::Wrong(_) => "wrong",
    }
}

/// Whether this is what the order says, without any fault.
fn is_expected(suspect: &Suspect) -> bool {
    let Suspect { order, outcome, calls, .. } = suspect;
    if *outcome == Outcome::Left {
        return order.leaves_after.is_some();
    }
    match order.script {
        Script::Answers | Script::Late => *outcome == Outcome::Complete && *calls <= 1,
        Script::RateLimits => {
            matches!(outcome, Outcome::Refused { status: 429, waits: Waits::Stated }) && *calls <= 6
        }
        Script::FailsOnce => {
            matches!(outcome, Outcome::Complete | Outcome::Refused { status: 500, .. }) && *calls <= 6
        }
        Script::Cuts if order.form == Form::Whole => {
            matches!(outcome, Outcome::Refused { status: 502, .. }) && *calls <= 6
        }
        Script::Cuts | Script::Stalls => *outcome == Outcome::Broken && *calls <= 6,
    }
}
