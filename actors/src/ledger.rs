//! Ledger: records what happened to requests. It gets one record for each request, written when the request ends, however it
//! ends.
//!
//! | message | from | answer |
//! |---|---|---|
//! | `WakeUp` | a request, if the ledger is asleep | – |
//! | [`Observe`] | pages, tests | [`LedgerView`], [`ActiveView`], [`TraceView`] or [`CacheView`] |
//! | [`Observe`] | the export of state | [`ExportedTotals`] |
//! | [`CancelRequest`] | admin actions | whether the request was in flight |
//! | [`PreviousMessage`] | a request that asks for the reason of a cache miss | the id of a reply |
//! | `ImportTotals` | the import of state | – |
//!
//! Each request updates its own in-flight entry, so that routing sends no message. Starts and ends go to an event
//! queue, which the ledger reads before it answers and shortly after a wake-up. An awake ledger gets no further
//! wake-ups: wake-ups were most of the cost of a small request (measured). The ledger also writes one log line for each
//! request, so that worker threads format no text.

mod cache_loss;
mod cache_watch;
mod call_record;
mod exported;
mod histogram;
mod in_flight;
mod interval;
mod record;
mod request_summary;
pub mod series;
mod slot;
mod totals;
mod traces;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, MessageResult, Supervised};
use vandamme_protocol::vocabulary::Usage;

pub use self::cache_loss::{CacheLoss, CacheLossCause};
pub use self::cache_watch::{CacheView, SessionCache};
use self::cache_watch::{CacheWatch, Lost};
pub use self::call_record::CallRecord;
pub use self::exported::ExportedTotals;
pub(crate) use self::exported::ImportTotals;
pub use self::histogram::Histogram;
pub(crate) use self::in_flight::InFlight;
pub use self::in_flight::{Active, Cancellation};
use self::interval::Interval;
pub use self::record::{
    CANCELLED_BY_OPERATOR, CANCELLED_MESSAGE, FinishedRequest, ImageCounts, Record, RequestEnd,
    VerdictCounts, is_client_error,
};
pub use self::request_summary::{RequestSummary, SubrequestOrigin};
pub use self::slot::RequestStore;
pub(crate) use self::slot::{EventQueue, LedgerSlot};
use self::slot::{SavedTotals, SlotAccess};
pub use self::totals::{RequestTotals, Rows, Totals};
use self::traces::Traces;
pub use self::traces::{Trace, TraceError};
use crate::actor_thread::ActorThread;
use crate::clock::{self, Millis};
use crate::excerpt::{self, one_line};
use crate::observe::{Observe, Ping};
use crate::panic_guard;

/// The mailbox receives one wake-up at a time, and the supervisor's pings.
const MAILBOX: usize = 64;
/// The most bytes kept of an error's message; the rest is neither shown nor logged.
pub(crate) const MAX_MESSAGE: usize = 4 * excerpt::LINE;
/// The time between a wake-up and reading the queue, in which further events collect.
const BATCH_DELAY: Duration = Duration::from_millis(20);

/// The actor that owns the totals, the traces and the list of requests in flight.
pub struct Ledger {
    totals: SavedTotals,
    interval: Interval,
    traces: Traces,
    running: HashMap<Arc<str>, Arc<InFlight>>,
    caches: CacheWatch,
    slot: SlotAccess,
}

/// The totals so far.
#[derive(Clone, Debug, Default)]
pub struct LedgerView {
    /// The requests in flight.
    pub active: Vec<Active>,
    /// By provider and the provider's name of the model; both are [`UNKNOWN`] for requests that reached no provider.
    pub rows: Rows,
}

/// The requests in flight, newest first.
#[derive(Clone, Debug, Default)]
pub struct ActiveView(pub Vec<Active>);

/// The last requests that have ended; each list is newest first.
#[derive(Clone, Debug, Default)]
pub struct TraceView {
    pub errors: Vec<Trace>,
    /// All requests, whatever their end.
    pub traces: Vec<Trace>,
}

/// The provider and the model of a request that reached no provider.
pub const UNKNOWN: &str = "unknown";

/// What requests report to the ledger.
pub(crate) enum LedgerEvent {
    Started(Arc<str>, Arc<InFlight>),
    Finished(Box<Record>),
    /// A request of which only a log line is written.
    LogOnly(Box<Record>),
}

/// Ends a request in flight on an operator's order. The answer is whether it was in flight.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct CancelRequest(pub String);

/// A request has ended while the ledger was asleep.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct WakeUp;

/// Asks for the id of the reply to the last request of the conversation that a request continues.
#[derive(Message)]
#[rtype(result = "Option<Box<str>>")]
pub struct PreviousMessage(pub RequestSummary);

/// Starts a ledger that continues with the totals in this slot.
pub(crate) fn start(thread: &dyn ActorThread, slot: &LedgerSlot) -> Addr<Ledger> {
    let slot = slot.take_over();
    panic_guard::start(thread, "ledger", MAILBOX, move || Ledger {
        totals: slot.saved(),
        interval: Interval::default(),
        traces: Traces::default(),
        running: HashMap::new(),
        caches: CacheWatch::default(),
        slot,
    })
}

impl Ledger {
    fn catch_up(&mut self) {
        let mut has_counted = false;
        while let Some(event) = self.slot.next_event() {
            match event {
                LedgerEvent::Started(id, in_flight) => drop(self.running.insert(id, in_flight)),
                LedgerEvent::Finished(record) => {
                    self.running.remove(&record.request_id);
                    self.summarise(&record);
                    let now = clock::wall();
                    self.totals.own.count(&record, now);
                    has_counted = true;
                    let finished = self.finished(*record, now);
                    self.traces.keep(&finished);
                    let end = &finished.record.end;
                    let failed = matches!(end, RequestEnd::Failed { .. }) && !end.is_cancelled();
                    Self::log(&finished, if failed { log::Level::Warn } else { log::Level::Info });
                    self.slot.publish(finished);
                }
                LedgerEvent::LogOnly(record) => {
                    let ended = clock::wall();
                    let cost = self.slot.cost(&record, ended);
                    let finished = FinishedRequest { record: *record, ended, cost, cache_loss: None };
                    Self::log(&finished, log::Level::Debug);
                }
            }
        }
        if has_counted {
            self.slot.save(&self.totals);
        }
    }

    fn rows(&self) -> Rows {
        self.totals.rows(self.slot.earlier_totals().as_deref())
    }

    fn finished(&mut self, mut record: Record, ended: Millis) -> FinishedRequest {
        let lost = self.caches.note(&record, ended);
        // Only the watch needs it.
        record.request.prefix = None;
        let cost = self.slot.cost(&record, ended);
        let cache_loss = lost.map(|Lost { cause, by_provider, tokens, warn }| {
            let micro_dollars = self.slot.cost_of_loss(&record, tokens, ended);
            self.caches.add_cost(&record, micro_dollars.unwrap_or_default());
            let loss = CacheLoss { cause, by_provider, tokens, micro_dollars };
            if warn {
                cache_watch::log(&record, &loss);
            }
            loss
        });
        FinishedRequest { record, ended, cost, cache_loss }
    }

    fn active(&self) -> Vec<Active> {
        self.running.iter().map(|(id, in_flight)| in_flight.snapshot(id)).collect()
    }

    fn log(FinishedRequest { record, cost, .. }: &FinishedRequest, level: log::Level) {
        if !log::log_enabled!(level) {
            return;
        }
        let route = match (&record.provider, &record.model) {
            (Some(provider), Some(model)) => format!("{provider}:{model}"),
            _ => "-".to_owned(),
        };
        let delivery = if record.request.streamed { "streamed" } else { "whole" };
        let key = record.key.map(|key| format!(" key={key}")).unwrap_or_default();
        let sender = sender(&record.request);
        let left = after(&record.failed_targets);
        let Usage { input, output, cache_read, cache_creation, .. } = record.usage;
        let searches = record.searches_of_log_line();
        let paid = cost.map(|cost| format!(" cost={cost}")).unwrap_or_default();
        let line = format!(
            "{} {} -> {route} {} {delivery} {:.3}s{sender} calls={}{left}{key} tokens={input}+{cache_read}+{cache_creation}/{output}{searches}{paid}",
            record.request_id,
            printable(&record.request.model),
            record.status,
            record.elapsed.as_secs_f64(),
            record.upstream_calls,
        );
        let (error, line) = with_end(line, &record.end);
        let request = &record.request;
        // The fields of the journal and of JSON. They repeat parts of the line.
        log::log!(
            level,
            REQUEST_ID:% = record.request_id,
            REQUESTED_MODEL:% = printable(&request.model),
            PROVIDER = record.provider.as_deref(),
            MODEL = record.model.as_deref(),
            KEY = record.key.map(|key| key.to_string()).as_deref(),
            CLIENT = request.client.as_deref(),
            SESSION = request.session.as_deref(),
            PARENT = request.parent(),
            PURPOSE = request.purpose(),
            AGENT = request.agent.as_deref(),
            API = request.api_word(),
            UPSTREAM_API = record.upstream_api.map(series::api_word),
            STREAMED = request.streamed,
            STATUS = record.status,
            UPSTREAM_STATUS = record.calls.last().and_then(|call| call.status),
            UPSTREAM_REQUEST_ID = record.calls.last().and_then(|call| call.upstream_request_id.as_deref()),
            ERROR_TYPE = error,
            STOP_REASON = record.stop_reason.as_deref(),
            DURATION_MS = clock::millis(record.elapsed),
            FIRST_EVENT_MS = record.first_event.map(clock::millis),
            REASONING_TOKENS = record.usage.reasoning,
            CACHE_CREATION_1H_TOKENS = record.usage.cache_creation_1h,
            TOOL_CALLS = record.tool_calls,
            WEB_SEARCHES = record.reported.web_searches,
            REQUEST_BYTES = request.size,
            REPLY_BYTES = record.reply_size,
            UPSTREAM_CALLS = record.upstream_calls,
            INPUT_TOKENS = input,
            OUTPUT_TOKENS = output,
            CACHE_READ_TOKENS = cache_read,
            CACHE_CREATION_TOKENS = cache_creation,
            COST_MICRO_DOLLARS = cost.map(|cost| cost.micro_dollars);
            "{line}"
        );
    }

    /// Logs the sums of an interval once its last request has ended, before that request's own line.
    fn summarise(&mut self, record: &Record) {
        self.interval.count(record);
        let Some(past) = self.interval.take(self.slot.queue().summary_interval()) else { return };
        log::info!(
            REQUESTS = past.requests,
            FAILED = past.failed,
            CANCELLED = past.cancelled,
            INPUT_TOKENS = past.usage.input,
            OUTPUT_TOKENS = past.usage.output,
            CACHE_READ_TOKENS = past.usage.cache_read,
            CACHE_CREATION_TOKENS = past.usage.cache_creation,
            BUSIEST = past.busiest().as_str();
            "{}", past.summary()
        );
    }
}

/// The error's type, empty if there is none, and the line with the request's end.
fn with_end(line: String, end: &RequestEnd) -> (&'static str, String) {
    match end {
        RequestEnd::Succeeded => ("", line),
        RequestEnd::Cancelled => ("", format!("{line} client disconnected")),
        RequestEnd::Failed { kind, message } => (*kind, format!("{line} {kind}: {}", printable(message))),
    }
}

/// Cuts a text from outside to one log line.
fn printable(text: &str) -> String {
    one_line(text, excerpt::LINE)
}

/// The targets that failed before the last one.
fn after(failed_targets: &[String]) -> String {
    match failed_targets {
        [] => String::new(),
        left => format!(" after={}", left.join(",")),
    }
}

/// The client and, for a request of the gateway itself, its purpose; empty if neither is known.
fn sender(request: &RequestSummary) -> String {
    let client = request.client.as_ref().map(|name| format!(" client={name}")).unwrap_or_default();
    let origin = request.origin.as_ref();
    let purpose = origin.map(|origin| format!(" {}-of={}", origin.purpose, origin.parent));
    client + &purpose.unwrap_or_default()
}

impl Actor for Ledger {
    type Context = Context<Self>;
}

impl Supervised for Ledger {
    /// A panic may have cancelled the pending timer.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.slot.queue().sleep();
    }
}

impl Handler<WakeUp> for Ledger {
    type Result = ();

    fn handle(&mut self, _: WakeUp, context: &mut Self::Context) {
        context.run_later(BATCH_DELAY, |ledger, _| {
            // Mark the ledger as asleep first: every later event either wakes it or is read right now.
            ledger.slot.queue().sleep();
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

impl Handler<CancelRequest> for Ledger {
    type Result = bool;

    fn handle(&mut self, CancelRequest(id): CancelRequest, _: &mut Self::Context) -> bool {
        self.catch_up();
        let in_flight = self.running.get(id.as_str());
        in_flight.inspect(|in_flight| in_flight.cancel()).is_some()
    }
}

impl Handler<Observe<LedgerView>> for Ledger {
    type Result = MessageResult<Observe<LedgerView>>;

    fn handle(&mut self, _: Observe<LedgerView>, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        MessageResult(LedgerView { active: self.active(), rows: self.rows() })
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

impl Handler<Observe<CacheView>> for Ledger {
    type Result = MessageResult<Observe<CacheView>>;

    fn handle(&mut self, _: Observe<CacheView>, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        MessageResult(self.caches.view())
    }
}

impl Handler<PreviousMessage> for Ledger {
    type Result = Option<Box<str>>;

    fn handle(&mut self, PreviousMessage(request): PreviousMessage, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        self.caches.previous_message(&request)
    }
}
