//! Texts that are generated from the declarations. `UPDATE_SNAPSHOTS=1` writes them into their files; without it, a
//! difference fails.

use std::sync::{Mutex, PoisonError};

use super::*;
use crate::config::schema::{Application, SettingDeclaration, SettingTable, VariableWithoutKey};
use crate::config::setting;
use crate::config::value_type::{KeyType, ValueType};

/// The longest line of a generated comment.
const WIDTH: usize = 120;

/// A blank at which no line ends.
const NO_BREAK: &str = "\u{a0}";

/// The generated part of a file.
pub(super) struct Part {
    pub(super) file: &'static str,
    /// The text before it.
    pub(super) start: &'static str,
    /// The text after it; empty for the end of the file.
    pub(super) end: &'static str,
}

impl Part {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.file)
    }

    /// The text of the part as it is now, with what surrounds it.
    fn split(&self, text: &str) -> [String; 3] {
        let Self { file, start, end } = self;
        let from = text.find(start).unwrap_or_else(|| panic!("{file} has no {start:?}")) + start.len();
        let after = if end.is_empty() { Some(text.len() - from) } else { text[from..].find(end) };
        let to = from + after.unwrap_or_else(|| panic!("{file} has no {end:?}"));
        [&text[..from], &text[from..to], &text[to..]].map(str::to_owned)
    }

    pub(super) fn text(&self) -> String {
        let [_, text, _] = self.split(&fs::read_to_string(self.path()).unwrap());
        text
    }

    /// Replaces the part by what is generated, or fails for a difference.
    pub(super) fn compare(&self, generated: &str) {
        // Tests of one file run at the same time.
        static FILES: Mutex<()> = Mutex::new(());
        let _guard = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        let [before, text, after] = self.split(&fs::read_to_string(self.path()).unwrap());
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            return fs::write(self.path(), before + generated + &after).unwrap();
        }
        assert!(
            text == generated,
            "{} differs from the declarations in src/config/schema/ and src/config/limits/declared.rs; UPDATE_SNAPSHOTS=1 \
             generates it",
            self.file
        );
    }
}

/// The text in lines, each with the prefix and a blank before it.
pub(super) fn wrapped(prefix: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = prefix.to_owned();
    for word in text.split(' ') {
        let separator = usize::from(!line.is_empty());
        if line.chars().count() + separator + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            prefix.clone_into(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    (lines + &line + "\n").replace(NO_BREAK, " ")
}

/// The lines of the built-in file.
pub(super) fn built_in_lines(settings: schema::SettingList) -> String {
    let line = |setting: &SettingDeclaration| match setting.default {
        setting::DefaultValue::BuiltIn(value) => Some(format!("{} = {value}\n", setting.key)),
        setting::DefaultValue::Implied(_) | setting::DefaultValue::Unset => None,
    };
    settings.iter().filter_map(line).collect()
}

/// The section of the sample file for a table with this heading, without the heading.
pub(super) struct SampleSection {
    /// `mycorp`, `"#work"`; empty outside every table.
    pub(super) table: &'static str,
    /// What `{PROVIDER}` is in variables.
    pub(super) prefix: &'static str,
}

impl SampleSection {
    /// The setting with its explanation, after an empty line.
    pub(super) fn entry(&self, setting: &SettingDeclaration) -> String {
        let variable = setting.variable.map_or_else(String::new, |variable| {
            let name = variable.name.replace("{PROVIDER}", self.prefix);
            format!(" Variable:{NO_BREAK}{}", name.replace("{NAME}", "HAIKU").replace("{X_Y}", "X_TEAM"))
        });
        let text = format!("{}{}{variable}", setting.documentation.meaning, restart(setting));
        let example = setting.documentation.example.or(setting.default_text());
        let example =
            example.unwrap_or_else(|| panic!("{} has neither a default nor an example", setting.key));
        let lines = match is_table(setting) {
            true => format!("[{}.{}]\n{example}", self.table, setting.key),
            false => format!("{} = {example}", setting.key),
        };
        let lines: String = lines.lines().map(|line| format!("#{line}\n")).collect();
        format!("\n{}{lines}", wrapped("#", &text))
    }
}

/// Whether the sample file shows it as a table.
pub(super) fn is_table(setting: &SettingDeclaration) -> bool {
    let is_list = || setting.documentation.example.is_some_and(|example| example.starts_with('['));
    match setting.key_type {
        KeyType::Aliases | KeyType::Targets | KeyType::Headers => true,
        KeyType::Prices => !setting.documentation.example.is_some_and(|example| example.starts_with('{')),
        KeyType::Fallbacks => !is_list(),
        KeyType::Routing | KeyType::Value(_) | KeyType::AuthMode => false,
    }
}

fn restart(setting: &SettingDeclaration) -> &'static str {
    match setting.application {
        Application::AtStart => " A change needs a restart.",
        Application::AtReload => "",
    }
}

/// The head of a table of settings.
pub(super) const HEAD: &str = "| key | default | value | variable | meaning |\n|---|---|---|---|---|\n";

/// A setting in such a table.
pub(super) fn row(setting: &SettingDeclaration) -> String {
    let default = setting.default_text().map_or_else(String::new, |default| format!("`{default}`"));
    let variable = setting.variable.map_or_else(String::new, |variable| format!("`{}`", variable.name));
    let documentation = setting.documentation;
    let meaning = format!("{}{}{}", documentation.meaning, restart(setting), link(documentation.guide));
    let word = word(setting.key_type);
    format!("| `{}` | {default} | {word} | {variable} | {meaning} |\n", setting.key)
}

/// A variable without a key in such a table.
pub(super) fn variable_row(variable: &VariableWithoutKey) -> String {
    let names = variable.name.split(", ").map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    format!("| | | | {names} | {}{} |\n", variable.meaning, link(variable.guide))
}

pub(super) fn rows(table: &SettingTable) -> String {
    let variables = table.variables.iter().map(variable_row);
    table.settings.iter().map(row).chain(variables).collect()
}

fn link(target: Option<&str>) -> String {
    target.map_or_else(String::new, |target| format!(" [More]({target})"))
}

/// The type in one word, as the legends of the pages explain it.
fn word(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::Value(value_type) => value_word(value_type),
        KeyType::Aliases | KeyType::Targets | KeyType::Headers | KeyType::Prices | KeyType::Routing => {
            "table"
        }
        KeyType::Fallbacks => "table or list",
        KeyType::AuthMode => "word",
    }
}

fn value_word(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Text => "text",
        ValueType::Host => "host",
        ValueType::Port => "port",
        ValueType::LogLevel | ValueType::Format | ValueType::OneOf(_) => "word",
        ValueType::Secret => "key",
        ValueType::Keys => "keys",
        ValueType::Url | ValueType::Link => "URL",
        ValueType::Flag => "flag",
        ValueType::Seconds => "seconds or 0",
        ValueType::Pause => "seconds",
        ValueType::Hours => "hours",
        ValueType::Bytes => "size",
        ValueType::Rate => "size or 0",
        ValueType::Words
        | ValueType::Origins
        | ValueType::Hosts
        | ValueType::Parts
        | ValueType::Params
        | ValueType::Settings
        | ValueType::Bounds
        | ValueType::Betas => "list",
        ValueType::WordOrObject(_) => "word or JSON",
        ValueType::Count(0) => "count or 0",
        ValueType::Count(_) | ValueType::CountTo(_) => "count",
    }
}
