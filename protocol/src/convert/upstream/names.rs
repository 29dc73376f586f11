//! Converts tool names to names that the upstream accepts, and back. Chat Completions allows 64 characters of
//! `[A-Za-z0-9_-]` (platform.openai.com/docs/api-reference/chat/create); names of MCP tools can be longer.
//!
//! A valid name stays unchanged. In other names, invalid characters are replaced. If the result is too long or is the name of another
//! tool, it ends with a hash of the original, so it is the same in every turn.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::json::{Literal, decode_text, trim};

const LONGEST: usize = 64;
/// Length of the part before the hash: 55 characters, then `_` and 8 digits.
const STEM: usize = 55;

/// Maps the invalid names of a request to their replacements, both as inner text (JSON string content with its escapes).
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(HashMap<String, String>);

/// The characters that a name may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// `[A-Za-z0-9_-]`
    Usual,
    /// `[A-Za-z0-9_]`, and no digit first.
    Plain,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b'-' && self == Self::Usual)
    }

    fn may_begin(self, byte: u8) -> bool {
        self == Self::Usual || !byte.is_ascii_digit()
    }

    fn takes(self, inner: &str) -> bool {
        let bytes = inner.as_bytes();
        (1..=LONGEST).contains(&bytes.len())
            && bytes.iter().all(|&byte| self.has(byte))
            && self.may_begin(bytes[0])
    }

    /// The name with its invalid characters replaced, of any length.
    fn nearest(self, original: &str) -> String {
        let fits = |character: char| u8::try_from(character).is_ok_and(|byte| self.has(byte));
        let name: String =
            original.trim().chars().map(|character| if fits(character) { character } else { '_' }).collect();
        match name.bytes().next() {
            None => "t_empty".to_owned(),
            Some(first) if self.may_begin(first) => name,
            Some(_) => format!("t_{name}"),
        }
    }
}

impl Names {
    /// Creates replacements for the invalid names of `all` (inner texts).
    pub(crate) fn of<'n>(all: impl Iterator<Item = &'n str> + Clone, alphabet: Alphabet) -> Self {
        if all.clone().all(|name| alphabet.takes(name)) {
            return Self::default();
        }
        let (fitting, odd): (HashSet<&str>, HashSet<&str>) = all.partition(|name| alphabet.takes(name));
        let nearest: HashMap<&str, String> = odd
            .iter()
            .map(|name| (*name, alphabet.nearest(&decode_text(name).unwrap_or((*name).into()))))
            .collect();
        let mut wanted: HashMap<&str, usize> = HashMap::new();
        nearest.values().for_each(|name| *wanted.entry(name).or_default() += 1);
        let is_free = |name: &str| name.len() <= LONGEST && !fitting.contains(name) && wanted[name] == 1;
        let chosen = nearest.iter().map(|(original, name)| {
            let name = if is_free(name) { name.clone() } else { hashed(name, original) };
            ((*original).to_owned(), name)
        });
        Self(chosen.collect())
    }

    /// The name that is sent to the upstream, as inner text.
    pub(crate) fn there<'n>(&'n self, name: Literal<'n>) -> &'n str {
        self.0.get(name.inner()).map_or(name.inner(), String::as_str)
    }

    /// Maps upstream tool names to client tool names (inner texts).
    pub(crate) fn back(&self) -> HashMap<String, String> {
        let named = self.0.iter().filter(|(original, _)| !trim(original).is_empty());
        named.map(|(original, name)| (name.clone(), original.clone())).collect()
    }
}

fn hashed(name: &str, original: &str) -> String {
    let decoded = decode_text(original).unwrap_or(original.into());
    let digest = Sha256::digest(decoded.trim().as_bytes());
    let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}_{hash}", &name[..name.len().min(STEM)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(names: &[&str], alphabet: Alphabet) -> Vec<String> {
        let map = Names::of(names.iter().copied(), alphabet);
        names.iter().map(|name| map.0.get(*name).cloned().unwrap_or_else(|| (*name).to_owned())).collect()
    }

    /// Requirement: Sanitiser examples, collisions `a b,a-b,a_b` → distinct names; restored in JSON and SSE
    /// answers.
    #[test]
    fn a_name_that_fits_stays_whatever_others_become() {
        assert_eq!(renamed(&["a.b", "a_b", "mcp__x__y-z"], Alphabet::Usual)[1..], ["a_b", "mcp__x__y-z"]);
        assert_eq!(
            renamed(&["get weather!", "1abc", "é", "-x"], Alphabet::Plain),
            ["get_weather_", "t_1abc", "_", "_x"]
        );
        assert_eq!(renamed(&["1abc", "-x"], Alphabet::Usual), ["1abc", "-x"]);
    }

    /// Requirement: Sanitiser examples, collisions `a b,a-b,a_b` → distinct names; restored in JSON and SSE
    /// answers.
    /// Requirement: No sanitised name exceeds 64 characters, also after collision.
    /// Complaint of gateway users: tool references and long tool names are refused.
    #[test]
    fn no_two_names_become_one_and_none_is_too_long() {
        let long = |end: &str| format!("mcp__server__{}{end}", "x".repeat(80));
        let (one, two) = (long("1"), long("2"));
        let names = ["a b", "a-b", "a_b", "a.b", &one, &two, r"a\u0020b"];
        for alphabet in [Alphabet::Usual, Alphabet::Plain] {
            let renamed = renamed(&names[..6], alphabet);
            let distinct: HashSet<_> = renamed.iter().collect();
            assert_eq!(distinct.len(), 6, "{renamed:?}");
            assert!(renamed.iter().all(|name| alphabet.takes(name)), "{renamed:?}");
            assert!(renamed[4].len() == LONGEST && renamed[4].starts_with("mcp__server__xxx"), "{renamed:?}");
        }
    }

    #[test]
    fn a_new_name_does_not_depend_on_the_order() {
        let forth = Names::of(["a b", "a.b"].into_iter(), Alphabet::Usual);
        let back = Names::of(["a.b", "a b"].into_iter(), Alphabet::Usual);
        assert_eq!(forth.0, back.0);
    }
}
