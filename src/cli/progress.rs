//! What is going on, for a person who waits at a terminal; gone when it is over.

use std::io::{IsTerminal as _, Write as _};

use super::table;

/// One line on stderr, written over by the next.
pub(super) struct ProgressLine {
    shown: bool,
}

const CLEAR: &str = "\r\u{1b}[K";

impl ProgressLine {
    /// Only on a terminal, where a line can be erased.
    pub(super) fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        Self { shown: std::io::stderr().is_terminal() && !dumb }
    }

    /// No more than one line of it: a second one could not be taken back.
    pub(super) fn update(&self, text: &str) {
        if self.shown {
            let room = table::width().unwrap_or(80).saturating_sub(1);
            let text: String = text.chars().take(room).collect();
            let _ = write!(std::io::stderr(), "{CLEAR}{text}");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.update("");
    }
}
