//! Finds the marks with which a model cites, in a text that arrives in pieces.
//!
//! A mark is `【n】`, and nothing else: brackets of other kinds occur in code and in prose.

const OPEN: char = '\u{3010}';
const CLOSE: char = '\u{3011}';
/// The most digits of a number.
const MOST_DIGITS: usize = 4;

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// The page with this number.
    Cited(usize),
}

/// Holds back what may become a mark.
#[derive(Debug, Default)]
pub(super) struct MarkReader {
    held: String,
}

impl MarkReader {
    /// Takes a piece. `pages` is the number of pages that can be cited; other numbers are text.
    pub(super) fn take(&mut self, piece: &str, pages: usize) -> Vec<Part> {
        self.held.push_str(piece);
        let mut parts = vec![];
        while let Some(at) = self.held.find(OPEN) {
            let inside = &self.held[at + OPEN.len_utf8()..];
            let digits = inside.bytes().take_while(u8::is_ascii_digit).count();
            let rest = &inside[digits..];
            if rest.is_empty() && digits <= MOST_DIGITS {
                // It may become a mark.
                text(self.held.drain(..at).collect(), &mut parts);
                return parts;
            }
            let number = inside[..digits].parse().ok().filter(|number| (1..=pages).contains(number));
            match number.filter(|_| rest.starts_with(CLOSE) && digits <= MOST_DIGITS) {
                Some(number) => {
                    let after = at + OPEN.len_utf8() + digits + CLOSE.len_utf8();
                    text(self.held[..at].to_owned(), &mut parts);
                    parts.push(Part::Cited(number));
                    self.held.drain(..after);
                }
                None => text(self.held.drain(..at + OPEN.len_utf8()).collect(), &mut parts),
            }
        }
        text(std::mem::take(&mut self.held), &mut parts);
        parts
    }

    /// The text has ended.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

fn text(text: String, parts: &mut Vec<Part>) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(&text),
        Some(Part::Cited(_)) | None => parts.push(Part::Text(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str], pages: usize) -> String {
        let mut reader = MarkReader::default();
        let mut parts: Vec<Part> = pieces.iter().flat_map(|piece| reader.take(piece, pages)).collect();
        parts.push(Part::Text(reader.finish()));
        let shown = parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Cited(number) => format!("<{number}>"),
        });
        shown.collect()
    }

    /// Requirement: marks of known pages become citations, wherever the text is split; everything else stays text.
    #[test]
    fn marks_are_found_however_the_text_is_split() {
        for (given, expected) in [
            ("Rust is fast 【1】【12】.", "Rust is fast <1><12>."),
            ("a[1] 【x】 【13】 【0】 【", "a[1] 【x】 【13】 【0】 【"),
            ("【1】", "<1>"),
            ("【【2】", "【<2>"),
            ("【00001】【1】", "【00001】<1>"),
            ("", ""),
        ] {
            assert_eq!(read(&[given], 12), expected);
            let characters: Vec<String> = given.chars().map(String::from).collect();
            let pieces: Vec<&str> = characters.iter().map(String::as_str).collect();
            assert_eq!(read(&pieces, 12), expected);
        }
    }
}
