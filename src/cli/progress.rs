//! Progress messages for users at a terminal, erased at the end.

use std::io::{IsTerminal as _, Write as _};

use super::table;

/// One line on stderr, which the next one overwrites.
pub(super) struct ProgressLine {
    shown: bool,
}

const CLEAR: &str = "\r\u{1b}[K";

impl ProgressLine {
    /// Whether stderr is a terminal. Elsewhere lines cannot be erased, and nothing is printed.
    pub(super) fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        Self { shown: std::io::stderr().is_terminal() && !dumb }
    }

    /// Truncated to the terminal's width, because only one line can be erased.
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
