//! Adds up the ledger's rows and the requests in flight.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use vandamme_actors::clock::Millis;
use vandamme_actors::ledger::{Active, RequestTotals, Totals};

/// Sums over requests, also those in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) requests: u64,
    ended: RequestTotals,
}

/// Sums of streamed and whole replies, separately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct SumsByForm {
    pub(super) streamed: Sums,
    pub(super) whole: Sums,
}

/// One provider's sums.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ProviderSums {
    pub(super) rollup: SumsByForm,
    pub(super) last: Option<Millis>,
    pub(super) models: BTreeMap<String, (SumsByForm, Option<Millis>)>,
}

pub(super) fn by_provider<'v>(
    rows: impl Iterator<Item = (&'v str, &'v str, &'v Totals)>,
    running: impl Iterator<Item = &'v Active>,
) -> BTreeMap<String, ProviderSums> {
    let mut providers = BTreeMap::<String, ProviderSums>::new();
    for (provider, model, totals) in rows {
        let split = SumsByForm { streamed: Sums::from(totals.streamed), whole: Sums::from(totals.whole) };
        providers.entry(provider.to_owned()).or_default().add(model, split, Some(totals.last));
    }
    for Active { provider, model, request, .. } in running {
        let one = Sums { requests: 1, ended: RequestTotals::default() };
        let split = match request.streamed {
            true => SumsByForm { streamed: one, ..SumsByForm::default() },
            false => SumsByForm { whole: one, ..SumsByForm::default() },
        };
        providers.entry(provider.to_string()).or_default().add(model, split, None);
    }
    providers
}

impl ProviderSums {
    fn add(&mut self, model: &str, split: SumsByForm, last: Option<Millis>) {
        self.rollup += split;
        self.last = self.last.max(last);
        let (sums, model_last) = self.models.entry(model.to_owned()).or_default();
        *sums += split;
        *model_last = (*model_last).max(last);
    }
}

impl SumsByForm {
    pub(super) fn total(&self) -> Sums {
        let mut total = self.streamed;
        total += self.whole;
        total
    }
}

impl From<RequestTotals> for Sums {
    fn from(ended: RequestTotals) -> Self {
        Self { requests: ended.requests, ended }
    }
}

impl Sums {
    /// The members under the names of the Python original, and `cancelled`, which it counted as success.
    pub(super) fn counts(&self) -> [(&'static str, u64); 10] {
        let RequestTotals { failed, cancelled, tokens, tool_uses, tool_results, tool_calls, .. } = self.ended;
        [
            ("requests", self.requests),
            ("errors", failed),
            ("cancelled", cancelled),
            ("input_tokens", tokens.input),
            ("output_tokens", tokens.output),
            ("cache_read_tokens", tokens.cache_read),
            ("cache_creation_tokens", tokens.cache_creation),
            ("tool_uses", tool_uses),
            ("tool_results", tool_results),
            ("tool_calls", tool_calls),
        ]
    }

    pub(super) fn elapsed_ms(&self) -> f64 {
        self.ended.elapsed.as_secs_f64() * 1000.0
    }

    /// The average over the requests that have ended.
    pub(super) fn average_ms(&self) -> u64 {
        (self.elapsed_ms() / self.ended.requests.max(1) as f64).round() as u64
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.ended += other.ended;
    }
}

impl AddAssign for SumsByForm {
    fn add_assign(&mut self, other: Self) {
        self.streamed += other.streamed;
        self.whole += other.whole;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vandamme_actors::ledger::RequestSummary;

    use super::*;

    #[test]
    fn a_request_in_flight_counts_once_and_does_not_affect_averages() {
        let ended =
            RequestTotals { requests: 2, elapsed: Duration::from_millis(681), ..RequestTotals::default() };
        let totals = Totals { whole: ended, last: 5, ..Totals::default() };
        let request = RequestSummary { streamed: true, ..RequestSummary::default() };
        let active =
            Active { provider: "p".into(), model: "vendor/m:free".into(), request, ..Active::default() };

        let providers = by_provider([("p", "vendor/m:free", &totals)].into_iter(), [&active].into_iter());

        let provider = &providers["p"];
        let total = provider.rollup.total();
        assert_eq!((total.requests, total.average_ms(), provider.last), (3, 341, Some(5)));
        assert_eq!(provider.models["vendor/m:free"].0.streamed.requests, 1);
        assert_eq!((providers.len(), provider.models.len()), (1, 1));
    }
}
