//! Shell patterns over names, whatever their case: `*` any text, `?` any letter, `[…]` one of a set (`[!…]` none of
//! it, `a-z` a range). A text without any of these matches itself.

/// A pattern as a person wrote it.
#[derive(Debug)]
pub(super) struct Pattern {
    text: String,
    parts: Vec<PatternPart>,
}

#[derive(Debug)]
enum PatternPart {
    Any,
    One,
    Letter(char),
    Set { ranges: Vec<(char, char)>, inverted: bool },
}

impl Pattern {
    pub(super) fn new(text: String) -> Self {
        let letters: Vec<char> = text.to_lowercase().chars().collect();
        let (mut parts, mut at) = (Vec::new(), 0);
        while let Some(&letter) = letters.get(at) {
            let set = (letter == '[').then(|| set(&letters[at + 1..])).flatten();
            let (part, length) = match (letter, set) {
                (_, Some((set, length))) => (set, length + 1),
                ('*', None) => (PatternPart::Any, 1),
                ('?', None) => (PatternPart::One, 1),
                (letter, None) => (PatternPart::Letter(letter), 1),
            };
            parts.push(part);
            at += length;
        }
        Self { text, parts }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let letters: Vec<char> = name.to_lowercase().chars().collect();
        let (mut part, mut at) = (0, 0);
        // Where the last `*` stands and how much it has eaten: if what follows fails, it eats one more.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.parts.get(part), letters.get(at)) {
                (None, None) => return true,
                (Some(PatternPart::Any), _) => {
                    retry = Some((part, at));
                    part += 1;
                    continue;
                }
                (Some(expected), Some(&letter)) if expected.takes(letter) => {
                    part += 1;
                    at += 1;
                    continue;
                }
                (Some(_) | None, _) => {}
            }
            let Some((star, eaten)) = retry.filter(|&(_, eaten)| eaten < letters.len()) else { return false };
            retry = Some((star, eaten + 1));
            (part, at) = (star + 1, eaten + 1);
        }
    }
}

impl PatternPart {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Letter(expected) => *expected == letter,
            Self::Set { ranges, inverted } => {
                ranges.iter().any(|&(from, to)| (from..=to).contains(&letter)) != *inverted
            }
        }
    }
}

/// The set behind a `[`, and how long it is; `None` when it never closes, which makes the bracket a plain letter.
fn set(behind: &[char]) -> Option<(PatternPart, usize)> {
    let inverted = behind.first() == Some(&'!');
    let start = usize::from(inverted);
    // A `]` that stands first belongs to the set.
    let end = behind.iter().skip(start + 1).position(|&letter| letter == ']')? + start + 1;
    let (mut ranges, mut members) = (Vec::new(), &behind[start..end]);
    while let Some((&from, rest)) = members.split_first() {
        match rest {
            ['-', to, rest @ ..] => {
                ranges.push((from, *to));
                members = rest;
            }
            rest => {
                ranges.push((from, from));
                members = rest;
            }
        }
    }
    Some((PatternPart::Set { ranges, inverted }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names_in_any_case() {
        for (pattern, name, expected) in [
            ("OpenAI", "openai", true),
            ("open", "openai", false),
            ("", "", true),
            ("open*", "OPENAI", true),
            ("*", "", true),
            ("*a*i", "openai", true),
            ("*a*n", "openai", false),
            ("**i", "openai", true),
            ("gpt-?", "gpt-5", true),
            ("gpt-?", "gpt-", false),
            ("gpt-[45]*", "gpt-4o", true),
            ("gpt-[!45]*", "gpt-4o", false),
            ("gpt-[0-9]", "gpt-7", true),
            ("a[]]b", "a]b", true),
            ("a[b", "a[b", true),
            ("a[-z]", "a-", true),
            ("*/kat:free", "kwaipilot/KAT:free", true),
        ] {
            assert_eq!(Pattern::new(pattern.to_owned()).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = Pattern::new("*a".repeat(500));
        assert!(!pattern.matches(&"a".repeat(499)));
        assert!(pattern.matches(&"ab".repeat(499).replace('b', "a")));
    }
}
