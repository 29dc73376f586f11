//! The prices of the models that were used, each with its source.

use std::collections::BTreeMap;

use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::cost::{Price, PriceOrigin, PriceTable, Rates};
use vandamme_actors::history::UsageRow;
use vandamme_actors::secret::Secrets;

use crate::dashboard::gather::shown;
use crate::dashboard::units::Money;

#[derive(Debug, Serialize)]
pub(super) struct PriceRow {
    pub(super) provider: String,
    pub(super) model: String,
    /// `None` if no price is known.
    pub(super) rates: Option<Dollars>,
    /// Prices that apply at times or to long prompts instead.
    pub(super) note: String,
    pub(super) origin: String,
}

/// Dollars per million tokens.
#[derive(Debug, Serialize)]
pub(super) struct Dollars {
    pub(super) input: Money,
    pub(super) output: Money,
    pub(super) cache_read: Money,
    pub(super) cache_write: Money,
    pub(super) cache_write_1h: Money,
}

/// A published list that one of the prices comes from.
#[derive(Debug, Serialize)]
pub(super) struct Source {
    pub(super) vendor: String,
    pub(super) address: String,
    /// The day of the list.
    pub(super) read: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Prices {
    pub(super) rows: Vec<PriceRow>,
    pub(super) sources: Vec<Source>,
}

impl Prices {
    /// `rows` are grouped by provider and model.
    pub(super) fn new(table: &PriceTable, rows: &[UsageRow], now: Millis, secrets: &Secrets) -> Self {
        let mut sources = BTreeMap::new();
        let mut prices = vec![];
        for row in rows {
            let [provider, model] = &row.group[..] else { continue };
            if provider.is_empty() || model.is_empty() || &**model == "(other)" {
                continue;
            }
            let known = table.price(provider, model, now);
            let origin = match known.as_ref().map(|known| known.origin) {
                None => "no price is known".to_owned(),
                Some(PriceOrigin::Own(pattern)) => {
                    format!("configuration, prices.\"{}\"", shown(pattern, secrets))
                }
                Some(PriceOrigin::Published(list)) => {
                    sources.insert(list.vendor.clone(), (list.source.clone(), list.read.clone()));
                    format!("{} list of {}", list.vendor, list.read)
                }
            };
            prices.push(PriceRow {
                provider: shown(provider, secrets),
                model: shown(model, secrets),
                rates: known.as_ref().map(|known| Dollars::new(&known.price.rates)),
                note: known.map(|known| note(known.price)).unwrap_or_default(),
                origin,
            });
        }
        let source =
            |(vendor, (address, read)): (std::sync::Arc<str>, (std::sync::Arc<str>, std::sync::Arc<str>))| {
                Source { vendor: vendor.to_string(), address: address.to_string(), read: read.to_string() }
            };
        Self { rows: prices, sources: sources.into_iter().map(source).collect() }
    }
}

impl Dollars {
    fn new(rates: &Rates) -> Self {
        let Rates { input, output, cache_read, cache_write, cache_write_1h } = *rates;
        let [input, output, cache_read, cache_write, cache_write_1h] =
            [input, output, cache_read, cache_write, cache_write_1h].map(|rate| Money(Some(rate)));
        Self { input, output, cache_read, cache_write, cache_write_1h }
    }
}

fn note(price: &Price) -> String {
    let long = price.long_context.as_ref().map(|long| {
        let Dollars { input, output, .. } = Dollars::new(&long.rates);
        format!("{input} in, {output} out for prompts above {} tokens", long.above)
    });
    let peak = price.peak.as_ref().map(|peak| {
        let Dollars { input, output, .. } = Dollars::new(&peak.rates);
        format!("{input} in, {output} out at peak hours")
    });
    [long, peak].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vandamme_actors::cost::{LongContext, OwnPrices, PriceList, ProviderPrices};
    use vandamme_actors::history::UsageSums;

    use super::*;

    fn row(provider: &str, model: &str) -> UsageRow {
        UsageRow { start: 0, group: vec![provider.into(), model.into()], sums: UsageSums::default() }
    }

    /// Checklist 20: cost = tokens × price incl. cache prices; unpriced models are labelled, not 0.
    #[test]
    fn prices_have_their_source_and_date() {
        let rates = Rates { input: 3_000_000, output: 15_000_000, cache_read: 300_000, ..Rates::default() };
        let long = LongContext { above: 200_000, rates: Rates { input: 6_000_000, ..rates } };
        let price = Price { rates, long_context: Some(long), ..Price::default() };
        let list = PriceList {
            vendor: "anthropic".into(),
            source: "https://vendor.example/prices".into(),
            read: "2026-11-18".into(),
            prefixes: vec![],
            models: [("claude-x".to_owned(), vec![price.clone()])].into(),
        };
        let own = OwnPrices::new(vec![("my-*".to_owned(), Price::default())]);
        let provider = ProviderPrices { own, lists: vec![Arc::new(list)] };
        let table = PriceTable { providers: [("p".into(), provider)].into(), ..PriceTable::default() };
        let rows = [
            row("p", "claude-x"),
            row("p", "my-model"),
            row("p", "other"),
            row("", "x"),
            row("p", "(other)"),
        ];
        let prices = Prices::new(&table, &rows, 0, &Secrets::new([]));
        let shown: Vec<_> = prices
            .rows
            .iter()
            .map(|row| {
                let rates = row.rates.as_ref();
                let rates = rates.map(|rates| (rates.input.to_string(), rates.cache_read.to_string()));
                (row.model.as_str(), rates, row.origin.as_str())
            })
            .collect();
        let text = |input: &str, read: &str| Some((input.to_owned(), read.to_owned()));
        assert_eq!(
            shown,
            [
                ("claude-x", text("$3.00", "$0.3000"), "anthropic list of 2026-11-18"),
                ("my-model", text("$0", "$0"), "configuration, prices.\"my-*\""),
                ("other", None, "no price is known")
            ]
        );
        assert_eq!(prices.rows[0].note, "$6.00 in, $15.00 out for prompts above 200000 tokens");
        assert_eq!(prices.sources.len(), 1);
    }
}
