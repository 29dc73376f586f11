//! Removes elements of lists, together with the commas that belong to them.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Returns the body without these spans. The spans must not overlap.
pub(super) fn without(body: &[u8], mut cuts: Vec<Range<usize>>) -> Bytes {
    cuts.sort_unstable_by_key(|cut| cut.start);
    let mut kept = BytesMut::with_capacity(body.len());
    let mut from = 0;
    for cut in cuts {
        kept.extend_from_slice(&body[from..cut.start]);
        from = cut.end;
    }
    kept.extend_from_slice(&body[from..]);
    kept.freeze()
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Stays,
    Goes,
}

/// An array or object that loses elements, and one comma with each of them.
#[derive(Default)]
pub(super) struct Pruned {
    /// The end of the last element that stays.
    stays: Option<usize>,
    /// The span of removed elements since then.
    goes: Option<Range<usize>>,
}

impl Pruned {
    pub(super) fn add(&mut self, element: Range<usize>, fate: Fate, cuts: &mut Vec<Range<usize>>) {
        if fate == Fate::Goes {
            let start = self.goes.as_ref().map_or(element.start, |goes| goes.start);
            self.goes = Some(start..element.end);
            return;
        }
        if let Some(goes) = self.goes.take() {
            cuts.push(goes.start..element.start);
        }
        self.stays = Some(element.end);
    }

    /// Removes trailing elements. If the container loses all of its elements, it is to be removed as well.
    pub(super) fn close(self, cuts: &mut Vec<Range<usize>>) -> Fate {
        let Some(goes) = self.goes else { return Fate::Stays };
        cuts.push(self.stays.unwrap_or(goes.start)..goes.end);
        if self.stays.is_some() { Fate::Stays } else { Fate::Goes }
    }
}
