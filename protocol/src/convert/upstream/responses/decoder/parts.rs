//! The texts of one item, which arrive in parts and pieces, and then perhaps once more as a whole.

use std::borrow::Cow;

use crate::{convert::upstream::fingerprint::Received, openai::responses_stream::TextKind};

/// A piece of an item. Texts are inner texts.
#[derive(Clone, Debug)]
pub(super) enum Piece<'a> {
    /// Another part of the text begins.
    NewPart,
    Text(Cow<'a, str>),
    Refusal(Cow<'a, str>),
    /// A list of annotations, or one of them. They count characters from this place.
    Annotations(Cow<'a, str>, TextStart),
}

/// A place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) enum TextStart {
    /// The beginning of the part.
    Part,
    /// This many characters behind the beginning of the item.
    Item(u64),
}

impl Piece<'_> {
    pub(super) fn into_owned(self) -> Piece<'static> {
        match self {
            Self::NewPart => Piece::NewPart,
            Self::Text(inner) => Piece::Text(Cow::Owned(inner.into_owned())),
            Self::Refusal(inner) => Piece::Refusal(Cow::Owned(inner.into_owned())),
            Self::Annotations(list, from) => Piece::Annotations(Cow::Owned(list.into_owned()), from),
        }
    }
}

/// Text of a part.
#[derive(Clone, Copy, Debug)]
pub(super) enum PartText<'a> {
    Piece(&'a str),
    Whole(&'a str),
}

/// The parts of an item, as received so far.
#[derive(Debug, Default)]
pub(super) struct Parts {
    number: Option<u64>,
    part: Received,
    all: Received,
    /// Whether the reasoning or its summary is shown. Both would say the same twice.
    source: Option<TextKind>,
}

impl Parts {
    /// Returns the new part of a text. The vendor may not number the parts.
    pub(super) fn new_of<'t>(&self, number: Option<u64>, text: PartText<'t>) -> &'t str {
        match (text, number.zip(self.number)) {
            (PartText::Piece(inner), _) => inner,
            (PartText::Whole(_), Some((number, current))) if number < current => "",
            (PartText::Whole(inner), Some((number, current))) if number > current => inner,
            (PartText::Whole(inner), Some(_) | None) => self.part.missing_of(inner),
        }
    }

    /// Begins this part, or goes on with it. Returns whether it follows text of another part.
    pub(super) fn begin(&mut self, number: Option<u64>) -> bool {
        let number = number.or(self.number).unwrap_or(0);
        if self.number == Some(number) {
            return false;
        }
        self.number = Some(number);
        self.part = Received::default();
        !self.all.is_empty()
    }

    /// Notes text that has arrived.
    pub(super) fn take(&mut self, inner: &str) {
        self.part.take(inner);
        self.all.take(inner);
    }

    /// Notes text between two parts.
    pub(super) fn take_separator(&mut self, inner: &str) {
        self.all.take(inner);
    }

    /// Returns what is missing of all parts joined.
    pub(super) fn missing_of<'t>(&self, whole: &'t str) -> &'t str {
        self.all.missing_of(whole)
    }

    /// Whether text of this kind is shown: the first kind that arrives.
    pub(super) fn shows(&mut self, kind: TextKind) -> bool {
        *self.source.get_or_insert(kind) == kind
    }

    /// The kind of reasoning that is shown.
    pub(super) fn source(&self) -> Option<TextKind> {
        self.source
    }
}
