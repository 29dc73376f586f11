//! Cuts: what goes from a list, with just the commas that must go with it.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// The body without these spans, which do not overlap.
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

/// An array or object that loses elements, and with each of them one comma.
#[derive(Default)]
pub(super) struct Pruned {
    /// End of the last element that stays.
    stays: Option<usize>,
    /// The elements that go, since then.
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

    /// Cuts what goes at the end; the array's owner goes too when nothing is left of it.
    pub(super) fn close(self, cuts: &mut Vec<Range<usize>>) -> Fate {
        let Some(goes) = self.goes else { return Fate::Stays };
        cuts.push(self.stays.unwrap_or(goes.start)..goes.end);
        if self.stays.is_some() { Fate::Stays } else { Fate::Goes }
    }
}
