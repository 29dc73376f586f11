//! `docs/configuration.md` lists every key that a file may have. `docs/limits.md` lists those of `[limits]`; it is generated.

use std::fs;

use super::super::schema::{DEFAULTS, Keys, PROFILE, PROVIDER, TOP};
use super::super::value_type::KeyType;

/// The part of the reference below this heading.
fn section<'a>(reference: &'a str, heading: &str) -> &'a str {
    let after = reference.split_once(&format!("\n### {heading}\n")).expect(heading).1;
    after.split("\n### ").next().unwrap_or_default()
}

#[test]
fn the_reference_lists_exactly_the_keys_that_are_read() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let reference = page.split_once("\n## Reference\n").expect("the reference").1;
    let parts: [(&str, Keys); 4] = [
        ("The gateway", TOP),
        ("All providers: `[defaults]`", DEFAULTS),
        ("A provider: `[NAME]`", PROVIDER),
        ("A profile: `[\"#NAME\"]`", PROFILE),
    ];
    for (heading, keys) in parts {
        let rows = section(reference, heading).lines().filter(|line| line.starts_with("| `"));
        let mut listed: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        let available = keys.iter().filter(|(_, kind)| !matches!(kind, KeyType::Later));
        let mut read: Vec<&str> = available.map(|(name, _)| *name).collect();
        listed.sort_unstable();
        read.sort_unstable();
        assert_eq!(listed, read, "{heading}");
    }
}
