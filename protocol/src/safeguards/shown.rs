//! Texts as a judge sees them: bounded, with a visible mark where something is missing.

use serde_json::Value;

/// The first `most` bytes of a text, and a mark if there are more.
pub(super) fn text(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}… [cut: {} more bytes]", &text[..end], text.len() - end)
}

/// A JSON text as a value, or cut as a text. The second value is whether it was cut.
pub(super) fn json(written: &str, most: usize) -> (Value, bool) {
    if written.len() <= most
        && let Ok(value) = serde_json::from_str(written)
    {
        return (value, false);
    }
    (Value::String(text(written, most)), written.len() > most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(text("äbc", 4), "äbc");
        assert_eq!(text("äbcd", 1), "… [cut: 5 more bytes]");
        assert_eq!(json("{\"a\":1}", 7), (serde_json::json!({"a": 1}), false));
        assert_eq!(json("{\"a\":12}", 7), (Value::from("{\"a\":12… [cut: 1 more bytes]"), true));
        assert_eq!(json("{", 7), (Value::from("{"), false));
    }
}
