//! Sums up the requests between two summaries in the log. A pure table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use vandamme_protocol::vocabulary::Usage;

use super::{Record, RequestEnd};

/// The most models that are counted one by one; later ones are in the sums only.
const MAX_MODELS: usize = 1_000;
/// The busiest models that a summary names.
const NAMED: usize = 3;

/// The requests since the last summary.
#[derive(Debug, Default)]
pub(super) struct Interval {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) usage: Usage,
    elapsed: Duration,
    models: HashMap<(Arc<str>, Arc<str>), u64>,
}

impl Interval {
    pub(super) fn count(&mut self, record: &Record) {
        self.requests += 1;
        self.failed += u64::from(matches!(record.end, RequestEnd::Failed { .. }));
        self.cancelled += u64::from(record.end == RequestEnd::Cancelled);
        self.usage = self.usage.plus(record.usage);
        self.elapsed = self.elapsed.saturating_add(record.elapsed);
        if let (Some(provider), Some(model)) = (&record.provider, &record.model) {
            let name = (provider.clone(), model.clone());
            if self.models.len() < MAX_MODELS || self.models.contains_key(&name) {
                *self.models.entry(name).or_default() += 1;
            }
        }
    }

    /// Begins anew if this many requests have been counted, and returns their sums.
    pub(super) fn take(&mut self, every: u64) -> Option<Self> {
        (every > 0 && self.requests >= every).then(|| std::mem::take(self))
    }

    /// The models with most requests, as `provider:model N`. Of equals, the first by name comes first.
    pub(super) fn busiest(&self) -> String {
        let mut models: Vec<_> = self.models.iter().collect();
        models.sort_unstable_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
        let named = models.iter().take(NAMED);
        let named: Vec<_> = named
            .map(|((provider, model), count)| format!("{provider}:{} {count}", super::printable(model)))
            .collect();
        if named.is_empty() { "none".to_owned() } else { named.join(", ") }
    }

    /// One line.
    pub(super) fn summary(&self) -> String {
        let Usage { input, output, cache_read, cache_creation, .. } = self.usage;
        let average = self.elapsed.as_secs_f64() / self.requests.max(1) as f64;
        format!(
            "last {} requests: {} failed, {} cancelled, average {average:.3}s, tokens={input}+{cache_read}+{cache_creation}/{output}, busiest: {}",
            self.requests,
            self.failed,
            self.cancelled,
            self.busiest()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::totals::tests::record;
    use super::*;

    fn failed() -> RequestEnd {
        RequestEnd::Failed { kind: "api_error", message: String::new() }
    }

    #[test]
    fn a_summary_has_the_sums_and_the_busiest_models_of_its_interval_only() {
        let mut interval = Interval::default();
        interval.count(&record("early", RequestEnd::Succeeded));
        assert!(interval.take(1).is_some());
        for (model, end) in [
            ("b", RequestEnd::Succeeded),
            ("a", failed()),
            ("b", RequestEnd::Cancelled),
            ("c", RequestEnd::Succeeded),
            ("d", RequestEnd::Succeeded),
        ] {
            assert!(interval.take(5).is_none());
            interval.count(&record(model, end));
        }

        let taken = interval.take(5).unwrap();

        assert_eq!(
            taken.summary(),
            "last 5 requests: 1 failed, 1 cancelled, average 0.008s, tokens=5+15+20/10, busiest: p:b 2, p:a 1, p:c 1"
        );
        assert_eq!(interval.requests, 0);
    }

    #[test]
    fn without_an_interval_there_is_no_summary() {
        let mut interval = Interval::default();
        interval.count(&record("m", RequestEnd::Succeeded));
        assert!(interval.take(0).is_none());
    }

    #[test]
    fn models_are_bounded_and_requests_without_one_are_counted() {
        let mut interval = Interval::default();
        for number in 0..MAX_MODELS + 5 {
            interval.count(&record(&number.to_string(), RequestEnd::Succeeded));
        }
        interval.count(&Record { provider: None, model: None, ..record("m", failed()) });
        assert_eq!((interval.models.len(), interval.requests), (MAX_MODELS, MAX_MODELS as u64 + 6));
    }
}
