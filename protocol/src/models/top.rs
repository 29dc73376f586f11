//! Selects recommended models from an aggregator's catalogue: their prices, their context windows, and three
//! suggestions by name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Model, Models};

/// The catalogue has prices per token; the result has prices per million tokens.
const MILLION: f64 = 1_000_000.0;

/// One model of the catalogue. The field names are those of the Python original's `/top-models`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopModel {
    pub id: String,
    pub name: String,
    /// The provider of the catalogue.
    pub provider: String,
    /// The vendor of the model: the part of its id before the `/`.
    pub sub_provider: String,
    /// In tokens.
    pub context_window: Option<u64>,
    pub capabilities: Vec<String>,
    pub pricing: Pricing,
}

/// Prices in dollars per million tokens; unknown prices are absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Pricing {
    #[serde(rename = "input_per_million", skip_serializing_if = "Option::is_none")]
    pub input: Option<f64>,
    #[serde(rename = "output_per_million", skip_serializing_if = "Option::is_none")]
    pub output: Option<f64>,
    #[serde(rename = "average_per_million", skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
}

/// Which models of a catalogue are selected.
#[derive(Debug, Clone, Copy, Default)]
pub struct TopModelFilter<'c> {
    /// Only these models, in this order; `None` selects all models in the catalogue's order.
    pub ranking: Option<&'c [String]>,
    /// Excludes models whose id contains one of these.
    pub exclude: &'c [String],
}

/// Returns the selected models. `provider` is the provider of the catalogue.
#[must_use]
pub fn top(models: &Models<'_>, provider: &str, choice: TopModelFilter<'_>) -> Vec<TopModel> {
    let excluded =
        |id: &str| choice.exclude.iter().any(|rule| !rule.is_empty() && id.contains(rule.as_str()));
    let described =
        |model: &Model<'_>| TopModel::from_model(model, provider).filter(|model| !excluded(&model.id));
    match choice.ranking {
        None => models.0.iter().filter_map(described).collect(),
        Some(ranking) => ranking.iter().filter_map(|id| described(models.find(id)?)).collect(),
    }
}

/// Returns suggestions: the first model, the cheapest one, and the one with the largest context window; of equals, the
/// first.
#[must_use]
pub fn suggestions(models: &[TopModel]) -> BTreeMap<&'static str, String> {
    let mut cheap: Option<(f64, &TopModel)> = None;
    let mut long: Option<(u64, &TopModel)> = None;
    for model in models {
        if let Some(average) = model.pricing.average
            && cheap.is_none_or(|(least, _)| average < least)
        {
            cheap = Some((average, model));
        }
        if let Some(context) = model.context_window
            && long.is_none_or(|(most, _)| context > most)
        {
            long = Some((context, model));
        }
    }
    let named = [
        ("top", models.first()),
        ("top-cheap", cheap.map(|(_, model)| model)),
        ("top-longctx", long.map(|(_, model)| model)),
    ];
    named.into_iter().filter_map(|(name, model)| Some((name, model?.id.clone()))).collect()
}

impl TopModel {
    fn from_model(model: &Model<'_>, provider: &str) -> Option<Self> {
        let id = model.id()?.into_owned();
        Some(Self {
            name: model.display_name().map_or_else(|| id.clone(), Cow::into_owned),
            provider: provider.to_owned(),
            sub_provider: id.split_once('/').map_or_else(String::new, |(owner, _)| owner.to_owned()),
            context_window: model.integer("context_length").or_else(|| model.integer("context_window")),
            capabilities: model.strings(&["capabilities", "modalities", "tags"]),
            pricing: model.field("pricing").map(Pricing::parse).unwrap_or_default(),
            id,
        })
    }
}

impl Pricing {
    pub(super) fn parse(raw: &RawValue) -> Self {
        /// A number, with or without quotes.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Price<'p> {
            Number(f64),
            Text(#[serde(borrow)] Cow<'p, str>),
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Prices<'p> {
            #[serde(borrow)]
            prompt: Option<&'p RawValue>,
            #[serde(borrow)]
            completion: Option<&'p RawValue>,
            #[serde(borrow)]
            input_per_million: Option<&'p RawValue>,
            #[serde(borrow)]
            output_per_million: Option<&'p RawValue>,
        }
        let price = |raw: Option<&RawValue>| {
            let price = match serde_json::from_str(raw?.get()).ok()? {
                Price::Number(price) => price,
                Price::Text(text) => text.trim().parse().ok()?,
            };
            // A negative price means "it depends".
            (price.is_finite() && price >= 0.0).then_some(price)
        };
        let prices: Prices<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
        let of = |token, million| price(token).map(|price| price * MILLION).or_else(|| price(million));
        let input = of(prices.prompt, prices.input_per_million).map(rounded);
        let output = of(prices.completion, prices.output_per_million).map(rounded);
        let average = input.zip(output).map(|(input, output)| rounded(f64::midpoint(input, output)));
        Self { input, output, average }
    }
}

/// Rounds to a millionth of a dollar: the catalogue's decimal fractions have no exact binary form.
fn rounded(dollars: f64) -> f64 {
    (dollars * MILLION).round() / MILLION
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalogue() -> String {
        json!({"data": [
            {"id": "a/first", "name": "The First", "context_length": 128_000, "modalities": ["text", "image", 7],
             "tags": ["text", "fast"], "pricing": {"prompt": "0.0000025", "completion": "0.00001", "image": "1"}},
            {"id": "b/cheap", "context_window": 8000, "pricing": {"input_per_million": 0.1, "output_per_million": 0.3}},
            {"id": "c/long", "context_length": 2_000_000, "pricing": {"prompt": "-1", "completion": "-1"}},
            {"id": "d/long-too", "context_length": 2_000_000, "pricing": {"prompt": "0.0000001", "completion": 0.0000003}},
            {"id": "plain", "pricing": null}, {"no": "id"},
        ]})
        .to_string()
    }

    fn chosen(choice: TopModelFilter<'_>) -> Vec<TopModel> {
        top(&Models::read(catalogue().as_bytes()).unwrap(), "openrouter", choice)
    }

    fn ids(models: &[TopModel]) -> Vec<&str> {
        models.iter().map(|model| model.id.as_str()).collect()
    }

    #[test]
    fn a_model_is_listed_with_its_price_per_million_tokens() {
        let models = chosen(TopModelFilter::default());
        assert_eq!(
            serde_json::to_value(&models[0]).unwrap(),
            json!({"id": "a/first", "name": "The First", "provider": "openrouter", "sub_provider": "a",
                "context_window": 128_000, "capabilities": ["text", "image", "fast"],
                "pricing": {"input_per_million": 2.5, "output_per_million": 10.0, "average_per_million": 6.25}})
        );
        assert_eq!(serde_json::to_value(&models[2]).unwrap()["pricing"], json!({}));
        assert_eq!((models[4].sub_provider.as_str(), models[4].name.as_str()), ("", "plain"));
    }

    #[test]
    fn exclusions_omit_models_and_a_ranking_selects_and_orders_them() {
        let exclude = ["long".to_owned(), String::new()];
        assert_eq!(
            ids(&chosen(TopModelFilter { ranking: None, exclude: &exclude })),
            ["a/first", "b/cheap", "plain"]
        );
        let ranking = ["plain", "nowhere", "c/long", "a/first"].map(str::to_owned);
        let choice = TopModelFilter { ranking: Some(&ranking), exclude: &exclude };
        assert_eq!(ids(&chosen(choice)), ["plain", "a/first"]);
    }

    #[test]
    fn the_first_the_cheapest_and_the_longest_are_suggested_and_the_earliest_of_equals() {
        let suggested = suggestions(&chosen(TopModelFilter::default()));
        let expected = [("top", "a/first"), ("top-cheap", "b/cheap"), ("top-longctx", "c/long")];
        assert_eq!(suggested, expected.map(|(name, id)| (name, id.to_owned())).into());
        assert!(suggestions(&[]).is_empty());
    }
}
