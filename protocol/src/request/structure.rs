//! Finds the brackets and strings of JSON text, sixty-four bytes at a time and without examining single bytes.
//!
//! The method is from Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (VLDB Journal 28, 2019), section 3.1:
//! one bit for each byte, and arithmetic on all of them. Most of a large request is text: a block inside a string costs only
//! the check that the string cannot end there.

use memchr::memchr;
use wide::u8x16;

/// The number of bytes examined together: one for each bit of a mask.
const BLOCK: usize = u64::BITS as usize;
const LANE: usize = 16;
/// The only bit in which `[` and `{` differ, and `]` and `}` as well.
const CURLY: u8 = b'{' - b'[';
/// The bytes before a block that show whether its first byte is escaped, unless there are more backslashes.
const BEFORE: usize = 2;
/// After this many bytes of one string, the next quote is searched for: a long string (a file, an image) often has none
/// for a while, and the search uses the widest lanes of the processor.
const FIRST_SEARCH: usize = 8 * BLOCK;

/// The scanner state between two blocks. A text begins outside of a string.
#[derive(Default)]
struct Structure {
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

/// The blocks of a text, each with its offset. Most of those that lie inside of one string are left out.
pub(super) struct Blocks<'t> {
    text: &'t [u8],
    /// The offset of the next block.
    at: usize,
    structure: Structure,
}

impl<'t> Blocks<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, structure: Structure::default() }
    }

    /// Skips the blocks in which the current string cannot end.
    fn skip_string(&mut self) {
        let start = self.at;
        let mut distance = FIRST_SEARCH;
        let mut next_search = start + distance;
        while let Some(window) = self.text[self.at - BEFORE..].first_chunk()
            && !can_end(window)
        {
            self.at += BLOCK;
            if self.at >= next_search {
                let rest = &self.text[self.at..];
                self.at += memchr(b'"', rest).map_or(rest.len(), |quote| quote / BLOCK * BLOCK);
                // A text with many escaped quotes is searched in vain.
                distance *= 2;
                next_search = self.at + distance;
            }
        }
        self.structure.skip(&self.text[start..self.at]);
    }
}

impl Iterator for Blocks<'_> {
    type Item = (usize, ByteMarks);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // A shorter last block leaves the offset at the end, perhaps before the first whole block.
        if self.structure.inside != 0 && self.at < self.text.len() {
            self.skip_string();
        }
        let from = self.at;
        let rest = &self.text[from..];
        let mut padded = [b' '; BLOCK];
        let block = if let Some(block) = rest.first_chunk() {
            self.at += BLOCK;
            block
        } else if rest.is_empty() {
            return None;
        } else {
            padded[..rest.len()].copy_from_slice(rest);
            self.at = self.text.len();
            &padded
        };
        Some((from, self.structure.marks(block)))
    }
}

impl Structure {
    #[inline]
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

    /// Passes text inside of one string.
    fn skip(&mut self, text: &[u8]) {
        let backslashes = text.iter().rev().take_while(|&&byte| byte == b'\\').count();
        let before = if backslashes == text.len() { self.escaped } else { 0 };
        self.escaped = (before + backslashes as u64) % 2;
    }

    /// Returns the escaped bytes, which follow an unescaped backslash: every second byte after the first backslash of a
    /// run.
    #[inline]
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

/// Whether a string can end in the block behind the first bytes of `window`. A quote does not end it if one backslash
/// precedes it. More than one backslash is left to [`Structure::escaped`].
#[inline]
fn can_end(window: &[u8; BEFORE + BLOCK]) -> bool {
    let backslash = u8x16::splat(b'\\');
    let (two_before, _) = window.as_chunks::<LANE>();
    let (one_before, _) = window[1..].as_chunks::<LANE>();
    let (lanes, _) = window[BEFORE..].as_chunks::<LANE>();
    let mut ends = u8x16::new([0; LANE]);
    for (number, lane) in lanes.iter().enumerate() {
        let (two, one) = (u8x16::new(two_before[number]), u8x16::new(one_before[number]));
        let unescaped = two.simd_eq(backslash) | !one.simd_eq(backslash);
        ends |= unescaped & u8x16::new(*lane).simd_eq(u8x16::splat(b'"'));
    }
    ends.to_bitmask() != 0
}

/// Returns one bit for each byte that compared equal.
#[inline]
fn bits(equal: u8x16) -> u64 {
    u64::from(equal.to_bitmask())
}

/// Replaces each bit by the parity of itself and all lower bits.
#[inline]
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
        for (from, marks) in Blocks::new(text) {
            quotes.extend(places(marks.quotes).map(|place| from + place));
            brackets.extend(places(marks.brackets).map(|place| from + place));
        }
        (quotes, brackets)
    }

    /// Parts of strings that are longer than several blocks, so that blocks are skipped and quotes are searched for.
    fn part() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (0..700_usize).prop_map(|length| vec![b'a'; length]),
            (0..140_usize).prop_map(|length| vec![b'\\'; length]),
            (1..40_usize, 0..70_usize)
                .prop_map(|(times, length)| [&vec![b'['; length][..], b"\\\""].concat().repeat(times)),
            Just(b"\"".to_vec()),
            Just(b"\\\"".to_vec()),
            Just(b"\\\\\"".to_vec()),
            Just(b"\":[{\"".to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn blocks_have_what_a_look_at_every_byte_finds(
            text in vec(select(&b"\"\\\\\\{}[],:a ;\xC3\x5A\x7F"[..]), 0..400),
        ) {
            prop_assert_eq!(in_blocks(&text), plain(&text));
        }

        /// Requirement: blocks that are skipped inside of long strings change no mark, wherever the text is cut.
        #[test]
        fn skipped_blocks_have_no_marks(parts in vec(part(), 0..12), cut in 0..4000_usize) {
            let text = parts.concat();
            let text = &text[..text.len() - cut.min(text.len())];
            prop_assert_eq!(in_blocks(text), plain(text));
        }

        /// Requirement: a text that is cut at any byte has the marks that are left.
        #[test]
        fn a_cut_text_has_the_marks_before_the_cut(parts in vec(part(), 1..4)) {
            let text = parts.concat();
            for end in (0..text.len().min(1500)).map(|length| text.len() - length) {
                prop_assert_eq!(in_blocks(&text[..end]), plain(&text[..end]));
            }
        }

        #[test]
        fn a_row_of_backslashes_of_any_length_at_any_place(before in 0..130usize, length in 0..200usize) {
            let text = ["\"", &"a".repeat(before), &"\\".repeat(length), "\"]{\"[\""].concat();
            prop_assert_eq!(in_blocks(text.as_bytes()), plain(text.as_bytes()));
        }
    }
}
