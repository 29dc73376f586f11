//! Numbers as `vdm top` prints them: short, with a fixed number of digits.

use std::time::Duration;

/// `350 ms`, `4.2 s`, `3m 04s`, `1h 02m` or `2d 03h`.
pub(super) fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{:.1} s", Duration::from_millis(millis).as_secs_f64()),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A dash for an unknown duration.
pub(super) fn optional_duration(millis: Option<u64>) -> String {
    millis.map_or_else(|| "–".to_owned(), duration)
}

/// `999`, `12.3k` or `4.5M`.
pub(super) fn count(number: u64) -> String {
    let scaled = |unit: f64, name: char| {
        let value = number as f64 / unit;
        if value < 99.95 { format!("{value:.1}{name}") } else { format!("{value:.0}{name}") }
    };
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => scaled(1e3, 'k'),
        1_000_000..1_000_000_000 => scaled(1e6, 'M'),
        _ => scaled(1e9, 'G'),
    }
}

/// Dollars; four decimal places below one dollar.
pub(super) fn money(micro_dollars: u64) -> String {
    let dollars = micro_dollars as f64 / 1e6;
    if micro_dollars < 1_000_000 { format!("${dollars:.4}") } else { format!("${dollars:.2}") }
}

pub(super) fn percent(part: u64, all: u64) -> String {
    match all {
        0 => "–".to_owned(),
        _ => format!("{:.1} %", part as f64 / all as f64 * 100.0),
    }
}

/// A number for each minute or second of a window; a dash for an empty one.
pub(super) fn rate(number: u64, windows: f64) -> String {
    if windows <= 0.0 {
        return "–".to_owned();
    }
    let rate = number as f64 / windows;
    if rate < 100.0 { format!("{rate:.1}") } else { count(rate.round() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (millis, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (4_200, "4.2 s"),
            (184_000, "3m 04s"),
            (3_720_000, "1h 02m"),
            (183_600_000, "2d 03h"),
        ] {
            assert_eq!(duration(millis), text);
        }
        for (number, text) in
            [(0, "0"), (9_999, "9999"), (12_345, "12.3k"), (123_456, "123k"), (4_500_000, "4.5M")]
        {
            assert_eq!(count(number), text);
        }
        assert_eq!([money(1_234), money(1_234_567)], ["$0.0012", "$1.23"]);
        assert_eq!([percent(1, 0), percent(1, 8)], ["–", "12.5 %"]);
        assert_eq!([rate(6, 60.0), rate(60_000, 5.0), rate(1, 0.0)], ["0.1", "12.0k", "–"]);
    }
}
