//! Finds the brackets and strings of JSON text, sixty-four bytes at a time and without examining single bytes.
//!
//! The method is from Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (VLDB Journal 28, 2019), section 3.1:
//! one bit for each byte, and arithmetic on all of them.

use wide::u8x16;

/// The number of bytes examined together: one for each bit of a mask.
const BLOCK: usize = u64::BITS as usize;
const LANE: usize = 16;
/// The only bit in which `[` and `{` differ, and `]` and `}` as well.
const CURLY: u8 = b'{' - b'[';

/// The scanner state between two blocks. A text begins outside of a string.
#[derive(Default)]
pub(super) struct Structure {
    /// All ones if the next block begins inside a string.
    inside: u64,
    /// One if a backslash escapes the first byte of the next block.
    escaped: u64,
}

/// The marks of one block: a bit for each byte, the lowest for the first.
pub(super) struct ByteMarks {
    /// Quotes that begin or end a string.
    pub(super) quotes: u64,
    /// Brackets outside of strings.
    pub(super) brackets: u64,
}

impl Structure {
    /// Returns the blocks of `text`, each with its offset.
    pub(super) fn blocks(text: &[u8]) -> impl Iterator<Item = (usize, ByteMarks)> {
        let mut structure = Self::default();
        let (whole, rest) = text.as_chunks::<BLOCK>();
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let last = (!rest.is_empty()).then_some(last);
        let whole = whole.iter().copied().chain(last).enumerate();
        whole.map(move |(number, block)| (number * BLOCK, structure.marks(&block)))
    }

    fn marks(&mut self, block: &[u8; BLOCK]) -> ByteMarks {
        let (mut quotes, mut backslashes, mut brackets) = (0, 0, 0);
        for (number, lane) in block.as_chunks::<LANE>().0.iter().enumerate() {
            let lane = u8x16::new(*lane);
            let curly = lane | u8x16::splat(CURLY);
            let bracket = curly.simd_eq(u8x16::splat(b'{')) | curly.simd_eq(u8x16::splat(b'}'));
            let at = number * LANE;
            quotes |= bits(lane.simd_eq(u8x16::splat(b'"'))) << at;
            backslashes |= bits(lane.simd_eq(u8x16::splat(b'\\'))) << at;
            brackets |= bits(bracket) << at;
        }
        let quotes = quotes & !self.escaped(backslashes);
        // A byte is inside a string if the number of quotes up to it is odd; the closing quote is not.
        let inside = parity(quotes) ^ self.inside;
        self.inside = if inside >> (BLOCK - 1) == 1 { u64::MAX } else { 0 };
        ByteMarks { quotes, brackets: brackets & !inside }
    }

    /// Returns the escaped bytes, which follow an unescaped backslash: every second byte after the first backslash of a
    /// run.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = u64::MAX / 3;
        let before = self.escaped;
        if backslashes == 0 {
            self.escaped = 0;
            return before;
        }
        // An escaped backslash escapes nothing.
        let escaping = backslashes & !before;
        let behind = escaping << 1 | before;
        let first = escaping & !behind;
        // Adding the first bit of a run carries through the run to the bit after it, and out of the block if the run
        // continues there.
        let (ends_of_odd, carried) = escaping.overflowing_add(first & !EVEN);
        self.escaped = u64::from(carried);
        // In a run that begins at an even offset the odd bytes are escaped, and vice versa.
        (EVEN ^ (ends_of_odd << 1)) & behind
    }
}

/// Returns one bit for each byte that compared equal.
fn bits(equal: u8x16) -> u64 {
    u64::from(equal.to_bitmask())
}

/// Replaces each bit by the parity of itself and all lower bits.
fn parity(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}

/// Returns the offsets of the bits that are set, the lowest first.
pub(super) fn places(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (bits != 0).then(|| {
            let place = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            place
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// The reference implementation, one byte at a time.
    fn plain(text: &[u8]) -> (Vec<usize>, Vec<usize>) {
        let (mut quotes, mut brackets) = (vec![], vec![]);
        let (mut inside, mut escaped) = (false, false);
        for (at, byte) in text.iter().enumerate() {
            let literal = std::mem::take(&mut escaped);
            match byte {
                b'\\' => escaped = !literal,
                b'"' if !literal => {
                    inside = !inside;
                    quotes.push(at);
                }
                b'{' | b'}' | b'[' | b']' if !inside => brackets.push(at),
                _ => {}
            }
        }
        (quotes, brackets)
    }

    fn in_blocks(text: &[u8]) -> (Vec<usize>, Vec<usize>) {
        let (mut quotes, mut brackets) = (vec![], vec![]);
        for (from, marks) in Structure::blocks(text) {
            quotes.extend(places(marks.quotes).map(|place| from + place));
            brackets.extend(places(marks.brackets).map(|place| from + place));
        }
        (quotes, brackets)
    }

    proptest! {
        #[test]
        fn blocks_have_what_a_look_at_every_byte_finds(
            text in vec(select(&b"\"\\\\\\{}[],:a ;\xC3\x5A\x7F"[..]), 0..400),
        ) {
            prop_assert_eq!(in_blocks(&text), plain(&text));
        }

        #[test]
        fn a_row_of_backslashes_of_any_length_at_any_place(before in 0..130usize, length in 0..200usize) {
            let text = ["\"", &"a".repeat(before), &"\\".repeat(length), "\"]{\"[\""].concat();
            prop_assert_eq!(in_blocks(text.as_bytes()), plain(text.as_bytes()));
        }
    }
}
