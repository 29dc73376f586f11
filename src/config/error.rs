//! What is wrong with a configuration: one line each, for a person. Values of secrets are never part of it.

use std::fmt;

/// One error. Its text says what is wrong and what to do; its place says where it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    text: String,
    kind: ErrorKind,
}

/// Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something to correct.
    Invalid,
    /// Something that `vdm` does not do on purpose, such as pooling OAuth subscriptions.
    Unsupported,
}

impl ConfigError {
    /// `place` is `FILE:LINE:COLUMN: KEY`, `environment variable NAME` or the like.
    pub(super) fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into(), kind: ErrorKind::Invalid }
    }

    /// OAuth subscriptions are not pooled: their vendors ban accounts that are used so.
    pub(super) fn oauth(place: impl Into<String>) -> Self {
        let text = "OAuth subscriptions are refused (vendors ban accounts for it); use an API key instead";
        Self { place: place.into(), text: text.into(), kind: ErrorKind::Unsupported }
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}
