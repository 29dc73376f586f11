//! The fuzzers' seeds and findings, checked without a fuzzer.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases::TARGETS;
use crate::fixtures::{of_kind, of_messages};

/// All seed files of a target.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths.map(|path| (path.display().to_string(), fs::read(&path).expect("readable"))).collect()
}

/// Names the seed that breaks a property.
struct Trying(String);

impl Drop for Trying {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was {}", self.0);
        }
    }
}

/// Complaint of gateway users: tool calls arrive with empty input.
#[test]
fn every_seed_satisfies_the_properties_of_its_target() {
    for (target, check) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() > 3, "there are seeds for {target}");
        for (path, bytes) in seeds {
            let _trying = Trying(path);
            check(&bytes);
        }
    }
}

#[test]
fn every_fixture_satisfies_the_properties_of_framing_and_errors() {
    for fixture in of_kind("stream") {
        let _trying = Trying(fixture.name);
        for size in [1, 7, 64] {
            let chunks: Vec<&[u8]> = fixture.body.chunks(size).collect();
            crate::framing::check(&fixture.body, &chunks);
        }
    }
    for fixture in of_kind("error") {
        let _trying = Trying(fixture.name);
        for status in [200, 400, 413, 429, 500, 503] {
            crate::error::check(status, &fixture.body);
        }
    }
}

/// Requirement: every whole reply of the corpus is read by hand as serde reads it, or left to serde; also if it is cut.
#[test]
fn every_whole_fixture_is_read_alike() {
    for fixture in of_messages("whole").into_iter().chain(of_kind("whole")) {
        let _trying = Trying(fixture.name);
        let body = &fixture.body;
        crate::plain::check_message(body);
        crate::plain::check_message(&body[..body.len() / 2]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_in_any_pieces_satisfy_their_properties(script in vec(any::<u8>(), 0..160)) {
        crate::calls::check(&script);
    }
}
