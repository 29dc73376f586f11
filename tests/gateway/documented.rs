//! What README.md and the guides tell people to type is there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// README.md and docs, but for the page that names commands which are gone.
fn pages() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(top.join("docs")).expect("docs");
    let docs = docs.map(|entry| entry.expect("readable").path());
    let current = docs.filter(|path| !path.ends_with("coming-from-python.md"));
    std::iter::once(top.join("README.md")).chain(current).collect()
}

/// Every piece of code that calls `vdm`, from that word on: lines of blocks, and what stands between backticks.
fn calls(page: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            continue;
        }
        let code: Vec<&str> = if inside {
            line.split(['|', '&', '#']).collect()
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        for piece in code {
            let words: Vec<String> = piece.split_whitespace().map(str::to_owned).collect();
            let vdm = words.iter().position(|word| word == "vdm");
            let cargo =
                words.windows(2).position(|pair| pair[0] == "--release" && pair[1] == "--").map(|at| at + 1);
            calls.extend(vdm.or(cargo).map(|at| words[at + 1..].to_vec()));
        }
    }
    calls
        .retain(|words| words.first().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_lowercase())));
    calls
}

fn help(words: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_vdm")).args(words).arg("--help").env_clear().output();
    let output = output.expect("vdm is built");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_command_that_is_written_down_exists_with_its_options() {
    let mut seen = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("readable");
        for words in calls(&text) {
            // After `--` and after the tool `claude` it is the tool's, and after `>` the shell's.
            let ends = ["--", ">", "claude"];
            let ours = words.iter().map(String::as_str).take_while(|word| !ends.contains(word));
            let (options, names): (Vec<&str>, Vec<&str>) =
                ours.partition(|word| word.len() > 1 && word.starts_with('-'));
            let command: Vec<&str> = names
                .into_iter()
                .take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
                .take(2)
                .collect();
            let place = format!("{}: vdm {}", page.display(), words.join(" "));
            let help = help(&command).unwrap_or_else(|| panic!("{place}: there is no such command"));
            for option in options {
                let name = option.split('=').next().unwrap_or(option);
                let is_it = |word: &str| word.trim_matches([',', ' ']) == name;
                assert!(help.split_whitespace().any(is_it), "{place}: {name} is not in\n{help}");
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} are found");
}

/// The names in the first columns of tables of variables, without `{` and `}`.
fn variables(page: &str) -> Vec<String> {
    let tables = page.split("\n\n").filter(|part| part.starts_with("| variable |"));
    let cells = tables.flat_map(str::lines).skip(2).filter_map(|line| line.split('|').nth(1));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(|name| name.replace(['{', '}'], "")).collect()
}

#[test]
fn every_variable_that_is_written_down_is_read() {
    let output = Command::new(env!("CARGO_BIN_EXE_vdm")).args(["config", "env"]).env_clear().output();
    let told = String::from_utf8_lossy(&output.expect("vdm is built").stdout).replace(['{', '}'], "");
    let read: Vec<&str> = told.split([' ', ',', '\n']).collect();
    let mut seen = 0;
    for page in pages() {
        for name in variables(&std::fs::read_to_string(&page).expect("readable")) {
            assert!(read.contains(&name.as_str()), "{}: {name}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 15, "only {seen} are found");
}
