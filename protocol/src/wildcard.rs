//! Matches patterns in which `*` matches any characters.

/// Whether a pattern, in which `*` matches any characters, matches this text.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut rest = rest;
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = text.find(part) else { return false };
        (text, rest) = (&text[at + part.len()..], after);
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_anything() {
        for (pattern, text, is) in [
            ("gpt-5*", "gpt-5.1-codex", true),
            ("gpt-5*", "gpt-4o", false),
            ("*-thinking*", "kimi-k2-thinking-turbo", true),
            ("o1", "o1", true),
            ("o1", "o1-mini", false),
            ("*", "", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }
}
