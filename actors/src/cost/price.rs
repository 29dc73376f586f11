//! The price of one model, and the cost of tokens at that price.

use vandamme_protocol::vocabulary::Usage;

use super::Cost;
use crate::clock::Millis;

const MILLION: u128 = 1_000_000;
const HOUR: Millis = 3_600_000;

/// Prices in millionths of a US dollar per million tokens: 3,000,000 is $3 per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub input: u64,
    /// Reasoning is part of the output.
    pub output: u64,
    pub cache_read: u64,
    /// Tokens that the cache keeps for five minutes, or as long as the vendor keeps them.
    pub cache_write: u64,
    /// Tokens that the cache keeps for one hour.
    pub cache_write_1h: u64,
}

/// What one model costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    pub rates: Rates,
    pub long_context: Option<LongContext>,
    pub peak: Option<PeakHours>,
    /// The price is valid from this time on.
    pub from: Option<Millis>,
}

/// The rates for all tokens of a request with a long prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongContext {
    /// The longest prompt at the usual rates, in tokens, cached ones included.
    pub above: u64,
    pub rates: Rates,
}

/// The rates during the busy hours of weekdays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeakHours {
    /// From the first hour to before the second, UTC, Monday to Friday.
    pub hours: Vec<(u8, u8)>,
    pub rates: Rates,
}

impl Price {
    /// The cost of a request that ended at this time. The sum of all parts is rounded once, to the nearest millionth of a dollar; half
    /// a millionth is rounded up.
    #[must_use]
    pub fn cost(&self, usage: &Usage, at: Millis) -> Cost {
        let rates = self.rates_for(usage, at);
        let written_1h = usage.cache_creation_1h.min(usage.cache_creation);
        let written = usage.cache_creation - written_1h;
        let cached = [
            (usage.cache_read, rates.cache_read),
            (written, rates.cache_write),
            (written_1h, rates.cache_write_1h),
        ];
        let cached_cost = sum(cached);
        let other = sum([(usage.input, rates.input), (usage.output, rates.output)]);
        let plain = sum(cached.map(|(tokens, _)| (tokens, rates.input)));
        let saved = rounded(plain.abs_diff(cached_cost));
        let saved = i64::try_from(saved).unwrap_or(i64::MAX);
        Cost {
            micro_dollars: rounded(cached_cost.saturating_add(other)),
            saved_micro_dollars: if plain >= cached_cost { saved } else { -saved },
        }
    }

    fn rates_for(&self, usage: &Usage, at: Millis) -> Rates {
        let prompt = usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_creation);
        if let Some(long) = self.long_context.filter(|long| prompt > long.above) {
            return long.rates;
        }
        match &self.peak {
            Some(peak) if peak.includes(at) => peak.rates,
            Some(_) | None => self.rates,
        }
    }
}

impl PeakHours {
    fn includes(&self, at: Millis) -> bool {
        let hours = at / HOUR;
        // The first day of the epoch was a Thursday; Sunday is 0.
        let weekday = (hours / 24 + 4) % 7;
        let hour = hours % 24;
        let is_in = |&(from, to): &(u8, u8)| (u64::from(from)..u64::from(to)).contains(&hour);
        (1..=5).contains(&weekday) && self.hours.iter().any(is_in)
    }
}

/// The latest price that is valid at this time.
pub(super) fn valid(prices: &[Price], at: Millis) -> Option<&Price> {
    prices.iter().rev().find(|price| price.from.is_none_or(|from| from <= at))
}

/// Tokens times rates, exact unless it exceeds all bounds.
fn sum<const N: usize>(parts: [(u64, u64); N]) -> u128 {
    let exact = |(tokens, rate)| u128::from(tokens).saturating_mul(u128::from(rate));
    parts.into_iter().map(exact).fold(0, u128::saturating_add)
}

/// In millionths of a dollar.
fn rounded(exact: u128) -> u64 {
    u64::try_from(exact.saturating_add(MILLION / 2) / MILLION).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPUS: Rates = Rates {
        input: 4_000_000,
        output: 20_000_000,
        cache_read: 200_000,
        cache_write: 5_000_000,
        cache_write_1h: 8_000_000,
    };

    fn price(rates: Rates) -> Price {
        Price { rates, ..Price::default() }
    }

    fn usage(parts: [u64; 5]) -> Usage {
        let [input, output, cache_read, cache_creation, cache_creation_1h] = parts;
        Usage { input, output, cache_read, cache_creation, cache_creation_1h, reasoning: output / 2 }
    }

    #[test]
    fn each_kind_of_token_has_its_rate() {
        for (parts, micro_dollars, saved) in [
            ([1_000, 0, 0, 0, 0], 4_000, 0),
            ([0, 1_000, 0, 0, 0], 20_000, 0),
            ([0, 0, 1_000, 0, 0], 200, 3_800),
            ([0, 0, 0, 1_000, 0], 5_000, -1_000),
            ([0, 0, 0, 1_000, 1_000], 8_000, -4_000),
            ([0, 0, 0, 1_000, 400], 6_200, -2_200),
            ([10, 20, 30_000, 1_000, 0], 40 + 400 + 6_000 + 5_000, 114_000 - 1_000),
        ] {
            let cost = price(OPUS).cost(&usage(parts), 0);
            assert_eq!((cost.micro_dollars, cost.saved_micro_dollars), (micro_dollars, saved), "{parts:?}");
        }
    }

    /// Reasoning tokens are part of the output, so they cost nothing on top of it.
    #[test]
    fn reasoning_is_counted_once() {
        let without = Usage { reasoning: 0, ..usage([0, 1_000, 0, 0, 0]) };
        assert_eq!(price(OPUS).cost(&without, 0), price(OPUS).cost(&Usage { reasoning: 900, ..without }, 0));
    }

    #[test]
    fn a_fraction_of_a_millionth_is_rounded_once() {
        let rates = Rates { input: 400_000, output: 400_000, ..Rates::default() };
        let cost = |input, output| price(rates).cost(&usage([input, output, 0, 0, 0]), 0).micro_dollars;
        assert_eq!([cost(1, 0), cost(0, 1), cost(1, 1), cost(2, 2)], [0, 0, 1, 2]);
        let half = price(Rates { input: 500_000, ..Rates::default() });
        assert_eq!(half.cost(&usage([1, 0, 0, 0, 0]), 0).micro_dollars, 1);
    }

    #[test]
    fn a_prompt_above_the_bound_pays_the_long_context_rates_for_every_token() {
        let twice = Rates { input: 8_000_000, output: 30_000_000, cache_read: 400_000, ..OPUS };
        let price = Price { long_context: Some(LongContext { above: 1_000, rates: twice }), ..price(OPUS) };
        assert_eq!(price.cost(&usage([500, 10, 500, 0, 0]), 0).micro_dollars, 2_000 + 200 + 100);
        assert_eq!(price.cost(&usage([500, 10, 501, 0, 0]), 0).micro_dollars, 4_000 + 300 + 200);
    }

    #[test]
    fn peak_hours_are_those_of_weekdays_in_utc() {
        let peak = PeakHours { hours: vec![(1, 4), (6, 10)], rates: OPUS };
        // 2026-11-30 is a Monday.
        let monday: Millis = 1_795_996_800_000;
        let at = |day: i64, hour: u64| monday.saturating_add_signed(day * 24 * 3_600_000) + hour * HOUR;
        for (day, hour, is_peak) in [
            (0, 0, false),
            (0, 1, true),
            (0, 3, true),
            (0, 4, false),
            (4, 9, true),
            (4, 10, false),
            (5, 1, false),
            (-1, 1, false),
        ] {
            assert_eq!(peak.includes(at(day, hour)), is_peak, "day {day}, hour {hour}");
        }
    }

    proptest! {
        /// Requirement: no number of tokens and no price overflow; more tokens never cost less.
        #[test]
        fn no_cost_overflows(
            parts in prop::array::uniform5(any::<u64>()),
            rates in prop::array::uniform5(any::<u64>()),
        ) {
            let [input, output, cache_read, cache_write, cache_write_1h] = rates;
            let price = price(Rates { input, output, cache_read, cache_write, cache_write_1h });
            let [input, output, ..] = parts;
            let part = price.cost(&usage([input, output, 0, 0, 0]), 0);
            prop_assert!(price.cost(&usage(parts), 0).micro_dollars >= part.micro_dollars);
        }

        /// Requirement: the cost of a request is the sum of the costs of its parts, up to the rounding.
        #[test]
        fn parts_add_up(
            parts in prop::array::uniform4(0_u64..1 << 40),
            one_hour in 0_u64..1 << 40,
            rates in prop::array::uniform5(0_u64..1 << 30),
        ) {
            let [input, output, cache_read, cache_creation] = parts;
            let one_hour = one_hour.min(cache_creation);
            let [r_input, r_output, r_read, r_write, r_1h] = rates;
            let price = price(Rates {
                input: r_input, output: r_output, cache_read: r_read, cache_write: r_write, cache_write_1h: r_1h,
            });
            let of = |parts| i128::from(price.cost(&usage(parts), 0).micro_dollars);
            let whole = of([input, output, cache_read, cache_creation, one_hour]);
            let sum = of([input, 0, 0, 0, 0]) + of([0, output, 0, 0, 0]) + of([0, 0, cache_read, 0, 0])
                + of([0, 0, 0, cache_creation - one_hour, 0]) + of([0, 0, 0, one_hour, one_hour]);
            prop_assert!((whole - sum).abs() <= 3, "{whole} {sum}");
            let cost = price.cost(&usage([input, output, cache_read, cache_creation, one_hour]), 0);
            let uncached = of([input + cache_read + cache_creation, output, 0, 0, 0]);
            let saved = i128::from(cost.saved_micro_dollars);
            prop_assert!((uncached - whole - saved).abs() <= 1, "{uncached} {whole} {saved}");
        }
    }
}
