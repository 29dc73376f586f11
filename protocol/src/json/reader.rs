//! Reads JSON text from start to end; strings are decoded on the way or skipped, and nothing is stored.

use std::ops::Range;

use memchr::memchr2;
use serde::de::IgnoredAny;

use crate::json::JsonSyntaxError;

pub(crate) struct JsonReader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> JsonReader<'a> {
    /// Starts at the first character that is not white space.
    pub(crate) fn new(text: &'a str) -> Self {
        let mut reader = Self { text, at: 0 };
        reader.space();
        reader
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) fn slice(&self, span: Range<usize>) -> &'a str {
        &self.text[span]
    }

    pub(crate) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Consumes the byte that [`JsonReader::peek`] returned.
    pub(crate) fn pass(&mut self) {
        self.at += 1;
    }

    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), JsonSyntaxError> {
        if self.peek() != Some(byte) {
            return self.fail();
        }
        self.at += 1;
        Ok(())
    }

    /// Requires that nothing but white space follows.
    pub(crate) fn end(&mut self) -> Result<(), JsonSyntaxError> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { self.fail() }
    }

    pub(crate) fn fail<T>(&self) -> Result<T, JsonSyntaxError> {
        Err(JsonSyntaxError { offset: self.at })
    }

    /// Returns the first byte of the value that follows a key, without consuming anything.
    pub(crate) fn value_behind_colon(&self) -> Option<u8> {
        let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b':');
        self.text.as_bytes()[self.at..].iter().copied().find(|byte| !is_between(byte))
    }

    /// Skips a string. Returns the span between its quotes, with its escapes.
    pub(crate) fn skip_string(&mut self) -> Result<Range<usize>, JsonSyntaxError> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(found) = memchr2(b'"', b'\\', &bytes[self.at..]) {
            self.at += found + 1;
            if bytes[self.at - 1] == b'"' {
                return Ok(start..self.at - 1);
            }
            self.at = (self.at + 1).min(bytes.len());
        }
        Err(JsonSyntaxError { offset: bytes.len() })
    }

    /// Reads a string and passes on each decoded character.
    pub(crate) fn string(&mut self, each: impl FnMut(char)) -> Result<(), JsonSyntaxError> {
        self.expect(b'"')?;
        self.at += decode(&self.text[self.at..], each);
        self.expect(b'"')
    }

    /// Reads a number or a literal.
    pub(crate) fn scalar(&mut self) -> Result<Range<usize>, JsonSyntaxError> {
        let Some(length) = scalar_length(&self.text.as_bytes()[self.at..]) else { return self.fail() };
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }
}

/// Returns the length of the number or literal at the start of this text; `None` if there is none.
pub(crate) fn scalar_length(text: &[u8]) -> Option<usize> {
    let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
    let length = text.iter().position(is_end).unwrap_or(text.len());
    if is_common_scalar(&text[..length]) {
        return Some(length);
    }
    serde_json::from_slice::<IgnoredAny>(&text[..length]).is_ok().then_some(length)
}

/// Whether this is a literal or a short number that is an integer above 0, as most scalars of a request are.
fn is_common_scalar(text: &[u8]) -> bool {
    match text {
        b"true" | b"false" | b"null" => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Decodes the inside of a string up to its closing quote, or to the first byte that is invalid in a string. Returns
/// the length.
pub(crate) fn decode(text: &str, mut each: impl FnMut(char)) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | 0..b' ' => break,
            b'\\' => {
                let Some((character, length)) = escaped(&bytes[at..]) else { break };
                each(character);
                at += length;
            }
            ..0x80 => {
                each(byte.into());
                at += 1;
            }
            _ => {
                let Some(character) = text[at..].chars().next() else { break };
                each(character);
                at += character.len_utf8();
            }
        }
    }
    at
}

/// Returns the character of an escape, and the escape's length. A lone surrogate is a lost character, as it is for the
/// upstream.
fn escaped(text: &[u8]) -> Option<(char, usize)> {
    let character = match *text.get(1)? {
        plain @ (b'"' | b'\\' | b'/') => plain.into(),
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{C}',
        b'u' => return unit(text).map(|first| paired(first, text)),
        _ => return None,
    };
    Some((character, 2))
}

fn paired(first: u32, text: &[u8]) -> (char, usize) {
    let second = text.get(6..).and_then(unit).filter(|second| (0xDC00..0xE000).contains(second));
    match second {
        Some(second) if (0xD800..0xDC00).contains(&first) => {
            let scalar = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        _ => (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
    }
}

/// Returns the number in `\uXXXX`.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)?))
}
