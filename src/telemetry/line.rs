//! Formats one record as one line: `2026-11-24T19:00:00Z INFO  target message key=value`.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::kv::{Key, Value, VisitSource};
use log::{Level, Record};

use super::field::LONGEST;
pub(super) use crate::terminal::Style;

/// Writes the line. Untrusted text, such as an upstream's error, cannot start a new line.
///
/// Key-values whose key is in upper case repeat parts of the message for the journal, so the line omits them.
pub(super) fn write(out: &mut impl Write, record: &Record<'_>, style: Style) -> io::Result<()> {
    let level = level(record.level(), style);
    write!(out, "{} {level} {} ", timestamp(SystemTime::now()), record.target())?;
    out.write_all(one_line(&record.args().to_string()).as_bytes())?;
    let mut pairs = Pairs { out, failed: None };
    let visited = record.key_values().visit(&mut pairs);
    pairs.failed.map_or(Ok(()), Err)?;
    visited.map_err(io::Error::other)?;
    writeln!(out)
}

struct Pairs<'a, W> {
    out: &'a mut W,
    failed: Option<io::Error>,
}

impl<'kvs, W: Write> VisitSource<'kvs> for Pairs<'_, W> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        if is_journal_field(key.as_str()) {
            return Ok(());
        }
        if let Err(error) = write!(self.out, " {key}={}", word(&value.to_string())) {
            self.failed = Some(error);
        }
        Ok(())
    }
}

/// Whether a key is the name of a journal field, such as `REQUEST_ID`.
fn is_journal_field(key: &str) -> bool {
    !key.contains(|c: char| c.is_ascii_lowercase())
}

fn level(level: Level, style: Style) -> String {
    let colour = match level {
        Level::Error => "31",
        Level::Warn => "33",
        Level::Info => "32",
        Level::Debug | Level::Trace => "2",
    };
    style.paint(colour, &format!("{level:5}"))
}

/// A value, in quotes if it contains blanks, quotes or an equals sign.
fn word(text: &str) -> String {
    let bare = !text.is_empty() && !text.contains([' ', '"', '=']) && !text.contains(char::is_control);
    if bare { text.to_owned() } else { format!("{text:?}") }
}

/// Text with control characters escaped, and truncated, because lines wait in memory for a slow reader.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST));
    for c in text.chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// A time in UTC, in whole seconds.
fn timestamp(time: SystemTime) -> String {
    format!("{}Z", seconds(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
}

/// A time in UTC, in milliseconds.
pub(super) fn precise_timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:03}Z", seconds(since), since.subsec_millis())
}

fn seconds(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar. The calculation lets years begin in
/// March, so that the leap day is the last of a year and month m begins (153 m + 2) / 5 days after the first.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_BEFORE_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + DAYS_BEFORE_1970;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / (DAYS_IN_400_YEARS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> String {
        timestamp(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn timestamps_are_utc_and_handle_leap_years() {
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(at(1_795_546_800), "2026-11-24T19:00:00Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59Z");
    }

    #[test]
    fn any_record_is_one_line() {
        let mut out = Vec::new();
        let pairs = [("model", "a b"), ("key", "k1"), ("empty", ""), ("REQUEST_ID", "r1")];
        let args = format_args!("it said \"hi\"\nERROR forged\x1b[31m");
        let record =
            Record::builder().level(Level::Warn).target("vandamme::x").args(args).key_values(&pairs).build();

        write(&mut out, &record, Style::Plain).unwrap();

        let line = String::from_utf8(out).unwrap();
        let (_, rest) = line.split_once(' ').unwrap();
        assert_eq!(
            rest,
            "WARN  vandamme::x it said \"hi\"\\nERROR forged\\u{1b}[31m model=\"a b\" key=k1 empty=\"\"\n"
        );
    }
}
