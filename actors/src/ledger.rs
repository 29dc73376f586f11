//! Ledger: what happened. One record for each request, written at its end whatever the end was.
//!
//! | message | from | answer |
//! |---|---|---|
//! | `Started`, `Finished` | an [`Entry`] | – |
//! | [`Observe`] | pages, tests | [`LedgerView`] |
//!
//! It also says in one log line how each request ended, so that no worker thread formats text.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, Message, MessageResult, Supervised};
use vandamme_protocol::vocabulary::Usage;

use crate::observe::{Observe, Ping};
use crate::roster::Roster;
use crate::secret::KeyId;
use crate::snapshot::Snapshot;

/// Two messages per request.
pub(crate) const MAILBOX: usize = 8192;
/// Provider and model pairs that are counted apart; beyond, they share one row.
const ROWS: usize = 10_000;
const OTHER: &str = "(other)";

#[derive(Default)]
pub struct Ledger {
    view: LedgerView,
}

/// The counts so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerView {
    /// Requests that have started and not ended.
    pub active: u64,
    /// By provider and model as the provider calls it.
    pub rows: BTreeMap<(Arc<str>, Arc<str>), Totals>,
}

/// What requests for one model of one provider came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub succeeded: u64,
    pub failed: u64,
    /// The client left before the end.
    pub cancelled: u64,
    pub tokens: Usage,
    pub tool_calls: u64,
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
    pub key: Option<KeyId>,
    /// The status the client saw; 0 when it left before there was one.
    pub status: u16,
    pub streamed: bool,
    pub upstream_calls: u32,
    pub usage: Usage,
    pub tool_calls: u32,
    pub elapsed: Duration,
    pub end: End,
}

/// A request's own line in the ledger: a guard that is written at the end, also when the request is dropped.
pub struct Entry {
    pub record: Record,
    roster: Snapshot<Roster>,
    started: Instant,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Started;

#[derive(Message)]
#[rtype(result = "()")]
struct Finished(Record);

impl Entry {
    pub fn open(request_id: Arc<str>, roster: Snapshot<Roster>) -> Self {
        // Bounded by the requests in flight; it must never block.
        roster.load().ledger.do_send(Started);
        let record = Record {
            request_id,
            requested_model: String::new(),
            provider: None,
            model: None,
            key: None,
            status: 0,
            streamed: false,
            upstream_calls: 0,
            usage: Usage::default(),
            tool_calls: 0,
            elapsed: Duration::ZERO,
            end: End::Cancelled,
        };
        Self { record, roster, started: Instant::now() }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut record = self.record.clone();
        record.elapsed = self.started.elapsed();
        if std::thread::panicking() {
            record.end = End::Failed { kind: "api_error", message: "the request panicked".to_owned() };
        }
        self.roster.load().ledger.do_send(Finished(record));
    }
}

impl Ledger {
    fn count(&mut self, record: &Record) {
        self.view.active = self.view.active.saturating_sub(1);
        let (Some(provider), Some(model)) = (&record.provider, &record.model) else { return };
        let mut row = (provider.clone(), model.clone());
        if self.view.rows.len() >= ROWS && !self.view.rows.contains_key(&row) {
            row = (OTHER.into(), OTHER.into());
        }
        let totals = self.view.rows.entry(row).or_default();
        match record.end {
            End::Succeeded => totals.succeeded += 1,
            End::Failed { .. } => totals.failed += 1,
            End::Cancelled => totals.cancelled += 1,
        }
        totals.tokens.input += record.usage.input;
        totals.tokens.output += record.usage.output;
        totals.tokens.cache_read += record.usage.cache_read;
        totals.tokens.cache_creation += record.usage.cache_creation;
        totals.tool_calls += u64::from(record.tool_calls);
    }

    fn log(record: &Record) {
        let route = match (&record.provider, &record.model) {
            (Some(provider), Some(model)) => format!("{provider}:{model}"),
            _ => "-".to_owned(),
        };
        let delivery = if record.streamed { "streamed" } else { "whole" };
        let key = record.key.map(|key| format!(" key={key}")).unwrap_or_default();
        let Usage { input, output, cache_read, cache_creation } = record.usage;
        let line = format!(
            "{} {} -> {route} {} {delivery} {:.3}s calls={}{key} tokens={input}+{cache_read}+{cache_creation}/{output}",
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

impl Handler<Started> for Ledger {
    type Result = ();

    fn handle(&mut self, _: Started, _: &mut Self::Context) {
        self.view.active += 1;
    }
}

impl Handler<Finished> for Ledger {
    type Result = ();

    fn handle(&mut self, Finished(record): Finished, _: &mut Self::Context) {
        self.count(&record);
        Self::log(&record);
    }
}

impl Handler<Ping> for Ledger {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

impl Handler<Observe<LedgerView>> for Ledger {
    type Result = MessageResult<Observe<LedgerView>>;

    fn handle(&mut self, _: Observe<LedgerView>, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.view.clone())
    }
}
