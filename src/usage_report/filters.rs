//! Query parameters that select requests: `since`, `until`, and one for each dimension.

use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use vandamme_actors::clock::{Millis, millis};
use vandamme_actors::history::{Dimension, Selection};

/// The time before now without `since`.
const DEFAULT: Duration = Duration::from_secs(7 * 86_400);
/// The longest value of a filter.
const LONGEST: usize = 512;
/// The most filters of one question.
const MOST: usize = 32;

/// Reads the parameter if it selects requests.
pub(crate) fn read(
    selection: &mut Selection,
    name: &str,
    value: &str,
    now: SystemTime,
) -> Result<bool, String> {
    match name {
        "since" => selection.since = time(name, value, now)?,
        "until" if value.is_empty() => {}
        "until" => selection.until = time(name, value, now)?,
        _ => {
            let Some(dimension) = Dimension::parse(name) else { return Ok(false) };
            if value.len() > LONGEST || selection.filters.len() >= MOST {
                return Err(format!("{name}: too long, or too many filters"));
            }
            selection.filters.push((dimension, value.to_owned()));
        }
    }
    Ok(true)
}

/// The selection without parameters: the last seven days.
pub(crate) fn recent(now: SystemTime) -> Selection {
    let since = wall(now.checked_sub(DEFAULT).unwrap_or(SystemTime::UNIX_EPOCH));
    Selection { since, until: Millis::MAX, filters: vec![] }
}

fn wall(time: SystemTime) -> Millis {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

/// A time: `7d` before now, a day or a time of RFC 3339 in UTC, or milliseconds since the Unix epoch.
fn time(name: &str, text: &str, now: SystemTime) -> Result<Millis, String> {
    let wrong = || format!("{name}: expected a duration such as 15m, 24h or 7d, or a day such as 2026-11-30");
    if let Ok(before) = duration(text) {
        return Ok(wall(now.checked_sub(before).unwrap_or(SystemTime::UNIX_EPOCH)));
    }
    if let Ok(at) = text.parse::<Millis>() {
        return Ok(at);
    }
    let day = text.parse::<Date>().ok().filter(|_| text.len() == 10);
    let timestamp = match day {
        Some(day) => day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()),
        None => text.parse::<Timestamp>().ok(),
    };
    let at = timestamp.ok_or_else(wrong)?.as_millisecond();
    Millis::try_from(at).map_err(|_| wrong())
}

/// A number with a unit: `s`, `m`, `h`, `d` or `w`.
pub(super) fn duration(text: &str) -> Result<Duration, ()> {
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(())?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(()),
    };
    let number: u64 = number.parse().map_err(|_| ())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_durations_days_timestamps_or_milliseconds() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_066_696);
        for (text, expected) in [
            ("15m", 1_796_065_796_000),
            ("2w", 1_794_857_096_000),
            ("2026-11-30", 1_795_996_800_000),
            ("2026-11-30T19:24:56Z", 1_796_066_696_000),
            ("1796066696000", 1_796_066_696_000),
        ] {
            assert_eq!(time("since", text, now), Ok(expected), "{text}");
        }
        for text in ["", "d", "0d", "-1d", "7x", "yesterday", "2026-13-01", "99999999999999999999d", "é"] {
            assert!(time("since", text, now).is_err(), "{text}");
        }
    }
}
