//! The names of all test functions of this repository, for tables that name them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOMS: [&str; 5] = ["src", "tests", "actors/src", "protocol/src", "protocol/tests"];

/// The names of all tests that there are.
pub(crate) fn tests() -> HashSet<String> {
    let mut names = HashSet::new();
    for room in ROOMS {
        tests_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join(room), &mut names);
    }
    names
}

fn tests_below(folder: &Path, names: &mut HashSet<String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    for path in paths {
        if path.is_dir() {
            tests_below(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("readable");
            let behind = text.split("#[test]").skip(1);
            let named = behind.filter_map(|rest| rest.split_once("fn ")?.1.split(['(', '<']).next());
            names.extend(named.map(str::to_owned));
        }
    }
}
