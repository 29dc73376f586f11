//! Ledger: what happened. One record for each request, written at its end whatever the end was.
//!
//! | message | from | answer |
//! |---|---|---|
//! | `Finished` | an [`Entry`] | – |
//! | [`Observe`] | pages, tests | [`LedgerView`] |
//!
//! What runs is known by the course that each request writes down itself, so that being routed costs no message. Nor
//! does a beginning: it goes on a list that the ledger reads before it answers or counts, and nobody is woken for it.
//!
//! It also says in one log line how each request ended, so that no worker thread formats text.

mod totals;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Context, Handler, Message, MessageResult, Supervised};
use actix_rt::Arbiter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vandamme_protocol::span::ToolHistory;
use vandamme_protocol::vocabulary::Usage;

pub use self::totals::{Counts, Rows, Totals};
use crate::clock;
use crate::keeper;
use crate::observe::{Observe, Ping};
use crate::roster::Roster;
use crate::secret::KeyId;
use crate::snapshot::Snapshot;

/// One message per request.
const MAILBOX: usize = 8192;

pub struct Ledger {
    rows: Rows,
    running: HashMap<Arc<str>, Arc<Course>>,
    beginnings: UnboundedReceiver<Started>,
}

/// Where a ledger is told which requests have begun. Bounded by the requests in flight.
#[derive(Clone)]
pub(crate) struct Beginnings(UnboundedSender<Started>);

/// The counts so far.
#[derive(Clone, Debug, Default)]
pub struct LedgerView {
    /// Requests that have started and not ended.
    pub active: Vec<Active>,
    /// By provider and model as the provider calls it; both are [`UNKNOWN`] for requests that never got to one.
    pub rows: Rows,
}

/// Stands for the provider and the model of a request that never got to one.
pub const UNKNOWN: &str = "unknown";

/// A request that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    pub provider: Arc<str>,
    pub model: Arc<str>,
    pub streamed: bool,
}

/// Where a running request has been sent. Its thread writes it when it knows; nobody waits for it.
#[derive(Debug, Default)]
struct Course {
    at: OnceLock<Active>,
    /// Where it went when it failed there.
    next: OnceLock<Box<Self>>,
}

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
    /// As the client named it.
    pub requested_model: String,
    pub provider: Option<Arc<str>>,
    pub model: Option<Arc<str>>,
    /// The targets that could not serve it, as `provider:model`. Bounded by the calls of one request.
    pub left: Vec<String>,
    pub key: Option<KeyId>,
    /// The status the client saw; 0 when it left before there was one.
    pub status: u16,
    /// As the client asked.
    pub streamed: bool,
    pub upstream_calls: u32,
    pub usage: Usage,
    /// In the history that the client sent.
    pub tools: ToolHistory,
    /// In the reply.
    pub tool_calls: u32,
    pub elapsed: Duration,
    pub end: End,
}

/// A request's own line in the ledger: a guard that is written at the end, also when the request is dropped.
pub struct Entry {
    pub record: Record,
    roster: Snapshot<Roster>,
    started: Instant,
    course: Arc<Course>,
}

struct Started(Arc<str>, Arc<Course>);

#[derive(Message)]
#[rtype(result = "()")]
struct Finished(Record);

impl Entry {
    pub fn open(request_id: Arc<str>, roster: Snapshot<Roster>) -> Self {
        let course = Arc::<Course>::default();
        // A ledger that is gone has no use for it.
        drop(roster.load().beginnings.0.send(Started(request_id.clone(), course.clone())));
        let record = Record {
            request_id,
            requested_model: String::new(),
            provider: None,
            model: None,
            left: vec![],
            key: None,
            status: 0,
            streamed: false,
            upstream_calls: 0,
            usage: Usage::default(),
            tools: ToolHistory::default(),
            tool_calls: 0,
            elapsed: Duration::ZERO,
            end: End::Cancelled,
        };
        Self { record, roster, started: Instant::now(), course }
    }

    /// The request is for this provider and this model of it.
    pub fn routed(&mut self, provider: &Arc<str>, model: &Arc<str>) {
        let streamed = self.record.streamed;
        let active = || Active { provider: provider.clone(), model: model.clone(), streamed };
        self.course.last(self.record.left.len()).at.get_or_init(active);
        self.record.provider = Some(provider.clone());
        self.record.model = Some(model.clone());
    }

    /// This target could not serve it, and it goes on to the next one.
    pub fn left(&mut self, provider: &Arc<str>, model: &Arc<str>) {
        self.routed(provider, model);
        self.record.left.push(format!("{provider}:{model}"));
    }
}

impl Course {
    fn now(&self) -> Active {
        let mut course = self;
        while let Some(next) = course.next.get().filter(|next| next.at.get().is_some()) {
            course = next;
        }
        let unknown = || Active { provider: UNKNOWN.into(), model: UNKNOWN.into(), streamed: false };
        course.at.get().cloned().unwrap_or_else(unknown)
    }

    /// Where it is after it has left so many targets.
    fn last(&self, left: usize) -> &Self {
        let mut course = self;
        for _ in 0..left {
            course = course.next.get_or_init(Box::default);
        }
        course
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut record = self.record.clone();
        record.elapsed = self.started.elapsed();
        if std::thread::panicking() {
            record.end = End::Failed { kind: "api_error", message: "the request panicked".to_owned() };
        }
        // Bounded by the requests in flight; it must never block.
        self.roster.load().ledger.do_send(Finished(record));
    }
}

/// Starts an empty ledger.
pub(crate) fn start(arbiter: &Arbiter) -> (Addr<Ledger>, Beginnings) {
    let (sender, beginnings) = unbounded_channel();
    let address = keeper::start(&arbiter.handle(), "ledger", MAILBOX, move || Ledger {
        rows: Rows::default(),
        running: HashMap::new(),
        beginnings,
    });
    (address, Beginnings(sender))
}

impl Ledger {
    fn catch_up(&mut self) {
        while let Ok(Started(id, course)) = self.beginnings.try_recv() {
            self.running.insert(id, course);
        }
    }

    fn log(record: &Record) {
        let route = match (&record.provider, &record.model) {
            (Some(provider), Some(model)) => format!("{provider}:{model}"),
            _ => "-".to_owned(),
        };
        let delivery = if record.streamed { "streamed" } else { "whole" };
        let key = record.key.map(|key| format!(" key={key}")).unwrap_or_default();
        let left = match &record.left[..] {
            [] => String::new(),
            left => format!(" after={}", left.join(",")),
        };
        let Usage { input, output, cache_read, cache_creation } = record.usage;
        let line = format!(
            "{} {} -> {route} {} {delivery} {:.3}s calls={}{left}{key} tokens={input}+{cache_read}+{cache_creation}/{output}",
            record.request_id,
            printable(&record.requested_model),
            record.status,
            record.elapsed.as_secs_f64(),
            record.upstream_calls,
        );
        match &record.end {
            End::Succeeded => log::info!("{line}"),
            End::Cancelled => log::info!("{line} the client left"),
            End::Failed { kind, message } => log::warn!("{line} {kind}: {}", printable(message)),
        }
    }
}

/// A text from outside on one log line, shortened.
fn printable(text: &str) -> String {
    const SHOWN: usize = 300;
    text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Actor for Ledger {
    type Context = Context<Self>;
}

impl Supervised for Ledger {}

impl Handler<Finished> for Ledger {
    type Result = ();

    fn handle(&mut self, Finished(record): Finished, _: &mut Self::Context) {
        self.catch_up();
        self.running.remove(&record.request_id);
        self.rows.count(&record, clock::now());
        Self::log(&record);
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
        let active = self.running.values().map(|course| course.now()).collect();
        MessageResult(LedgerView { active, rows: self.rows.clone() })
    }
}
