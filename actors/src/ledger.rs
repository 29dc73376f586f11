//! Ledger: what happened. One record for each request, written at its end whatever the end was.
//!
//! | message | from | answer |
//! |---|---|---|
//! | `WakeUp` | an [`Entry`], if the ledger sleeps | – |
//! | [`Observe`] | pages, tests | [`LedgerView`], [`ActiveView`] or [`TraceView`] |
//!
//! What runs is known by the in_flight that each request writes down itself, so that being routed costs no message. What
//! begins and ends goes on a list, which the ledger reads before it answers and soon after it was woken; while it is
//! awake it is not woken again: wake-ups were most of what a small request cost (measured).
//!
//! It also says in one log line how each request ended, so that no worker thread formats text.

mod in_flight;
mod totals;
mod traces;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, MessageResult, Supervised};
use actix_rt::Arbiter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vandamme_protocol::vocabulary::Usage;

use self::in_flight::InFlight;
pub use self::in_flight::{Active, RequestSummary};
pub use self::totals::{Counts, Rows, Totals};
use self::traces::Traces;
pub use self::traces::{Trace, TraceError};
use crate::clock;
use crate::excerpt::{self, one_line};
use crate::observe::{Observe, Ping};
use crate::panic_guard;
use crate::registry::Registry;
use crate::secret::KeyId;
use crate::settings::Metrics;
use crate::snapshot::Snapshot;

/// It is woken by one message, and looked after.
const MAILBOX: usize = 64;
/// What is kept of an error's message, in bytes; more is neither shown nor logged.
const MESSAGE: usize = 4 * excerpt::LINE;
/// For how long what was woken waits for more to come.
const NAP: Duration = Duration::from_millis(20);

pub struct Ledger {
    rows: Rows,
    traces: Traces,
    running: HashMap<Arc<str>, Arc<InFlight>>,
    events: UnboundedReceiver<Event>,
    awake: Arc<AtomicBool>,
}

/// Where a ledger is told which requests have begun and ended. Holds what happens within a nap.
#[derive(Clone)]
pub(crate) struct EventQueue {
    events: UnboundedSender<Event>,
    awake: Arc<AtomicBool>,
}

/// The counts so far.
#[derive(Clone, Debug, Default)]
pub struct LedgerView {
    /// Requests that have started and not ended.
    pub active: Vec<Active>,
    /// By provider and model as the provider calls it; both are [`UNKNOWN`] for requests that never got to one.
    pub rows: Rows,
}

/// The requests that have started and not ended, newest first.
#[derive(Clone, Debug, Default)]
pub struct ActiveView(pub Vec<Active>);

/// The last requests that have ended, each list newest first.
#[derive(Clone, Debug, Default)]
pub struct TraceView {
    pub errors: Vec<Trace>,
    /// Whatever their end.
    pub traces: Vec<Trace>,
}

/// Stands for the provider and the model of a request that never got to one.
pub const UNKNOWN: &str = "unknown";

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Succeeded,
    /// `kind` is the error's type in Anthropic's words.
    Failed {
        kind: &'static str,
        message: String,
    },
    Cancelled,
}

/// All that is kept of one request.
#[derive(Clone, Debug)]
pub struct Record {
    pub request_id: Arc<str>,
    pub asked: RequestSummary,
    pub provider: Option<Arc<str>>,
    pub model: Option<Arc<str>>,
    /// The targets that could not serve it, as `provider:model`. Bounded by the calls of one request.
    pub left: Vec<String>,
    pub key: Option<KeyId>,
    /// The status the client saw; 0 when it left before there was one.
    pub status: u16,
    pub upstream_calls: u32,
    pub usage: Usage,
    /// In the reply.
    pub tool_calls: u32,
    pub elapsed: Duration,
    pub end: End,
}

/// A request's own line in the ledger: a guard that is written at the end, also when the request is dropped.
pub struct Entry {
    pub record: Record,
    registry: Snapshot<Registry>,
    metrics: Metrics,
    in_flight: Arc<InFlight>,
}

enum Event {
    Started(Arc<str>, Arc<InFlight>),
    Finished(Box<Record>),
    /// One of which nothing is kept.
    Unkept(Box<Record>),
}

/// Something has ended since the ledger fell asleep.
#[derive(Message)]
#[rtype(result = "()")]
struct WakeUp;

impl Entry {
    pub fn open(request_id: Arc<str>, registry: Snapshot<Registry>, metrics: Metrics) -> Self {
        let in_flight = Arc::new(InFlight::begin());
        if metrics == Metrics::Kept {
            registry.load().event_queue.write(Event::Started(request_id.clone(), in_flight.clone()));
        }
        let record = Record {
            request_id,
            asked: RequestSummary::default(),
            provider: None,
            model: None,
            left: vec![],
            key: None,
            status: 0,
            upstream_calls: 0,
            usage: Usage::default(),
            tool_calls: 0,
            elapsed: Duration::ZERO,
            end: End::Cancelled,
        };
        Self { record, registry, metrics, in_flight }
    }

    /// What the client wants is known.
    pub fn asked(&mut self, asked: RequestSummary) {
        self.in_flight.asked(asked.clone());
        self.record.asked = asked;
    }

    /// What the upstream has told so far.
    pub(crate) fn counted(&self, usage: Usage, tool_calls: u32) {
        self.in_flight.counted(usage, tool_calls);
    }

    /// The request is for this provider and this model of it.
    pub fn routed(&mut self, provider: &Arc<str>, model: &Arc<str>) {
        self.in_flight.routed(self.record.left.len(), provider, model);
        self.record.provider = Some(provider.clone());
        self.record.model = Some(model.clone());
    }

    /// This target could not serve it, and it goes on to the next one.
    pub fn left(&mut self, provider: &Arc<str>, model: &Arc<str>) {
        self.routed(provider, model);
        self.record.left.push(format!("{provider}:{model}"));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let End::Failed { message, .. } = &mut self.record.end {
            // It waits in a queue from here on.
            *message = excerpt::cut(std::mem::take(message), MESSAGE);
        }
        let mut record = self.record.clone();
        record.elapsed = self.in_flight.elapsed();
        if std::thread::panicking() {
            record.end = End::Failed { kind: "api_error", message: "the request panicked".to_owned() };
        }
        let event = match self.metrics {
            Metrics::Kept => Event::Finished(Box::new(record)),
            Metrics::Off if log::log_enabled!(log::Level::Debug) => Event::Unkept(Box::new(record)),
            Metrics::Off => return,
        };
        let registry = self.registry.load();
        registry.event_queue.write(event);
        if !registry.event_queue.awake.swap(true, Ordering::AcqRel) {
            // One at a time; it must never block.
            registry.ledger.do_send(WakeUp);
        }
    }
}

impl EventQueue {
    /// A ledger that is gone has no use for it.
    fn write(&self, event: Event) {
        drop(self.events.send(event));
    }
}

/// Starts an empty ledger.
pub(crate) fn start(arbiter: &Arbiter) -> (Addr<Ledger>, EventQueue) {
    let (sender, events) = unbounded_channel();
    let awake = Arc::<AtomicBool>::default();
    let event_queue = EventQueue { events: sender, awake: awake.clone() };
    let address = panic_guard::start(&arbiter.handle(), "ledger", MAILBOX, move || Ledger {
        rows: Rows::default(),
        traces: Traces::default(),
        running: HashMap::new(),
        events,
        awake,
    });
    (address, event_queue)
}

impl Ledger {
    fn catch_up(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Started(id, in_flight) => drop(self.running.insert(id, in_flight)),
                Event::Finished(record) => {
                    self.running.remove(&record.request_id);
                    let now = clock::wall();
                    self.rows.count(&record, now);
                    self.traces.keep(&record, now);
                    let failed = matches!(record.end, End::Failed { .. });
                    Self::log(&record, if failed { log::Level::Warn } else { log::Level::Info });
                }
                Event::Unkept(record) => Self::log(&record, log::Level::Debug),
            }
        }
    }

    fn active(&self) -> Vec<Active> {
        self.running.iter().map(|(id, in_flight)| in_flight.now(id)).collect()
    }

    fn log(record: &Record, level: log::Level) {
        if !log::log_enabled!(level) {
            return;
        }
        let route = match (&record.provider, &record.model) {
            (Some(provider), Some(model)) => format!("{provider}:{model}"),
            _ => "-".to_owned(),
        };
        let delivery = if record.asked.streamed { "streamed" } else { "whole" };
        let key = record.key.map(|key| format!(" key={key}")).unwrap_or_default();
        let left = match &record.left[..] {
            [] => String::new(),
            left => format!(" after={}", left.join(",")),
        };
        let Usage { input, output, cache_read, cache_creation } = record.usage;
        let line = format!(
            "{} {} -> {route} {} {delivery} {:.3}s calls={}{left}{key} tokens={input}+{cache_read}+{cache_creation}/{output}",
            record.request_id,
            printable(&record.asked.model),
            record.status,
            record.elapsed.as_secs_f64(),
            record.upstream_calls,
        );
        match &record.end {
            End::Succeeded => log::log!(level, "{line}"),
            End::Cancelled => log::log!(level, "{line} the client left"),
            End::Failed { kind, message } => log::log!(level, "{line} {kind}: {}", printable(message)),
        }
    }
}

/// A text from outside on one log line.
fn printable(text: &str) -> String {
    one_line(text, excerpt::LINE)
}

impl Actor for Ledger {
    type Context = Context<Self>;
}

impl Supervised for Ledger {
    /// The nap of before the panic may be among what was lost.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.awake.store(false, Ordering::Release);
    }
}

impl Handler<WakeUp> for Ledger {
    type Result = ();

    fn handle(&mut self, _: WakeUp, context: &mut Self::Context) {
        context.run_later(NAP, |ledger, _| {
            // First it counts as asleep: what comes from here on wakes it, or is read right now.
            // A swap, since a store may become visible only after the list has been read.
            ledger.awake.swap(false, Ordering::AcqRel);
            ledger.catch_up();
        });
    }
}

impl Handler<Ping> for Ledger {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.catch_up();
    }
}

impl Handler<Observe<LedgerView>> for Ledger {
    type Result = MessageResult<Observe<LedgerView>>;

    fn handle(&mut self, _: Observe<LedgerView>, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        MessageResult(LedgerView { active: self.active(), rows: self.rows.clone() })
    }
}

impl Handler<Observe<ActiveView>> for Ledger {
    type Result = MessageResult<Observe<ActiveView>>;

    fn handle(&mut self, _: Observe<ActiveView>, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        let mut active = self.active();
        active.sort_unstable_by(|one, other| {
            (other.since, &other.request_id).cmp(&(one.since, &one.request_id))
        });
        MessageResult(ActiveView(active))
    }
}

impl Handler<Observe<TraceView>> for Ledger {
    type Result = MessageResult<Observe<TraceView>>;

    fn handle(&mut self, _: Observe<TraceView>, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        MessageResult(TraceView { errors: self.traces.errors(), traces: self.traces.traces() })
    }
}
