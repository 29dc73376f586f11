//! The parts of a request that its translation removes, for the header `x-vdm-dropped`: JSON paths, never content. Fields
//! that a provider refuses are removed by fixups instead ([`compat`](crate::compat)).

use std::fmt::{Display, Write as _};

/// The number of paths that are named. Further ones are only counted.
const MOST: usize = 16;
/// The length at which a name is truncated.
const LONGEST: usize = 64;

/// The parts of a request that its translation removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    paths: Vec<String>,
    more: usize,
}

impl Dropped {
    /// Notes a part by its path: `context_management`, `messages.3.content.0 (container_upload)`.
    pub(crate) fn note(&mut self, path: impl Display) {
        let path = plain(&path.to_string());
        if self.paths.contains(&path) {
            return;
        }
        if self.paths.len() < MOST {
            self.paths.push(path);
        } else {
            self.more += 1;
        }
    }

    /// Notes an image whose description was sent instead, by its path.
    pub fn note_described(&mut self, path: &str) {
        self.note(format_args!("{path} (image described)"));
    }

    /// Notes an image in whose place a note was sent that it could not be described, by its path.
    pub fn note_undescribed(&mut self, path: &str) {
        self.note(format_args!("{path} (image not described)"));
    }

    /// Adds the parts that another step removed.
    pub fn append(&mut self, other: Self) {
        other.paths.iter().for_each(|path| self.note(path));
        self.more += other.more;
    }

    /// Without the members of the top level that another step keeps or names. What is said of a value goes with its member.
    #[must_use]
    pub fn without_members(mut self, is_elsewhere: impl Fn(&str) -> bool) -> Self {
        let member = |path: &str| path.split_once(' ').map_or(path, |(member, _)| member).to_owned();
        self.paths.retain(|path| path.contains('.') || !is_elsewhere(&member(path)));
        self
    }

    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The value of the header `x-vdm-dropped`: visible ASCII, within bounds. `None` if nothing was left out.
    pub fn header(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let mut header = self.paths.join(", ");
        if self.more > 0 {
            // Writing to a String cannot fail.
            let _ = write!(header, ", and {} more", self.more);
        }
        Some(header)
    }
}

/// Names come from clients, which may call a field anything.
fn plain(path: &str) -> String {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "_-.() ".contains(c);
    let mut plain: String = path.chars().take(LONGEST).map(|c| if is_fit(c) { c } else { '?' }).collect();
    if path.chars().nth(LONGEST).is_some() {
        plain.push_str("...");
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_named_once_within_bounds() {
        let mut dropped = Dropped::default();
        assert_eq!(dropped.header(), None);
        dropped.note("container");
        dropped.note("container");
        dropped.note(format_args!("tools.{} ({})", 3, "web_search_20250305"));
        assert_eq!(dropped.header().as_deref(), Some("container, tools.3 (web_search_20250305)"));
        let mut described = Dropped::default();
        described.note_described("messages.0.content.1");
        described.note_undescribed("messages.0.content.2");
        described.append(dropped.clone());
        assert_eq!(
            described.header().as_deref(),
            Some(
                "messages.0.content.1 (image described), messages.0.content.2 (image not described), container, tools.3 (web_search_20250305)"
            )
        );
        for number in 0..1000 {
            dropped.note(format_args!("messages.{number}\r\né{}", "x".repeat(10_000)));
        }
        let header = dropped.header().unwrap_or_default();
        assert!(header.len() < 1300 && header.ends_with(", and 986 more"), "{header}");
        assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{header}");
    }
}
