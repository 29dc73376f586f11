//! Decodes content codings (RFC 9110, 8.4.1): compressed bodies in pieces of any size to their content.
//!
//! A [`Decoder`] returns at most [`BLOCK`] bytes at a time, so that its caller can keep its own bounds: a body that
//! expands a thousandfold is never held in memory as a whole.

mod brotli;
mod deflate;
mod gzip;
mod zstd;

use bytes::{Buf as _, Bytes};

/// The most bytes that one decoding step returns. gzip may return twice as many.
pub const BLOCK: usize = 32 << 10;
/// How much of a header an error repeats, in bytes.
const LONGEST_NAME: usize = 64;

/// A supported content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    Gzip,
    /// In zlib's format, as the standard requires, or without it, as some servers send it.
    Deflate,
    Brotli,
    Zstd,
}

/// A `content-encoding` that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("content-encoding '{0}'")]
pub struct Unsupported(String);

/// The body is invalid in its coding: it is damaged, truncated, or has data after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the compressed body is damaged or incomplete")]
pub struct Damaged;

impl ContentCoding {
    /// Parses the values of all `content-encoding` headers of a message. `None` means that the body is not encoded.
    ///
    /// # Errors
    /// The coding is unknown, or several codings are applied in sequence.
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

/// Returns the beginning of a header's value in printable form.
fn printable(value: &[u8]) -> String {
    let shown = value.iter().take(LONGEST_NAME);
    shown.map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' }).collect()
}

/// The decoder of one coding.
trait Decode {
    /// Consumes bytes from the front of `input` and writes the decoded bytes to `out`. Returns how many bytes were
    /// consumed. A step that neither consumes nor writes anything needs more input.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Damaged>;

    /// Whether the input so far is complete and intact.
    fn is_complete(&mut self) -> bool;
}

/// Decodes one body: [`push`](Self::push) each received piece, call [`decode`](Self::decode) until it returns `None`,
/// and call [`finish`](Self::finish) at the end of the body.
pub struct Decoder {
    coding: Box<dyn Decode>,
    input: Bytes,
    out: Vec<u8>,
    has_begun: bool,
}

impl Decoder {
    /// Creates a decoder for one body in this coding.
    #[must_use]
    pub fn new(coding: ContentCoding) -> Self {
        let coding: Box<dyn Decode> = match coding {
            ContentCoding::Gzip => Box::new(gzip::Gzip::new()),
            ContentCoding::Deflate => Box::new(deflate::Deflate::new()),
            ContentCoding::Brotli => Box::new(brotli::Brotli::new()),
            ContentCoding::Zstd => Box::new(zstd::Zstd::new()),
        };
        Self { coding, input: Bytes::new(), out: Vec::new(), has_begun: false }
    }

    /// Adds the next piece of the encoded body. It follows the undecoded rest of the last piece.
    pub fn push(&mut self, piece: Bytes) {
        self.has_begun |= !piece.is_empty();
        if self.input.is_empty() {
            self.input = piece;
        } else if !piece.is_empty() {
            self.input = [&self.input[..], &piece].concat().into();
        }
    }

    /// Returns the next block of content, never empty, or `None` when the pieces so far are fully decoded.
    ///
    /// # Errors
    /// The body is damaged, or has data after its end.
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

    /// Ends the body.
    ///
    /// # Errors
    /// The coded data is incomplete: the body was truncated, or its checksum does not match.
    pub fn finish(&mut self) -> Result<(), Damaged> {
        // A body of zero bytes has no content, whatever its header states.
        let is_over = !self.has_begun || self.coding.is_complete();
        if is_over && self.input.is_empty() { Ok(()) } else { Err(Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Option<ContentCoding>, String> {
        ContentCoding::parse(values.iter().map(|value| value.as_bytes())).map_err(|error| error.to_string())
    }

    #[test]
    fn a_message_is_plain_or_in_one_known_coding() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&["", " identity ", "IDENTITY,"]), Ok(None));
        assert_eq!(parse(&["gzip"]), Ok(Some(ContentCoding::Gzip)));
        assert_eq!(parse(&["identity, X-GZip"]), Ok(Some(ContentCoding::Gzip)));
        assert_eq!(parse(&["Deflate"]), Ok(Some(ContentCoding::Deflate)));
        assert_eq!(parse(&["br"]), Ok(Some(ContentCoding::Brotli)));
        assert_eq!(parse(&["identity", "zstd"]), Ok(Some(ContentCoding::Zstd)));
    }

    #[test]
    fn an_unsupported_coding_is_named_within_bounds() {
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
