//! The files that show `[limits]` are generated from the declarations: `UPDATE_SNAPSHOTS=1` writes them, and without it a
//! difference fails.

use super::*;
use crate::config::limits::{LIMITS, LimitDeclaration};
use crate::config::value_type::ValueType;

/// The longest line of a generated comment.
const WIDTH: usize = 120;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text with this part replaced by what is generated, or an error for a difference.
fn compare(name: &str, (start, end): (&str, &str), generated: &str) {
    let text = fs::read_to_string(path(name)).unwrap_or_default();
    let from = text.find(start).unwrap_or_else(|| panic!("{name} has the line {start:?}")) + start.len();
    let to = if end.is_empty() { text.len() } else { from + text[from..].find(end).unwrap() };
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        return fs::write(path(name), format!("{}{generated}{}", &text[..from], &text[to..])).unwrap();
    }
    assert!(
        text[from..to] == *generated,
        "{name} differs from src/config/limits/declared.rs; UPDATE_SNAPSHOTS=1 generates it"
    );
}

/// As comment lines.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

#[test]
fn the_built_in_file_has_the_declared_defaults() {
    let lines: String =
        LIMITS.iter().map(|LimitDeclaration { key, default, .. }| format!("{key} = {default}\n")).collect();
    compare("src/config/defaults.toml", ("\n[limits]\n", "\n[\"#main\"]"), &lines);
}

#[test]
fn the_sample_file_shows_every_limit_as_declared() {
    let entry = |LimitDeclaration { key, default, doc, variable, .. }: &LimitDeclaration| {
        let variable =
            variable.as_ref().map_or_else(String::new, |variable| format!(" Variable: {}", variable.name));
        format!("\n{}#{key} = {default}\n", comment(&format!("{doc}{variable}")))
    };
    let entries: String = LIMITS.iter().map(entry).collect();
    compare("vandamme-config.toml", ("\n#[limits]\n", ""), &entries);
}

/// The type in one word, as the legend of the page explains it.
fn short(value_type: ValueType) -> String {
    use ValueType::{Bytes, Count, Pause, Rate, Seconds};
    let words = [
        (Bytes, "size"),
        (Rate, "size or 0"),
        (Pause, "seconds"),
        (Seconds, "seconds or 0"),
        (Count(1), "count"),
        (Count(0), "count or 0"),
    ];
    let found = words.into_iter().find(|(known, _)| *known == value_type);
    found.map_or_else(|| value_type.expected(), |(_, word)| word.to_owned())
}

#[test]
fn the_reference_page_shows_every_limit_as_declared() {
    let row = |LimitDeclaration { key, default, doc, value_type, variable, .. }: &LimitDeclaration| {
        let variable = variable.as_ref().map_or_else(String::new, |variable| format!("`{}`", variable.name));
        let value = short(*value_type);
        format!("| `{key}` | `{default}` | {value} | {variable} | {doc} |\n")
    };
    let rows: String = LIMITS.iter().map(row).collect();
    compare("docs/limits.md", ("|---|---|---|---|---|\n", ""), &rows);
}

#[test]
fn every_limit_sets_one_field_of_its_own() {
    let stock = Machine::new().load().settings.limits;
    let mut changed = Vec::new();
    for LimitDeclaration { key, .. } in &LIMITS {
        let toml = format!("[limits]\n{key} = 7");
        let limits = Machine::new().toml(&toml).load().settings.limits;
        let (before, after) = (format!("{stock:#?}"), format!("{limits:#?}"));
        let pairs = before.lines().zip(after.lines()).enumerate();
        let lines: Vec<usize> =
            pairs.filter(|(_, (one, other))| one != other).map(|(line, _)| line).collect();
        // `Some(…)` is printed over several lines.
        assert!(before.lines().count().abs_diff(after.lines().count()) <= 2 && !lines.is_empty(), "{key}");
        changed.push(lines[0]);
    }
    let count = changed.len();
    changed.sort_unstable();
    changed.dedup();
    assert_eq!(changed.len(), count, "no two limits set the same field");
}

#[test]
fn a_variable_overrides_the_limit_that_it_names() {
    for LimitDeclaration { key, variable, .. } in &LIMITS {
        let Some(variable) = variable else { continue };
        let machine = Machine::with(&[(variable.name, "7")]).toml(&format!("[limits]\n{key} = 9"));
        let value = machine.load().values.into_iter().find(|value| value.key == format!("limits.{key}"));
        let value = value.unwrap();
        assert_eq!(value.place, format!("environment variable {}", variable.name));
        let expected = if variable.name.ends_with("_HOURS") { "25200" } else { "7" };
        assert_eq!(value.value, expected, "{key}");
    }
}
