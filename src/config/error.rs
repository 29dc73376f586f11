//! Errors and warnings of a configuration: one line each. They never contain the value of a secret.

use std::fmt;

/// One error. The text says what is wrong and what to do; the place says where the value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    text: String,
    kind: ConfigErrorKind,
}

/// Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// A value to correct.
    Invalid,
    /// A feature that `vdm` refuses on purpose, such as pooled OAuth subscriptions.
    Unsupported,
}

/// What reading the configuration found: errors end the start, warnings are logged, one line each.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<String>,
}

impl Diagnostics {
    pub(super) fn error(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.errors.push(ConfigError::new(place, text));
    }

    pub(super) fn warning(&mut self, place: &str, text: impl fmt::Display) {
        self.warnings.push(format!("{place}: {text}"));
    }
}

impl ConfigError {
    /// `place` is `FILE:LINE:COLUMN: KEY`, `environment variable NAME` or the like.
    pub(super) fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into(), kind: ConfigErrorKind::Invalid }
    }

    /// OAuth subscriptions are refused, since vendors ban accounts that share them.
    pub(super) fn oauth(place: impl Into<String>) -> Self {
        let text = "OAuth subscriptions are refused (vendors ban accounts for it); use an API key instead";
        Self { place: place.into(), text: text.into(), kind: ConfigErrorKind::Unsupported }
    }

    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}
