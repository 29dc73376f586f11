//! Reads the wait that a body requests.

use serde_json::Value;

/// Phrases in front of a duration.
const PHRASES: [&str; 11] = [
    "try again in ",
    "try again after ",
    "retry in ",
    "retry after ",
    "retry your request in ",
    "retry your request after ",
    "available in ",
    "wait for ",
    "wait ",
    "reset in ",
    "resets in ",
];
const BESIDE: [&str; 5] = ["about ", "approximately ", "another ", "at least ", "around "];
/// The smallest time in milliseconds since 1970; one in seconds has fewer digits.
const FIRST_IN_MILLISECONDS: u64 = 100_000_000_000;
/// The smallest time in seconds since 1970; a smaller number is no time of this century.
const FIRST_IN_SECONDS: u64 = 1_000_000_000;

/// Returns the wait in fields, in seconds.
pub(super) fn in_fields(value: &Value, inner: &Value, headers: Option<&Value>) -> Option<f64> {
    let field = |name: &str| seconds(inner.get(name)).or_else(|| seconds(value.get(name)));
    let millis = || field("retry_after_ms").map(|millis| millis / 1000.0);
    super::super::retry_delay_of(value)
        .or_else(|| seconds(header(headers, "retry-after")))
        .or_else(|| field("retry_after"))
        .or_else(|| field("resets_in_seconds"))
        .or_else(millis)
}

/// Returns the reset time in fields, in milliseconds since 1970.
pub(super) fn reset_in_fields(inner: &Value, headers: Option<&Value>) -> Option<u64> {
    let reset = header(headers, "x-ratelimit-reset").or_else(|| inner.get("resets_at"))?;
    let time = reset.as_u64().or_else(|| reset.as_str()?.trim().parse().ok())?;
    match time {
        FIRST_IN_MILLISECONDS.. => Some(time),
        FIRST_IN_SECONDS.. => Some(time * 1000),
        _ => None,
    }
}

/// Returns a header; `OpenRouter` capitalises their names.
fn header<'v>(headers: Option<&'v Value>, name: &str) -> Option<&'v Value> {
    let Value::Object(headers) = headers? else { return None };
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn seconds(value: Option<&Value>) -> Option<f64> {
    let value = value?;
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

/// Returns the wait in a message, in seconds. The message is in lower case and on one line.
pub(super) fn in_text(text: &str) -> Option<f64> {
    PHRASES.iter().find_map(|phrase| {
        text.match_indices(phrase).find_map(|(at, _)| {
            let begins = !text[..at].ends_with(|letter: char| letter.is_alphanumeric());
            begins.then(|| duration(&text[at + phrase.len()..]))?
        })
    })
}

/// Reads `1m30s`, `21.5s`, `500ms`, `2 hours and 5 minutes` at the beginning of a text, in seconds.
fn duration(text: &str) -> Option<f64> {
    let mut rest = BESIDE.iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
    let mut total = None;
    // Days, hours, minutes, seconds, milliseconds.
    for _ in 0..5 {
        let Some((seconds, behind)) = part(rest) else { break };
        total = Some(total.unwrap_or(0.0) + seconds);
        rest = behind.trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    total.filter(|total: &f64| total.is_finite())
}

/// Returns a number with its unit, in seconds, and the rest of the text.
fn part(text: &str) -> Option<(f64, &str)> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, behind) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = behind.trim_start();
    let end = unit.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(unit.len());
    let (unit, rest) = unit.split_at(end);
    let unit = match unit {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86400.0,
        _ => return None,
    };
    Some((number * unit, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_notation() {
        for (text, expected) in [
            ("please try again in 21.5s. visit", Some(21.5)),
            ("try again in 1m30s.", Some(90.0)),
            ("try again in 6m0s", Some(360.0)),
            ("try again in 2h", Some(7200.0)),
            ("try again in 1h2m3.5s", Some(3723.5)),
            ("try again in 500ms", Some(0.5)),
            ("please retry in 20 seconds", Some(20.0)),
            ("try again after 3 minutes.", Some(180.0)),
            ("please retry after 6 seconds.", Some(6.0)),
            ("expected available in 20 seconds.", Some(20.0)),
            ("please wait about 2 hours and 5 minutes", Some(7500.0)),
            ("you must wait for 1 day, 2 hours", Some(93600.0)),
            ("your limit resets in 45 secs", Some(45.0)),
            ("try again in a moment", None),
            ("try again in 5", None),
            ("try again in 5 apples", None),
            ("try again in ..s", None),
            ("await 5s", None),
            ("", None),
        ] {
            assert_eq!(in_text(text), expected, "{text}");
        }
    }

    #[test]
    fn a_reset_is_milliseconds_or_seconds_since_1970() {
        let reset = |value: &str| {
            let headers: Value =
                serde_json::from_str(&format!(r#"{{"X-RateLimit-Reset":{value}}}"#)).unwrap();
            reset_in_fields(&Value::Null, Some(&headers))
        };
        assert_eq!(reset(r#""1741305600000""#), Some(1_741_305_600_000));
        assert_eq!(reset("1741305600000"), Some(1_741_305_600_000));
        assert_eq!(reset("1741305600"), Some(1_741_305_600_000));
        for nonsense in ["60", "-1", r#""soon""#, "null"] {
            assert_eq!(reset(nonsense), None, "{nonsense}");
        }
    }
}
