//! A running gateway asked, told and stopped from the command line.

mod orders;
mod reload;

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::canned::anthropic;
use crate::support::upstream::{Answer, Dialect, Piece, Upstream};

/// How a command ended: its exit code, its results, and its talk.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("vdm is built");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// What it printed, having ended with 0.
    #[track_caller]
    fn results(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        &self.stdout
    }
}

/// A stream that stands still after its first word until the test says so.
pub(crate) fn paused() -> (Upstream, Vec<Vec<u8>>) {
    let events = anthropic::text(&["first", "second"]);
    let mut pieces: Vec<Piece> = events[..4].iter().cloned().map(Piece::Bytes).collect();
    pieces.push(Piece::Permit);
    pieces.extend(events[4..].iter().cloned().map(Piece::Bytes));
    (Upstream::anthropic().always(Answer::pieces(pieces)), events)
}

/// A provider as it stands in a file.
pub(crate) fn provider(name: &str, upstream: &Upstream, keys: &str) -> String {
    let format = match upstream.dialect() {
        Dialect::Anthropic => "anthropic",
        Dialect::OpenAi => "openai",
    };
    let base_url = upstream.base_url();
    format!("[{name}]\napi-key = '{keys}'\nbase-url = '{base_url}'\napi-format = '{format}'\n")
}
