//! The declarations of all settings: key, type, default, variable, whether a reload applies it, and documentation, each in
//! one place. The parser, `config show`, `config env` and near misses read them. The built-in file, the sample file and the
//! reference in docs/ are generated from them, and a test compares the text.

mod defaults;
mod gateway;
mod profile;
mod provider;
mod safeguards;
mod web_search;

use super::limits;
use super::setting::VariableScope;
pub(super) use super::setting::{Application, SettingDeclaration, SettingList, SettingVariable};
use super::value_type::KeyType;
use super::value_type::ValueType;

pub(super) use self::defaults::DEFAULTS;
pub(super) use self::gateway::{GATEWAY, PROXY_API_KEY, PROXY_API_KEY_FILE};
pub(super) use self::profile::PROFILE;
pub(super) use self::provider::{PROVIDER, PROVIDER_VARIABLES_WITHOUT_KEY};
pub(super) use self::safeguards::SAFEGUARDS;
pub(super) use self::web_search::WEB_SEARCH;

/// `[limits]`
pub(super) const LIMITS: SettingList = &limits::SETTINGS;

/// A variable without a key in files.
pub(super) struct VariableWithoutKey {
    /// One name or several, separated by `, `.
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the generated reference"))]
    pub(super) guide: Option<&'static str>,
    /// The value that the configuration reads; `None` if another part of vdm reads the variable.
    value: Option<VariableValue>,
}

#[derive(Clone, Copy)]
struct VariableValue {
    value_type: ValueType,
    /// The table in the merged layers; empty outside every table.
    table: &'static str,
    key: &'static str,
}

/// The settings of one table, and the variables that belong to the same subject.
pub(super) struct SettingTable {
    /// Empty outside every table.
    pub(super) name: &'static str,
    pub(super) settings: SettingList,
    pub(super) variables: &'static [VariableWithoutKey],
}

/// The tables that do not belong to one provider or profile.
pub(super) static TABLES: [SettingTable; 5] = [
    SettingTable { name: "", settings: GATEWAY, variables: gateway::VARIABLES },
    SettingTable { name: "defaults", settings: DEFAULTS, variables: defaults::VARIABLES },
    SettingTable { name: "limits", settings: LIMITS, variables: &[] },
    SettingTable { name: "safeguards", settings: SAFEGUARDS, variables: &[] },
    SettingTable { name: "web-search", settings: WEB_SEARCH, variables: &[] },
];

/// The table of the values that variables set for every provider, above the providers' own.
pub(super) const EVERYWHERE: &str = "everywhere";

impl SettingTable {
    /// `[limits] `, or nothing outside every table.
    pub(super) fn heading(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!("[{}] ", self.name) }
    }

    /// The key with its table, as in [`super::ConfigValue`].
    fn full_key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn global_variables(&self) -> impl Iterator<Item = GlobalVariable> {
        let of_settings = self.settings.iter().filter_map(|setting| {
            let SettingVariable { name, scope, .. } = setting.variable?;
            let table = if scope == VariableScope::EveryProvider { EVERYWHERE } else { self.name };
            Some(GlobalVariable { name, value_type: setting.variable_type()?, table, key: setting.key })
        });
        let others = self.variables.iter().filter_map(|variable| {
            let VariableValue { value_type, table, key } = variable.value?;
            Some(GlobalVariable { name: variable.name, value_type, table, key })
        });
        of_settings.chain(others)
    }
}

/// Whether a new value of this key takes effect at the next start only. A reload applies every other key. The key is that of
/// a [`super::ConfigValue`].
pub(crate) fn applies_at_start(key: &str) -> bool {
    TABLES.iter().any(|table| {
        let mut settings = table.settings.iter();
        settings
            .any(|setting| setting.application == Application::AtStart && table.full_key(setting.key) == key)
    })
}

/// A variable for the gateway or for all providers.
pub(super) struct GlobalVariable {
    pub(super) name: &'static str,
    pub(super) value_type: ValueType,
    table: &'static str,
    key: &'static str,
}

impl GlobalVariable {
    /// The path of its value in the merged layers.
    pub(super) fn path(&self) -> Vec<&'static str> {
        [self.table, self.key].into_iter().filter(|part| !part.is_empty()).collect()
    }
}

/// All variables that do not belong to one provider.
pub(super) fn variables() -> impl Iterator<Item = GlobalVariable> {
    TABLES.iter().flat_map(SettingTable::global_variables)
}

/// A variable that each provider has: `{PROVIDER}_API_KEY`.
#[derive(Clone, Copy)]
pub(super) struct ProviderVariable {
    /// `_API_KEY`
    pub(super) suffix: &'static str,
    /// The key of `[P]` that it sets.
    pub(super) key: &'static str,
}

/// The variables that set one value of a provider.
pub(super) fn provider_variables() -> impl Iterator<Item = ProviderVariable> {
    let values = PROVIDER.iter().filter(|setting| matches!(setting.key_type, KeyType::Value(_)));
    values.filter_map(|setting| {
        let suffix = setting.variable?.name.strip_prefix("{PROVIDER}")?;
        Some(ProviderVariable { suffix, key: setting.key })
    })
}

/// The name that is nearest, if one is near.
pub(super) fn suggestion<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_ascii_lowercase().replace('_', "-");
    let scored = names.map(|name| (strsim::jaro_winkler(&written, name), name));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(score, _)| *score >= 0.85).map(|(_, name)| name)
}
