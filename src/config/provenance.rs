//! The values of a configuration, each with its place. Secrets are replaced by their ids.

use ::config::{Map, Value, ValueKind};
use serde::Serialize;
use vandamme_actors::secret::ApiKey;

use super::client_keys;
use super::cloud;
use super::file::{BUILT_IN, DOUBTFUL};
use super::layer::Layer;
use super::schema::{self, PROVIDER, PROVIDER_VARIABLES_WITHOUT_KEY, SettingDeclaration, VariableWithoutKey};
use crate::access_keys::KeyHash;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigValue {
    /// The key as in a file: `limits.drain`, `poe.base-url`.
    pub key: String,
    /// The value as in a file; the id of a key instead of the key.
    pub value: String,
    /// `FILE:LINE:COLUMN: …`, `environment variable NAME` or the like.
    pub place: String,
}

impl ConfigValue {
    /// Whether the value is the compiled-in default.
    pub fn is_built_in(&self) -> bool {
        self.place.starts_with(BUILT_IN)
    }
}

/// A variable, for `vdm config env`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VariableDoc {
    pub name: String,
    pub about: String,
}

/// The values after a reload: those that apply at the start keep what they were.
pub(crate) fn values_in_use(before: &[ConfigValue], after: Vec<ConfigValue>) -> Vec<ConfigValue> {
    let kept = before.iter().filter(|value| schema::applies_at_start(&value.key)).cloned();
    let mut values: Vec<_> =
        kept.chain(after.into_iter().filter(|value| !schema::applies_at_start(&value.key))).collect();
    values.sort_by(|one, other| one.key.cmp(&other.key));
    values
}

/// All that merged layers say, in alphabetical order of the keys.
pub(super) fn all(merged: &Layer) -> Vec<ConfigValue> {
    let mut values = Vec::new();
    collect(merged.tree(), &mut Vec::new(), &mut values);
    values.sort_by(|one, other| one.key.cmp(&other.key));
    values
}

fn collect(table: &Map<String, Value>, path: &mut Vec<String>, values: &mut Vec<ConfigValue>) {
    for (name, value) in table {
        path.push(name.clone());
        if let ValueKind::Table(table) = &value.kind {
            collect(table, path, values);
        } else if !is_note(path) {
            let place = value.origin().unwrap_or_default().to_owned();
            values.push(ConfigValue { key: key(path), value: shown(path, &value.kind), place });
        }
        path.pop();
    }
}

/// That a file has a profile, or a doubtful section, is an internal note, not a setting.
fn is_note(path: &[String]) -> bool {
    if path.first().is_some_and(|first| first == DOUBTFUL || first == cloud::SECTIONS) {
        return true;
    }
    matches!(path, [first, _, last] if first == "profiles" && last == "said")
}

fn key(path: &[String]) -> String {
    match path {
        [first, rest @ ..] if first == "providers" => rest.join("."),
        [first, name, rest @ ..] if first == "profiles" => format!("\"#{name}\".{}", rest.join(".")),
        // What a variable sets for all providers, above what files say.
        [first, rest @ ..] if first == "everywhere" => format!("(all providers) {}", rest.join(".")),
        path => path.join("."),
    }
}

fn shown(path: &[String], kind: &ValueKind) -> String {
    const SECRETS: [&str; 4] = ["api-key", "proxy-api-key", "admin-key", "custom-headers"];
    let is_service_key =
        |part: &str| part.ends_with("-api-key") && path.first().is_some_and(|table| table == "web-search");
    let is_secret = path.iter().any(|part| SECRETS.contains(&part.as_str()) || is_service_key(part));
    let is_client_key = path.first().is_some_and(|first| first == client_keys::TABLE);
    match kind {
        ValueKind::String(text) if is_client_key => match KeyHash::parse(text) {
            Some(hash) => format!("<{}>", hash.id()),
            None => format!("{text:?}"),
        },
        ValueKind::String(text) if is_secret => {
            let ids: Vec<String> =
                text.split_whitespace().map(|key| format!("<{}>", ApiKey::new(key).id())).collect();
            ids.join(" ")
        }
        ValueKind::String(text) if path.iter().rev().nth(1).is_some_and(|table| table == "prices") => {
            text.clone()
        }
        ValueKind::String(text) if text.contains('\n') => {
            let words: Vec<String> = text.lines().map(|word| format!("{word:?}")).collect();
            format!("[{}]", words.join(", "))
        }
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Float(number) => number.to_string(),
        ValueKind::I64(number) => number.to_string(),
        ValueKind::Boolean(truth) => truth.to_string(),
        ValueKind::Nil
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Table(_)
        | ValueKind::Array(_) => kind.to_string(),
    }
}

/// All variables, from the declarations that the parser uses.
pub(super) fn variables() -> Vec<VariableDoc> {
    let global = schema::TABLES.iter().flat_map(|table| {
        let heading = table.heading();
        let of_settings = table.settings.iter().filter_map(move |setting| of_setting(setting, &heading));
        of_settings.chain(table.variables.iter().map(without_key))
    });
    let of_a_provider = PROVIDER.iter().filter_map(|setting| of_setting(setting, "[PROVIDER] "));
    global.chain(of_a_provider).chain(PROVIDER_VARIABLES_WITHOUT_KEY.iter().map(without_key)).collect()
}

/// The variable of a setting, with the key that it overrides and its default.
fn of_setting(setting: &SettingDeclaration, heading: &str) -> Option<VariableDoc> {
    let variable = setting.variable?;
    let unit = variable.unit();
    let meaning = plain(setting.documentation.meaning);
    let default = setting.default_text().map_or_else(String::new, |default| format!(" = {default}"));
    let about = format!("{unit}{meaning} ({heading}{}{default})", setting.key);
    Some(VariableDoc { name: variable.name.to_owned(), about })
}

fn without_key(VariableWithoutKey { name, meaning, .. }: &VariableWithoutKey) -> VariableDoc {
    VariableDoc { name: (*name).to_owned(), about: plain(meaning) }
}

/// Without the marks of literal words.
fn plain(text: &str) -> String {
    text.replace('`', "")
}
