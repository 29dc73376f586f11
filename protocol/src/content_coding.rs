//! Content codings (RFC 9110, 8.4.1): a compressed body in any slicing on one side, its content on the other.
//!
//! A [`Decoder`] gives at most [`BLOCK`] bytes at a time, so that whoever reads it keeps its own bounds: a body that
//! expands a thousandfold never stands in memory as a whole.

mod brotli;
mod deflate;
mod gzip;
mod zstd;

use bytes::{Buf as _, Bytes};

/// What one step of decoding gives at most, bytes. gzip may give twice as much.
pub const BLOCK: usize = 32 << 10;
/// How much of a header is repeated in an error.
const LONGEST_NAME: usize = 64;

/// A coding that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    /// In zlib's frame, as the standard says, or without it, as some servers do.
    Deflate,
    Brotli,
    Zstd,
}

/// A `content-encoding` that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("content-encoding '{0}'")]
pub struct Unsupported(String);

/// The body is not what its coding says: it is damaged, was cut, or has more behind its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the compressed body is damaged or incomplete")]
pub struct Damaged;

impl Coding {
    /// Reads the values of all `content-encoding` headers of a message. `None` means that it is not encoded.
    ///
    /// # Errors
    /// The coding is unknown, or there are several, one upon the other.
    pub fn parse<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Option<Self>, Unsupported> {
        let values: Vec<&[u8]> = values.into_iter().collect();
        let named = values.iter().flat_map(|value| value.split(|&byte| byte == b','));
        let named = named.map(<[u8]>::trim_ascii);
        let mut named = named.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        let Some(name) = named.next() else { return Ok(None) };
        let known = [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ];
        let coding = known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        match (coding, named.next()) {
            (Some(&(_, coding)), None) => Ok(Some(coding)),
            _ => Err(Unsupported(printable(&values.join(&b", "[..])))),
        }
    }
}

/// The beginning of a header's value, fit to be shown.
fn printable(value: &[u8]) -> String {
    let shown = value.iter().take(LONGEST_NAME);
    shown.map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' }).collect()
}

/// How one coding is undone.
trait Decode {
    /// Takes from the front of `input` what it can use, and writes what follows from it into `out`.
    /// A step that neither takes nor writes anything needs more input.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Damaged>;

    /// Whether what came so far is complete and intact.
    fn is_complete(&mut self) -> bool;
}

/// Decodes one body: [`push`](Self::push) what has come, [`decode`](Self::decode) until it says `None`, and so on;
/// [`finish`](Self::finish) when the body has ended.
pub struct Decoder {
    coding: Box<dyn Decode>,
    input: Bytes,
    out: Vec<u8>,
    has_begun: bool,
}

impl Decoder {
    #[must_use]
    pub fn new(coding: Coding) -> Self {
        let coding: Box<dyn Decode> = match coding {
            Coding::Gzip => Box::new(gzip::Gzip::new()),
            Coding::Deflate => Box::new(deflate::Deflate::new()),
            Coding::Brotli => Box::new(brotli::Brotli::new()),
            Coding::Zstd => Box::new(zstd::Zstd::new()),
        };
        Self { coding, input: Bytes::new(), out: Vec::new(), has_begun: false }
    }

    /// The next piece of the encoded body. What the last one still holds comes first.
    pub fn push(&mut self, piece: Bytes) {
        self.has_begun |= !piece.is_empty();
        if self.input.is_empty() {
            self.input = piece;
        } else if !piece.is_empty() {
            self.input = [&self.input[..], &piece].concat().into();
        }
    }

    /// The next block of content, never empty, or `None` when all that follows from the pieces so far is out.
    ///
    /// # Errors
    /// The body is damaged, or has more behind its end.
    pub fn decode(&mut self) -> Result<Option<Bytes>, Damaged> {
        loop {
            self.out.clear();
            let taken = self.coding.step(&self.input, &mut self.out)?;
            self.input.advance(taken);
            if !self.out.is_empty() {
                return Ok(Some(Bytes::copy_from_slice(&self.out)));
            }
            if taken == 0 {
                return Ok(None);
            }
        }
    }

    /// The body has ended.
    ///
    /// # Errors
    /// Its coding has not: it was cut, or its checksum is another.
    pub fn finish(&mut self) -> Result<(), Damaged> {
        // A body without any bytes has no content, whatever its header says.
        let is_over = !self.has_begun || self.coding.is_complete();
        if is_over && self.input.is_empty() { Ok(()) } else { Err(Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Option<Coding>, String> {
        Coding::parse(values.iter().map(|value| value.as_bytes())).map_err(|error| error.to_string())
    }

    #[test]
    fn a_message_is_plain_or_in_one_known_coding() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&["", " identity ", "IDENTITY,"]), Ok(None));
        assert_eq!(parse(&["gzip"]), Ok(Some(Coding::Gzip)));
        assert_eq!(parse(&["identity, X-GZip"]), Ok(Some(Coding::Gzip)));
        assert_eq!(parse(&["Deflate"]), Ok(Some(Coding::Deflate)));
        assert_eq!(parse(&["br"]), Ok(Some(Coding::Brotli)));
        assert_eq!(parse(&["identity", "zstd"]), Ok(Some(Coding::Zstd)));
    }

    #[test]
    fn what_cannot_be_decoded_is_named_and_bounded() {
        for (values, shown) in [
            (&["gzip, br"][..], "content-encoding 'gzip, br'"),
            (&["gzip", "gzip"], "content-encoding 'gzip, gzip'"),
            (&["sn\u{e9}ppy\u{7}"], "content-encoding 'sn??ppy?'"),
        ] {
            assert_eq!(parse(values), Err(shown.to_owned()));
        }
        let long = parse(&[&"x".repeat(100_000)]).unwrap_err();
        assert!(long.len() < 100, "{long}");
    }
}
