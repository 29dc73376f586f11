//! Decodes the forms in which a text can carry another one: JSON escapes, percent-encoding and base64.

use std::borrow::Cow;
use std::ops::Range;

use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD, URL_SAFE_NO_PAD,
};
use base64::engine::{DecodePaddingMode, Engine};

/// Accepts text without padding and with leftover bits in the last character, as a cut leaves them.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// The number of base64 characters for three bytes. The encoded text can start at any of them.
const GROUP: usize = 4;

/// The text without JSON escapes; `None` if there are none.
pub(super) fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', text)?;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, left) = match (first, after) {
            (b'\\', [b'u', digits @ ..]) => match hex(digits, 4) {
                Some(code) => {
                    let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &digits[4..];
                    continue;
                }
                None => (b'u', digits),
            },
            (b'\\', [b'n' | b'r' | b't' | b'b' | b'f', left @ ..]) => (b' ', left),
            (b'\\', [escaped, left @ ..]) => (*escaped, left),
            (byte, left) => (byte, left),
        };
        out.push(byte);
        rest = left;
    }
    Some(out)
}

/// The text without percent-encoding; `None` if there is none.
pub(super) fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    match Cow::from(percent_encoding::percent_decode(text)) {
        Cow::Owned(decoded) => Some(decoded),
        Cow::Borrowed(_) => None,
    }
}

/// The strings of which every base64 encoding of a text with `key` contains one, in either alphabet: for each position
/// of the key in a group, the characters that its neighbours do not change.
pub(super) fn base64_forms(key: &[u8]) -> impl Iterator<Item = String> {
    [(0, 0), (1, 2), (2, 3)].into_iter().flat_map(move |(before, changed)| {
        let mut text = vec![0; before];
        text.extend_from_slice(key);
        let complete = text.len() * 8 / 6;
        [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)]
            .map(|form| form[changed..complete].to_owned())
    })
}

/// The ranges that may be base64 of `shortest` bytes or more.
pub(super) fn base64_runs(text: &[u8], shortest: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let start = at + text[at..].iter().position(|&byte| is_base64(byte))?;
            let length = text[start..].iter().position(|&byte| !is_base64(byte));
            at = length.map_or(text.len(), |length| start + length);
            if (at - start) * 3 / GROUP >= shortest {
                return Some(start..at);
            }
        }
        None
    })
}

/// The possible decodings of a run, which can start inside a group.
pub(super) fn base64_decoded(run: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let standard: Vec<u8> = run
        .iter()
        .map(|&byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    (0..GROUP).filter_map(move |skipped| {
        let text = standard.get(skipped..)?;
        // A single character does not encode a byte.
        let whole = if text.len() % GROUP == 1 { text.len() - 1 } else { text.len() };
        BASE64.decode(&text[..whole]).ok()
    })
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

fn hex(text: &[u8], digits: usize) -> Option<u32> {
    let digits = text.get(..digits).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_escapes_are_resolved() {
        let plain = |text: &str| unescaped(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(plain("none"), None);
        assert_eq!(plain(r#"a\u002db\/c\"d\ne"#).as_deref(), Some("a-b/c\"d e"));
        for cut in ["\\", "\\u", "\\u00", "\\uzzzz"] {
            assert!(plain(cut).is_some(), "{cut}");
        }
    }

    #[test]
    fn the_forms_of_a_key_are_in_every_base64_of_it() {
        for key in ["sk-01234", "sk-012345", "sk-0123456?>~"] {
            let forms: Vec<_> = base64_forms(key.as_bytes()).collect();
            for (before, after) in
                [("", ""), ("u:", ""), ("user:", "x"), ("a", "é"), ("ab", "cd"), ("abc", "")]
            {
                let text = format!("{before}{key}{after}");
                for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    assert!(forms.iter().any(|form| encoded.contains(form)), "{text}: {encoded} {forms:?}");
                }
            }
        }
    }

    #[test]
    fn base64_is_decoded_from_any_start() {
        let runs: Vec<_> = base64_runs(b"x Basic dXNlcjprZXktMDEyMzQ= y", 8).collect();
        assert_eq!(runs.len(), 1);
        let decoded: Vec<_> = base64_decoded(b"xdXNlcjprZXktMDEyMzQ").collect();
        assert!(decoded.iter().any(|text| text.windows(9).any(|part| part == b"key-01234")), "{decoded:?}");
    }
}
