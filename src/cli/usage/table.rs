//! Usage as a table for people.

use serde::Deserialize;
use serde_json::Value;
use vandamme_actors::history::Dimension;

use crate::cli::print_to_stderr;
use crate::cli::table::Table;
use crate::money::{dollars, grouped};
use crate::usage_report::Missing;

/// The part of the answer that is shown.
#[derive(Deserialize)]
struct Answer {
    rows: Vec<Value>,
    missing: Option<Missing>,
}

/// The columns that are summed up, in their order.
const COUNTS: [&str; 6] =
    ["requests", "failed", "input_tokens", "cache_read_tokens", "cache_creation_tokens", "output_tokens"];

/// The sums of a row.
#[derive(Clone, Copy, Default)]
struct Sums {
    counts: [u64; COUNTS.len()],
    unpriced: u64,
    /// `None` if no price is known.
    cost: Option<u64>,
    saved: i64,
}

/// Prints the rows, the most expensive first, days in their order, and a sum.
pub(super) fn print(answer: &[u8], by: Dimension) -> serde_json::Result<()> {
    let Answer { rows, missing } = serde_json::from_slice(answer)?;
    let member = by.name().replace('-', "_");
    let name = |row: &Value| match row[&member].as_str() {
        Some("") | None => "-".to_owned(),
        Some(name) => name.to_owned(),
    };
    let mut rows: Vec<(String, Sums)> = rows.iter().map(|row| (name(row), Sums::read(row))).collect();
    if by != Dimension::Day {
        let weight = |(_, sums): &(String, Sums)| (sums.cost, sums.counts[0]);
        rows.sort_by(|one, other| weight(other).cmp(&weight(one)).then_with(|| one.0.cmp(&other.0)));
    }
    let mut table = Table::new([
        heading(by),
        "REQUESTS",
        "FAILED",
        "INPUT",
        "CACHE READ",
        "CACHE WRITE",
        "OUTPUT",
        "CACHE HITS",
        "COST",
        "SAVED",
    ]);
    let mut total = Sums::default();
    for (name, sums) in &rows {
        total.add(sums);
        table.row(sums.cells(name.clone()));
    }
    table.row(total.cells("TOTAL".to_owned()));
    table.print();
    if let Some(missing) = missing {
        print_to_stderr(format_args!("vdm: {missing}\n"));
    }
    Ok(())
}

fn heading(by: Dimension) -> &'static str {
    match by {
        Dimension::Provider => "PROVIDER",
        Dimension::Model => "MODEL",
        Dimension::RequestedModel => "REQUESTED MODEL",
        Dimension::Key => "KEY",
        Dimension::Client => "CLIENT",
        Dimension::Session => "SESSION",
        Dimension::Api => "API",
        Dimension::Delivery => "DELIVERY",
        Dimension::End => "END",
        Dimension::Day => "DAY",
    }
}

impl Sums {
    fn read(row: &Value) -> Self {
        let count = |name: &str| row[name].as_u64().unwrap_or_default();
        Self {
            counts: COUNTS.map(count),
            unpriced: count("unpriced_requests"),
            cost: row["cost_micro_dollars"].as_u64(),
            saved: row["cache_saved_micro_dollars"].as_i64().unwrap_or_default(),
        }
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.counts.iter_mut().zip(other.counts) {
            *sum = sum.saturating_add(more);
        }
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.cost = match (self.cost, other.cost) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        self.saved = self.saved.saturating_add(other.saved);
    }

    fn cells(&self, name: String) -> [String; 10] {
        let [requests, failed, input, read, written, output] = self.counts.map(grouped);
        let [_, _, fresh_tokens, read_tokens, written_tokens, _] = self.counts;
        let prompt = u128::from(fresh_tokens) + u128::from(read_tokens) + u128::from(written_tokens);
        let hits = match prompt {
            0 => "-".to_owned(),
            prompt => format!("{} %", u128::from(read_tokens) * 100 / prompt),
        };
        let (cost, saved) = match (self.cost, self.unpriced) {
            (None, 0) => ("-".to_owned(), None),
            // A cost of 0 is that of requests without tokens.
            (None | Some(0), 1..) => ("unpriced".to_owned(), None),
            (Some(cost), 0) => (amount(cost.into()), Some(self.saved)),
            (Some(cost), unpriced) => {
                (format!("{} + {unpriced} unpriced", amount(cost.into())), Some(self.saved))
            }
        };
        let saved = saved.map_or_else(|| "-".to_owned(), |saved| amount(saved.into()));
        [name, requests, failed, input, read, written, output, hits, cost, saved]
    }
}

/// An amount in dollars with four decimal places, cut. Only nothing is shown as 0.
fn amount(micro_dollars: i128) -> String {
    match micro_dollars {
        1..=99 => return "<$0.0001".to_owned(),
        -99..=-1 => return ">-$0.0001".to_owned(),
        _ => {}
    }
    let exact = dollars(micro_dollars);
    let shown = &exact[..exact.len() - 2];
    match shown.strip_prefix('-') {
        Some(shown) => format!("-${shown}"),
        None => format!("${shown}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_amounts_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1_234_567, -50_000].map(amount), ["$0.0000", "$1.2345", "-$0.0500"]);
        assert_eq!(
            [1, 99, 100, -1, -100].map(amount),
            ["<$0.0001", "<$0.0001", "$0.0001", ">-$0.0001", "-$0.0001"]
        );
    }

    /// Checklist 20: unpriced models are labelled, not 0.
    #[test]
    fn a_model_without_a_price_is_shown_as_unpriced() {
        let cost = |row: Value| Sums::read(&row).cells("m".to_owned())[8].clone();
        assert_eq!(
            cost(json!({"requests": 2, "unpriced_requests": 2, "cost_micro_dollars": null})),
            "unpriced"
        );
        let nothing = json!({"requests": 60, "unpriced_requests": 50, "cost_micro_dollars": 0});
        assert_eq!(cost(nothing.clone()), "unpriced");
        assert_eq!(Sums::read(&nothing).cells(String::new())[9], "-");
        let some = json!({"requests": 3, "unpriced_requests": 1, "cost_micro_dollars": 20_000});
        assert_eq!(cost(some), "$0.0200 + 1 unpriced");
        assert_eq!(cost(json!({"requests": 1, "unpriced_requests": 0, "cost_micro_dollars": 0})), "$0.0000");
    }

    #[test]
    fn the_sum_has_all_rows() {
        let row = json!({"requests": 2, "input_tokens": 10, "cache_read_tokens": 30, "cost_micro_dollars": 5,
            "cache_saved_micro_dollars": -2});
        let mut total = Sums::default();
        total.add(&Sums::read(&row));
        total.add(&Sums::read(&row));
        let cells = total.cells(String::new());
        assert_eq!(
            (cells[1].as_str(), cells[7].as_str(), total.cost, total.saved),
            ("4", "75 %", Some(10), -4)
        );
    }
}
