//! Counters and histograms of finished requests, as monitoring systems read them. A pure table whose numbers only grow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vandamme_protocol::vocabulary::Usage;

pub use super::UNKNOWN;
use super::{CallRecord, FinishedRequest, Record, RequestEnd};
use crate::excerpt::{is_printable, one_line};
use crate::outcome::Outcome;
use crate::settings::Api;

/// The most combinations of provider, model and API with their own series. Clients choose model names, so their number has no
/// other bound; further ones are counted as [`OTHER`].
const MOST_SERIES: usize = 500;
/// The most providers with their own series. Reloads can rename them any number of times.
const MOST_PROVIDERS: usize = 200;
/// The longest name in a label, in bytes.
const LONGEST_NAME: usize = 300;
/// The model, or the provider, of all that have no series of their own.
pub const OTHER: &str = "(other)";

/// Upper bounds in seconds for the duration of requests and calls.
pub const DURATION_BOUNDS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Upper bounds in seconds for the time to the first event.
pub const FIRST_EVENT_BOUNDS: &[f64] =
    &[0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0];
/// Upper bounds for numbers of tokens.
pub const TOKEN_BOUNDS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

/// What belongs to one series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    pub provider: Arc<str>,
    /// The provider's name of the model.
    pub model: Arc<str>,
    /// What the client called: `messages`, `chat-completions`, `responses`, an endpoint such as `embeddings`, or `unknown` for a
    /// request that could not be read.
    pub api: &'static str,
}

/// How requests ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndKey {
    /// `succeeded`, `failed` or `cancelled`.
    pub outcome: &'static str,
    /// `2xx` to `5xx`; `none` if the client disconnected before it got a status.
    pub status_class: &'static str,
}

/// The numbers of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesTotals {
    pub ends: BTreeMap<EndKey, u64>,
    pub duration: Distribution,
    /// Of the requests that had a first event.
    pub first_event: Distribution,
    /// Of the requests with tokens: those that were sent, cached ones included.
    pub input_tokens: Distribution,
    /// Of the requests with tokens.
    pub output_tokens: Distribution,
    pub usage: Usage,
    /// Of the requests whose model has a known price, in millionths of a US dollar.
    pub micro_dollars: u64,
    /// What the cache saved, in millionths of a US dollar; negative if it cost more.
    pub saved_micro_dollars: i64,
    /// The requests with tokens whose model has no known price.
    pub unpriced: u64,
    /// Requests whose session had lost its prompt cache, by [`CacheLossCause::name`](super::CacheLossCause::name).
    pub cache_losses: BTreeMap<&'static str, u64>,
    pub tool_calls: u64,
    pub request_bytes: u64,
    pub reply_bytes: u64,
}

/// The numbers of one provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderTotals {
    /// Upstream calls by [`Outcome::label`].
    pub calls: BTreeMap<&'static str, u64>,
    /// From the start of a call to its reply's head or to its failure.
    pub call_duration: Distribution,
    /// Calls after the first of a request, at the same provider.
    pub retries: u64,
    /// Requests that moved to another target after a failure here.
    pub fallbacks: u64,
    /// Failed requests by the error's type in terms of Anthropic's API.
    pub errors: BTreeMap<&'static str, u64>,
}

/// Counts values by upper bounds that the reader knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// One for each bound that has been reached so far, and one beyond the last; not cumulative.
    counts: Vec<u64>,
    sum: f64,
}

/// All series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub requests: BTreeMap<SeriesKey, SeriesTotals>,
    pub providers: BTreeMap<Arc<str>, ProviderTotals>,
}

/// The series as ledgers and readers share them. They outlive the ledger's actor, so a replacement continues with them. Only
/// ledgers and readers lock them, never a request.
#[derive(Clone, Default)]
pub struct SharedSeries(Arc<Mutex<Series>>);

impl SharedSeries {
    pub(super) fn count(&self, finished: &FinishedRequest) {
        self.0.lock().count(finished);
    }

    /// A copy of the numbers as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Series {
        self.0.lock().clone()
    }
}

impl Distribution {
    fn add(&mut self, value: f64, bounds: &[f64]) {
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The number of values in each bucket of these bounds, and of those beyond the last.
    #[must_use]
    pub fn buckets(&self, bounds: &[f64]) -> Vec<u64> {
        let mut counts = self.counts.clone();
        counts.resize(bounds.len() + 1, 0);
        counts
    }
}

impl Series {
    fn count(&mut self, finished: &FinishedRequest) {
        let record = &finished.record;
        self.of_request(record).count(finished);
        for (number, call) in record.calls.iter().enumerate() {
            let is_retry = record.calls[..number].iter().any(|earlier| earlier.provider == call.provider);
            let totals = self.of_provider(&call.provider);
            totals.count(call);
            totals.retries += u64::from(is_retry);
        }
        for target in &record.failed_targets {
            let provider = target.split_once(':').map_or(UNKNOWN, |(provider, _)| provider);
            self.of_provider(&provider.into()).fallbacks += 1;
        }
        if let RequestEnd::Failed { kind, .. } = &record.end
            && !record.end.is_cancelled()
        {
            let provider = record.provider.clone().unwrap_or_else(|| UNKNOWN.into());
            *self.of_provider(&provider).errors.entry(kind).or_default() += 1;
        }
    }

    fn of_request(&mut self, record: &Record) -> &mut SeriesTotals {
        let name = |name: &Option<Arc<str>>| name.as_ref().map_or_else(|| UNKNOWN.into(), label);
        let mut key = SeriesKey {
            provider: name(&record.provider),
            model: name(&record.model),
            api: record.request.api_word().unwrap_or(UNKNOWN),
        };
        if self.requests.len() >= MOST_SERIES && !self.requests.contains_key(&key) {
            key.model = OTHER.into();
        }
        if self.requests.len() >= 2 * MOST_SERIES && !self.requests.contains_key(&key) {
            key.provider = OTHER.into();
        }
        self.requests.entry(key).or_default()
    }

    fn of_provider(&mut self, provider: &Arc<str>) -> &mut ProviderTotals {
        let has_room = self.providers.len() < MOST_PROVIDERS || self.providers.contains_key(provider);
        let provider = if has_room { provider.clone() } else { OTHER.into() };
        self.providers.entry(provider).or_default()
    }
}

impl SeriesTotals {
    fn count(&mut self, finished: &FinishedRequest) {
        let FinishedRequest { record, cost, cache_loss, .. } = finished;
        *self.ends.entry(EndKey::new(record)).or_default() += 1;
        self.duration.add(record.elapsed.as_secs_f64(), DURATION_BOUNDS);
        if let Some(first) = record.first_event {
            self.first_event.add(first.as_secs_f64(), FIRST_EVENT_BOUNDS);
        }
        let has_tokens = record.usage != Usage::default();
        if has_tokens {
            self.input_tokens.add(record.usage.prompt_total() as f64, TOKEN_BOUNDS);
            self.output_tokens.add(record.usage.output as f64, TOKEN_BOUNDS);
        }
        self.usage = self.usage.plus(record.usage);
        match cost {
            Some(cost) => {
                self.micro_dollars = self.micro_dollars.saturating_add(cost.micro_dollars);
                self.saved_micro_dollars = self.saved_micro_dollars.saturating_add(cost.saved_micro_dollars);
            }
            None => self.unpriced += u64::from(has_tokens),
        }
        if let Some(loss) = cache_loss {
            *self.cache_losses.entry(loss.cause.name()).or_default() += 1;
        }
        self.tool_calls = self.tool_calls.saturating_add(record.tool_calls.into());
        self.request_bytes = self.request_bytes.saturating_add(record.request.size as u64);
        self.reply_bytes = self.reply_bytes.saturating_add(record.reply_size);
    }
}

impl ProviderTotals {
    fn count(&mut self, call: &CallRecord) {
        // A call that still ran when its request ended was cancelled.
        let outcome = call.outcome.unwrap_or(Outcome::Cancelled.label());
        *self.calls.entry(outcome).or_default() += 1;
        if call.elapsed > Duration::ZERO {
            self.call_duration.add(call.elapsed.as_secs_f64(), DURATION_BOUNDS);
        }
    }
}

impl EndKey {
    fn new(record: &Record) -> Self {
        let outcome = match &record.end {
            RequestEnd::Succeeded => "succeeded",
            end if end.is_cancelled() => "cancelled",
            RequestEnd::Failed { .. } | RequestEnd::Cancelled => "failed",
        };
        let status_class = match record.status {
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => "none",
        };
        Self { outcome, status_class }
    }
}

/// The word for an API in labels, reports, log fields and the history. `anthropic` and `openai` are providers there, and values of
/// `api-format` in the configuration.
#[must_use]
pub fn api_word(api: Api) -> &'static str {
    api.word()
}

/// Almost every name is one already.
fn label(name: &Arc<str>) -> Arc<str> {
    match name.len() <= LONGEST_NAME && is_printable(name) {
        true => name.clone(),
        false => one_line(name, LONGEST_NAME).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::totals::tests::record;
    use super::super::{CacheLoss, CacheLossCause};
    use super::*;
    use crate::cost::Cost;

    fn finished(record: Record) -> FinishedRequest {
        FinishedRequest { record, ended: 0, cost: None, cache_loss: None }
    }

    fn call(provider: &str, outcome: Option<&'static str>) -> CallRecord {
        CallRecord {
            provider: provider.into(),
            model: "m".into(),
            key: None,
            status: Some(200),
            outcome,
            upstream_request_id: None,
            started: Duration::ZERO,
            elapsed: Duration::from_millis(70),
        }
    }

    /// Requirement: counters by outcome, status class, tokens, cost, calls, retries and fallbacks (issue 16, 4).
    #[test]
    fn a_request_is_counted_with_its_calls_and_its_cost() {
        let mut series = Series::default();
        let mut served = record("m", RequestEnd::Succeeded);
        served.request.api = Some(Api::Messages);
        served.first_event = Some(Duration::from_millis(60));
        served.failed_targets = vec!["q:x".to_owned()];
        served.calls =
            vec![call("q", Some("server error")), call("p", Some("overloaded")), call("p", Some("answered"))];
        let cost = Some(Cost { micro_dollars: 30, saved_micro_dollars: -4 });
        let lost =
            CacheLoss { cause: CacheLossCause::Tools, by_provider: false, tokens: 5, micro_dollars: None };
        series.count(&FinishedRequest { cost, cache_loss: Some(lost), ..finished(served) });
        let failed = RequestEnd::Failed { kind: "overloaded_error", message: String::new() };
        let mut refused = Record { status: 503, provider: None, model: None, ..record("m", failed) };
        refused.usage = Usage::default();
        series.count(&finished(refused));
        series.count(&finished(Record { status: 0, ..record("n", RequestEnd::Cancelled) }));

        let (key, totals) = series.requests.iter().find(|(key, _)| &*key.model == "m").unwrap();
        assert_eq!((&*key.provider, key.api), ("p", "messages"));
        let end = EndKey { outcome: "succeeded", status_class: "2xx" };
        assert_eq!(totals.ends, BTreeMap::from([(end, 1)]));
        assert_eq!((totals.micro_dollars, totals.saved_micro_dollars, totals.unpriced), (30, -4, 0));
        assert_eq!((totals.usage.output, totals.tool_calls), (2, 7));
        assert_eq!(totals.cache_losses, BTreeMap::from([("tools", 1)]));
        assert_eq!(totals.duration.buckets(DURATION_BOUNDS)[0], 1);
        assert_eq!(totals.first_event.buckets(FIRST_EVENT_BOUNDS)[..2], [0, 1]);
        let ends = |model: &str| {
            series.requests.iter().find(|(key, _)| &*key.model == model).unwrap().1.ends.clone()
        };
        assert_eq!(ends(UNKNOWN), BTreeMap::from([(EndKey { outcome: "failed", status_class: "5xx" }, 1)]));
        assert_eq!(ends("n"), BTreeMap::from([(EndKey { outcome: "cancelled", status_class: "none" }, 1)]));

        let provider = |name: &str| &series.providers[name];
        assert_eq!((provider("q").fallbacks, provider("q").retries), (1, 0));
        assert_eq!((provider("p").fallbacks, provider("p").retries), (0, 1));
        assert_eq!(provider("p").calls, BTreeMap::from([("answered", 1), ("overloaded", 1)]));
        assert_eq!(provider("p").call_duration.count(), 2);
        assert_eq!(provider(UNKNOWN).errors, BTreeMap::from([("overloaded_error", 1)]));
    }

    /// Requirement: clients choose model names, so the number of label sets is bounded; the rest is `(other)`.
    #[test]
    fn models_and_providers_beyond_the_limit_share_series_and_none_is_lost() {
        let mut series = Series::default();
        for number in 0..MOST_SERIES + 10 {
            let mut record = record(&number.to_string(), RequestEnd::Succeeded);
            record.calls = vec![call(&number.to_string(), None)];
            series.count(&finished(record));
        }
        series.count(&finished(record("0", RequestEnd::Succeeded)));
        assert_eq!((series.requests.len(), series.providers.len()), (MOST_SERIES + 1, MOST_PROVIDERS + 1));
        let requests = |model: &str| {
            let (_, totals) = series.requests.iter().find(|(key, _)| &*key.model == model).unwrap();
            totals.ends.values().sum::<u64>()
        };
        assert_eq!((requests("0"), requests(OTHER)), (2, 10));
        assert_eq!(series.providers[OTHER].calls["cancelled"] as usize, MOST_SERIES + 10 - MOST_PROVIDERS);
    }

    proptest! {
        #[test]
        fn a_distribution_counts_every_value_once(values in proptest::collection::vec(0.0f64..1000.0, 0..40)) {
            let mut distribution = Distribution::default();
            values.iter().for_each(|value| distribution.add(*value, DURATION_BOUNDS));
            prop_assert_eq!(distribution.count() as usize, values.len());
            let buckets = distribution.buckets(DURATION_BOUNDS);
            for (number, bound) in DURATION_BOUNDS.iter().enumerate() {
                let below = values.iter().filter(|value| *value <= bound).count() as u64;
                prop_assert_eq!(buckets[..=number].iter().sum::<u64>(), below);
            }
        }
    }
}
