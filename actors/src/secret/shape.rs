//! Decides by its shape whether a text is a secret: which keys are too short or too common to search for, and which
//! parts of a configured header value are credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::ApiKey;

/// A shorter key protects nothing.
const SHORTEST: usize = 8;
/// The prefix of most vendors' keys; no word starts with it.
const PREFIX: &str = "sk-";
/// The minimum length of a key with that prefix.
const SHORTEST_WITH_PREFIX: usize = 7;
/// Up to this length, letters alone are a word (`placeholder`, `max_tokens`), and digits alone are a number.
const LONGEST_WORD: usize = 15;
/// A header value of at least this length that mixes letters and digits is a credential, whatever the header's name.
const CREDENTIAL: usize = 20;
/// The minimum length of the part that mixes them.
const MIXED_PART: usize = 8;

/// Parts of header names that indicate credentials.
const CREDENTIAL_NAMES: [&str; 12] = [
    "auth",
    "bearer",
    "cookie",
    "credential",
    "jwt",
    "key",
    "passwd",
    "password",
    "secret",
    "session",
    "signature",
    "token",
];
/// Headers whose values look like credentials but are not.
const PLAIN_NAMES: [&str; 6] =
    ["anthropic-beta", "openai-beta", "openai-organization", "openai-project", "http-referer", "user-agent"];
/// Schemes of `authorization`. Some upstreams accept them in their own headers.
const SCHEMES: [&str; 4] = ["basic ", "bearer ", "token ", "apikey "];

/// Whether a key differs from ordinary text. The dummy keys of local servers (`ollama`, `none`, `x`) do not: a search
/// for them would remove words from error messages.
pub(super) fn is_distinctive(key: &str) -> bool {
    let prefixed = key.starts_with(PREFIX) && key.len() >= SHORTEST_WITH_PREFIX;
    prefixed || (key.len() >= SHORTEST && (key.len() > LONGEST_WORD || is_mixed(key)))
}

/// The credentials in the value of a header that the operator configured.
pub fn in_header(name: &str, value: &str) -> Vec<ApiKey> {
    let name = name.to_ascii_lowercase();
    let scheme = SCHEMES
        .iter()
        .any(|scheme| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let by_name = scheme || CREDENTIAL_NAMES.iter().any(|part| name.contains(part));
    let separates = |c: char| c.is_whitespace() || matches!(c, ';' | ',' | '=' | '"');
    let words = value.split(separates).filter(|word| !word.is_empty());
    let mut found: Vec<String> = Vec::new();
    if by_name && !scheme {
        found.push(value.trim().to_owned());
    }
    let by_look = |word: &str| !PLAIN_NAMES.contains(&name.as_str()) && is_random(word);
    for word in words.filter(|word| by_name || by_look(word)) {
        found.push(word.to_owned());
        found.extend(password(word));
    }
    found.retain(|text| is_distinctive(text));
    found.dedup();
    found.into_iter().map(ApiKey::new).collect()
}

/// The password in the credential of HTTP's Basic scheme.
fn password(word: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD_NO_PAD.decode(word).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// Whether a text as short as a word is more than a word or a number.
fn is_mixed(text: &str) -> bool {
    let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let digits = text.bytes().any(|byte| byte.is_ascii_digit());
    let odd = |byte: u8| !byte.is_ascii_alphanumeric() && !b"-_. ".contains(&byte);
    (letters && digits) || text.bytes().any(odd) || text.split(['-', '_', '.', ' ']).any(is_mixed_case)
}

/// Whether a word is none of `word`, `Word` and `WORD`.
fn is_mixed_case(word: &str) -> bool {
    let rest = word.get(1..).unwrap_or_default();
    let upper = |text: &str| text.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = |text: &str| text.bytes().any(|byte| byte.is_ascii_lowercase());
    upper(rest) && lower(word)
}

/// Whether a word looks like a credential, independent of its header's name. Dates, versions and URLs do not.
fn is_random(word: &str) -> bool {
    let part = |part: &str| {
        let has = |of: fn(&u8) -> bool| part.as_bytes().iter().any(of);
        part.len() >= MIXED_PART && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
    };
    word.len() >= CREDENTIAL && !word.contains("://") && word.split(['-', '_', '.']).any(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_short_texts_are_no_secrets() {
        for word in [
            "x",
            "none",
            "ollama",
            "EMPTY",
            "sk-a",
            "lm-studio",
            "not-needed",
            "Placeholder",
            "max_tokens",
            "12345678",
            "2026-11-30",
            "test123",
        ] {
            assert!(!is_distinctive(word), "{word}");
        }
        for key in [
            "sk-test",
            "hunter2hunter2",
            "sk-abc12345",
            "aBcDeFgHiJ",
            "p@ssword",
            "correct-horse-battery-staple",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert!(is_distinctive(key), "{key}");
        }
    }

    fn found(name: &str, value: &str) -> Vec<String> {
        in_header(name, value).iter().map(|key| key.expose().to_owned()).collect()
    }

    #[test]
    fn header_values_are_secrets_by_name_or_by_shape() {
        assert_eq!(found("X-Secret", "canary-header-012345678"), ["canary-header-012345678"]);
        assert_eq!(found("x-fwd", "Bearer tok-0123456789"), ["tok-0123456789"]);
        assert_eq!(found("cf-access-client-secret", "s3cr3t-value"), ["s3cr3t-value"]);
        assert_eq!(found("x-team", "9f8e7d6c5b4a39281706f5e4"), ["9f8e7d6c5b4a39281706f5e4"]);
        // `user:pass-word-99`
        let basic = found("x-upstream-auth", "Basic dXNlcjpwYXNzLXdvcmQtOTk=");
        assert_eq!(basic, ["dXNlcjpwYXNzLXdvcmQtOTk", "pass-word-99"]);
        assert!(found("cookie", "theme=dark; sid=0123abcd4567").contains(&"0123abcd4567".to_owned()));
        for (name, value) in [
            ("x-title", "Vandamme Proxy 2 for the whole team"),
            ("http-referer", "https://example.com/some/path/0123456789abcdef"),
            ("anthropic-beta", "context-management-2025-06-27,effort-2025-11-24"),
            ("OpenAI-Organization", "org-AbCd1234EfGh5678IjKl"),
            ("x-region", "us-east-1"),
            ("x-max-tokens", "4096"),
            ("authorization", "none"),
        ] {
            assert!(found(name, value).is_empty(), "{name}: {:?}", found(name, value));
        }
    }
}
