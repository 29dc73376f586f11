//! The files: fixtures and snapshots.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use vandamme_protocol::convert::ReplySummary;
use vandamme_protocol::convert::upstream::chat::{Dialect, HostedSearch, Replay};

/// One upstream body, `<vendor>/<kind>-<fact>.<extension>`.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
    path: PathBuf,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn files() -> impl Iterator<Item = PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
        paths.sort();
        paths
    };
    let vendors = list(&folder()).into_iter().filter(|path| path.is_dir());
    vendors.flat_map(move |vendor| list(&vendor))
}

/// All fixtures of one kind (`stream`, `whole` or `error`) of Chat Completions upstreams.
pub(crate) fn of_kind(kind: &str) -> Vec<Fixture> {
    let found = all_of(kind, |vendor| vendor != ANTHROPIC);
    assert!(found.len() > 20, "the corpus is there");
    found
}

/// The same of the Messages API upstream.
pub(crate) fn of_messages(kind: &str) -> Vec<Fixture> {
    let found = all_of(kind, |vendor| vendor == ANTHROPIC);
    assert!(found.len() > 3, "the corpus is there");
    found
}

/// All fixtures of one kind (`stream` or `whole`) of Responses upstreams.
pub(crate) fn of_responses(kind: &str) -> Vec<Fixture> {
    let found = all_of(&format!("responses-{kind}"), |_| true);
    assert!(found.len() > 3, "the corpus is there");
    found
}

const ANTHROPIC: &str = "anthropic";

fn all_of(kind: &str, is_meant: impl Fn(&str) -> bool) -> Vec<Fixture> {
    let is_one = |path: &PathBuf| {
        let word = |path: Option<&std::ffi::OsStr>| path.unwrap_or_default().to_string_lossy().into_owned();
        let (vendor, name) = (word(path.parent().and_then(Path::file_name)), word(path.file_name()));
        is_meant(&vendor) && name.starts_with(kind) && !name.ends_with(".snap")
    };
    let read = |path: PathBuf| Fixture {
        name: path.strip_prefix(folder()).expect("below").to_string_lossy().into_owned(),
        body: fs::read(&path).expect("readable"),
        path,
    };
    files().filter(is_one).map(read).collect()
}

impl Fixture {
    /// The vendor's dialect, as far as it affects how a reply is read.
    pub(crate) fn dialect(&self) -> Dialect {
        let replay = if self.name.starts_with("openrouter/") { Replay::Details } else { Replay::Content };
        let web_search = self.name.contains("web-search").then_some(HostedSearch::Perplexity);
        Dialect { replay, think_tags: self.name.contains("think-tags"), web_search, ..Dialect::default() }
    }

    /// Compares the text with the committed one, and returns the difference.
    pub(crate) fn compare(&self, now: &str) -> Result<(), String> {
        let path = self.path.with_extension("snap");
        if env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
            fs::write(&path, now).expect("writable");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        if committed == now {
            return Ok(());
        }
        Err(format!("--- {}: committed\n{committed}--- now\n{now}", self.name))
    }
}

/// Panics with all differences at once.
pub(crate) fn all_agree(results: impl Iterator<Item = Result<(), String>>) {
    let wrong: Vec<String> = results.filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}\n{} snapshots differ", wrong.join("\n"), wrong.len());
}

/// The ledger's data of a reply.
pub(crate) fn ledger(summary: &ReplySummary) -> String {
    let mut text = String::from("ledger\n");
    let reason = summary.stop_reason.map_or("none", |reason| reason.anthropic());
    let _ = writeln!(text, "  stop_reason: {reason}");
    let usage = summary.usage.map_or("never said".to_owned(), |usage| {
        format!(
            "input {}, output {}, cache_read {}, cache_creation {}",
            usage.input, usage.output, usage.cache_read, usage.cache_creation
        )
    });
    let _ = writeln!(text, "  usage: {usage}");
    let _ = writeln!(text, "  tool_calls: {}", summary.tool_calls);
    if let Some(fault) = &summary.fault {
        let _ = writeln!(text, "  fault: {} {}: {}", fault.status, fault.kind.anthropic(), fault.message);
    }
    text
}

#[test]
fn every_file_is_a_fixture_or_a_snapshot_and_its_name_states_a_fact() {
    for path in files() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kind = name.split('-').next().unwrap_or_default();
        assert!(matches!(kind, "stream" | "whole" | "error" | "responses"), "{name} is of no kind");
        assert!(name.split('-').count() > 2 || kind == "whole", "{name} says no fact");
        if name.ends_with(".snap") {
            let is_used = ["sse", "json", "html", "txt"].iter().any(|end| path.with_extension(end).exists());
            assert!(is_used, "{name} belongs to no fixture");
        }
    }
}
