//! What is wrong with a configuration: one line each, for a person. Values of secrets are never part of it.

use std::fmt;

/// One mistake. Its text says what is wrong and what to do; its place says where it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    place: String,
    text: String,
    kind: MistakeKind,
}

/// Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MistakeKind {
    /// Something to correct.
    Wrong,
    /// Something that `vdm` does not do on purpose, such as pooling OAuth subscriptions.
    Refused,
}

impl Mistake {
    /// `place` is `FILE:LINE:COLUMN: KEY`, `environment variable NAME` or the like.
    pub(super) fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into(), kind: MistakeKind::Wrong }
    }

    /// OAuth subscriptions are not pooled: their vendors ban accounts that are used so.
    pub(super) fn oauth(place: impl Into<String>) -> Self {
        let text = "OAuth subscriptions are refused (vendors ban accounts for it); use an API key instead";
        Self { place: place.into(), text: text.into(), kind: MistakeKind::Refused }
    }

    pub fn kind(&self) -> MistakeKind {
        self.kind
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}
