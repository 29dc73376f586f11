//! Inner texts that are joined without decoding.

use crate::json::{Write, trim, trim_end, trim_start};

/// Whether there is only white space.
pub(crate) fn is_blank(inner: &str) -> bool {
    trim(inner).is_empty()
}

/// Appends inner texts with a separator between them, trimmed at both ends.
pub(crate) fn join<T: AsRef<str>>(texts: &[T], separator: &str, out: &mut Vec<u8>) {
    let is_blank = |text: &&T| is_blank(text.as_ref());
    let first = texts.iter().take_while(is_blank).count();
    let texts = &texts[first..];
    let texts = &texts[..texts.len() - texts.iter().rev().take_while(is_blank).count()];
    for (at, text) in texts.iter().map(AsRef::as_ref).enumerate() {
        let text = if at == 0 { trim_start(text) } else { text };
        if at > 0 {
            out.raw(separator);
        }
        out.raw(if at + 1 == texts.len() { trim_end(text) } else { text });
    }
}
