//! A vendor's price list, and how the ids of models are found in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Price;
use super::price::valid;
use crate::clock::Millis;

/// The prices that a vendor has published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceList {
    /// `anthropic`
    pub vendor: Arc<str>,
    /// The address of the published list.
    pub source: Arc<str>,
    /// The day of the list, as `2026-11-18`.
    pub read: Arc<str>,
    /// What other providers write before an id: `anthropic/`, `us.anthropic.`
    pub prefixes: Vec<String>,
    /// By id, lower case; of each model the prices in the order in which they become valid.
    pub models: BTreeMap<String, Vec<Price>>,
}

impl PriceList {
    /// The price of a model at a time, by any spelling of its id.
    pub(super) fn price(&self, model: &str, at: Millis) -> Option<&Price> {
        valid(self.prices(model)?, at)
    }

    /// All prices of a model, by any spelling of its id, in the order in which they become valid.
    pub(super) fn prices(&self, model: &str) -> Option<&[Price]> {
        let lower = model.to_ascii_lowercase();
        let bare = self.prefixes.iter().find_map(|prefix| lower.strip_prefix(&**prefix)).unwrap_or(&lower);
        spellings(bare).find_map(|id| {
            // Some providers write `4.5` where others write `4-5`.
            self.models.get(id).or_else(|| self.models.get(&id.replace('.', "-"))).map(|prices| &**prices)
        })
    }
}

/// The id as it is, then without what marks a version of the same model: `-v1:0`, `[1m]`, a date, `-latest`.
fn spellings(id: &str) -> impl Iterator<Item = &str> {
    let without_size = id.strip_suffix("[1m]").unwrap_or(id);
    let without_revision = without_bedrock_revision(without_size);
    let undated = without_date(without_revision).or_else(|| without_revision.strip_suffix("-latest"));
    [Some(id), Some(without_size), Some(without_revision), undated].into_iter().flatten()
}

/// Without the `-v1:0` of Amazon Bedrock.
fn without_bedrock_revision(id: &str) -> &str {
    let revision = id.rsplit_once("-v").filter(|(_, revision)| {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        revision.split_once(':').is_some_and(|(version, minor)| is_number(version) && is_number(minor))
    });
    revision.map_or(id, |(bare, _)| bare)
}

/// Without `-20250929`, `@20250929` or `-2025-09-29`.
fn without_date(id: &str) -> Option<&str> {
    let at = |length: usize| id.len().checked_sub(length).filter(|&at| id.is_char_boundary(at));
    let is_date = |digits: &str| {
        let year = digits.get(..4).and_then(|year| year.parse::<u16>().ok());
        let month = digits.get(4..6).and_then(|month| month.parse::<u8>().ok());
        let day = digits.get(6..8).and_then(|day| day.parse::<u8>().ok());
        year.is_some_and(|year| (2020..2100).contains(&year))
            && month.is_some_and(|month| (1..=12).contains(&month))
            && day.is_some_and(|day| (1..=31).contains(&day))
    };
    if let Some((bare, date)) = at(9).map(|at| id.split_at(at))
        && let Some(digits) = date.strip_prefix(['-', '@'])
        && is_date(digits)
    {
        return Some(bare);
    }
    let (bare, date) = id.split_at(at(11)?);
    let digits: String = match date.split('-').collect::<Vec<_>>()[..] {
        ["", year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2) => {
            [year, month, day].concat()
        }
        _ => return None,
    };
    is_date(&digits).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Rates;

    fn list(prefixes: &[&str], ids: &[&str]) -> PriceList {
        let price = |number: usize| {
            let rates = Rates { input: number as u64 + 1, ..Rates::default() };
            vec![Price { rates, ..Price::default() }]
        };
        PriceList {
            prefixes: prefixes.iter().map(|&prefix| prefix.to_owned()).collect(),
            models: ids.iter().enumerate().map(|(number, &id)| (id.to_owned(), price(number))).collect(),
            ..PriceList::default()
        }
    }

    fn found(list: &PriceList, model: &str) -> Option<u64> {
        list.price(model, 0).map(|price| price.rates.input)
    }

    #[test]
    fn every_spelling_of_a_model_is_found() {
        let list =
            list(&["anthropic/", "anthropic.", "us.anthropic."], &["claude-sonnet-4-5", "claude-sonnet-4"]);
        for model in [
            "claude-sonnet-4-5",
            "Claude-Sonnet-4-5",
            "claude-sonnet-4-5-20250929",
            "claude-sonnet-4-5@20250929",
            "claude-sonnet-4-5-latest",
            "claude-sonnet-4-5[1m]",
            "anthropic/claude-sonnet-4.5",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ] {
            assert_eq!(found(&list, model), Some(1), "{model}");
        }
        assert_eq!(found(&list, "claude-sonnet-4-20250514"), Some(2));
    }

    #[test]
    fn another_model_is_not_found() {
        let list = list(&["openai/"], &["gpt-6", "gpt-4o", "gpt-5.4"]);
        for model in [
            "gpt-6-mini",
            "gpt-6.1",
            "gpt-6:free",
            "gpt-61",
            "my-gpt-6",
            "azure/gpt-6",
            "ft:gpt-6:acme",
            "gpt-6-20251399",
            "gpt-6-12345678",
            "gpt-4o-mini",
            "gpt-4o-audio-preview",
            "gpt-5-4-pro",
            "gpt-6-v1",
            "gpt",
            "",
            "ü-20250101",
        ] {
            assert_eq!(found(&list, model), None, "{model}");
        }
    }

    #[test]
    fn a_model_with_a_dot_is_found_by_its_own_id() {
        let list = list(&["openai/"], &["gpt-5.4"]);
        assert_eq!(found(&list, "openai/gpt-5.4-2026-03-05"), Some(1));
    }

    #[test]
    fn the_price_is_that_of_the_time() {
        let price =
            |input, from| Price { rates: Rates { input, ..Rates::default() }, from, ..Price::default() };
        let models = BTreeMap::from([("m".to_owned(), vec![price(1, None), price(2, Some(100))])]);
        let list = PriceList { models, ..PriceList::default() };
        let at = |at| list.price("m", at).map(|price| price.rates.input);
        assert_eq!([at(99), at(100)], [Some(1), Some(2)]);
    }
}
