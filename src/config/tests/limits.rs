//! The files that show `[limits]` are generated from the declarations.

use super::generated::{HEAD, Part, SampleSection, built_in_lines, row, wrapped};
use super::*;
use crate::config::limits::{LIMITS, LimitDeclaration};
use crate::config::value_type::{KeyType, ValueType};

#[test]
fn the_built_in_file_has_the_declared_defaults() {
    let part = Part { file: "src/config/defaults.toml", start: "\n[limits]\n", end: "\n[\"#main\"]" };
    part.compare(&built_in_lines(schema::LIMITS));
}

#[test]
fn the_sample_file_shows_every_limit_as_declared() {
    let section = SampleSection { table: "limits", prefix: "" };
    let entries: String = schema::LIMITS.iter().map(|setting| section.entry(setting)).collect();
    Part { file: "vandamme-config.toml", start: "\n#[limits]\n", end: "" }.compare(&entries);
}

#[test]
fn the_reference_page_shows_every_limit_as_declared() {
    let rows: String = schema::LIMITS.iter().map(row).collect();
    Part { file: "docs/limits.md", start: HEAD, end: "" }.compare(&rows);
}

/// Requirement: each field of the actors' limits has one source of its documentation, the declaration (house, 5).
#[test]
fn the_fields_of_the_settings_are_documented_as_declared() {
    let part = Part { file: "actors/src/settings.rs", start: "pub struct Limits {\n", end: "}\n" };
    let mut generated = String::new();
    for line in part.text().lines().filter(|line| line.starts_with("    pub ")) {
        let name = line.trim_start_matches("    pub ").split(':').next().unwrap_or_default();
        generated.push_str(&wrapped("    ///", &documentation(name)));
        generated.push_str(line);
        generated.push('\n');
    }
    part.compare(&generated);
}

/// A field with fields of its own is documented by the keys that set them.
fn documentation(field: &str) -> String {
    let own = LIMITS.iter().find(|limit| limit.field == field);
    if let Some(LimitDeclaration { setting, .. }) = own {
        let default = setting.default_text().unwrap_or_default().replace('"', "");
        let unit = if matches!(setting.key_type, KeyType::Value(ValueType::Seconds | ValueType::Pause)) {
            " s"
        } else {
            ""
        };
        return format!("`{}`: {} Default: {default}{unit}.", setting.key, setting.documentation.meaning);
    }
    let inner = LIMITS.iter().filter(|limit| limit.field.split('.').next() == Some(field));
    let keys: Vec<String> = inner.map(|limit| format!("`{}`", limit.setting.key)).collect();
    assert!(!keys.is_empty(), "no limit sets {field}");
    format!("Set by {}.", keys.join(", "))
}

#[test]
fn every_limit_sets_one_field_of_its_own() {
    let stock = Machine::new().load().settings.limits;
    let mut changed = Vec::new();
    for LimitDeclaration { setting, .. } in &LIMITS {
        let key = setting.key;
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
    for LimitDeclaration { setting, .. } in &LIMITS {
        let (key, Some(variable)) = (setting.key, setting.variable) else { continue };
        let machine = Machine::with(&[(variable.name, "7")]).toml(&format!("[limits]\n{key} = 9"));
        let value = machine.load().values.into_iter().find(|value| value.key == format!("limits.{key}"));
        let value = value.unwrap();
        assert_eq!(value.place, format!("environment variable {}", variable.name));
        let expected = if variable.name.ends_with("_HOURS") { "25200" } else { "7" };
        assert_eq!(value.value, expected, "{key}");
    }
}
