//! Remembers the prices of the models in use: to find one takes fifty times as long as to compute a cost with it.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ModelPrices, PriceTable};

/// The most models that are remembered. Clients choose model names, so their number has no other bound.
const MOST_MODELS: usize = 1_000;

/// The prices of models, by provider and model, from one table.
#[derive(Debug, Default)]
pub(crate) struct KnownPrices {
    table: Arc<PriceTable>,
    models: HashMap<(Arc<str>, Arc<str>), ModelPrices>,
}

impl KnownPrices {
    /// The prices in this table.
    pub(crate) fn of_model(
        &mut self,
        table: &Arc<PriceTable>,
        provider: &Arc<str>,
        model: &Arc<str>,
    ) -> &ModelPrices {
        if !Arc::ptr_eq(&self.table, table) {
            self.table = table.clone();
            self.models.clear();
        }
        let name = (provider.clone(), model.clone());
        if self.models.len() >= MOST_MODELS && !self.models.contains_key(&name) {
            self.models.clear();
        }
        self.models.entry(name).or_insert_with(|| table.of_model(provider, model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{OwnPrices, Price, Rates};

    fn table(input: u64) -> Arc<PriceTable> {
        let price = Price { rates: Rates { input, ..Rates::default() }, ..Price::default() };
        let everywhere = OwnPrices::new(vec![("m*".to_owned(), price)]);
        Arc::new(PriceTable { everywhere, ..PriceTable::default() })
    }

    /// Requirement: a new table applies at once, and any number of model names takes a bounded amount of memory.
    #[test]
    fn prices_are_those_of_the_table_and_their_number_is_bounded() {
        let mut known = KnownPrices::default();
        let (old, new) = (table(1), table(2));
        let provider: Arc<str> = "p".into();
        for number in 0..2 * MOST_MODELS {
            let model = format!("m{number}").into();
            assert_eq!(*known.of_model(&old, &provider, &model), old.of_model("p", &model));
            assert!(known.models.len() <= MOST_MODELS);
        }
        for name in ["m1", "m1999", "other"] {
            let model = name.into();
            assert_eq!(*known.of_model(&new, &provider, &model), new.of_model("p", name));
        }
        assert_ne!(new.of_model("p", "m1"), old.of_model("p", "m1"));
    }
}
