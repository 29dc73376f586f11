//! Cuts text from outside to a length that can be stored or logged.

/// The most characters of a text in one log line.
pub const LINE: usize = 300;
/// The most bytes of an upstream's error text that the gateway repeats to a client in its own error.
pub const ERROR: usize = 8 << 10;

/// The first `most` characters of a text, on one line.
pub fn one_line(text: &str, most: usize) -> String {
    if text.len() <= most && is_printable(text) {
        return text.to_owned();
    }
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a text has only printable characters of ASCII.
pub(crate) fn is_printable(text: &str) -> bool {
    // Without an early exit, the loop is vectorised.
    text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'))
}

/// The text if it has at most `most` bytes; otherwise as much of it as fits, followed by a mark.
pub fn cut(mut text: String, most: usize) -> String {
    const MARK: &str = "…";
    if text.len() > most {
        let mut end = most.saturating_sub(MARK.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MARK);
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short".to_owned(), 5), "short");
        for most in 3..20 {
            let text = cut("é".repeat(40), most);
            assert!(text.len() <= most && text.ends_with('…'), "{most}: {text}");
        }
        assert_eq!(one_line("a\nb\u{1b}c", 4), "a b ");
    }
}
