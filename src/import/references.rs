//! References to environment variables, `$NAME` and `${NAME}`, in the texts of the other file.

use vandamme_actors::secret::ApiKey;

/// The value of an environment variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// A text that may be a key.
#[derive(Clone, Debug)]
pub(crate) enum Secret {
    Key(ApiKey),
    /// Text with references, as `.env` has them: `${NAME}`. The other characters are escaped.
    Reference(ApiKey),
}

/// The text with the values of its variables.
///
/// # Errors
/// The name of the first variable that is not set.
pub(super) fn resolve(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let pieces = pieces(text).into_iter().map(|piece| match piece {
        Piece::Text(text) => Ok(text.to_owned()),
        Piece::Variable(name) => lookup(name).ok_or_else(|| name.to_owned()),
    });
    pieces.collect()
}

/// The name of the variable that is the whole text.
pub(super) fn only_variable(text: &str) -> Option<&str> {
    match pieces(text.trim()).as_slice() {
        [Piece::Variable(name)] => Some(name),
        _ => None,
    }
}

/// A key as it is written into `.env`: references stay references, so that no other copy of the key comes to be.
pub(super) fn secret(text: &str) -> Secret {
    let pieces = pieces(text.trim());
    if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
        return Secret::Key(ApiKey::new(text.trim()));
    }
    let mut written = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                for letter in text.chars() {
                    written.extend(matches!(letter, '"' | '\\' | '$').then_some('\\'));
                    written.push(letter);
                }
            }
            Piece::Variable(name) => {
                written.push_str("${");
                written.push_str(name);
                written.push('}');
            }
        }
    }
    Secret::Reference(ApiKey::new(written))
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices('$') {
        if at < start {
            continue;
        }
        let Some((name, end)) = name_at(text, at + 1) else { continue };
        if start < at {
            found.push(Piece::Text(&text[start..at]));
        }
        found.push(Piece::Variable(name));
        start = end;
    }
    if start < text.len() {
        found.push(Piece::Text(&text[start..]));
    }
    found
}

/// The name behind a `$`, and where the reference ends. As in the other program, a bare name has capitals only.
fn name_at(text: &str, at: usize) -> Option<(&str, usize)> {
    let rest = &text[at..];
    if let Some(braced) = rest.strip_prefix('{') {
        let name = braced.split_once('}')?.0;
        return is_name(name).then_some((name, at + name.len() + 2));
    }
    let length = rest.bytes().take_while(|byte| is_bare(*byte)).count();
    let name = &rest[..length];
    is_name(name).then_some((name, at + length))
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/h".to_owned())
    }

    /// Requirement: both forms of a reference are replaced; other dollar signs stay.
    #[test]
    fn references_are_replaced_by_their_values() {
        for (text, expected) in [
            ("$HOME/x", Ok("/h/x")),
            ("${HOME}${HOME}", Ok("/h/h")),
            ("a$b $ ${} $1", Ok("a$b $ ${} $1")),
            ("x$NO_SUCH", Err("NO_SUCH")),
            ("plain", Ok("plain")),
            ("", Ok("")),
        ] {
            let resolved = resolve(text, &env);
            assert_eq!(resolved.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    /// Requirement: a reference in a key stays a reference in `.env`, and reads back as the other program reads it.
    #[test]
    fn a_reference_in_a_key_stays_one() {
        let written = |text| match secret(text) {
            Secret::Reference(text) => Some(text.expose().to_owned()),
            Secret::Key(_) => None,
        };
        assert_eq!(written("sk-$lower\"x"), None);
        assert_eq!(written("$MY_KEY").as_deref(), Some("${MY_KEY}"));
        assert_eq!(written("a\"${K}$b").as_deref(), Some("a\\\"${K}\\$b"));
        assert_eq!(only_variable(" ${MY_KEY} "), Some("MY_KEY"));
        assert_eq!(only_variable("x$MY_KEY"), None);
        assert!(!format!("{:?}", secret("sk-secret")).contains("sk-secret"));
    }
}
