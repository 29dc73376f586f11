//! Variables: the environment over the files `.env`, each with its place.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::error::Diagnostics;
use super::references;
use super::source_files::SourceFiles;

/// Every variable that is set, empty ones too.
#[derive(Clone, Default)]
pub(super) struct Variables {
    set: BTreeMap<String, EnvironmentVariable>,
    /// Those of the file that variables of the environment hide.
    hidden: BTreeMap<String, EnvironmentVariable>,
}

#[derive(Clone)]
pub(super) struct EnvironmentVariable {
    pub(super) text: String,
    /// `environment variable NAME` or `FILE:LINE: NAME`.
    pub(super) place: String,
}

impl Variables {
    /// A variable of the environment hides the one of a file, even if it is empty. Of several files the last one counts.
    pub(super) fn read(
        environment: &BTreeMap<String, String>,
        dotenv_files: &[PathBuf],
        files: &SourceFiles,
        report: &mut Diagnostics,
    ) -> Self {
        let set = dotenv_files.iter().flat_map(|path| read_file(path, files, report)).collect();
        let mut variables = Self { set, hidden: BTreeMap::new() };
        for (name, text) in environment {
            let place = format!("environment variable {name}");
            let hidden =
                variables.set.insert(name.clone(), EnvironmentVariable { text: text.clone(), place });
            variables.hidden.extend(hidden.map(|hidden| (name.clone(), hidden)));
        }
        variables
    }

    /// The variable of the file that one of the environment hides.
    pub(super) fn hidden(&self, name: &str) -> Option<&EnvironmentVariable> {
        self.hidden.get(name)
    }

    /// Removes a variable; the one of the file that it hides takes its place.
    pub(super) fn remove(&mut self, name: &str) {
        self.set.remove(name);
        if let Some((name, hidden)) = self.hidden.remove_entry(name) {
            self.set.insert(name, hidden);
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&EnvironmentVariable> {
        self.set.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &EnvironmentVariable)> {
        self.set.iter().map(|(name, variable)| (name.as_str(), variable))
    }
}

fn read_file(
    path: &Path,
    files: &SourceFiles,
    report: &mut Diagnostics,
) -> BTreeMap<String, EnvironmentVariable> {
    match files.text(path) {
        Ok(text) => parse(&path.display().to_string(), &text, report),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            BTreeMap::new()
        }
        Err(error) => {
            report.error(path.display().to_string(), format!("cannot read this file: {error}"));
            BTreeMap::new()
        }
    }
}

/// The last line of a name wins. The text of a malformed line may contain a key and is not repeated.
fn parse(label: &str, text: &str, report: &mut Diagnostics) -> BTreeMap<String, EnvironmentVariable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Rc::new(Cell::new(0));
    let reader = LineByLine { rest: text.as_bytes(), inside_line: false, lines: Rc::clone(&lines) };
    let mut variables: BTreeMap<String, EnvironmentVariable> = BTreeMap::new();
    let mut before = 0;
    for item in dotenvy::from_read_iter(reader) {
        let line = lines.get();
        match item {
            Ok((name, value)) => {
                let place = format!("{label}:{line}: {name}");
                let written = lines_between(text, before, line);
                let is_set = |name: &str| std::env::var_os(name).is_some() || variables.contains_key(name);
                if references::has_unset(&written, is_set) {
                    report.warning(&place, references::ADVICE);
                }
                variables.insert(name, EnvironmentVariable { text: value, place });
            }
            Err(error) => malformed(label, line, &error, report),
        }
        before = line;
    }
    variables
}

/// The text after line `before`, up to line `last`.
fn lines_between(text: &str, before: usize, last: usize) -> String {
    text.split_inclusive('\n').skip(before).take(last.saturating_sub(before)).collect()
}

fn malformed(label: &str, last: usize, error: &dotenvy::Error, report: &mut Diagnostics) {
    let spanned = if let dotenvy::Error::LineParse(text, _) = error {
        text.trim_end().matches('\n').count()
    } else {
        0
    };
    let text = "expected NAME=value; put a value with blanks or quotes in quotes, and close each quote";
    report.error(format!("{label}:{}", last.saturating_sub(spanned)), text);
}

/// Returns one line per read, so that a buffered reader never reads past the current line: the parser does not report line
/// numbers.
struct LineByLine<'a> {
    rest: &'a [u8],
    inside_line: bool,
    /// Lines given so far, counting one that was begun.
    lines: Rc<Cell<usize>>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let (given, rest) = self.rest.split_at(line.len().min(buffer.len()));
        buffer[..given.len()].copy_from_slice(given);
        if !given.is_empty() && !self.inside_line {
            self.lines.set(self.lines.get() + 1);
        }
        self.inside_line = given.last().is_some_and(|byte| *byte != b'\n');
        self.rest = rest;
        Ok(given.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (BTreeMap<String, EnvironmentVariable>, Vec<String>) {
        let mut report = Diagnostics::default();
        let variables = parse(".env", text, &mut report);
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        (variables, report.errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn quotes_exports_comments_and_references_are_read() {
        let text = "# c\nA=1\nexport B=\"x y\" # c\n\nC='${A}'\nD=${A}2\nA_B=last\nA_B=wins\n";
        let (variables, errors) = parsed(text);
        assert!(errors.is_empty(), "{errors:?}");
        let texts: Vec<_> = variables.values().map(|v| v.text.as_str()).collect();
        assert_eq!(texts, ["1", "wins", "x y", "${A}", "12"]);
        assert_eq!(variables["B"].place, ".env:3: B");
        assert_eq!(variables["D"].place, ".env:6: D");
    }

    #[test]
    fn every_malformed_line_is_reported_by_its_number_and_not_repeated() {
        let long = "X".repeat(20_000);
        let text =
            format!("A=1\n# c\nOPENAI_API_KEY canary\nLONG={long}\nB=canary two words\nC=\"canary\nD=2\n");
        let (variables, errors) = parsed(&text);
        assert_eq!(variables.keys().collect::<Vec<_>>(), ["A", "LONG"]);
        let places: Vec<_> = errors.iter().map(|m| m.split_once(": ").unwrap().0).collect();
        assert_eq!(places, [".env:3", ".env:5", ".env:6"]);
        assert!(!errors.concat().contains("canary"));
    }
}
