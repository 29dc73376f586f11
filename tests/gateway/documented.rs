//! The commands and variables in README.md and the guides exist, and the reference is complete.

use std::path::{Path, PathBuf};
use std::process::Command;

/// README.md, CONTRIBUTING.md and docs, without the page that names removed commands.
fn pages() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![top.join("README.md"), top.join("CONTRIBUTING.md")];
    for directory in ["docs", "docs/clients"] {
        let entries = std::fs::read_dir(top.join(directory)).expect(directory);
        pages.extend(entries.map(|entry| entry.expect("readable").path()).filter(|path| path.is_file()));
    }
    pages.retain(|path| !path.ends_with("coming-from-python.md"));
    pages
}

/// Every call of `vdm` in code, from that word on: in lines of blocks, and between backticks.
fn calls(page: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            continue;
        }
        let code: Vec<&str> = if inside {
            // Skips comments.
            let command = line.split(" #").next().unwrap_or_default();
            command.split(['|', '&']).collect()
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
fn every_documented_command_exists_with_its_options() {
    let mut seen = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("readable");
        for words in calls(&text) {
            // Arguments after `--` and after the tool `claude` belong to the tool, and those after `>` to the shell.
            let ends = ["--", ">", "claude"];
            let ours = words.iter().map(String::as_str).take_while(|word| !ends.contains(word));
            let (options, names): (Vec<&str>, Vec<&str>) =
                ours.partition(|word| word.len() > 1 && word.starts_with('-'));
            let command: Vec<&str> = names
                .into_iter()
                .take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
                .take(3)
                .collect();
            let place = format!("{}: vdm {}", page.display(), words.join(" "));
            let shorter = &command[..command.len().min(2)];
            let help = help(&command)
                .or_else(|| help(shorter))
                .unwrap_or_else(|| panic!("{place}: there is no such command"));
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

/// The names in the columns called `variable` of all tables, without `{` and `}`.
fn variables(page: &str) -> Vec<String> {
    let mut names = Vec::new();
    for table in page.split("\n\n").filter(|part| part.starts_with('|')) {
        let heading = table.lines().next().unwrap_or_default();
        let Some(column) = heading.split('|').position(|cell| cell.trim() == "variable") else { continue };
        let cells = table.lines().skip(2).filter_map(|line| line.split('|').nth(column));
        let found = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        names.extend(found.map(|name| name.replace(['{', '}'], "")));
    }
    names
}

#[test]
fn every_documented_variable_is_read() {
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
    assert!(seen > 50, "only {seen} are found");
}

#[test]
fn every_variable_that_is_read_is_in_the_reference() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = |name: &str| std::fs::read_to_string(docs.join(name)).expect("readable");
    let reference =
        page("configuration.md").split_once("\n## Reference\n").expect("the reference").1.to_owned();
    let reference = reference + &page("limits.md");
    let output = Command::new(env!("CARGO_BIN_EXE_vdm")).args(["config", "env"]).env_clear().output();
    let listed = String::from_utf8_lossy(&output.expect("vdm is built").stdout).into_owned();
    // The first column of each line; one cell can name several variables.
    let names = listed.lines().filter_map(|line| line.split("  ").next()).flat_map(|cell| cell.split(", "));
    let missing: Vec<&str> = names.filter(|name| !reference.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/configuration.md and docs/limits.md lack {missing:?}");
}
