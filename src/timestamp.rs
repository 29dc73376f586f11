//! Points in time as text.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use vandamme_actors::clock::Millis;

/// RFC 3339, in UTC and whole seconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or_default()
        .to_string()
}

/// Seconds since the Unix epoch, to the millisecond.
pub(crate) fn epoch_seconds(at: Millis) -> f64 {
    Duration::from_millis(at).as_secs_f64()
}

/// The start, in UTC, of a day such as `2026-12-01`, in milliseconds since 1970.
pub(crate) fn parse_day(day: &str) -> Option<u64> {
    let start = day.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    u64::try_from(start.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);

        assert_eq!(rfc3339(time), "1994-11-06T08:49:37Z");
    }

    #[test]
    fn a_day_starts_at_midnight_in_utc() {
        assert_eq!(parse_day("2026-11-30"), Some(1_795_996_800_000));
        assert_eq!(
            (parse_day("2026-13-01"), parse_day("1969-12-31"), parse_day("today")),
            (None, None, None)
        );
    }
}
