//! Joins the arguments of one call, which arrive in pieces, to one object. Some vendors send a placeholder (`{}`) first, the object
//! twice, or all earlier text with every piece. *Inner text* is the text of a JSON string without its quotes and with its escapes.

use std::borrow::Cow;

use super::fingerprint::Fingerprint;
use crate::json;

const EMPTY: &str = "{}";

/// Scans argument text for the end of the JSON object and for repetitions.
#[derive(Debug, Default)]
pub(super) struct ArgumentsObject {
    phase: ArgumentsPhase,
    depth: usize,
    /// The object is empty so far.
    is_bare: bool,
    /// Whether a part of the object was sent.
    is_shown: bool,
    /// The last byte that is not white space.
    last: u8,
    /// The hash of all bytes so far, and their number.
    print: Fingerprint,
    length: usize,
    is_cumulative: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum ArgumentsPhase {
    #[default]
    Empty,
    /// The text is only white space so far.
    Blank,
    Inside,
    InString,
    Escaped,
    Complete,
    /// The text does not begin with a brace.
    NoObject,
}

impl ArgumentsObject {
    /// Whether the object is complete, so that nothing can follow.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.phase, ArgumentsPhase::Complete)
    }

    /// Whether the end of an empty object is held, because the real object may follow.
    pub(super) fn is_withheld(&self) -> bool {
        self.is_complete() && self.is_bare
    }

    /// The missing end of the object, when no more text can arrive.
    pub(super) fn rest(&self) -> &'static str {
        match (self.has_begun(), self.is_withheld()) {
            (false, _) => EMPTY,
            (true, true) if self.is_shown => "}",
            (true, true) => EMPTY,
            (true, false) => "",
        }
    }

    /// Whether any text has arrived.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.phase, ArgumentsPhase::Empty)
    }

    /// Whether this text, which arrived as one piece, repeats the whole object.
    pub(super) fn is_repeated_by(&self, inner: &str) -> bool {
        self.is_complete()
            && !self.is_bare
            && inner.len() == self.length
            && Fingerprint::from_text(inner) == self.print
    }

    /// Takes the next piece (inner text) and returns the new part of it.
    pub(super) fn take<'t>(&mut self, inner: &'t str) -> Cow<'t, str> {
        if inner.is_empty() {
            return Cow::Borrowed("");
        }
        if self.is_resent(inner) {
            self.is_cumulative = true;
            return self.grow(&inner[self.length..]);
        }
        self.grow(inner)
    }

    /// Takes the whole arguments, which may have come in pieces before. Returns the part that is missing. Arguments that are not
    /// those of the pieces are dropped.
    pub(super) fn take_whole<'t>(&mut self, inner: &'t str) -> Cow<'t, str> {
        let is_placeholder = self.is_withheld();
        if !self.has_begun() || is_placeholder {
            return self.grow(inner);
        }
        match inner.split_at_checked(self.length) {
            Some((before, rest)) if Fingerprint::from_text(before) == self.print => self.grow(rest),
            Some(_) | None => Cow::Borrowed(""),
        }
    }

    /// Whether a piece begins with all earlier text. The answer is no if the piece can continue that text: a nested object may begin in
    /// the same way.
    fn is_resent(&self, inner: &str) -> bool {
        let may_be = match self.phase {
            ArgumentsPhase::Inside => self.is_cumulative || !matches!(self.last, b':' | b'['),
            // An unescaped quote would end the string after the brace.
            ArgumentsPhase::InString | ArgumentsPhase::Escaped => true,
            ArgumentsPhase::Empty
            | ArgumentsPhase::Blank
            | ArgumentsPhase::Complete
            | ArgumentsPhase::NoObject => false,
        };
        may_be
            && inner.split_at_checked(self.length).is_some_and(|(before, rest)| {
                // The rest of a split escape would not be valid text.
                Fingerprint::from_text(before) == self.print && json::decode_text(rest).is_some()
            })
    }

    fn grow<'t>(&mut self, inner: &'t str) -> Cow<'t, str> {
        let mut new = Cow::Borrowed("");
        let mut rest = inner;
        while !rest.is_empty() {
            let mut piece = match self.phase {
                ArgumentsPhase::Complete if !self.is_bare => break,
                ArgumentsPhase::Complete => match self.replace(rest) {
                    Some(behind) => {
                        rest = behind;
                        continue;
                    }
                    None => break,
                },
                ArgumentsPhase::Empty
                | ArgumentsPhase::Blank
                | ArgumentsPhase::Inside
                | ArgumentsPhase::InString
                | ArgumentsPhase::Escaped
                | ArgumentsPhase::NoObject => &rest[..self.feed(rest)],
            };
            rest = &rest[piece.len()..];
            if self.is_withheld() {
                // The brace is the last character of the piece. It may be escaped.
                let before = piece.strip_suffix('}').or_else(|| piece.get(..piece.len().saturating_sub(6)));
                piece = before.filter(|_| self.is_shown).unwrap_or_default();
            }
            self.is_shown |= !piece.is_empty();
            if new.is_empty() { new = Cow::Borrowed(piece) } else { new.to_mut().push_str(piece) }
        }
        new
    }

    /// Replaces an empty object with another one. Returns the new part of it: the opening brace may have been sent.
    fn replace<'t>(&mut self, inner: &'t str) -> Option<&'t str> {
        let object = json::trim_start(inner);
        let behind = object.strip_prefix('{')?;
        if !self.is_shown {
            *self = Self::default();
            return Some(object);
        }
        self.phase = ArgumentsPhase::Inside;
        self.depth = 1;
        self.last = b'{';
        self.print = Fingerprint::default();
        self.length = 0;
        self.count("{");
        Some(behind)
    }

    fn count(&mut self, taken: &str) {
        self.print.take(taken);
        self.length += taken.len();
    }

    /// Scans inner text up to the end of the object and returns the length of that part. Escapes of the object are escaped twice in
    /// inner text.
    fn feed(&mut self, inner: &str) -> usize {
        let mut bytes = inner.bytes();
        while let Some(byte) = bytes.next() {
            let meant = match byte {
                b'\\' => match bytes.next() {
                    Some(b'n' | b't' | b'r') => b' ',
                    Some(b'u') => ascii(std::array::from_fn(|_| bytes.next().unwrap_or(b'?'))),
                    Some(escaped) => escaped,
                    None => break,
                },
                plain => plain,
            };
            self.step(meant);
            if self.is_complete() {
                break;
            }
        }
        let taken = inner.len() - bytes.len();
        self.count(&inner[..taken]);
        taken
    }

    fn step(&mut self, byte: u8) {
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.phase = match (self.phase, byte) {
            (ArgumentsPhase::Empty | ArgumentsPhase::Blank, _) if is_space => ArgumentsPhase::Blank,
            (ArgumentsPhase::Empty | ArgumentsPhase::Blank, b'{') => {
                self.is_bare = true;
                self.enter()
            }
            (ArgumentsPhase::Empty | ArgumentsPhase::Blank, _) | (ArgumentsPhase::NoObject, _) => {
                ArgumentsPhase::NoObject
            }
            (ArgumentsPhase::Inside, b'}' | b']') => self.leave(byte),
            (ArgumentsPhase::Inside, _) => {
                self.is_bare &= is_space;
                match byte {
                    b'{' | b'[' => self.enter(),
                    b'"' => ArgumentsPhase::InString,
                    _ => ArgumentsPhase::Inside,
                }
            }
            (ArgumentsPhase::InString, b'\\') => ArgumentsPhase::Escaped,
            (ArgumentsPhase::InString, b'"') => ArgumentsPhase::Inside,
            (ArgumentsPhase::InString | ArgumentsPhase::Escaped, _) => ArgumentsPhase::InString,
            (ArgumentsPhase::Complete, _) => ArgumentsPhase::Complete,
        };
        if !is_space {
            self.last = byte;
        }
    }

    fn enter(&mut self) -> ArgumentsPhase {
        self.depth += 1;
        ArgumentsPhase::Inside
    }

    fn leave(&mut self, byte: u8) -> ArgumentsPhase {
        self.depth -= 1;
        match (self.depth, byte) {
            (0, b'}') => ArgumentsPhase::Complete,
            (0, _) => ArgumentsPhase::NoObject,
            _ => ArgumentsPhase::Inside,
        }
    }
}

/// The ASCII character of four hexadecimal digits; any other yields a character that has no meaning in JSON.
fn ascii(digits: [u8; 4]) -> u8 {
    let code = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
    code.filter(u8::is_ascii).unwrap_or(b'?')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn complete(text: &str) -> bool {
        let mut object = ArgumentsObject::default();
        object.take(&json::escape_text(text));
        object.is_complete()
    }

    /// The output for these pieces, the end included.
    fn sent(pieces: &[&str]) -> String {
        let mut object = ArgumentsObject::default();
        let mut out = String::new();
        for piece in pieces {
            out.push_str(&object.take(&json::escape_text(piece)));
        }
        out.push_str(if object.is_withheld() { object.rest() } else { "" });
        json::decode_text(&out).unwrap().into_owned()
    }

    #[test]
    fn an_object_is_complete_at_its_last_brace_and_not_before() {
        let json = r#" {"a":"}\"{","b":[{"c":1}],"d":"\\"} "#;
        let end = json.rfind('}').unwrap();
        for at in 0..json.len() {
            assert_eq!(complete(&json[..at]), at > end, "{}", &json[..at]);
        }
    }

    #[test]
    fn what_is_no_object_is_never_complete_and_goes_out_as_it_is() {
        for json in ["", " ", "1", "[]", "\"{}\"", "x{}"] {
            assert!(!complete(json), "{json}");
            assert_eq!(sent(&[json, json]), json.repeat(2));
        }
    }

    #[test]
    fn an_escaped_quote_counts_as_a_quote() {
        let mut object = ArgumentsObject::default();
        object.take(r"{\u0022a}\u0022:1");
        assert!(!object.is_complete());
        object.take("}");
        assert!(object.is_complete());
    }

    #[test]
    fn a_placeholder_gives_way_to_the_object() {
        const OBJECT: &str = r#"{"a":{}}"#;
        for pieces in [
            &["{}", OBJECT][..],
            &["{", "}", OBJECT],
            &["{ }", " \n", "{\"a\"", ":{}}"],
            &["{}{\"a\":{}}"],
            &["{}", "{}", "{", "\"a\":{}}"],
        ] {
            let sent: Value = serde_json::from_str(&sent(pieces)).unwrap();
            assert_eq!(sent, serde_json::from_str::<Value>(OBJECT).unwrap(), "{pieces:?}");
        }
        let mut object = ArgumentsObject::default();
        let out =
            [r"{\n", r"\u007d", "{", r#"\"a\":1}"#].map(|piece| object.take(piece).into_owned()).concat();
        assert_eq!(json::decode_text(&out).as_deref(), Some("{\n\"a\":1}"), "an escape stays whole");
        for pieces in [&["{}"][..], &["{", "}"], &["{}", "{}"], &["{}", ""], &["{}x"]] {
            assert_eq!(sent(pieces), "{}", "{pieces:?}");
        }
    }

    #[test]
    fn a_beginning_that_can_go_on_is_no_repetition() {
        for (pieces, whole) in [
            (&[r#"{"a":"#, r#"{"a":1}}"#][..], r#"{"a":{"a":1}}"#),
            (&[r#"{"a":["#, r#"{"a":[]}]}"#], r#"{"a":[{"a":[]}]}"#),
            (&[r#"{"a":"{"#, r#"{"}"#], r#"{"a":"{{"}"#),
            (&[r#"{"a":"x"#, r#"{y}"}"#], r#"{"a":"x{y}"}"#),
        ] {
            assert_eq!(sent(pieces), whole);
        }
    }

    #[test]
    fn only_the_whole_object_once_more_is_a_repetition() {
        let long = format!(r#"{{"file_path":"/{}/a.rs","limit":1}}"#, "work/".repeat(20));
        let inner = json::escape_text(&long);
        for cut in (0..inner.len()).filter(|&at| json::decode_text(&inner[..at]).is_some()) {
            let mut object = ArgumentsObject::default();
            object.take(&inner[..cut]);
            assert!(!object.is_repeated_by(&inner[..cut]), "it is not complete");
            object.take(&inner[cut..]);
            assert!(object.is_repeated_by(&inner), "cut at {cut}");
            for other in [long.replace("a.rs", "b.rs"), long.replace('1', "2"), long.replace("work", "wurk")]
            {
                assert!(!object.is_repeated_by(&json::escape_text(&other)), "{other}");
            }
        }
    }

    #[test]
    fn a_piece_that_only_begins_like_all_before_is_no_repetition() {
        let front = format!(r#"{{"x":"{}","y":{{}}"#, "z".repeat(80));
        let mut object = ArgumentsObject::default();
        object.take(&json::escape_text(&format!("{front},")));
        // The text is not JSON, but must be sent unchanged.
        let odd = json::escape_text(&format!("{};", front));
        assert_eq!(object.take(&odd), odd);
    }

    proptest! {
        #[test]
        fn an_object_goes_out_once_however_it_is_sent(
            text in "[a-z{}\"\\\\:é]{0,80}",
            number in 0..9_u8,
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
            placeholder in prop_oneof![Just(""), Just("{}")],
            again in 0..3_usize,
        ) {
            let object = serde_json::json!({"key": text, "list": [{"key": number}]}).to_string();
            let inner = json::escape_text(&object);
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(inner.len()) + 1).collect();
            ends.retain(|&end| inner.is_char_boundary(end) && json::decode_text(&inner[..end]).is_some());
            ends.push(inner.len());
            ends.sort_unstable();
            let mut pieces = vec![];
            let mut from = 0;
            for &end in &ends {
                pieces.push(&inner[from..end]);
                from = end;
            }
            let mut object = ArgumentsObject::default();
            let mut out = object.take(placeholder).into_owned();
            for piece in pieces.into_iter().chain((0..again).map(|_| inner.as_str())) {
                out.push_str(&object.take(piece));
            }
            prop_assert_eq!(&out, &inner, "as deltas");
            prop_assert!(object.is_complete());

            // A first piece that ends where an object can begin is not told from a delta.
            prop_assume!(!inner[..ends[0]].ends_with([':', '[']));
            let mut object = ArgumentsObject::default();
            let mut out = object.take(placeholder).into_owned();
            for &end in &ends {
                out.push_str(&object.take(&inner[..end]));
            }
            prop_assert_eq!(&out, &inner, "each with all that came before");
        }
    }
}
