//! Numbers as pages show them. In JSON they are plain numbers.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use vandamme_actors::clock::Millis;

use crate::money::grouped;
use crate::timestamp::rfc3339;

/// A number of things, such as tokens: `1,234` or `1.23 M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Count(pub(super) u64);

/// A share of one, shown as a percentage; `None` is shown as a dash.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
pub(super) struct Share(pub(super) Option<f64>);

/// A duration, in JSON in milliseconds; `None` is shown as a dash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Elapsed(pub(super) Option<Duration>);

/// An amount in millionths of a US dollar; `None` means that the price is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Money(pub(super) Option<u64>);

/// A rate with one decimal place.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
pub(super) struct Rate(pub(super) Option<f64>);

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Bytes(pub(super) u64);

impl Share {
    /// `None` if there are none in `all`.
    pub(super) fn of(part: u64, all: u64) -> Self {
        Self((all > 0).then(|| part as f64 / all as f64))
    }

    /// The number by which a table sorts.
    pub(super) fn value(self) -> String {
        sorted(self.0)
    }
}

/// The number by which a table sorts a cell; empty for a cell without one.
fn sorted<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

impl Rate {
    /// The number by which a table sorts.
    pub(super) fn value(self) -> String {
        sorted(self.0)
    }
}

impl Money {
    /// The number by which a table sorts, in dollars.
    pub(super) fn value(self) -> String {
        sorted(self.0.map(|micro| micro as f64 / 1e6))
    }
}

/// An amount that may be negative, in millionths of a US dollar.
pub(super) fn signed_money(micro: i64) -> String {
    match micro {
        // Not free, and not less than the least that is shown.
        -49..=-1 => ">−$0.0001".to_owned(),
        micro if micro < 0 => format!("−{}", Money(Some(micro.unsigned_abs()))),
        micro => Money(Some(micro.unsigned_abs())).to_string(),
    }
}

impl Elapsed {
    /// The number by which a table sorts, in milliseconds.
    pub(super) fn value(self) -> String {
        sorted(self.millis().map(|millis| (millis * 1000.0).round() / 1000.0))
    }

    pub(super) fn millis(self) -> Option<f64> {
        self.0.map(|elapsed| elapsed.as_secs_f64() * 1000.0)
    }
}

impl Serialize for Elapsed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whole microseconds are exact enough, and short.
        self.millis().map(|millis| (millis * 1000.0).round() / 1000.0).serialize(serializer)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000_000 => f.write_str(&grouped(self.0)),
            1_000_000..1_000_000_000 => write!(f, "{} M", significant(self.0 as f64 / 1e6)),
            _ => write!(f, "{} G", significant(self.0 as f64 / 1e9)),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("–"),
            // Only all of them are 100 %, and only none are 0 %.
            Some(share) if share > 0.0 && share < 0.001 => f.write_str("<0.1 %"),
            Some(share) if share < 1.0 && share > 0.999 => f.write_str(">99.9 %"),
            Some(share) if share == 0.0 || share == 1.0 => write!(f, "{:.0} %", share * 100.0),
            Some(share) => write!(f, "{:.1} %", share * 100.0),
        }
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(elapsed) = self.0 else { return f.write_str("–") };
        match elapsed.as_millis() {
            0..10 => write!(f, "{:.1} ms", elapsed.as_secs_f64() * 1000.0),
            10..1000 => write!(f, "{} ms", elapsed.as_millis()),
            1000..60_000 => write!(f, "{} s", significant(elapsed.as_secs_f64())),
            60_000..3_600_000 => write!(f, "{} min {} s", elapsed.as_secs() / 60, elapsed.as_secs() % 60),
            3_600_000..86_400_000 => {
                write!(f, "{} h {} min", elapsed.as_secs() / 3600, elapsed.as_secs() / 60 % 60)
            }
            _ => write!(f, "{} d {} h", elapsed.as_secs() / 86_400, elapsed.as_secs() / 3600 % 24),
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("unpriced"),
            Some(0) => f.write_str("$0"),
            // Not free.
            Some(1..50) => f.write_str("<$0.0001"),
            Some(micro @ 50..1_000_000) => write!(f, "${:.4}", micro as f64 / 1e6),
            Some(micro) => {
                let cents = micro.saturating_add(5_000) / 10_000;
                write!(f, "${}.{:02}", grouped(cents / 100), cents % 100)
            }
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("–"),
            Some(rate) if rate >= 100.0 => f.write_str(&grouped(rate.round() as u64)),
            Some(rate) => write!(f, "{rate:.1}"),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..1000 => write!(f, "{bytes} B"),
            bytes @ 1000..1_000_000 => write!(f, "{} kB", significant(bytes as f64 / 1e3)),
            bytes @ 1_000_000..1_000_000_000 => write!(f, "{} MB", significant(bytes as f64 / 1e6)),
            bytes => write!(f, "{} GB", significant(bytes as f64 / 1e9)),
        }
    }
}

/// What a provider's state says about models that requests avoid.
pub(super) fn models_avoided(models: usize) -> String {
    if models == 1 { "1 model avoided".to_owned() } else { format!("{models} models avoided") }
}

/// How long ago something was, in words.
pub(super) fn ago(seconds: &u64) -> String {
    match seconds {
        0 => "now".to_owned(),
        1..60 => format!("{seconds} s ago"),
        _ => format!("{} ago", Elapsed(Some(Duration::from_secs(*seconds)))),
    }
}

/// A time in milliseconds since 1970 as text, until a script shows it in the viewer's time zone: `2026-11-30 22:52 UTC`.
pub(super) fn utc(at: &Millis) -> String {
    let text = rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(*at));
    format!("{} UTC", text.replace('T', " ").get(..16).unwrap_or_default())
}

/// Three significant digits of a number between 1 and 1000.
fn significant(number: f64) -> String {
    match number {
        n if n < 10.0 => format!("{n:.2}"),
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (number, text) in
            [(0, "0"), (999, "999"), (12_345, "12,345"), (1_234_567, "1.23 M"), (12_300_000_000, "12.3 G")]
        {
            assert_eq!(Count(number).to_string(), text);
        }
        for (share, text) in
            [(0.0, "0 %"), (1.0, "100 %"), (0.0004, "<0.1 %"), (0.9999, ">99.9 %"), (0.125, "12.5 %")]
        {
            assert_eq!(Share(Some(share)).to_string(), text);
        }
        assert_eq!(Share::of(1, 0).to_string(), "–");
        for (millis, text) in [
            (0, "0.0 ms"),
            (12, "12 ms"),
            (1234, "1.23 s"),
            (75_000, "1 min 15 s"),
            (7_260_000, "2 h 1 min"),
            (180_000_000, "2 d 2 h"),
        ] {
            assert_eq!(Elapsed(Some(Duration::from_millis(millis))).to_string(), text);
        }
        for (micro, text) in [
            (0, "$0"),
            (13, "<$0.0001"),
            (1234, "$0.0012"),
            (1_234_567, "$1.23"),
            (1_999_999_999, "$2,000.00"),
        ] {
            assert_eq!(Money(Some(micro)).to_string(), text);
        }
        for (micro, text) in
            [(-13, ">−$0.0001"), (-50, "−$0.0001"), (0, "$0"), (13, "<$0.0001"), (-1_500_000, "−$1.50")]
        {
            assert_eq!(signed_money(micro), text);
        }
        for (seconds, text) in [(0, "now"), (9, "9 s ago"), (75, "1 min 15 s ago")] {
            assert_eq!(ago(&seconds), text);
        }
        assert_eq!(utc(&1_795_996_861_234), "2026-11-30 00:01 UTC");
        assert_eq!([1, 2].map(models_avoided), ["1 model avoided", "2 models avoided"]);
        assert_eq!(Money(None).to_string(), "unpriced");
        assert_eq!(Bytes(1_500_000).to_string(), "1.50 MB");
        assert_eq!(Rate(Some(1234.4)).to_string(), "1,234");
    }
}
