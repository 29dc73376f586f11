//! Walks JSON text without building values: it finds where values begin and end.
//!
//! Containers that are walked (an object's members, an array's elements) are checked against the grammar; skipped
//! values are only checked for matching brackets and terminated strings. There is no recursion at any depth.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::structure::{Blocks, places};
use crate::json::{JsonSyntaxError, reader::scalar_length};

pub(super) type CursorResult<T> = Result<T, JsonSyntaxError>;

/// Observes the contents of a value while it is skipped. `open` holds the closing brackets of all open containers, the
/// outermost first.
pub(super) trait Watch {
    /// Whether strings are reported as well.
    const WATCHES_STRINGS: bool;

    /// An object begins; its bracket is the last of `open`.
    fn object(&mut self, open: &[u8]);

    /// A string, key or value, with its quotes, and the text after it.
    fn string(&mut self, open: &[u8], string: &[u8], rest: &[u8]);
}

/// Observes nothing.
impl Watch for () {
    const WATCHES_STRINGS: bool = false;

    fn object(&mut self, _: &[u8]) {}

    fn string(&mut self, _: &[u8], _: &[u8], _: &[u8]) {}
}

pub(super) struct JsonCursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// A container being skipped.
struct Skipped<'t, W> {
    text: &'t [u8],
    open: Vec<u8>,
    /// The offset of the opening quote of an unfinished string.
    string: Option<usize>,
    watch: &'t mut W,
}

/// A closing bracket without a matching opening one.
struct Unmatched;

impl<W: Watch> Skipped<'_, W> {
    /// Processes the bracket or quote at `at`. Returns whether the container ends there.
    fn pass(&mut self, at: usize) -> Result<bool, Unmatched> {
        match self.text[at] {
            b'{' => {
                self.open.push(b'}');
                self.watch.object(&self.open);
            }
            b'[' => self.open.push(b']'),
            b'"' => match self.string.take() {
                None => self.string = Some(at),
                Some(start) => self.watch.string(&self.open, &self.text[start..=at], &self.text[at + 1..]),
            },
            close if self.open.pop() == Some(close) => return Ok(self.open.is_empty()),
            _ => return Err(Unmatched),
        }
        Ok(false)
    }
}

impl<'a> JsonCursor<'a> {
    /// Starts at the first byte that is not white space.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let mut cursor = Self { text, at: 0 };
        cursor.space();
        cursor
    }

    /// Walks this value of a text; offsets are those of the text.
    pub(super) fn inside(text: &'a [u8], value: &Range<usize>) -> Self {
        Self { text: &text[..value.end], at: value.start }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn slice(&self, span: Range<usize>) -> &'a [u8] {
        &self.text[span]
    }

    /// Walks an object. `each` receives the decoded key and must consume the value at the cursor.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> CursorResult<()>,
    ) -> CursorResult<()> {
        self.entries(|cursor, _, key| each(cursor, key))
    }

    /// Walks an object like [`JsonCursor::members`]; `each` also receives the offset of the member.
    pub(super) fn entries(
        &mut self,
        mut each: impl FnMut(&mut Self, usize, &str) -> CursorResult<()>,
    ) -> CursorResult<()> {
        self.list(b'{', b'}', |cursor| {
            let start = cursor.at;
            let key = cursor.key()?;
            cursor.space();
            cursor.expect(b':')?;
            cursor.space();
            each(cursor, start, &key)
        })
    }

    /// Walks an array. `each` must consume the element at the cursor.
    pub(super) fn elements(&mut self, each: impl FnMut(&mut Self) -> CursorResult<()>) -> CursorResult<()> {
        self.list(b'[', b']', each)
    }

    /// Skips one value and returns its span.
    pub(super) fn value(&mut self) -> CursorResult<Range<usize>> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'{' | b'[') => self.container(&mut ())?,
            _ => self.scalar()?,
        }
        Ok(start..self.at)
    }

    /// Requires that nothing but white space follows.
    pub(super) fn end(&mut self) -> CursorResult<()> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { self.fail() }
    }

    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut each: impl FnMut(&mut Self) -> CursorResult<()>,
    ) -> CursorResult<()> {
        self.expect(open)?;
        self.space();
        if self.peek() == Some(close) {
            return self.expect(close);
        }
        loop {
            each(self)?;
            self.space();
            if self.peek() == Some(close) {
                return self.expect(close);
            }
            self.expect(b',')?;
            self.space();
        }
    }

    fn key(&mut self) -> CursorResult<Cow<'a, str>> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return self.fail();
        }
        self.string()?;
        decoded(&self.text[start..self.at]).ok_or(JsonSyntaxError { offset: start })
    }

    /// Skips a string. A quote ends it unless an odd number of backslashes precedes it.
    fn string(&mut self) -> CursorResult<()> {
        let inside = self.at + 1;
        let mut from = inside;
        while let Some(quote) = quote(self.text, from) {
            let before = &self.text[inside..quote];
            let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\').count();
            if backslashes.is_multiple_of(2) {
                self.at = quote + 1;
                return Ok(());
            }
            from = quote + 1;
        }
        Err(JsonSyntaxError { offset: self.text.len() })
    }

    /// Skips the object or array at the cursor; `watch` observes its contents.
    pub(super) fn container<W: Watch>(&mut self, watch: &mut W) -> CursorResult<()> {
        let text = &self.text[self.at..];
        let mut skipped = Skipped { text, open: vec![], string: None, watch };
        for (from, marks) in Blocks::new(text) {
            let bits = if W::WATCHES_STRINGS { marks.brackets | marks.quotes } else { marks.brackets };
            for at in places(bits).map(|place| from + place) {
                match skipped.pass(at) {
                    Ok(true) => {
                        self.at += at + 1;
                        return Ok(());
                    }
                    Ok(false) => {}
                    Err(Unmatched) => return Err(JsonSyntaxError { offset: self.at + at }),
                }
            }
        }
        Err(JsonSyntaxError { offset: self.text.len() })
    }

    fn scalar(&mut self) -> CursorResult<()> {
        let Some(length) = scalar_length(&self.text[self.at..]) else { return self.fail() };
        self.at += length;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> CursorResult<()> {
        if self.peek() != Some(byte) {
            return self.fail();
        }
        self.at += 1;
        Ok(())
    }

    fn fail<T>(&self) -> CursorResult<T> {
        Err(JsonSyntaxError { offset: self.at })
    }
}

/// Returns the offset of the first quote at or after `from`. Most strings of a request are keys and short words, for
/// which the setup of a search costs more than the search: the first bytes are examined eight at a time.
fn quote(text: &[u8], from: usize) -> Option<usize> {
    const NEAR: usize = 4;
    let behind = text.get(from..)?;
    let (words, _) = behind.as_chunks();
    for (number, word) in words.iter().take(NEAR).enumerate() {
        let found = quotes(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(from + number * size_of::<u64>() + (found.trailing_zeros() / u8::BITS) as usize);
        }
    }
    let looked_at = words.len().min(NEAR) * size_of::<u64>();
    memchr(b'"', &behind[looked_at..]).map(|quote| from + looked_at + quote)
}

/// Sets the highest bit of every byte that is a quote; bits above the first quote can be wrong.
fn quotes(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let zero_where_quote = word ^ (ONES * b'"' as u64);
    zero_where_quote.wrapping_sub(ONES) & !zero_where_quote & (ONES << 7)
}

/// Decodes a string with its quotes; `None` if it is not valid.
pub(super) fn decoded(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let plain = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    // Checks all bytes: most strings are short, and a loop without an early exit is vectorised.
    if plain.iter().fold(false, |odd, &byte| odd | (byte == b'\\') | (byte < b' ')) {
        return serde_json::from_slice(quoted).ok().map(Cow::Owned);
    }
    std::str::from_utf8(plain).ok().map(Cow::Borrowed)
}
