//! The costs since midnight, UTC.

use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::{Dimension, Selection, UsageQuery, UsageRow, UsageSums};
use vandamme_actors::secret::Secrets;

use crate::dashboard::gather;
use crate::dashboard::units::{Count, Money};
use crate::gateway::Gateway;

/// The models that are shown, the most expensive first.
const MODELS: usize = 6;
/// The models whose costs are asked for.
const MOST_MODELS: usize = 500;
const DAY: Millis = 86_400_000;

/// The costs since midnight, UTC.
#[derive(Debug, Default, Serialize)]
pub(super) struct Today {
    /// Why there are none.
    pub(super) error: Option<String>,
    pub(super) cost: Money,
    saved: Option<i64>,
    pub(super) unpriced: u64,
    /// How often a session has lost its prompt cache, since the gateway started.
    pub(super) lost_caches: u64,
    pub(super) models: Vec<ModelCost>,
}

#[derive(Debug, Serialize)]
pub(super) struct ModelCost {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) requests: Count,
    pub(super) tokens: Count,
    pub(super) cost: Money,
    /// Of the most expensive model, for its bar.
    pub(super) share: f64,
}

impl Today {
    pub(super) async fn read(gateway: &Gateway, now: Millis) -> Self {
        let query = UsageQuery {
            selection: Selection { since: now - now % DAY, until: now + 1, filters: vec![] },
            group_by: vec![Dimension::Provider, Dimension::Model],
            interval: None,
            groups: MOST_MODELS,
        };
        let history = gateway.registry.load().history.clone();
        match history.usage(query).await {
            Ok(rows) => {
                let caches = gather::caches(gateway).await.unwrap_or_default();
                Self { lost_caches: caches.losses, ..Self::new(&rows, &gateway.live_config().secrets) }
            }
            Err(error) => Self { error: Some(error.to_string()), ..Self::default() },
        }
    }

    fn new(rows: &[UsageRow], secrets: &Secrets) -> Self {
        let mut sums = UsageSums::default();
        rows.iter().for_each(|row| sums.merge(&row.sums));
        let tokens = |sums: &UsageSums| sums.usage.prompt_total().saturating_add(sums.usage.output);
        let mut rows: Vec<&UsageRow> = rows.iter().filter(|row| tokens(&row.sums) > 0).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.sums.cost.micro_dollars, row.sums.requests)));
        let most = rows.first().map_or(0, |row| row.sums.cost.micro_dollars).max(1);
        let shown =
            |row: &UsageRow, at: usize| gather::shown(row.group.get(at).map_or("", |name| name), secrets);
        let model = |row: &&UsageRow| ModelCost {
            provider: shown(row, 0),
            model: shown(row, 1),
            requests: Count(row.sums.requests),
            tokens: Count(tokens(&row.sums)),
            cost: Money(is_priced(&row.sums).then_some(row.sums.cost.micro_dollars)),
            share: row.sums.cost.micro_dollars as f64 / most as f64,
        };
        Self {
            error: None,
            cost: Money(is_priced(&sums).then_some(sums.cost.micro_dollars)),
            saved: (sums.cost.saved_micro_dollars != 0).then_some(sums.cost.saved_micro_dollars),
            unpriced: sums.unpriced,
            lost_caches: 0,
            models: rows.iter().take(MODELS).map(model).collect(),
        }
    }

    pub(super) fn saved_text(&self) -> Option<String> {
        let saved = self.saved?;
        let amount = Money(Some(saved.unsigned_abs()));
        Some(if saved > 0 { format!("cache saved {amount}") } else { format!("cache cost {amount} more") })
    }
}

/// The price of some of these requests is known, or there is nothing to price.
fn is_priced(sums: &UsageSums) -> bool {
    sums.cost.micro_dollars > 0 || sums.unpriced == 0
}
