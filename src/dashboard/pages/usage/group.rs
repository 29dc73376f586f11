//! Sums of one group as a row of the table.

use std::cmp::Ordering;

use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::{SessionRow, UsageRow, UsageSums};
use vandamme_actors::secret::Secrets;

use super::range::Grouping;
use crate::dashboard::gather::{shown, without};
use crate::dashboard::units::{Count, Money, Share, signed_money};

/// Tokens and money of some requests.
#[derive(Debug, Serialize)]
pub(super) struct Amounts {
    pub(super) requests: Count,
    pub(super) failed: Count,
    /// Without what was read from the cache or written to it.
    pub(super) input: Count,
    pub(super) output: Count,
    pub(super) cache_read: Count,
    pub(super) cache_write: Count,
    pub(super) reasoning: Count,
    /// The part of the prompts that came from the cache.
    pub(super) cache_hits: Share,
    /// `None` if no price is known for any of it.
    pub(super) cost: Money,
    /// Requests whose model has no known price.
    pub(super) unpriced: Count,
    /// In millionths of a dollar; negative if writing to the cache cost more than it saved.
    pub(super) saved: i64,
    pub(super) last: Millis,
}

#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) name: String,
    /// The requests of this group.
    pub(super) address: Option<String>,
    pub(super) amounts: Amounts,
}

/// One session of a client.
#[derive(Debug, Serialize)]
pub(super) struct SessionLine {
    pub(super) session: String,
    pub(super) client: String,
    pub(super) address: String,
    pub(super) amounts: Amounts,
}

impl Amounts {
    pub(super) fn new(sums: &UsageSums) -> Self {
        let usage = sums.usage;
        let is_priced = sums.cost.micro_dollars > 0 || sums.unpriced == 0;
        Self {
            requests: Count(sums.requests),
            failed: Count(sums.failed),
            input: Count(usage.input),
            output: Count(usage.output),
            cache_read: Count(usage.cache_read),
            cache_write: Count(usage.cache_creation),
            reasoning: Count(usage.reasoning),
            cache_hits: Share::of(usage.cache_read, usage.prompt_total()),
            cost: Money(is_priced.then_some(sums.cost.micro_dollars)),
            unpriced: Count(sums.unpriced),
            saved: sums.cost.saved_micro_dollars,
            last: sums.last,
        }
    }

    /// Requests without a price beside others that have one.
    pub(super) fn is_partly_unpriced(&self) -> bool {
        self.cost.0.is_some() && self.unpriced.0 > 0
    }

    /// A dash if no price is known.
    pub(super) fn saved_text(&self) -> String {
        if self.cost.0.is_none() { "–".to_owned() } else { signed_money(self.saved) }
    }

    /// By what rows are ordered.
    pub(super) fn weight(&self) -> (u64, u64) {
        let Self { input, output, cache_read, cache_write, .. } = self;
        let tokens = [input, output, cache_read, cache_write]
            .iter()
            .fold(0u64, |sum, part| sum.saturating_add(part.0));
        (self.cost.0.unwrap_or_default(), tokens)
    }
}

impl Group {
    pub(super) fn new(by: Grouping, row: &UsageRow, secrets: &Secrets) -> Self {
        let value = row.group.first().map(|value| shown(value, secrets)).unwrap_or_default();
        let is_one = !value.is_empty() && value != "(other)" && by != Grouping::Day;
        Self {
            address: is_one.then(|| requests(by.name(), &value)),
            name: if value.is_empty() { without(by.dimension()).to_owned() } else { value },
            amounts: Amounts::new(&row.sums),
        }
    }
}

/// The order of the rows: days from the latest one on, everything else by cost and then by tokens.
pub(super) fn order(by: Grouping, one: &Group, other: &Group) -> Ordering {
    match by {
        Grouping::Day => other.name.cmp(&one.name),
        Grouping::Model | Grouping::Provider | Grouping::Client | Grouping::Key | Grouping::Session => {
            other.amounts.weight().cmp(&one.amounts.weight())
        }
    }
}

impl SessionLine {
    pub(super) fn new(row: &SessionRow, secrets: &Secrets) -> Self {
        let session = shown(&row.session, secrets);
        Self {
            address: requests("session", &session),
            session,
            client: shown(&row.client, secrets),
            amounts: Amounts::new(&row.sums),
        }
    }
}

/// The page of these requests.
pub(super) fn requests(name: &str, value: &str) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.append_pair(name, value);
    format!("/dashboard/requests?{}", text.finish())
}

#[cfg(test)]
mod tests {
    use vandamme_actors::cost::Cost;
    use vandamme_protocol::vocabulary::Usage;

    use super::*;

    fn row(group: &str, cost: u64, unpriced: u64) -> UsageRow {
        let usage = Usage { input: 100, cache_read: 300, output: 7, ..Usage::default() };
        let cost = Cost { micro_dollars: cost, saved_micro_dollars: -5 };
        let sums = UsageSums { requests: 2, usage, cost, unpriced, ..UsageSums::default() };
        UsageRow { start: 0, group: vec![group.into()], sums }
    }

    /// Checklist 20: cost = tokens × price incl. cache prices; unpriced models are labelled, not 0.
    #[test]
    fn groups_without_a_price_are_labelled() {
        let group =
            |cost, unpriced| Group::new(Grouping::Model, &row("m", cost, unpriced), &Secrets::new([]));
        let shown = |group: Group| (group.amounts.cost.to_string(), group.amounts.is_partly_unpriced());
        assert_eq!(shown(group(0, 2)), ("unpriced".to_owned(), false));
        assert_eq!(group(0, 2).amounts.saved_text(), "–", "nothing is known to be saved");
        assert_eq!(shown(group(1_500_000, 1)), ("$1.50".to_owned(), true));
        assert_eq!(shown(group(0, 0)), ("$0".to_owned(), false));
    }

    #[test]
    fn a_group_names_its_requests() {
        let group = |by, name| Group::new(by, &row(name, 0, 0), &Secrets::new([]));
        let model = group(Grouping::Model, "a&b");
        assert_eq!(model.address.as_deref(), Some("/dashboard/requests?model=a%26b"));
        assert_eq!(model.amounts.cache_hits, Share(Some(0.75)));
        assert_eq!(model.amounts.saved_text(), ">−$0.0001");
        for (by, name) in
            [(Grouping::Client, ""), (Grouping::Session, "(other)"), (Grouping::Day, "2026-11-30")]
        {
            assert_eq!(group(by, name).address, None, "{name}");
        }
        assert_eq!(group(Grouping::Client, "").name, "(no client key)");
    }
}
