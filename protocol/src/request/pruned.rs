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
pub(super) enum Action {
    Keep,
    Remove,
}

/// An array or object that loses elements, and one comma with each of them.
#[derive(Default)]
pub(super) struct Pruned {
    /// The end of the last element that stays.
    kept_end: Option<usize>,
    /// The span of removed elements since then.
    removed: Option<Range<usize>>,
}

impl Pruned {
    pub(super) fn add(&mut self, element: Range<usize>, action: Action, cuts: &mut Vec<Range<usize>>) {
        if action == Action::Remove {
            let start = self.removed.as_ref().map_or(element.start, |removed| removed.start);
            self.removed = Some(start..element.end);
            return;
        }
        if let Some(removed) = self.removed.take() {
            cuts.push(removed.start..element.start);
        }
        self.kept_end = Some(element.end);
    }

    /// Removes trailing elements. If the container loses all of its elements, it is to be removed as well.
    pub(super) fn close(self, cuts: &mut Vec<Range<usize>>) -> Action {
        let Some(removed) = self.removed else { return Action::Keep };
        cuts.push(self.kept_end.unwrap_or(removed.start)..removed.end);
        if self.kept_end.is_some() { Action::Keep } else { Action::Remove }
    }
}
