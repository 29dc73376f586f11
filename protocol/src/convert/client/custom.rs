//! Custom tools: OpenAI's models write plain text into them, Anthropic's know functions alone. So a custom tool becomes a
//! function with one string property, and what stands in that string becomes the custom call's input again.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Literal, Object};

/// The property that holds a custom tool's input.
pub(super) const PROPERTY: &str = "input";
/// Its form in the arguments.
const KEY: &str = "\"input\"";
/// Arguments that are no such object are collected to be understood as a whole, up to this size. Beyond it they are the
/// input as they stand.
const MOST_HELD: usize = 1 << 20;
/// The length of `\u` and four digits.
const UNICODE_ESCAPE: usize = 6;

/// Takes the arguments of one call as they come, and gives out the text that is in them.
#[derive(Default)]
pub(super) struct CustomInput {
    state: CustomCallState,
    /// Half a character at the end of the last fragment, still escaped; inner text.
    half: String,
    /// Arguments that cannot be given out yet.
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CustomCallState {
    /// The string has not begun.
    #[default]
    Opening,
    /// Within the string.
    Text,
    /// The string has ended.
    Over,
    /// The arguments are something else, which is held.
    Unknown,
    /// Too much has been held.
    Plain,
}

/// What arguments begin with.
#[derive(Debug, PartialEq, Eq)]
enum Opening {
    /// The string begins here.
    Text(usize),
    /// More is needed.
    Partial,
    Unknown,
}

impl CustomInput {
    /// Takes a fragment, and returns the text that it completes; both inner text.
    pub(super) fn push(&mut self, fragment: &str) -> String {
        let mut inner = std::mem::take(&mut self.half);
        inner.push_str(fragment);
        let cut = inner.len() - half_at_the_end(&inner);
        self.half = inner.split_off(cut);
        self.take(&decoded(&inner))
    }

    /// The call is over. Returns what was held; inner text.
    pub(super) fn finish(&mut self) -> String {
        let half = std::mem::take(&mut self.half);
        let mut out = self.take(&decoded(&half));
        if self.state == CustomCallState::Unknown {
            out.push_str(&whole(&self.held));
        }
        self.state = CustomCallState::Over;
        out
    }

    fn take(&mut self, arguments: &str) -> String {
        if self.state == CustomCallState::Plain {
            return json::escape_text(arguments);
        }
        self.held.push_str(arguments);
        if self.state == CustomCallState::Opening {
            match opening(&self.held) {
                Opening::Text(start) => {
                    self.held.drain(..start);
                    self.state = CustomCallState::Text;
                }
                Opening::Partial => {}
                Opening::Unknown => self.state = CustomCallState::Unknown,
            }
        }
        match self.state {
            CustomCallState::Text => self.text(),
            CustomCallState::Over => {
                self.held.clear();
                String::new()
            }
            CustomCallState::Opening | CustomCallState::Unknown if self.held.len() > MOST_HELD => {
                self.state = CustomCallState::Plain;
                json::escape_text(&std::mem::take(&mut self.held))
            }
            CustomCallState::Opening | CustomCallState::Unknown | CustomCallState::Plain => String::new(),
        }
    }

    /// The string is passed on up to its end, or as far as its escapes are complete.
    fn text(&mut self) -> String {
        let mut out = String::with_capacity(self.held.len());
        let mut rest = self.held.as_str();
        while let Some(next) = rest.chars().next() {
            match next {
                '"' => {
                    self.state = CustomCallState::Over;
                    rest = "";
                }
                '\\' => {
                    let Some(length) = escape_length(rest) else { break };
                    match length {
                        // No escape of JSON: the model means a backslash.
                        1 => out.push_str("\\\\"),
                        _ => out.push_str(&rest[..length]),
                    }
                    rest = &rest[length..];
                }
                '\0'..' ' => {
                    out.push_str(&json::escape_text(&rest[..1]));
                    rest = &rest[1..];
                }
                _ => {
                    let is_special = |character: char| matches!(character, '"' | '\\' | '\0'..' ');
                    let end = rest.find(is_special).unwrap_or(rest.len());
                    out.push_str(&rest[..end]);
                    rest = &rest[end..];
                }
            }
        }
        self.held = rest.to_owned();
        out
    }
}

fn opening(arguments: &str) -> Opening {
    let mut rest = arguments;
    for expected in ["{", KEY, ":", "\""] {
        rest = rest.trim_start();
        match rest.strip_prefix(expected) {
            Some(behind) => rest = behind,
            None if expected.starts_with(rest) => return Opening::Partial,
            None => return Opening::Unknown,
        }
    }
    Opening::Text(arguments.len() - rest.len())
}

/// The length of the escape that the text begins with, both halves of a character included; 1 if it is none, `None` if it
/// is cut.
fn escape_length(text: &str) -> Option<usize> {
    match text.as_bytes().get(1)? {
        b'u' => {}
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => return Some(2),
        _ => return Some(1),
    }
    let Some(unit) = unit(text) else {
        let digits = text.bytes().skip(2).take_while(u8::is_ascii_hexdigit).count();
        return if 2 + digits == text.len() { None } else { Some(1) };
    };
    if !is_high(unit) {
        return Some(UNICODE_ESCAPE);
    }
    let behind = &text[UNICODE_ESCAPE..];
    match self::unit(behind) {
        Some(low) if is_low(low) => Some(2 * UNICODE_ESCAPE),
        Some(_) => Some(UNICODE_ESCAPE),
        // It may become the other half.
        None if "\\u".starts_with(behind) || (behind.starts_with("\\u") && behind.len() < UNICODE_ESCAPE) => {
            None
        }
        None => Some(UNICODE_ESCAPE),
    }
}

/// The UTF-16 unit that the text begins with, as `\u` and four digits.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

fn is_high(unit: u16) -> bool {
    (0xD800..0xDC00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xDC00..0xE000).contains(&unit)
}

/// The length of the first half of a character, if inner text ends with one.
fn half_at_the_end(inner: &str) -> usize {
    let start = inner.len().saturating_sub(UNICODE_ESCAPE);
    let is_half = inner.get(start..).and_then(unit).is_some_and(is_high);
    let backslashes = inner.as_bytes()[..start].iter().rev().take_while(|&&byte| byte == b'\\').count();
    if is_half && backslashes.is_multiple_of(2) { UNICODE_ESCAPE } else { 0 }
}

/// What inner text means. Half a character that has lost the other means the replacement character.
fn decoded(inner: &str) -> Cow<'_, str> {
    json::decode_text(inner).unwrap_or_else(|| {
        let mut whole = String::with_capacity(inner.len());
        let mut rest = inner;
        while let Some(at) = rest.find('\\') {
            whole.push_str(&rest[..at]);
            rest = &rest[at..];
            let length = escape_length(rest).unwrap_or(rest.len());
            let is_half =
                length == UNICODE_ESCAPE && unit(rest).is_some_and(|unit| is_high(unit) || is_low(unit));
            whole.push_str(if is_half { "\u{fffd}" } else { &rest[..length] });
            rest = &rest[length..];
        }
        whole.push_str(rest);
        json::decode_text(&whole).map(|text| text.into_owned()).unwrap_or_default().into()
    })
}

/// The input in arguments that do not begin with it: the property, whatever its type, else all of them; inner text.
fn whole(arguments: &str) -> String {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        input: Option<&'a RawValue>,
    }
    let wrapped = serde_json::from_str::<Object<Wrapped<'_>>>(arguments).ok().and_then(|object| object.0);
    match wrapped.map(|wrapped| wrapped.input) {
        Some(Some(input)) => match Literal::of(input) {
            Some(text) => text.inner().to_owned(),
            None => json::escape_text(input.get()),
        },
        Some(None) if is_empty_object(arguments) => String::new(),
        Some(None) | None => json::escape_text(arguments),
    }
}

fn is_empty_object(text: &str) -> bool {
    let inside = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The input of arguments that come in these pieces.
    fn input(pieces: &[&str]) -> String {
        let mut custom = CustomInput::default();
        let mut out = String::new();
        for piece in pieces {
            let text = custom.push(&json::escape_text(piece));
            assert!(json::decode_text(&text).is_some(), "each piece is a text of its own: {text}");
            out.push_str(&text);
        }
        out.push_str(&custom.finish());
        json::decode_text(&out).expect("inner text").into_owned()
    }

    #[test]
    fn the_text_of_the_only_property_is_the_input() {
        for (arguments, expected) in [
            (r#"{"input":"a"}"#, "a"),
            (" { \n\"input\" : \"a\\n\\\"b\\\"\\\\ \\u00e9 \\ud83c\\udf39\" } ", "a\n\"b\"\\ é 🌹"),
            (r#"{"input":""}"#, ""),
            (r#"{"input":"a","more":"b"}"#, "a"),
            ("{\"input\":\"two\nlines\"}", "two\nlines"),
            (r#"{"input":"C:\dir \q"}"#, "C:\\dir \\q"),
        ] {
            assert_eq!(input(&[arguments]), expected, "{arguments}");
        }
    }

    #[test]
    fn other_arguments_are_the_input_as_far_as_they_have_none() {
        for (arguments, expected) in [
            (r#"{"more":1,"input":"a\nb"}"#, "a\nb"),
            (r#"{"input":{"a":[1]}}"#, r#"{"a":[1]}"#),
            (r#"{"patch":"a"}"#, r#"{"patch":"a"}"#),
            ("*** Begin Patch", "*** Begin Patch"),
            (r#"["input"]"#, r#"["input"]"#),
            ("{}", ""),
            (" { } ", ""),
            ("", ""),
            (r#"{"inp"#, ""),
            (r#"{"input":"cut \u00"#, "cut "),
        ] {
            assert_eq!(input(&[arguments]), expected, "{arguments}");
        }
    }

    #[test]
    fn a_character_is_whole_however_the_upstream_cuts_it() {
        let mut custom = CustomInput::default();
        let pieces = [r#"{\"input\":\"\ud83c"#, r"\udf39 \ud83c", r#" end\"}"#];
        let told: Vec<_> = pieces.iter().map(|piece| custom.push(piece)).collect();
        assert_eq!(told, ["", "🌹 ", "\u{fffd} end"]);
        assert_eq!(custom.finish(), "");
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let mut custom = CustomInput::default();
        let piece = "x".repeat(1 << 16);
        let mut most = 0;
        let mut told = 0;
        for _ in 0..64 {
            told += custom.push(&piece).len();
            most = most.max(custom.held.len());
        }
        assert!(most <= MOST_HELD + piece.len(), "{most}");
        assert_eq!(told + custom.finish().len(), 64 * piece.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_input_comes_out_however_its_arguments_are_cut(
            text in "([a-z\"\\\\\n é🌹]|\\PC){0,24}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            is_ascii in any::<bool>(),
        ) {
            let mut arguments = serde_json::json!({ "input": text }).to_string();
            if is_ascii {
                let escaped = |unit: u16| format!("\\u{unit:04x}");
                arguments = arguments.chars().map(|character| {
                    let mut units = [0; 2];
                    if character.is_ascii() { character.to_string() } else {
                        character.encode_utf16(&mut units).iter().map(|unit| escaped(*unit)).collect()
                    }
                }).collect();
            }
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(arguments.len() + 1)).collect();
            places.retain(|place| arguments.is_char_boundary(*place));
            places.extend([0, arguments.len()]);
            places.sort_unstable();
            let pieces: Vec<_> = places.windows(2).map(|pair| &arguments[pair[0]..pair[1]]).collect();
            prop_assert_eq!(input(&pieces), text);
        }
    }
}
