//! The row of one request, as it is written. [`StoredRequest`](super::StoredRequest) is the same row, as it is read.

use std::borrow::Cow;

use rusqlite::Statement;
use rusqlite::types::Null;
use serde::Serialize;

use super::group::{STREAM, WHOLE};
use super::numbers::{micros, to_sql};
use super::stored::{StoredCacheLoss, end_name};
use crate::clock::millis;
use crate::ledger::{CacheLoss, CallRecord, FinishedRequest, RequestEnd, VerdictCounts};
use crate::secret::KeyId;
use crate::settings::Api;

/// The columns of `requests` without its id, in the order of [`cells`].
pub(super) const DETAILS: [&str; 42] = [
    "request_id",
    "started",
    "ended",
    "provider",
    "model",
    "requested_model",
    "key_id",
    "client",
    "session",
    "agent",
    "api",
    "upstream_api",
    "delivery",
    "outcome",
    "error",
    "status",
    "stop_reason",
    "upstream_calls",
    "calls",
    "failed_targets",
    "input",
    "output",
    "cache_read",
    "cache_creation",
    "cache_creation_1h",
    "reasoning",
    "cost",
    "saved",
    "tool_calls",
    "tool_uses",
    "tool_results",
    "messages",
    "request_bytes",
    "reply_bytes",
    "first_event_us",
    "elapsed_us",
    "cache_loss",
    "parent",
    "purpose",
    "verdicts",
    "role",
    "web_searches",
];

/// How texts from outside are changed before they are stored.
pub(super) type Redact = dyn Fn(String) -> String + Send;

/// A value of a row, before it is redacted. Equal values are stored as equal values.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Cell<'r> {
    Null,
    Integer(i64),
    /// A text of the gateway's own.
    Text(&'r str),
    /// A text from outside.
    Foreign(&'r str),
    Key(Option<KeyId>),
    Calls(&'r [CallRecord]),
    FailedTargets(&'r [String]),
    CacheLoss(Option<&'r CacheLoss>),
    Verdicts(Option<VerdictCounts>),
}

/// One call as it is stored: the fields of [`StoredCall`](super::StoredCall) without its times.
#[derive(Serialize)]
struct CallCell<'r> {
    provider: &'r str,
    model: &'r str,
    key: Option<String>,
    status: Option<u16>,
    outcome: Option<&'r str>,
}

/// The text of a call without its times and the upstream's id. Most calls differ from the call before only in them.
#[derive(Default)]
struct CallText {
    call: Option<CallRecord>,
    text: String,
}

/// Redacts texts, most of which are the one before: the model of a call is that of the call before.
pub(super) struct Redactor<'r> {
    redact: &'r Redact,
    text: String,
    redacted: String,
    call: CallText,
}

impl<'r> Redactor<'r> {
    pub(super) fn new(redact: &'r Redact) -> Self {
        Self { redact, text: String::new(), redacted: String::new(), call: CallText::default() }
    }

    fn redacted(&mut self, text: &str) -> &str {
        if text.is_empty() {
            return "";
        }
        if self.text != text {
            text.clone_into(&mut self.text);
            self.redacted = (self.redact)(self.text.clone());
        }
        &self.redacted
    }

    /// A JSON array.
    fn calls(&mut self, calls: &[CallRecord]) -> serde_json::Result<String> {
        let mut text = "[".to_owned();
        for call in calls {
            if text.len() > 1 {
                text.push(',');
            }
            if !self.call.is_of(call) {
                let cell = CallCell {
                    provider: &call.provider,
                    model: self.redacted(&call.model),
                    key: call.key.map(|key| key.to_string()),
                    status: call.status,
                    outcome: call.outcome,
                };
                let mut text = serde_json::to_string(&cell)?;
                // The object continues with the times and the id.
                text.pop();
                self.call = CallText { call: Some(call.clone()), text };
            }
            let (started, elapsed) = (millis(call.started), millis(call.elapsed));
            text.push_str(&self.call.text);
            text.push_str(&format!(",\"started_ms\":{started},\"elapsed_ms\":{elapsed}"));
            if let Some(id) = &call.upstream_request_id {
                text.push_str(",\"upstream_request_id\":");
                text.push_str(&serde_json::to_string(&(self.redact)(id.to_string()))?);
            }
            text.push('}');
        }
        text.push(']');
        Ok(text)
    }
}

impl Cell<'_> {
    pub(super) fn bind(
        self,
        statement: &mut Statement<'_>,
        at: usize,
        redactor: &mut Redactor<'_>,
    ) -> rusqlite::Result<()> {
        let json = |json: serde_json::Result<String>| json.map_or(Cow::Borrowed("[]"), Cow::Owned);
        let text = match self {
            Self::Null => return statement.raw_bind_parameter(at, Null),
            Self::Integer(number) => return statement.raw_bind_parameter(at, number),
            Self::Text(text) => return statement.raw_bind_parameter(at, text),
            Self::Foreign(text) => return statement.raw_bind_parameter(at, redactor.redacted(text)),
            Self::Key(key) => key.map_or(Cow::Borrowed(""), |key| Cow::Owned(key.to_string())),
            Self::Calls(calls) => json(redactor.calls(calls)),
            Self::FailedTargets(targets) => {
                let targets: Vec<_> =
                    targets.iter().map(|target| redactor.redacted(target).to_owned()).collect();
                json(serde_json::to_string(&targets))
            }
            Self::CacheLoss(None) | Self::Verdicts(None) => Cow::Borrowed(""),
            Self::Verdicts(Some(verdicts)) => json(serde_json::to_string(&verdicts)),
            Self::CacheLoss(Some(loss)) => json(serde_json::to_string(&StoredCacheLoss::from(loss))),
        };
        statement.raw_bind_parameter(at, &*text)
    }
}

impl CallText {
    fn is_of(&self, call: &CallRecord) -> bool {
        self.call.as_ref().is_some_and(|before| {
            let &CallRecord {
                ref provider,
                ref model,
                key,
                status,
                outcome,
                upstream_request_id: _,
                started: _,
                elapsed: _,
            } = before;
            (provider, model, key, status, outcome)
                == (&call.provider, &call.model, call.key, call.status, call.outcome)
        })
    }
}

/// The values of [`DETAILS`].
pub(super) fn cells(finished: &FinishedRequest) -> [Cell<'_>; DETAILS.len()] {
    let FinishedRequest { record, cost, cache_loss, .. } = finished;
    let (request, usage) = (&record.request, record.usage);
    let integer = |number: u64| Cell::Integer(to_sql(number));
    let error = match &record.end {
        RequestEnd::Failed { message, .. } => message,
        RequestEnd::Succeeded | RequestEnd::Cancelled => "",
    };
    [
        Cell::Text(&record.request_id),
        integer(finished.started()),
        integer(finished.ended),
        Cell::Text(record.provider.as_deref().unwrap_or_default()),
        Cell::Foreign(record.model.as_deref().unwrap_or_default()),
        Cell::Foreign(&request.model),
        Cell::Key(record.key),
        Cell::Foreign(request.client.as_deref().unwrap_or_default()),
        Cell::Foreign(request.session.as_deref().unwrap_or_default()),
        Cell::Foreign(request.agent.as_deref().unwrap_or_default()),
        Cell::Text(request.api_word().unwrap_or_default()),
        Cell::Text(record.upstream_api.map_or("", Api::word)),
        Cell::Text(if request.streamed { STREAM } else { WHOLE }),
        Cell::Text(end_name(&record.end)),
        Cell::Foreign(error),
        integer(record.status.into()),
        Cell::Foreign(record.stop_reason.as_deref().unwrap_or_default()),
        integer(record.upstream_calls.into()),
        Cell::Calls(&record.calls),
        Cell::FailedTargets(&record.failed_targets),
        integer(usage.input),
        integer(usage.output),
        integer(usage.cache_read),
        integer(usage.cache_creation),
        integer(usage.cache_creation_1h),
        integer(usage.reasoning),
        cost.map_or(Cell::Null, |cost| integer(cost.micro_dollars)),
        cost.map_or(Cell::Null, |cost| Cell::Integer(cost.saved_micro_dollars)),
        integer(record.tool_calls.into()),
        integer(request.tools.uses.into()),
        integer(request.tools.results.into()),
        integer(request.messages.into()),
        integer(request.size as u64),
        integer(record.reply_size),
        record.first_event.map_or(Cell::Null, |duration| Cell::Integer(micros(duration))),
        Cell::Integer(micros(record.elapsed)),
        Cell::CacheLoss(cache_loss.as_ref()),
        Cell::Text(request.origin.as_ref().map_or("", |origin| &origin.parent)),
        Cell::Text(request.origin.as_ref().map_or("", |origin| origin.purpose)),
        Cell::Verdicts(record.verdicts),
        Cell::Text(request.role.as_deref().unwrap_or_default()),
        integer(record.reported.web_searches.into()),
    ]
}
