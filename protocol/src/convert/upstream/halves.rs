//! Joins escaped surrogate pairs that an upstream split over two chunks. Many clients refuse half a pair, or replace it with
//! U+FFFD. *Inner text* is the text of a JSON string without its quotes and with its escapes.

use std::borrow::Cow;

/// The escaped first half of a pair, held until the second half arrives.
#[derive(Debug, Default)]
pub(super) struct Halves(Option<String>);

/// The replacement for a half without its other half.
const REPLACEMENT: &str = "\\ufffd";
/// The length of an escape.
const ESCAPE: usize = 6;

impl Halves {
    /// Returns the inner text that can be sent: the held half, then the text without a half at its end.
    pub(super) fn join<'t>(&mut self, inner: &'t str) -> Cow<'t, str> {
        let (whole, half) = inner.split_at(inner.len() - first_half_at_the_end(inner));
        let waited = if inner.is_empty() { None } else { self.0.take() };
        if !half.is_empty() {
            self.0 = Some(half.to_owned());
        }
        match waited {
            None => Cow::Borrowed(whole),
            Some(first) if is_second_half(whole) => Cow::Owned(first + whole),
            Some(_) => Cow::Owned(format!("{REPLACEMENT}{whole}")),
        }
    }

    /// Returns the held half, replaced, at the end of the block.
    pub(super) fn rest(&mut self) -> &'static str {
        if self.0.take().is_some() { REPLACEMENT } else { "" }
    }
}

/// The length of a first half at the end of this text; 0 if there is none.
fn first_half_at_the_end(inner: &str) -> usize {
    let Some((head, escape)) = inner.len().checked_sub(ESCAPE).and_then(|at| inner.split_at_checked(at))
    else {
        return 0;
    };
    // An odd run before it means that its backslash was the second half of an escaped one.
    let backslashes = head.bytes().rev().take_while(|&byte| byte == b'\\').count();
    let is_half = code(escape).is_some_and(|code| (0xD800..0xDC00).contains(&code));
    if is_half && backslashes % 2 == 0 { ESCAPE } else { 0 }
}

fn is_second_half(inner: &str) -> bool {
    code(inner).is_some_and(|code| (0xDC00..0xE000).contains(&code))
}

/// The code unit of an escape at the start of this text.
fn code(inner: &str) -> Option<u16> {
    let digits = inner.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(pieces: &[&str]) -> String {
        let mut halves = Halves::default();
        let mut text: String = pieces.iter().map(|piece| halves.join(piece).into_owned()).collect();
        text.push_str(halves.rest());
        text
    }

    /// Complaint of gateway users: characters break at the borders of chunks.
    #[test]
    fn a_pair_goes_out_in_one_piece() {
        let mut halves = Halves::default();
        assert_eq!(halves.join(r"a\ud83d"), "a");
        assert_eq!(halves.join(""), "");
        assert_eq!(halves.join(r"\ude00b"), r"\ud83d\ude00b");
        assert_eq!(halves.rest(), "");
    }

    #[test]
    fn a_half_that_stays_alone_is_replaced() {
        assert_eq!(joined(&[r"\ud83d", "x"]), r"\ufffdx");
        assert_eq!(joined(&[r"\ud83d", r"\ud83d", r"\ude00"]), r"\ufffd\ud83d\ude00");
        assert_eq!(joined(&[r"x\uD83D"]), r"x\ufffd");
    }

    #[test]
    fn what_only_looks_like_a_half_goes_out_as_it_is() {
        for text in [r"\\ud83d", r"\ude00", r"\u00e9", "ud83d", "é", r"\\\\ud83d"] {
            assert_eq!(joined(&[text]), text);
        }
        assert_eq!(joined(&[r"\\\ud83d"]), r"\\\ufffd");
    }
}
