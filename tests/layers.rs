//! The architecture as a test: who may know whom, what things may be called, and that the map shows what is there.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

/// Rooms named after nothing attract everything.
const NAMES_OF_NOTHING: [&str; 6] = ["util", "helper", "common", "misc", "manager", "mod.rs"];
const LONGEST_FILE: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of ours below these directories, relative to the top.
fn rust_files(directories: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = directories.iter().map(|name| root().join(name)).collect();
    while let Some(directory) = waiting.pop() {
        let entries =
            fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                // A fuzz crate keeps its own build directory.
                if path.file_name().is_none_or(|name| name != "target") {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no files in {directories:?}");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The crates that a manifest names, for whatever purpose.
fn dependencies(manifest: &str) -> Vec<String> {
    let document: DocumentMut = read(&root().join(manifest)).parse().expect("cargo read it too");
    ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| document.get(section)?.as_table_like())
        .flat_map(|table| table.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn no_file_is_named_after_nothing() {
    for path in rust_files(&["src", "actors", "protocol", "tests", "benches"]) {
        let relative = path.strip_prefix(root()).expect("below the top");
        for part in relative.iter().map(|part| part.to_string_lossy()) {
            assert!(!NAMES_OF_NOTHING.iter().any(|name| part.starts_with(name)), "{}", relative.display());
        }
    }
}

#[test]
fn every_file_opens_with_what_it_owns() {
    for path in rust_files(&["src", "actors", "protocol", "tests", "benches"]) {
        assert!(read(&path).starts_with("//!"), "{} does not begin with //!", path.display());
    }
}

#[test]
fn no_file_outgrows_its_reader() {
    let sources = rust_files(&["src", "actors/src", "protocol/src", "benches"]);
    for path in sources.iter().filter(|path| !path.ends_with("tests.rs")) {
        let code = read(path).lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
        assert!(code <= LONGEST_FILE, "{}: {code} lines before its tests", path.display());
    }
}

#[test]
fn the_protocol_knows_no_runtime() {
    let allowed = dependencies("protocol/Cargo.toml");
    for stranger in
        ["tokio", "actix", "awc", "log", "env_logger", "futures", "rustls", "vandamme", "fastrand"]
    {
        assert!(
            !allowed.iter().any(|name| name.starts_with(stranger)),
            "protocol depends on {stranger}: {allowed:?}"
        );
    }
}

#[test]
fn the_protocol_touches_no_clock_no_socket_and_no_file() {
    for path in rust_files(&["protocol/src"]) {
        for (number, line) in read(&path).lines().enumerate() {
            for outside in
                ["std::time", "std::net", "std::fs", "std::env", "std::process", "std::thread", "std::io"]
            {
                // Decoders read and write memory through these traits, which reach nothing by themselves.
                let is_trait = matches!(line, "use std::io::Read as _;" | "use std::io::Write as _;");
                assert!(is_trait || !line.contains(outside), "{}:{}: {outside}", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn the_actors_do_not_know_the_edge() {
    let known = dependencies("actors/Cargo.toml");
    for edge in ["vandamme-proxy", "actix-web", "clap", "config", "env_logger", "dotenvy"] {
        assert!(!known.contains(&edge.to_owned()), "actors depends on {edge}");
    }
    assert!(known.contains(&"vandamme-protocol".to_owned()));
}

#[test]
fn signals_and_processes_are_met_at_the_edge_alone() {
    for path in rust_files(&["actors/src", "protocol/src"]) {
        let text = read(&path);
        for word in ["std::process", "signal::unix", "std::env::var"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn every_path_on_the_map_exists() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let named: Vec<&str> = map.split('`').skip(1).step_by(2).filter(|word| is_path(word)).collect();
    assert!(named.len() > 10, "the map names hardly anything: {named:?}");
    for path in named {
        assert!(root().join(path.trim_end_matches('/')).exists(), "ARCHITECTURE.md names {path}");
    }
}

/// Whether a quoted word is meant as a path of this repository.
fn is_path(word: &str) -> bool {
    const ROOMS: [&str; 8] =
        ["src/", "actors/", "protocol/", "tests/", "scripts/", "docs/", "benches/", ".ci/"];
    let plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-/".contains(letter));
    plain && ROOMS.iter().any(|room| word.starts_with(room))
}
