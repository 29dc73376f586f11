//! A walk over JSON text that builds nothing: it knows where values begin and end.
//!
//! What is walked (an object's members, an array's elements) is held to the grammar; what is skipped only to
//! matching brackets and terminated strings. No recursion, whatever the depth.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr_iter;
use serde::de::IgnoredAny;

/// Where the text stopped being JSON.
#[derive(Debug)]
pub(super) struct NotJson {
    pub(super) offset: usize,
}

pub(super) type Walk<T> = Result<T, NotJson>;

pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte that is not white space.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let mut cursor = Self { text, at: 0 };
        cursor.space();
        cursor
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

    /// Walks an object; `each` gets the decoded key and must consume the value, at which the cursor stands.
    pub(super) fn members(&mut self, mut each: impl FnMut(&mut Self, &str) -> Walk<()>) -> Walk<()> {
        self.entries(|cursor, _, key| each(cursor, key))
    }

    /// The same; `each` also gets where the member begins.
    pub(super) fn entries(&mut self, mut each: impl FnMut(&mut Self, usize, &str) -> Walk<()>) -> Walk<()> {
        self.list(b'{', b'}', |cursor| {
            let start = cursor.at;
            let key = cursor.key()?;
            cursor.space();
            cursor.expect(b':')?;
            cursor.space();
            each(cursor, start, &key)
        })
    }

    /// Walks an array; `each` must consume the element, at which the cursor stands.
    pub(super) fn elements(&mut self, each: impl FnMut(&mut Self) -> Walk<()>) -> Walk<()> {
        self.list(b'[', b']', each)
    }

    /// Skips one value and says where it stands.
    pub(super) fn value(&mut self) -> Walk<Range<usize>> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'{' | b'[') => self.container()?,
            _ => self.scalar()?,
        }
        Ok(start..self.at)
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Walk<()> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { self.fail() }
    }

    fn list(&mut self, open: u8, close: u8, mut each: impl FnMut(&mut Self) -> Walk<()>) -> Walk<()> {
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

    fn key(&mut self) -> Walk<Cow<'a, str>> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return self.fail();
        }
        self.string()?;
        decoded(&self.text[start..self.at]).ok_or(NotJson { offset: start })
    }

    /// A quote ends the string unless an odd number of backslashes stands before it.
    fn string(&mut self) -> Walk<()> {
        let inside = &self.text[self.at + 1..];
        let is_end = |&quote: &usize| {
            let backslashes = inside[..quote].iter().rev().take_while(|&&byte| byte == b'\\').count();
            backslashes.is_multiple_of(2)
        };
        match memchr_iter(b'"', inside).find(is_end) {
            Some(quote) => self.at += quote + 2,
            None => return Err(NotJson { offset: self.text.len() }),
        }
        Ok(())
    }

    fn container(&mut self) -> Walk<()> {
        let mut open = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(b'{') => open.push(b'}'),
                Some(b'[') => open.push(b']'),
                Some(close @ (b'}' | b']')) if open.pop() != Some(close) => return self.fail(),
                None => return self.fail(),
                Some(_) => {}
            }
            self.at += 1;
            if open.is_empty() {
                return Ok(());
            }
        }
    }

    fn scalar(&mut self) -> Walk<()> {
        let behind = &self.text[self.at..];
        let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
        let length = behind.iter().position(is_end).unwrap_or(behind.len());
        if serde_json::from_slice::<IgnoredAny>(&behind[..length]).is_err() {
            return self.fail();
        }
        self.at += length;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Walk<()> {
        if self.peek() != Some(byte) {
            return self.fail();
        }
        self.at += 1;
        Ok(())
    }

    fn fail<T>(&self) -> Walk<T> {
        Err(NotJson { offset: self.at })
    }
}

/// What a string with its quotes says; `None` if it is no valid string.
pub(super) fn decoded(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let plain = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if plain.iter().any(|&byte| byte == b'\\' || byte < b' ') {
        return serde_json::from_slice(quoted).ok().map(Cow::Owned);
    }
    std::str::from_utf8(plain).ok().map(Cow::Borrowed)
}
