//! Compares a text with what came of it in pieces, without keeping the pieces. *Inner text* is the text of a JSON string without its
//! quotes and with its escapes.

/// A hash (FNV-1a) of all bytes so far, however they were cut into pieces. It distinguishes a repeated text from a different
/// one of the same length. It needs no protection against forged collisions: only the upstream, which sends both texts, could
/// forge one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Fingerprint {
    pub(super) fn from_text(text: &str) -> Self {
        let mut print = Self::default();
        print.take(text);
        print
    }

    pub(super) fn take(&mut self, text: &str) {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}

/// A text that arrives in pieces, and then perhaps as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    print: Fingerprint,
    length: usize,
}

impl Received {
    pub(super) fn take(&mut self, inner: &str) {
        self.print.take(inner);
        self.length += inner.len();
    }

    pub(super) fn is_empty(self) -> bool {
        self.length == 0
    }

    /// The part of the whole text that has not arrived. Nothing if the pieces were another text: they count.
    pub(super) fn missing_of(self, whole: &str) -> &str {
        match whole.split_at_checked(self.length) {
            Some((before, rest)) if Fingerprint::from_text(before) == self.print => rest,
            Some(_) | None => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_missing_end_of_a_text_is_left() {
        let mut received = Received::default();
        assert!(received.is_empty());
        assert_eq!(received.missing_of("abc"), "abc");
        received.take("a");
        received.take("b");
        assert_eq!((received.missing_of("abc"), received.missing_of("ab")), ("c", ""));
        for other in ["a", "", "xbc", "é"] {
            assert_eq!(received.missing_of(other), "", "{other}");
        }
    }
}
