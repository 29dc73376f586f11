//! The prices of all providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use vandamme_protocol::vocabulary::Usage;
use vandamme_protocol::wildcard;

use super::price::valid;
use super::{Cost, Price, PriceList};
use crate::clock::Millis;

/// All prices: the user's own, and the vendors' published ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceTable {
    /// The user's prices for every provider.
    pub everywhere: OwnPrices,
    pub providers: BTreeMap<Arc<str>, ProviderPrices>,
}

/// The prices of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderPrices {
    /// The user's prices for this provider.
    pub own: OwnPrices,
    /// The published lists that apply to this provider.
    pub lists: Vec<Arc<PriceList>>,
}

/// Prices that the user has set, by model name, in which `*` matches any characters. The most specific pattern applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPrices(Vec<(String, Price)>);

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceOrigin<'a> {
    /// The user's configuration, with the pattern.
    Own(&'a str),
    Published(&'a PriceList),
}

/// A price that applies to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPrice<'a> {
    pub price: &'a Price,
    pub origin: PriceOrigin<'a>,
}

impl OwnPrices {
    /// From patterns in lower case.
    pub fn new(mut prices: Vec<(String, Price)>) -> Self {
        let literals = |pattern: &str| pattern.bytes().filter(|&byte| byte != b'*').count();
        // A name without a star is more specific than any pattern, then the longer pattern is.
        prices.sort_by_key(|(pattern, _)| (pattern.contains('*'), std::cmp::Reverse(literals(pattern))));
        Self(prices)
    }

    /// The patterns with their prices, the most specific first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Price)> {
        self.0.iter().map(|(pattern, price)| (&**pattern, price))
    }

    fn price(&self, model: &str) -> Option<KnownPrice<'_>> {
        let model = model.to_lowercase();
        let mut prices = self.iter();
        let (pattern, price) = prices.find(|(pattern, _)| wildcard::matches(pattern, &model))?;
        Some(KnownPrice { price, origin: PriceOrigin::Own(pattern) })
    }
}

impl PriceTable {
    /// The price of a model at a provider: the user's for this provider, the user's for every provider, or the published one.
    pub fn price(&self, provider: &str, model: &str, at: Millis) -> Option<KnownPrice<'_>> {
        let of_provider = self.providers.get(provider);
        let own = of_provider.and_then(|prices| prices.own.price(model));
        own.or_else(|| self.everywhere.price(model)).or_else(|| {
            let mut lists = of_provider?.lists.iter();
            lists.find_map(|list| {
                let price = list.price(model, at)?;
                Some(KnownPrice { price, origin: PriceOrigin::Published(list) })
            })
        })
    }

    /// All prices that can apply to a model at a provider.
    pub fn of_model(&self, provider: &str, model: &str) -> ModelPrices {
        let of_provider = self.providers.get(provider);
        let owned = |known: KnownPrice<'_>| known.price.clone();
        let lists = of_provider.map_or(&[][..], |prices| &prices.lists);
        ModelPrices {
            own: of_provider.and_then(|prices| prices.own.price(model)).map(owned),
            everywhere: self.everywhere.price(model).map(owned),
            published: lists.iter().filter_map(|list| list.prices(model)).map(<[Price]>::to_vec).collect(),
        }
    }
}

/// The prices that can apply to one model at one provider, in the order of [`PriceTable::price`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelPrices {
    /// The user's for this provider.
    own: Option<Price>,
    /// The user's for every provider.
    everywhere: Option<Price>,
    /// Of each published list, in the order in which they become valid.
    published: Vec<Vec<Price>>,
}

impl ModelPrices {
    fn price(&self, at: Millis) -> Option<&Price> {
        let published = || self.published.iter().find_map(|prices| valid(prices, at));
        self.own.as_ref().or(self.everywhere.as_ref()).or_else(published)
    }

    /// The cost of a request that ended at this time; `None` if the price is not known. A cost that the upstream has `reported` is
    /// used unless the user has set a price for this provider.
    pub fn cost(&self, usage: &Usage, reported: Option<u64>, at: Millis) -> Option<Cost> {
        let computed = self.price(at).map(|price| price.cost(usage, at));
        match reported {
            Some(micro_dollars) if self.own.is_none() => {
                Some(Cost { micro_dollars, ..computed.unwrap_or_default() })
            }
            Some(_) | None => computed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Rates;

    fn price(input: u64) -> Price {
        Price { rates: Rates { input, ..Rates::default() }, ..Price::default() }
    }

    fn own(prices: &[(&str, u64)]) -> OwnPrices {
        OwnPrices::new(prices.iter().map(|&(pattern, input)| (pattern.to_owned(), price(input))).collect())
    }

    fn table() -> PriceTable {
        let models = BTreeMap::from([("m".to_owned(), vec![price(1)]), ("n".to_owned(), vec![price(2)])]);
        let list = Arc::new(PriceList { models, ..PriceList::default() });
        let p = ProviderPrices { own: own(&[("m", 10)]), lists: vec![list.clone()] };
        let q = ProviderPrices { own: OwnPrices::default(), lists: vec![list] };
        PriceTable {
            everywhere: own(&[("m", 20), ("local-*", 0)]),
            providers: BTreeMap::from([("p".into(), p), ("q".into(), q)]),
        }
    }

    #[test]
    fn the_users_price_precedes_the_published_one() {
        let table = table();
        let found = |provider, model| table.price(provider, model, 0).map(|known| known.price.rates.input);
        assert_eq!(found("p", "m"), Some(10));
        assert_eq!(found("q", "M"), Some(20));
        assert_eq!(found("q", "n"), Some(2));
        assert_eq!(found("other", "n"), None);
        assert_eq!(found("other", "local-llama"), Some(0));
        assert!(matches!(table.price("q", "n", 0).unwrap().origin, PriceOrigin::Published(_)));
        assert_eq!(table.price("q", "local-x", 0).unwrap().origin, PriceOrigin::Own("local-*"));
    }

    /// Requirement: a cost is computed with the price that is shown.
    #[test]
    fn the_prices_of_a_model_are_the_ones_of_the_table() {
        let mut table = table();
        let later = Price { from: Some(100), ..price(7) };
        let models =
            BTreeMap::from([("n".to_owned(), vec![later.clone()]), ("o".to_owned(), vec![price(3), later])]);
        if let Some(prices) = table.providers.get_mut("q") {
            prices.lists.insert(0, Arc::new(PriceList { models, ..PriceList::default() }));
        }
        for provider in ["p", "q", "other"] {
            for model in ["m", "M", "n", "o", "local-x", "unknown"] {
                for at in [0, 99, 100] {
                    let shown = table.price(provider, model, at).map(|known| known.price);
                    assert_eq!(table.of_model(provider, model).price(at), shown, "{provider} {model} {at}");
                }
            }
        }
    }

    #[test]
    fn the_most_specific_pattern_applies() {
        let own = own(&[("*", 1), ("gpt-*", 2), ("gpt-5*", 3), ("gpt-5-mini", 4)]);
        let found = |model| own.price(model).unwrap().price.rates.input;
        assert_eq!(["x", "gpt-4", "gpt-5", "gpt-5-mini"].map(found), [1, 2, 3, 4]);
    }

    /// A price of zero is a price; an unknown price is none.
    #[test]
    fn free_is_not_unpriced() {
        let usage = Usage { input: 5, ..Usage::default() };
        let cost = |model| table().of_model("q", model).cost(&usage, None, 0);
        assert_eq!(cost("local-x"), Some(Cost::default()));
        assert_eq!(cost("unknown"), None);
    }

    #[test]
    fn the_upstreams_own_account_precedes_all_but_the_users_price_for_the_provider() {
        let usage = Usage { input: 1_000_000, ..Usage::default() };
        let cost = |provider, model| {
            table().of_model(provider, model).cost(&usage, Some(77), 0).map(|cost| cost.micro_dollars)
        };
        assert_eq!(cost("p", "m"), Some(10));
        assert_eq!([cost("q", "m"), cost("q", "n"), cost("q", "unknown")], [Some(77); 3]);
    }
}
