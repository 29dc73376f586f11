//! Prices: the compiled-in lists of vendors, and those in configuration files.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml_edit::Item;
use vandamme_actors::clock::Millis;
use vandamme_actors::cost::{
    LongContext, OwnPrices, PeakHours, Price, PriceList, PriceTable, ProviderPrices, Rates,
};
use vandamme_actors::settings::ProviderSettings;

use super::layer::Section;
use super::raw::Raw;
use crate::timestamp;

/// The compiled-in lists.
const LISTS: &str = include_str!("prices.toml");

/// Millionths of a dollar in a dollar.
const MICRO: f64 = 1_000_000.0;
/// The highest price, in dollars per million tokens: high enough for every model, low enough for exact sums.
const HIGHEST: f64 = 1_000_000.0;

const MEMBERS: [&str; 5] = ["input", "output", "cache-read", "cache-write", "cache-write-1h"];
const EXPECTED: &str =
    "expected a table of prices in dollars per million tokens: { input = 3, output = 15, cache-read = 0.3 }";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Lists {
    own_prices: Vec<String>,
    vendors: BTreeMap<String, Vendor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Vendor {
    source: String,
    read: String,
    urls: Vec<String>,
    #[serde(default)]
    everywhere: bool,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    peak_hours: Vec<(u8, u8)>,
    models: BTreeMap<String, OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Box<Entry>),
    Many(Vec<Entry>),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    #[serde(rename = "cache-write-1h")]
    cache_write_1h: Option<f64>,
    long_context: Option<LongRates>,
    peak: Option<PlainRates>,
    from: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LongRates {
    above: u64,
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    #[serde(rename = "cache-write-1h")]
    cache_write_1h: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PlainRates {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
}

/// Prices in dollars per million tokens.
#[derive(Clone, Copy, Default)]
struct Dollars {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    cache_write_1h: Option<f64>,
}

impl Dollars {
    /// What has no price of its own costs as much as input.
    fn rates(self) -> Rates {
        let micro = |dollars: f64| (dollars * MICRO).round() as u64;
        let cache_write = self.cache_write.unwrap_or(self.input);
        Rates {
            input: micro(self.input),
            output: micro(self.output),
            cache_read: micro(self.cache_read.unwrap_or(self.input)),
            cache_write: micro(cache_write),
            cache_write_1h: micro(self.cache_write_1h.unwrap_or(cache_write)),
        }
    }
}

impl Entry {
    fn price(&self, peak_hours: &[(u8, u8)]) -> Price {
        let &Self { input, output, cache_read, cache_write, cache_write_1h, .. } = self;
        let long_context = self.long_context.as_ref().map(|long| {
            let &LongRates { above, input, output, cache_read, cache_write, cache_write_1h } = long;
            let dollars = Dollars { input, output, cache_read, cache_write, cache_write_1h };
            LongContext { above, rates: dollars.rates() }
        });
        let peak = self.peak.as_ref().map(|&PlainRates { input, output, cache_read }| {
            let dollars = Dollars { input, output, cache_read, ..Dollars::default() };
            PeakHours { hours: peak_hours.to_vec(), rates: dollars.rates() }
        });
        Price {
            rates: Dollars { input, output, cache_read, cache_write, cache_write_1h }.rates(),
            long_context,
            peak,
            from: self.from.as_deref().and_then(midnight),
        }
    }
}

/// The start of a day such as `2026-12-01`.
fn midnight(day: &str) -> Option<Millis> {
    timestamp::parse_day(day)
}

/// The lists with the base URLs at which they apply.
struct Published {
    own_prices: Vec<String>,
    lists: Vec<(Vendor, Arc<PriceList>)>,
}

impl Published {
    /// The compiled-in lists. A test reads them, so they are complete.
    fn built_in() -> Self {
        let Ok(Lists { own_prices, vendors }) = toml_edit::de::from_str(LISTS) else {
            return Self { own_prices: vec![], lists: vec![] };
        };
        let lists = vendors.into_iter().map(|(name, vendor)| {
            let prices = |entries: &OneOrMany| match entries {
                OneOrMany::One(entry) => vec![entry.price(&vendor.peak_hours)],
                OneOrMany::Many(entries) => {
                    entries.iter().map(|entry| entry.price(&vendor.peak_hours)).collect()
                }
            };
            let list = PriceList {
                vendor: name.into(),
                source: (&*vendor.source).into(),
                read: (&*vendor.read).into(),
                prefixes: vendor.prefixes.clone(),
                models: vendor.models.iter().map(|(id, entries)| (id.clone(), prices(entries))).collect(),
            };
            (vendor, Arc::new(list))
        });
        Self { own_prices, lists: lists.collect() }
    }

    fn for_provider(&self, base_url: &str) -> Vec<Arc<PriceList>> {
        let address = base_url.split_once("://").map_or(base_url, |(_, address)| address);
        let is_below = |url: &String| {
            let rest = address.strip_prefix(&**url);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
        };
        let has_own = self.own_prices.iter().any(is_below);
        let applies = |vendor: &Vendor| vendor.urls.iter().any(is_below) || (vendor.everywhere && !has_own);
        self.lists.iter().filter(|(vendor, _)| applies(vendor)).map(|(_, list)| list.clone()).collect()
    }
}

/// The prices of all providers. `root` is the merged configuration.
pub(super) fn table<'a>(
    providers: impl Iterator<Item = &'a Arc<ProviderSettings>>,
    root: Section<'_>,
) -> PriceTable {
    let published = Published::built_in();
    let prices = providers.map(|provider| {
        let section = root.section("providers").section(&provider.name);
        let prices = ProviderPrices { own: own(section), lists: published.for_provider(&provider.base_url) };
        (provider.name.clone(), prices)
    });
    PriceTable { providers: prices.collect(), everywhere: own(root) }
}

/// The `prices` of a table.
fn own(section: Section<'_>) -> OwnPrices {
    let entries = section.section("prices").texts().into_iter();
    let price = |text: &str| Price { rates: parse(text).rates(), ..Price::default() };
    OwnPrices::new(entries.map(|(pattern, located)| (pattern.to_owned(), price(located.text))).collect())
}

/// Checks an entry of `prices` in a file; the text of a layer.
pub(super) fn entry(item: &Item) -> Result<String, String> {
    let table = item.as_table_like().ok_or(EXPECTED)?;
    let mut members = Vec::new();
    for (name, value) in table.iter() {
        if !MEMBERS.contains(&name) {
            return Err(format!(
                "there is no price \"{}\"; known here: {}",
                name.escape_debug(),
                MEMBERS.join(", ")
            ));
        }
        let number = value.as_value().and_then(|value| Raw::of(value).number());
        let number = number.filter(|number| (0.0..=HIGHEST).contains(number));
        let number = number.ok_or_else(|| {
            format!("{name}: expected dollars per million tokens, a number from 0 to {HIGHEST}")
        })?;
        members.push(format!("{name} = {number}"));
    }
    let has = |name: &str| table.get(name).is_some();
    if !has("input") || !has("output") {
        return Err(EXPECTED.to_owned());
    }
    Ok(format!("{{ {} }}", members.join(", ")))
}

/// The inverse of [`entry`].
fn parse(text: &str) -> Dollars {
    let mut dollars = Dollars::default();
    let members = text.trim_start_matches("{ ").trim_end_matches(" }").split(", ");
    for (name, number) in members.filter_map(|member| member.split_once(" = ")) {
        let number: Option<f64> = number.parse().ok();
        match name {
            "input" => dollars.input = number.unwrap_or_default(),
            "output" => dollars.output = number.unwrap_or_default(),
            "cache-read" => dollars.cache_read = number,
            "cache-write" => dollars.cache_write = number,
            "cache-write-1h" => dollars.cache_write_1h = number,
            _ => {}
        }
    }
    dollars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(base_url: &str, model: &str, day: &str) -> Option<(f64, f64)> {
        let prices =
            ProviderPrices { own: OwnPrices::default(), lists: Published::built_in().for_provider(base_url) };
        let table = PriceTable {
            providers: BTreeMap::from([("p".into(), prices)]),
            everywhere: OwnPrices::default(),
        };
        let known = table.price("p", model, midnight(day).unwrap())?;
        Some((known.price.rates.input as f64 / MICRO, known.price.rates.output as f64 / MICRO))
    }

    #[test]
    fn every_list_is_complete() {
        let Lists { vendors, .. } = toml_edit::de::from_str(LISTS).unwrap();
        for (name, vendor) in &vendors {
            assert!(vendor.source.starts_with("https://"), "{name}");
            assert!(midnight(&vendor.read).is_some(), "{name}");
            for (id, entries) in &vendor.models {
                let entries: Vec<&Entry> = match entries {
                    OneOrMany::One(entry) => vec![entry],
                    OneOrMany::Many(entries) => entries.iter().collect(),
                };
                let days: Vec<_> = entries.iter().map(|entry| entry.from.as_deref()).collect();
                assert!(days.is_sorted(), "{name} {id}");
                for entry in entries {
                    assert!(entry.from.as_deref().is_none_or(|day| midnight(day).is_some()), "{name} {id}");
                    assert!(entry.peak.is_none() || !vendor.peak_hours.is_empty(), "{name} {id}");
                    let rates = entry.price(&[]).rates;
                    assert!(rates.cache_read <= rates.input && rates.input <= rates.output, "{name} {id}");
                }
                assert_eq!(*id, id.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn a_list_applies_at_its_vendor_and_where_its_models_are_resold() {
        let day = "2026-11-30";
        for (base_url, model, price) in [
            ("https://api.anthropic.com", "claude-opus-5-5", Some((4.0, 20.0))),
            ("https://api.anthropic.com", "claude-sonnet-4-5-20250929", Some((3.0, 15.0))),
            ("https://bedrock.example", "us.anthropic.claude-haiku-4-5-20251001-v1:0", Some((1.0, 5.0))),
            ("https://openrouter.ai/api/v1", "anthropic/claude-opus-5.5", Some((4.0, 20.0))),
            ("http://127.0.0.1:8080/v1", "gpt-6.1-sol", Some((2.0, 10.0))),
            ("https://api.openai.com/v1", "gpt-4o-2024-08-06", Some((2.5, 10.0))),
            ("https://api.poe.com/v1", "claude-opus-5-5", None),
            ("https://api.z.ai/api/anthropic", "glm-5.3", None),
            ("https://api.z.ai/api/paas/v4", "GLM-5.3", Some((1.4, 4.4))),
            ("https://api.deepseek.com", "deepseek-v4-pro", Some((0.66, 1.98))),
            ("https://api.deepseek.com.evil.example", "deepseek-v4-pro", None),
            ("https://api.openai.com/v1", "claude-opus-9", None),
            ("https://api.groq.com/openai/v1", "openai/gpt-oss-120b", Some((0.15, 0.6))),
            ("https://api.cerebras.ai/v1", "gpt-oss-120b", None),
        ] {
            assert_eq!(published(base_url, model, day), price, "{base_url} {model}");
        }
    }

    #[test]
    fn a_price_changes_on_its_day() {
        let google = "https://generativelanguage.googleapis.com/v1beta/openai";
        assert_eq!(published(google, "gemini-4-argon", "2026-11-30"), Some((2.0, 10.0)));
        assert_eq!(published(google, "models/gemini-4-argon", "2026-12-01"), Some((4.0, 20.0)));
    }

    #[test]
    fn a_written_price_is_checked() {
        let check = |text: &str| entry(&text.parse::<toml_edit::Value>().unwrap().into());
        assert_eq!(check("{ input = 0, output = 0 }").unwrap(), "{ input = 0, output = 0 }");
        let full =
            check("{ input = 2.5, output = 10, cache-read = 0.25, cache-write = 3, cache-write-1h = 5 }");
        let rates = parse(&full.unwrap()).rates();
        let expected = Rates {
            input: 2_500_000,
            output: 10_000_000,
            cache_read: 250_000,
            cache_write: 3_000_000,
            cache_write_1h: 5_000_000,
        };
        assert_eq!(rates, expected);
        for (wrong, words) in [
            ("3", "expected a table of prices"),
            ("{ input = 3 }", "expected a table of prices"),
            ("{ input = -1, output = 1 }", "input: expected dollars per million tokens"),
            ("{ input = \"3\", output = 1 }", "input: expected dollars per million tokens"),
            ("{ input = 3, output = 1, cached = 1 }", "there is no price \"cached\""),
        ] {
            let error = check(wrong).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn what_has_no_price_of_its_own_costs_as_much_as_input() {
        let rates = Dollars { input: 2.0, output: 4.0, ..Dollars::default() }.rates();
        assert_eq!([rates.cache_read, rates.cache_write, rates.cache_write_1h], [2_000_000; 3]);
    }
}
