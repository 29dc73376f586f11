//! Reads JSON text whose shape is known. The reader is strict: `None` means that the text is not plain or not valid, and
//! then another reader decides. Escaped names, deep nesting and numbers with an exponent are not plain.

use wide::u8x16;

const LANE: usize = 16;

/// The number of bytes before the first quote, backslash or control character.
pub(crate) fn ordinary(bytes: &[u8]) -> usize {
    let (lanes, rest) = bytes.as_chunks::<LANE>();
    for (number, lane) in lanes.iter().enumerate() {
        let lane = u8x16::new(*lane);
        let control = lane.min(u8x16::splat(0x1F)).simd_eq(lane);
        let special = control | lane.simd_eq(u8x16::splat(b'"')) | lane.simd_eq(u8x16::splat(b'\\'));
        let bits = special.to_bitmask();
        if bits != 0 {
            return number * LANE + bits.trailing_zeros() as usize;
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1F);
    bytes.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The length of the escape at the start of these bytes. Halves of surrogate pairs count, as they do for `RawValue`.
pub(crate) fn escape(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => bytes.get(2..6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// Reads a text from start to end.
pub(crate) struct PlainReader<'a> {
    text: &'a str,
    at: usize,
}

/// The members with a meaning that an object has had so far, one bit for each.
#[derive(Default)]
pub(crate) struct Seen(u16);

impl Seen {
    /// Notes a member; `None` if it occurs twice, which is invalid.
    pub(crate) fn note(&mut self, member: u16) -> Option<()> {
        let bit = 1 << member;
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new.then_some(())
    }
}

impl<'a> PlainReader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Requires that nothing but white space follows.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Reads a list. `each` reads each element.
    pub(crate) fn elements(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            each(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Reads a string without escapes.
    pub(crate) fn word(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes().get(start..)?;
        let length = ordinary(bytes);
        if bytes.get(length) != Some(&b'"') {
            return None;
        }
        self.at += length + 1;
        Some(&self.text[start..start + length])
    }

    /// Reads such a string, or null.
    pub(crate) fn word_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.peek()? == b'n' { self.null().map(|()| None) } else { self.word().map(Some) }
    }

    /// Reads a whole number that fits, or null.
    pub(crate) fn count_or_null(&mut self) -> Option<Option<u64>> {
        if self.peek()? == b'n' {
            return self.null().map(|()| None);
        }
        let start = self.at;
        self.digits()?;
        let digits = &self.text[start..self.at];
        let follows = self.text.as_bytes().get(self.at);
        if (digits.starts_with('0') && digits.len() > 1) || matches!(follows, Some(b'.' | b'e' | b'E')) {
            return None;
        }
        digits.parse().ok().map(Some)
    }

    /// Reads an object. `each` reads the value of each member.
    pub(crate) fn members(&mut self, mut each: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            // An escaped name may be one that has a meaning.
            let name = self.word()?;
            self.expect(b':')?;
            each(self, name.as_bytes())?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Skips a value without a meaning.
    pub(crate) fn skip(&mut self, depth: u8) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'n' => self.literal("null"),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => {
                let depth = depth.checked_sub(1)?;
                self.members(|reader, _| reader.skip(depth))
            }
            b'[' => {
                let depth = depth.checked_sub(1)?;
                self.elements(|reader| reader.skip(depth))
            }
            _ => None,
        }
    }

    /// Reads an integer, or a number with a fraction.
    fn number(&mut self) -> Option<()> {
        if self.text.as_bytes().get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let first = *self.text.as_bytes().get(self.at)?;
        let digits = self.digits()?;
        if first == b'0' && digits > 1 {
            return None;
        }
        if self.text.as_bytes().get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        // An exponent is left: nothing that may follow a value begins with it.
        Some(())
    }

    /// Skips one digit or more, and returns their number.
    fn digits(&mut self) -> Option<usize> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += digits;
        (digits > 0).then_some(digits)
    }

    pub(crate) fn zero(&mut self) -> Option<()> {
        self.expect(b'0')?;
        let is_longer = matches!(self.text.as_bytes().get(self.at)?, b'0'..=b'9' | b'.' | b'e' | b'E');
        (!is_longer).then_some(())
    }

    pub(crate) fn null(&mut self) -> Option<()> {
        self.peek()?;
        self.literal("null")
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        rest.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    pub(crate) fn string_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.peek()? == b'n' { self.null().map(|()| None) } else { self.string().map(Some) }
    }

    /// Reads a string, and returns its inner text.
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        loop {
            self.at += ordinary(&bytes[self.at..]);
            match bytes.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += escape(&bytes[self.at..])?,
                _ => return None,
            }
        }
        self.at += 1;
        Some(&self.text[start..self.at - 1])
    }

    /// Consumes this byte, and white space before it.
    pub(crate) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Skips white space, and returns the byte that follows.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.text.as_bytes().get(self.at)? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }
}
