//! What requests cost, in millionths of a US dollar.
//!
//! [`PriceTable`] finds the price of a model at a provider, and [`Price`] computes the cost of a request's tokens.

mod known;
mod list;
mod price;
mod table;

use serde::{Deserialize, Serialize};

pub(crate) use self::known::KnownPrices;
pub use self::list::PriceList;
pub use self::price::{LongContext, PeakHours, Price, Rates};
pub use self::table::{KnownPrice, ModelPrices, OwnPrices, PriceOrigin, PriceTable, ProviderPrices};

/// The cost of one request, or a sum of costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// In millionths of a US dollar.
    pub micro_dollars: u64,
    /// What the same tokens would have cost more without a prompt cache; negative if writing to the cache cost more than reading
    /// from it saved.
    pub saved_micro_dollars: i64,
}

impl Cost {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            micro_dollars: self.micro_dollars.saturating_add(other.micro_dollars),
            saved_micro_dollars: self.saved_micro_dollars.saturating_add(other.saved_micro_dollars),
        }
    }
}

/// As in `$1.234567`; without the zeros that end the fraction beyond two digits.
impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (dollars, micro) = (self.micro_dollars / 1_000_000, self.micro_dollars % 1_000_000);
        let digits = format!("{micro:06}");
        let significant = digits.trim_end_matches('0').len().max(2);
        write!(f, "${dollars}.{}", &digits[..significant])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_shown_in_dollars() {
        for (micro_dollars, shown) in [
            (0, "$0.00"),
            (1, "$0.000001"),
            (12_300, "$0.0123"),
            (1_500_000, "$1.50"),
            (u64::MAX, "$18446744073709.551615"),
        ] {
            assert_eq!(Cost { micro_dollars, saved_micro_dollars: 0 }.to_string(), shown);
        }
    }
}
