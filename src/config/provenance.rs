//! The values of a configuration, each with its place. Secrets are replaced by their ids.

use ::config::{Map, Value, ValueKind};
use serde::Serialize;
use vandamme_actors::secret::ApiKey;

use super::client_keys;
use super::file::{BUILT_IN, DOUBTFUL};
use super::layer::Layer;
use super::limits::{LIMITS, Limit};
use super::schema::{self, PROVIDER_VARIABLES};
use super::value_type::ValueType;
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
    if path.first().is_some_and(|first| first == DOUBTFUL) {
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
    let is_secret = path.iter().any(|part| SECRETS.contains(&part.as_str()));
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

/// All variables, from the tables that the parser uses.
pub(super) fn variables() -> Vec<VariableDoc> {
    let global = schema::GLOBAL
        .iter()
        .map(|variable| VariableDoc { name: variable.name.to_owned(), about: variable.about.to_owned() });
    let of_limits = LIMITS.iter().filter_map(|Limit { key, default, doc, variable, .. }| {
        let variable = variable.as_ref()?;
        let unit = if variable.kind == ValueType::Hours { "In hours. " } else { "" };
        Some(VariableDoc {
            name: variable.name.to_owned(),
            about: format!("{unit}{doc} ([limits] {key} = {default})"),
        })
    });
    let of_a_provider = PROVIDER_VARIABLES.iter().map(|(suffix, key)| VariableDoc {
        name: format!("{{PROVIDER}}{suffix}"),
        about: format!("{key} of this provider; overrides the files"),
    });
    let free = [
        ("{PROVIDER}_AUTH_MODE", "passthrough: send each request with its client's own key"),
        ("{PROVIDER}_ALIAS_{NAME}", "an alias of this provider: a model, or PROVIDER:MODEL"),
        ("{PROVIDER}_CUSTOM_HEADER_{X_Y}", "a header X-Y on every request to this provider"),
        ("CUSTOM_HEADER_{X_Y}", "a header X-Y on every request to providers without a header of that name"),
        (
            "OPENAI_ORG_ID, OPENAI_PROJECT_ID",
            "sent to provider openai as openai-organization and openai-project",
        ),
        ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "proxies for providers"),
        (
            "SSL_CERT_FILE, SSL_CERT_DIR",
            "trusted certificates in place of the system's; public ones stay trusted",
        ),
        ("NO_COLOR", "no colours"),
        ("COLUMNS", "width of tables on a terminal"),
        ("XDG_RUNTIME_DIR", "directory of the control sockets"),
        ("VDM_WRAP_URL", "set by `vdm wrap` for its tool: the gateway in use"),
    ];
    let free = free.map(|(name, about)| VariableDoc { name: name.to_owned(), about: about.to_owned() });
    global.chain(of_limits).chain(of_a_provider).chain(free).collect()
}
