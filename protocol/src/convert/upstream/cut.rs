//! Stop sequences that are not sent to the upstream, because its model refuses them or accepts fewer: the gateway cuts the text
//! of the reply where the first of them begins, as Anthropic does.

use std::borrow::Cow;

use super::halves::Halves;
use crate::json::{decode_text, escape_text};

/// Searches for stop sequences in a text that arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct Cut {
    sequences: Vec<String>,
    /// The end of the text so far, which could be the beginning of a sequence.
    held: String,
    halves: Halves,
    met: Option<String>,
}

impl Cut {
    pub(super) fn at(sequences: Vec<String>) -> Self {
        Self { sequences, ..Self::default() }
    }

    /// Whether there are sequences to search for.
    pub(super) fn is_needed(&self) -> bool {
        !self.sequences.is_empty()
    }

    /// The sequence that was found. The reply ends before it; later text is dropped.
    pub(super) fn met(&self) -> Option<&str> {
        self.met.as_deref()
    }

    /// Takes a piece of the text and returns the text that can be sent. Both are inner text: JSON string content with its escapes.
    pub(super) fn take(&mut self, inner: &str) -> String {
        if self.met.is_some() {
            return String::new();
        }
        let joined = self.halves.join(inner);
        let Some(text) = decode_text(&joined) else {
            // A sequence contains no half of a surrogate pair.
            let held = escape_text(&std::mem::take(&mut self.held));
            return held + &joined;
        };
        self.held.push_str(&text);
        let found = self.sequences.iter().filter_map(|sequence| Some((self.held.find(sequence)?, sequence)));
        // The sequence that is complete first counts, so the result does not depend on the pieces.
        if let Some((at, sequence)) = found.min_by_key(|(at, sequence)| (at + sequence.len(), *at)) {
            self.met = Some(sequence.clone());
            self.held.truncate(at);
            return escape_text(&std::mem::take(&mut self.held));
        }
        let kept = self.sequences.iter().map(|sequence| overlap(&self.held, sequence)).max().unwrap_or(0);
        let tail = self.held.split_off(self.held.len() - kept);
        escape_text(&std::mem::replace(&mut self.held, tail))
    }

    /// Returns the held text when the text ends.
    pub(super) fn rest(&mut self) -> Cow<'static, str> {
        let half = self.halves.rest();
        if self.held.is_empty() {
            half.into()
        } else {
            (escape_text(&std::mem::take(&mut self.held)) + half).into()
        }
    }
}

/// The number of bytes at the end of the text that are an incomplete beginning of the sequence.
fn overlap(text: &str, sequence: &str) -> usize {
    let longest = text.len().min(sequence.len().saturating_sub(1));
    let begins = |length: &usize| sequence.is_char_boundary(*length) && text.ends_with(&sequence[..*length]);
    (1..=longest).rev().find(begins).unwrap_or(0)
}

/// Maximum number of events and bytes that are read after the cut to find the usage. The reader of the stream limits the time.
const CHUNKS: u32 = 4096;
const BYTES: usize = 1 << 20;

/// The amount of data received after the cut.
#[derive(Debug, Default)]
pub(super) struct Behind {
    chunks: u32,
    bytes: usize,
}

impl Behind {
    /// Counts a chunk. Returns whether another one may be read.
    pub(super) fn has_room(&mut self, size: usize) -> bool {
        self.chunks += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.chunks <= CHUNKS && self.bytes <= BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text to pass on, and the sequence that was met.
    fn cut(pieces: &[&str], sequences: &[&str]) -> (String, Option<String>) {
        let mut cut = Cut::at(sequences.iter().map(|&sequence| sequence.to_owned()).collect());
        let mut text: String = pieces.iter().map(|piece| cut.take(&escape_text(piece))).collect();
        text.push_str(&cut.rest());
        (decode_text(&text).unwrap().into_owned(), cut.met().map(str::to_owned))
    }

    #[test]
    fn a_text_ends_where_a_sequence_begins() {
        for (pieces, sequences, text, met) in [
            (&["a</block>b"][..], &["</block>"][..], "a", Some("</block>")),
            (&["a</bl", "ock", ">b"], &["</block>"], "a", Some("</block>")),
            (&["a</bl", "ack>"], &["</block>"], "a</black>", None),
            (&["a</block"], &["</block>"], "a</block", None),
            (&["</block>"], &["</block>"], "", Some("</block>")),
            (&["aab"], &["ab", "b"], "a", Some("ab")),
            (&["aaab"], &["aab"], "a", Some("aab")),
            (&["xyz"], &["yz", "xyz", "y"], "x", Some("y")),
            (&["x", "y", "z"], &["yz", "xyz", "y"], "x", Some("y")),
            (&["é\n", "\"", "ü"], &["\n\"ü"], "é", Some("\n\"ü")),
            (&["nothing"], &[], "nothing", None),
        ] {
            assert_eq!(cut(pieces, sequences), (text.to_owned(), met.map(str::to_owned)), "{pieces:?}");
        }
    }

    #[test]
    fn a_pair_of_surrogates_in_two_pieces_is_one_character() {
        let mut cut = Cut::at(vec!["\u{1F600}".to_owned()]);
        assert_eq!((cut.take(r"a\ud83d"), cut.take(r"\ude00b")), ("a".to_owned(), String::new()));
        assert_eq!(cut.met(), Some("\u{1F600}"));
        let mut cut = Cut::at(vec!["b".to_owned()]);
        assert_eq!(
            (cut.take(r"\ude00a"), cut.take(r"\ud83d"), cut.rest()),
            (r"\ude00a".into(), String::new(), r"\ufffd".into())
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn however_a_text_is_cut_into_pieces_it_ends_at_the_same_place(
            text in "[ab<é\n]{0,24}",
            sequences in prop::collection::vec("[ab<é\n]{1,4}", 1..4),
            places in prop::collection::vec(0usize..40, 0..6),
        ) {
            let sequences: Vec<&str> = sequences.iter().map(String::as_str).collect();
            let mut ends: Vec<usize> = places.into_iter().filter(|&at| text.is_char_boundary(at)).collect();
            ends.extend([0, text.len()]);
            ends.sort_unstable();
            let pieces: Vec<&str> = ends.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
            let (out, met) = cut(&pieces, &sequences);
            let whole = cut(&[&text], &sequences);
            prop_assert_eq!((&out, &met), (&whole.0, &whole.1));
            prop_assert!(text.starts_with(&out));
            let is_cut = sequences.iter().any(|sequence| text.contains(sequence));
            match met {
                None => prop_assert_eq!((&out, is_cut), (&text, false)),
                Some(met) => prop_assert!(is_cut && text[out.len()..].starts_with(&met)),
            }
        }
    }
}
