//! The documents: every link has a target, and one toolchain version is named everywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown file at the top, below `docs` and below `.github`.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![root().join("docs"), root().join(".github")];
    let top = fs::read_dir(root()).expect("the repository").map(|entry| entry.expect("readable").path());
    pages.extend(top.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    while let Some(directory) = waiting.pop() {
        for entry in
            fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// A page without its blocks of code.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// The targets of all links `[text](target)` outside of code.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// The anchor of a heading, as GitHub generates it.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().to_lowercase();
    let kept = letters.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let prose = prose(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_between_documents_has_a_target() {
    let mut seen = 0;
    for page in pages() {
        let text = read(&page);
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, part) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().expect("a directory").join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            let found = part.is_empty() || anchors(&read(&target)).contains(part);
            assert!(found, "{}: {link}: no such heading", page.display());
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} are found");
}

#[test]
fn every_guide_is_linked_from_the_readme() {
    let readme = read(&root().join("README.md"));
    for page in pages() {
        let path = page.strip_prefix(root()).expect("below the top").to_string_lossy().into_owned();
        if path.starts_with("docs/") {
            assert!(readme.contains(&format!("({path}")), "README.md does not link {path}");
        }
    }
}

#[test]
fn every_path_in_the_contributors_guide_exists() {
    let guide = read(&root().join("CONTRIBUTING.md"));
    let words = guide.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = words.filter(|word| word.contains('/') && !word.contains([' ', '*'])).collect();
    assert!(paths.len() > 20, "only {} are found", paths.len());
    for path in paths {
        assert!(root().join(path).exists(), "CONTRIBUTING.md names {path}");
    }
}

/// The quoted value of `key` in a TOML file.
fn value(toml: &str, key: &str) -> String {
    let line = toml.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
    line.unwrap_or_else(|| panic!("{key} is not set")).trim().trim_matches('"').to_owned()
}

#[test]
fn developers_ci_and_container_use_one_rust_version() {
    let version = value(&read(&root().join("rust-toolchain.toml")), "channel");
    let short = version.rsplit_once('.').expect("three numbers").0;
    let dockerfile = read(&root().join("Dockerfile"));
    assert!(dockerfile.contains(&format!("FROM rust:{short}-")), "the Dockerfile does not use {short}");
    let minimum = value(&read(&root().join("Cargo.toml")), "rust-version");
    for document in ["README.md", "CONTRIBUTING.md"] {
        let text = read(&root().join(document));
        assert!(text.contains(&format!("Rust {minimum}")), "{document} does not name Rust {minimum}");
    }
    assert!(
        read(&root().join("CONTRIBUTING.md")).contains(&version),
        "CONTRIBUTING.md does not name {version}"
    );
}
