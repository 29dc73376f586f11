//! Reads query parameters. Errors name the parameter and are for the client.

/// Reads `true` or `false`, or `1`, `yes`, `on` and their opposites.
pub(super) fn flag(name: &str, text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{name}: expected true or false")),
    }
}

/// Reads a number from 1 to `most`.
pub(super) fn limit(name: &str, text: &str, most: usize) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| format!("{name}: expected a number from 1 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_limits_are_read_strictly() {
        for (text, expected) in [("TRUE", true), ("1", true), ("on", true), ("no", false), ("0", false)] {
            assert_eq!(flag("f", text), Ok(expected), "{text}");
        }
        assert_eq!(flag("refresh", "maybe"), Err("refresh: expected true or false".to_owned()));
        assert_eq!(limit("limit", "50", 50), Ok(50));
        for text in ["0", "51", "-1", "x", ""] {
            assert_eq!(
                limit("limit", text, 50),
                Err("limit: expected a number from 1 to 50".to_owned()),
                "{text}"
            );
        }
    }
}
