//! Finds the marks by which a text cites numbered pages: `[2]` (Perplexity) and `[ref_2]` (GLM).

/// The highest number that is found.
const HIGHEST: u32 = 64;
const PREFIX: &[u8] = b"ref_";

/// The marks of one text, which may arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct CitationMarks {
    state: MarkState,
    /// One bit for each number that was found and not taken.
    found: u64,
}

#[derive(Clone, Copy, Debug, Default)]
enum MarkState {
    #[default]
    Outside,
    /// After the bracket, and this many bytes of the prefix.
    Prefix(usize),
    Number(u32),
}

impl CitationMarks {
    /// Reads a piece of the text (inner text).
    pub(super) fn scan(&mut self, inner: &str) {
        let mut bytes = inner.as_bytes();
        loop {
            if let MarkState::Outside = self.state {
                let Some(at) = memchr::memchr(b'[', bytes) else { return };
                bytes = &bytes[at..];
            }
            let [first, rest @ ..] = bytes else { return };
            self.state = self.next(*first);
            bytes = rest;
        }
    }

    fn next(&mut self, byte: u8) -> MarkState {
        match (self.state, byte) {
            (_, b'[') => MarkState::Prefix(0),
            (MarkState::Prefix(0), b'0'..=b'9') => MarkState::Number(u32::from(byte - b'0')),
            (MarkState::Prefix(done), b'0'..=b'9') if done == PREFIX.len() => {
                MarkState::Number(u32::from(byte - b'0'))
            }
            (MarkState::Prefix(done), _) if PREFIX.get(done) == Some(&byte) => MarkState::Prefix(done + 1),
            (MarkState::Number(number), b'0'..=b'9') if number <= HIGHEST => {
                MarkState::Number(number * 10 + u32::from(byte - b'0'))
            }
            (MarkState::Number(number), b']') => {
                if (1..=HIGHEST).contains(&number) {
                    self.found |= 1 << (number - 1);
                }
                MarkState::Outside
            }
            (MarkState::Outside | MarkState::Prefix(_) | MarkState::Number(_), _) => MarkState::Outside,
        }
    }

    /// Takes the numbers that were found and for which `is_known` holds, in their order. The others remain.
    pub(super) fn drain(&mut self, is_known: impl Fn(usize) -> bool) -> Vec<usize> {
        if self.found == 0 {
            return Vec::new();
        }
        let numbers = (1..=HIGHEST).filter(|number| self.found & (1 << (number - 1)) != 0);
        let taken: Vec<u32> = numbers.filter(|number| is_known(*number as usize)).collect();
        taken.iter().for_each(|number| self.found &= !(1 << (number - 1)));
        taken.into_iter().map(|number| number as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_across_pieces_and_nothing_else_is() {
        let text = r"a[1][2], [ref_3] [x] [4 [[5] [ref_] [66] [999999999999] [0] []\n[7\n] [ref_12]";
        for cut in 0..=text.len() {
            let mut marks = CitationMarks::default();
            marks.scan(&text[..cut]);
            marks.scan(&text[cut..]);
            assert_eq!(marks.drain(|number| number != 2), [1, 3, 5, 12], "cut at {cut}");
            assert_eq!(marks.drain(|_| true), [2], "what was unknown remains");
        }
    }
}
