//! The families of finished requests and their calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use vandamme_actors::ledger::series::{
    DURATION_BOUNDS, FIRST_EVENT_BOUNDS, ProviderTotals, Series, SeriesKey, SeriesTotals,
};

use super::declared::{self, Declared};
use super::exposition::{Exposition, Sample};

/// A dollar has a million of them.
const MICRO: f64 = 1e6;

pub(super) fn add(series: &Series, exposition: &mut Exposition) {
    let ends = series.requests.iter().flat_map(|(key, totals)| {
        let SeriesKey { provider, model, api } = key;
        totals.ends.iter().map(move |(end, count)| {
            Sample::whole(&[provider, model, api, end.outcome, end.status_class], *count)
        })
    });
    exposition.add(&declared::REQUESTS, ends);
    let errors = of_providers(series, |provider, totals| {
        totals.errors.iter().map(|(kind, count)| Sample::whole(&[provider, kind], *count)).collect()
    });
    exposition.add(&declared::REQUEST_ERRORS, errors);
    let durations = series.requests.iter().map(|(SeriesKey { provider, model, api }, totals)| {
        let counts = totals.duration.buckets(DURATION_BOUNDS);
        Sample::histogram(&[provider, model, api], totals.duration.sum(), DURATION_BOUNDS, &counts)
    });
    exposition.add(&declared::REQUEST_DURATION, durations);
    let with_events = series.requests.iter().filter(|(_, totals)| totals.first_event.count() > 0);
    let first = with_events.map(|(SeriesKey { provider, model, api }, totals)| {
        let counts = totals.first_event.buckets(FIRST_EVENT_BOUNDS);
        Sample::histogram(&[provider, model, api], totals.first_event.sum(), FIRST_EVENT_BOUNDS, &counts)
    });
    exposition.add(&declared::FIRST_EVENT, first);
    add_by_model(&by_model(series), exposition);
    add_by_provider(series, exposition);
}

/// The sums of a model over the APIs of clients.
#[derive(Default)]
struct ModelSums {
    tokens: [u64; 5],
    micro_dollars: u64,
    saved_micro_dollars: i64,
    unpriced: u64,
    cache_losses: BTreeMap<&'static str, u64>,
    tool_calls: u64,
    request_bytes: u64,
    reply_bytes: u64,
}

/// The values of the label `type`, in the order of [`ModelSums::tokens`].
const TOKEN_TYPES: [&str; 5] = ["input", "output", "cache_read", "cache_write", "reasoning"];

impl ModelSums {
    fn add(&mut self, totals: &SeriesTotals) {
        let usage = totals.usage;
        let tokens = [usage.input, usage.output, usage.cache_read, usage.cache_creation, usage.reasoning];
        self.tokens.iter_mut().zip(tokens).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        let sums = [
            (&mut self.micro_dollars, totals.micro_dollars),
            (&mut self.unpriced, totals.unpriced),
            (&mut self.tool_calls, totals.tool_calls),
            (&mut self.request_bytes, totals.request_bytes),
            (&mut self.reply_bytes, totals.reply_bytes),
        ];
        sums.into_iter().for_each(|(sum, more)| *sum = sum.saturating_add(more));
        for (cause, count) in &totals.cache_losses {
            *self.cache_losses.entry(cause).or_default() += count;
        }
        self.saved_micro_dollars = self.saved_micro_dollars.saturating_add(totals.saved_micro_dollars);
    }
}

type ByModel<'s> = BTreeMap<(&'s Arc<str>, &'s Arc<str>), ModelSums>;

fn by_model(series: &Series) -> ByModel<'_> {
    let mut sums = ByModel::new();
    for (SeriesKey { provider, model, .. }, totals) in &series.requests {
        sums.entry((provider, model)).or_default().add(totals);
    }
    sums
}

fn add_by_model(models: &ByModel<'_>, exposition: &mut Exposition) {
    let tokens = models.iter().flat_map(|((provider, model), sums)| {
        TOKEN_TYPES
            .iter()
            .zip(sums.tokens)
            .map(|(kind, count)| Sample::whole(&[provider, model, kind], count))
    });
    exposition.add(&declared::TOKENS, tokens);
    let priced = models.iter().filter(|(_, sums)| sums.micro_dollars > 0 || sums.saved_micro_dollars != 0);
    let dollars =
        |micro: f64, provider: &str, model: &str| Sample::fraction(&[provider, model], micro / MICRO);
    exposition.add(
        &declared::COST,
        priced.clone().map(|((provider, model), sums)| dollars(sums.micro_dollars as f64, provider, model)),
    );
    exposition.add(
        &declared::CACHE_SAVINGS,
        priced.map(|((provider, model), sums)| dollars(sums.saved_micro_dollars as f64, provider, model)),
    );
    let losses = models.iter().flat_map(|((provider, model), sums)| {
        let losses = sums.cache_losses.iter();
        losses.map(|(cause, count)| Sample::whole(&[provider, model, cause], *count)).collect::<Vec<_>>()
    });
    exposition.add(&declared::CACHE_LOSSES, losses);
    type Sum = fn(&ModelSums) -> u64;
    let wholes: [(&'static Declared, Sum); 4] = [
        (&declared::UNPRICED, |sums| sums.unpriced),
        (&declared::TOOL_CALLS, |sums| sums.tool_calls),
        (&declared::REQUEST_BYTES, |sums| sums.request_bytes),
        (&declared::REPLY_BYTES, |sums| sums.reply_bytes),
    ];
    for (family, sum) in wholes {
        let samples =
            models.iter().map(|((provider, model), sums)| Sample::whole(&[provider, model], sum(sums)));
        exposition.add(family, samples);
    }
}

fn add_by_provider(series: &Series, exposition: &mut Exposition) {
    let calls = of_providers(series, |provider, totals| {
        let calls = totals.calls.iter();
        calls.map(|(outcome, count)| Sample::whole(&[provider, &word(outcome)], *count)).collect()
    });
    exposition.add(&declared::UPSTREAM_CALLS, calls);
    let durations = of_providers(series, |provider, totals| {
        let counts = totals.call_duration.buckets(DURATION_BOUNDS);
        let sum = totals.call_duration.sum();
        let sample = || Sample::histogram(&[provider], sum, DURATION_BOUNDS, &counts);
        (totals.call_duration.count() > 0).then(sample).into_iter().collect()
    });
    exposition.add(&declared::UPSTREAM_DURATION, durations);
    let retries = of_providers(series, |provider, totals| vec![Sample::whole(&[provider], totals.retries)]);
    exposition.add(&declared::RETRIES, retries);
    let fallbacks =
        of_providers(series, |provider, totals| vec![Sample::whole(&[provider], totals.fallbacks)]);
    exposition.add(&declared::FALLBACKS, fallbacks);
}

fn of_providers(series: &Series, samples: impl Fn(&str, &ProviderTotals) -> Vec<Sample>) -> Vec<Sample> {
    series.providers.iter().flat_map(|(provider, totals)| samples(provider, totals)).collect()
}

/// The words of an outcome as one word: `try again (408, 409)` is `try_again_408_409`.
pub(super) fn word(words: &str) -> String {
    let parts = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_become_one_word() {
        assert_eq!(word("try again (408, 409)"), "try_again_408_409");
        assert_eq!(word("answered"), "answered");
    }
}
