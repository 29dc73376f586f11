//! The report of an import: the outcome of each setting of the other file, and its mistakes.

use serde::Serialize;

/// The outcome of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The written configuration has it.
    Taken,
    /// vdm does this without a setting.
    NotNeeded,
    /// vdm has no equivalent, or the value cannot be used.
    NotTaken,
}

/// One setting of the other file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ReportLine {
    /// Of the other file, counted from one.
    pub(crate) line: usize,
    /// Its path, such as `Providers[0].api_key`.
    pub(crate) setting: String,
    pub(crate) outcome: Outcome,
    /// Where it went, or what to do. Contains no key.
    pub(crate) note: String,
}

/// Why a file cannot be imported: `LINE: SETTING: TEXT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportError {
    pub(crate) line: usize,
    pub(crate) setting: String,
    pub(crate) text: String,
}

/// Collects both.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) lines: Vec<ReportLine>,
    pub(super) errors: Vec<ImportError>,
}

/// A setting of the other file.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) line: usize,
    pub(super) setting: &'a str,
}

impl Outcome {
    /// As the report shows it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::NotNeeded => "not needed",
            Self::NotTaken => "NOT TAKEN",
        }
    }
}

impl<'a> Place<'a> {
    pub(super) fn new(line: usize, setting: &'a str) -> Self {
        Self { line, setting }
    }
}

impl Report {
    pub(super) fn taken(&mut self, place: Place<'_>, note: impl Into<String>) {
        self.add(place, Outcome::Taken, note.into());
    }

    pub(super) fn not_needed(&mut self, place: Place<'_>, note: impl Into<String>) {
        self.add(place, Outcome::NotNeeded, note.into());
    }

    pub(super) fn not_taken(&mut self, place: Place<'_>, note: impl Into<String>) {
        self.add(place, Outcome::NotTaken, note.into());
    }

    fn add(&mut self, Place { line, setting }: Place<'_>, outcome: Outcome, note: String) {
        self.lines.push(ReportLine { line, setting: setting.to_owned(), outcome, note });
    }

    pub(super) fn error(&mut self, Place { line, setting }: Place<'_>, text: impl Into<String>) {
        self.errors.push(ImportError { line, setting: setting.to_owned(), text: text.into() });
    }
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.line, self.setting, self.text)
    }
}
