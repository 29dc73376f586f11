//! What is logged, and how.

use log::LevelFilter;

use super::layer::Section;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub level: LevelFilter,
    /// As people know it: DEBUG, INFO, WARNING, ERROR or CRITICAL.
    pub level_word: String,
    /// `text`, `json` or `journald`.
    pub format: String,
}

impl LogSettings {
    /// `None` if a value is missing because a user's value for it is invalid.
    pub(super) fn new(root: Section<'_>) -> Option<Self> {
        let level_word = root.text("log-level")?.text.to_owned();
        let format = root.text("log-format")?.text.to_owned();
        Some(Self { level: level(&level_word), level_word, format })
    }
}

/// The level of a word that has been checked.
fn level(word: &str) -> LevelFilter {
    match word {
        "DEBUG" => LevelFilter::Debug,
        "WARNING" => LevelFilter::Warn,
        "ERROR" | "CRITICAL" => LevelFilter::Error,
        _ => LevelFilter::Info,
    }
}
