//! JSON without decoding: string literals in their original notation, a writer for bytes, and values that tolerate a
//! wrong type from a vendor.
//!
//! *Inner* text is the text between a literal's quotes, with its escapes. Inner texts can be joined, and split at
//! escape boundaries, without decoding them.

mod members;
pub(crate) mod plain;
pub(crate) mod reader;
mod top_level;

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

pub(crate) use members::RawMembers;
pub(crate) use top_level::request_body;

/// A JSON string in its original notation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    /// Returns the literal if this value is a string.
    pub(crate) fn of(raw: &'a RawValue) -> Option<Self> {
        let text = raw.get();
        text.starts_with('"').then(|| Self(&text[1..text.len() - 1]))
    }

    /// Returns the text between the quotes, with its escapes.
    pub(crate) fn inner(self) -> &'a str {
        self.0
    }

    /// Returns the decoded text; `None` if it is not valid Unicode (a lone surrogate).
    pub(crate) fn decode(self) -> Option<Cow<'a, str>> {
        decode_text(self.0)
    }

    /// Whether the decoded text equals this text.
    pub(crate) fn is(self, text: &str) -> bool {
        self.0 == text || (self.0.contains('\\') && self.decode().is_some_and(|decoded| decoded == text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Literal<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        Self::of(raw).ok_or_else(|| de::Error::custom("expected a string"))
    }
}

/// The data is not JSON.
#[derive(Debug)]
pub(crate) struct NotJson;

/// The offset at which the text is not valid JSON.
#[derive(Debug)]
pub(crate) struct JsonSyntaxError {
    pub(crate) offset: usize,
}

/// A keyword such as a block's type. It is decoded, because a writer can escape any character, and borrowed if it
/// contains no escapes.
#[derive(Clone, Debug)]
pub(crate) struct JsonWord<'a>(Cow<'a, str>);

impl JsonWord<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonWord<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct JsonWordVisitor;

        impl<'de> Visitor<'de> for JsonWordVisitor {
            type Value = JsonWord<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(JsonWord(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(JsonWord(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(JsonWordVisitor)
    }
}

/// Decodes inner text.
pub(crate) fn decode_text(inner: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(&format!("\"{inner}\"")).ok().map(Cow::Owned)
}

/// Counts the characters of decoded inner text.
pub(crate) fn characters(inner: &str) -> u64 {
    let plain = |text: &str| text.bytes().filter(|byte| byte & 0xC0 != 0x80).count() as u64;
    // A lone surrogate cannot be decoded; it counts as the six characters of its escape.
    decode_text(inner).map_or_else(|| plain(inner), |text| plain(&text))
}

/// Splits inner text after this number of decoded characters. `None` if it has fewer. Half a surrogate pair counts as one.
pub(crate) fn split_after(inner: &str, count: u64) -> Option<(&str, &str)> {
    let (mut at, mut left) = (0, count);
    while left > 0 {
        let rest = inner.get(at..)?;
        at += match rest.strip_prefix('\\') {
            None => rest.chars().next()?.len_utf8(),
            Some(escape) if !escape.starts_with('u') => 2,
            // Two escapes of a surrogate pair are one character.
            Some(_) => {
                let pair = rest.get(..2 * UNICODE_ESCAPE).filter(|pair| {
                    pair[UNICODE_ESCAPE..].starts_with("\\u")
                        && decode_text(pair).is_some_and(|text| text.chars().count() == 1)
                });
                pair.map_or(UNICODE_ESCAPE, str::len)
            }
        };
        left -= 1;
    }
    inner.split_at_checked(at)
}

/// Returns plain text as inner text.
pub(crate) fn escape_text(text: &str) -> String {
    let mut literal = serde_json::to_string(text).expect("a string has a JSON form");
    literal.pop();
    literal.remove(0);
    literal
}

/// Escapes of white space other than `\u` and four digits.
const ESCAPED_SPACES: [&str; 4] = ["\\n", "\\t", "\\r", "\\f"];
/// The length of `\u` and four digits, in bytes.
const UNICODE_ESCAPE: usize = 6;

/// Whether this is `\u` and the four digits of a white-space character.
fn is_unicode_space(escape: &str) -> bool {
    let digits = escape.strip_prefix("\\u").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    digits.and_then(char::from_u32).is_some_and(char::is_whitespace)
}

/// Removes white space from the start of inner text.
pub(crate) fn trim_start(inner: &str) -> &str {
    let mut inner = inner.trim_start();
    while let Some(rest) = without_first_escaped_space(inner) {
        inner = rest.trim_start();
    }
    inner
}

fn without_first_escaped_space(inner: &str) -> Option<&str> {
    let plain = ESCAPED_SPACES.iter().find_map(|space| inner.strip_prefix(space));
    plain.or_else(|| {
        let (escape, rest) = inner.split_at_checked(UNICODE_ESCAPE)?;
        is_unicode_space(escape).then_some(rest)
    })
}

/// Removes white space from the end of inner text.
pub(crate) fn trim_end(inner: &str) -> &str {
    let mut inner = inner.trim_end();
    while let Some(rest) = without_last_escaped_space(inner) {
        inner = rest.trim_end();
    }
    inner
}

fn without_last_escaped_space(inner: &str) -> Option<&str> {
    let plain = ESCAPED_SPACES.iter().find_map(|space| inner.strip_suffix(space));
    let rest = plain.or_else(|| {
        let (rest, escape) = inner.split_at_checked(inner.len().checked_sub(UNICODE_ESCAPE)?)?;
        is_unicode_space(escape).then_some(rest)
    })?;
    // After an odd number of backslashes, the next one is the second half of an escaped backslash.
    let backslashes = rest.bytes().rev().take_while(|&byte| byte == b'\\').count();
    backslashes.is_multiple_of(2).then_some(rest)
}

/// Removes white space from both ends of inner text.
pub(crate) fn trim(inner: &str) -> &str {
    trim_end(trim_start(inner))
}

/// A growing byte buffer for JSON.
pub(crate) trait Write {
    /// Appends these bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Appends text that is already JSON.
    fn raw(&mut self, json: &str) {
        self.put(json.as_bytes());
    }

    /// Appends a string literal with this inner text.
    fn quoted(&mut self, inner: &str) {
        self.put(b"\"");
        self.raw(inner);
        self.put(b"\"");
    }

    /// Appends this text as a string literal.
    fn string(&mut self, text: &str);

    /// Appends a number.
    fn number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b"0123456789"[(number % 10) as usize];
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.put(&digits[at..]);
    }
}

impl Write for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(self, text).expect("writing to a Vec cannot fail");
    }
}

impl Write for bytes::BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(bytes::BufMut::writer(self), text).expect("writing to a BytesMut cannot fail");
    }
}

/// An object; a value of any other type counts as absent.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tolerant::<Self>(PhantomData))
    }
}

/// An array; a value of any other type counts as empty.
#[derive(Debug)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tolerant::<Self>(PhantomData))
    }
}

/// Accepts the expected type and ignores any other.
struct Tolerant<T>(PhantomData<T>);

macro_rules! scalars_count_as_absent {
    () => {
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("any value")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Tolerant<Object<T>> {
    type Value = Object<T>;

    scalars_count_as_absent!();

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| Object(Some(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Object(None))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Tolerant<List<T>> {
    type Value = List<T>;

    scalars_count_as_absent!();

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(List::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(List(values))
    }
}

/// Returns a count in any notation (`12`, `12.0`); `None` for negative numbers and other values.
pub(crate) fn read_count(raw: Option<&RawValue>) -> Option<u64> {
    let text = raw?.get();
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok().filter(|number| *number >= 0.0)?;
        Some(number as u64)
    })
}

/// Returns what serde expected, without the position and without what it found (which can be part of a prompt).
pub(crate) fn wrong_type(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]);
    text.rfind(", expected ").map_or(text, |at| &text[at + 2..]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming_knows_an_escaped_line_end_from_an_escaped_backslash() {
        assert_eq!(trim(r" \n\t a b \r\n"), "a b");
        assert_eq!(trim(r"a\\n"), r"a\\n");
        assert_eq!(trim(r"a\\\n"), r"a\\");
        assert_eq!(trim(r"a\\ "), r"a\\");
        assert_eq!(trim(r"\n \n"), "");
    }

    #[test]
    fn trimming_recognises_white_space_in_every_notation() {
        for space in
            [" ", "\u{a0}", "\u{3000}", r"\f", r"\u0020", r"\u00a0", r"\u2003", r"\u000b", r"\n\u2028 "]
        {
            assert_eq!(trim(&format!("{space}é{space}")), "é", "{space}");
            assert_eq!(trim(space), "", "{space}");
        }
        for text in [r"\u0041", r"\\u0020", r"\\\\f", r"u0020", "é", r"\ud83d"] {
            assert_eq!(trim(text), text);
        }
        assert_eq!(trim(r"\\\u0020"), r"\\");
    }

    #[test]
    fn a_literal_is_compared_by_its_decoded_text() {
        let raw: &RawValue = serde_json::from_str(r#""\u0074ext""#).unwrap();
        let literal = Literal::of(raw).unwrap();
        assert!(literal.is("text"));
        assert_eq!(literal.inner(), r"\u0074ext");
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        for number in [0, 7, 10, u64::MAX] {
            out.number(number);
            out.put(b" ");
        }
        assert_eq!(out, b"0 7 10 18446744073709551615 ");
    }

    #[test]
    fn a_value_of_the_wrong_type_counts_as_absent() {
        for json in ["null", "true", "1", "-1", "1.5", "\"a\"", "[1,[2]]"] {
            assert!(serde_json::from_str::<Object<IgnoredAny>>(json).unwrap().0.is_none(), "{json}");
        }
        for json in ["null", "false", "1", "-1", "1.5", "\"a\"", "{\"a\":{}}"] {
            assert!(serde_json::from_str::<List<IgnoredAny>>(json).unwrap().0.is_empty(), "{json}");
        }
    }
}
