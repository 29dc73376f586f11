//! Variables whose names are near the name of one that vdm reads (`OPENAI_APIKEY`, `VDM_DEFAULT_PROVIDR`), that a vendor's
//! SDK reads instead (`AZURE_OPENAI_ENDPOINT`), or that have the name of a key without a variable (`OPENAI_MAX_RETRIES`).
//! Each gets one warning with what to set. Other unknown variables belong to other programs.

use super::environment::{is_read, prefix};
use super::schema;
use super::value_type::KeyType;
use super::variables::Variables;
use super::vendor_variables;

/// Variables with this prefix are for vdm alone.
const OWN_PREFIX: &str = "VDM_";

/// Variables with that prefix that are not read from the configuration.
const OTHERS: [&str; 3] = ["VDM_WRAP_URL", "VDM_WRAP_KEY", "VDM_STRICT_PROFILE_VALIDATION"];

/// Other ends of names that people give to these settings of a provider.
const SYNONYMS: [(&str, &str); 10] = [
    ("_KEY", "_API_KEY"),
    ("_TOKEN", "_API_KEY"),
    ("_API_TOKEN", "_API_KEY"),
    ("_API_SECRET", "_API_KEY"),
    ("_URL", "_BASE_URL"),
    ("_API_BASE", "_BASE_URL"),
    ("_API_BASE_URL", "_BASE_URL"),
    ("_API_URL", "_BASE_URL"),
    ("_ENDPOINT", "_BASE_URL"),
    ("_FORMAT", "_API_FORMAT"),
];

/// Misspelt middles of the names of aliases and headers.
const TABLES: [(&str, &str); 4] = [
    ("_ALIASES_", "_ALIAS_"),
    ("_ALIS_", "_ALIAS_"),
    ("_ALAIS_", "_ALIAS_"),
    ("_CUSTOM_HEADERS_", "_CUSTOM_HEADER_"),
];

/// Other ends of names that people give to keys of a provider without a variable.
const KEY_SYNONYMS: [(&str, &str); 6] = [
    ("MAX_RETRY", "max-retries"),
    ("NUM_RETRIES", "max-retries"),
    ("RETRIES", "max-retries"),
    ("REQUEST_TIMEOUT", "timeout"),
    ("READ_TIMEOUT", "timeout"),
    ("TIMEOUT_SECONDS", "timeout"),
];

/// Names shorter than this are too likely to be near by chance.
const SHORTEST: usize = 8;

/// The providers by which names of variables are judged.
pub(super) struct ProviderNames<'a> {
    /// Those that files name.
    pub(super) known: &'a [&'a str],
    pub(super) registered: &'a [&'a str],
}

/// One line for each such variable.
pub(super) fn warnings(variables: &Variables, providers: &ProviderNames<'_>) -> Vec<String> {
    let candidates = candidates(providers.known);
    let set = variables.iter().filter(|(_, variable)| !variable.text.trim().is_empty());
    let warned = set.filter_map(|(name, variable)| {
        let meant = meant(name, providers, &candidates).filter(|meant| !is_set(variables, meant));
        let text = match meant {
            Some(meant) => format!("vdm does not read this variable; did you mean {meant}?"),
            None => key_without_variable(name, providers.registered).or_else(|| {
                let text = "there is no such variable, so it has no effect; vdm config env lists all";
                is_own_and_unknown(name).then(|| text.to_owned())
            })?,
        };
        Some(format!("{}: {text}", variable.place))
    });
    warned.collect()
}

/// What to set instead of a variable with the name of a key of `[P]` that has no variable: `OPENAI_MAX_RETRIES`.
fn key_without_variable(name: &str, registered: &[&str]) -> Option<String> {
    let (provider, key) = registered.iter().find_map(|provider| {
        let rest = name.strip_prefix(&prefix(provider))?.strip_prefix('_')?;
        Some((provider, near_key(rest)?))
    })?;
    let for_all = schema::DEFAULTS.iter().find(|setting| setting.key == key);
    let for_all = for_all.and_then(|setting| setting.variable);
    let for_all =
        for_all.map_or_else(String::new, |variable| format!(", or {} for all providers", variable.name));
    Some(format!("there is no such variable; set {key} under [{provider}] in a configuration file{for_all}"))
}

/// The key without a variable that is near the end of a variable's name.
fn near_key(written: &str) -> Option<&'static str> {
    let synonym = KEY_SYNONYMS.iter().find(|(synonym, _)| *synonym == written).map(|(_, key)| *key);
    let written = written.to_ascii_lowercase().replace('_', "-");
    let is_near = |key: &str| {
        let most = usize::from(key.len() >= SHORTEST);
        strsim::osa_distance(&written, key) <= most
    };
    let mut keys = schema::PROVIDER
        .iter()
        .filter(|setting| matches!(setting.key_type, KeyType::Value(_)) && setting.variable.is_none());
    keys.find(|setting| synonym == Some(setting.key) || is_near(setting.key)).map(|setting| setting.key)
}

/// The name of a provider that is near, for one that is not known.
pub(crate) fn near_provider<'a>(written: &str, mut known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = if written.len() < 8 { 1 } else { 2 };
    known.find(|name| *name != written && strsim::osa_distance(written, name) <= most)
}

fn is_set(variables: &Variables, name: &str) -> bool {
    variables.find(name).is_some_and(|variable| !variable.text.trim().is_empty())
}

fn is_own_and_unknown(name: &str) -> bool {
    name.starts_with(OWN_PREFIX) && !OTHERS.contains(&name) && !is_read(name)
}

/// All names that are read, with those of each known provider.
fn candidates(known: &[&str]) -> Vec<String> {
    let of_providers = known.iter().flat_map(|name| {
        let suffixes = schema::provider_variables().map(|variable| variable.suffix).chain(["_AUTH_MODE"]);
        suffixes.map(|suffix| format!("{}{suffix}", prefix(name)))
    });
    schema::variables().map(|variable| variable.name.to_owned()).chain(of_providers).collect()
}

fn meant(name: &str, providers: &ProviderNames<'_>, candidates: &[String]) -> Option<String> {
    let known = providers.known;
    if let Some(meant) = of_vendor(name, providers.registered) {
        return Some(meant.to_owned());
    }
    // A key of an unknown provider is reported as one without a base URL.
    if OTHERS.contains(&name) || candidates.iter().any(|candidate| candidate == name) || is_read(name) {
        return None;
    }
    let synonym = || {
        let prefixes = known.iter().map(|provider| prefix(provider));
        prefixes.into_iter().find_map(|prefix| {
            let rest = name.strip_prefix(&prefix)?;
            let (_, suffix) = SYNONYMS.iter().find(|(written, _)| *written == rest)?;
            Some(format!("{prefix}{suffix}"))
        })
    };
    nearest(name, candidates).or_else(synonym).or_else(|| of_table(name, known))
}

/// The variable that is meant by one of a vendor's SDK. A name such as `AZURE_OPENAI_API_VERSION` can also belong to a provider
/// `azure_openai` of the user. A key is reported with its provider.
fn of_vendor(name: &str, registered: &[&str]) -> Option<&'static str> {
    let of_registered =
        || registered.iter().any(|provider| name.strip_prefix(&prefix(provider)).is_some_and(is_setting));
    vendor_variables::meant(name).filter(|_| !name.ends_with("_API_KEY") && !of_registered())
}

fn is_setting(suffix: &str) -> bool {
    schema::provider_variables().any(|variable| variable.suffix == suffix)
}

/// The variable of an alias or a header of a known provider.
fn of_table(name: &str, known: &[&str]) -> Option<String> {
    known.iter().find_map(|provider| {
        let prefix = prefix(provider);
        let rest = name.strip_prefix(&prefix)?;
        let found = |(written, meant): &(&str, &str)| Some(format!("{meant}{}", rest.strip_prefix(written)?));
        let meant = TABLES.iter().find_map(found)?;
        Some(format!("{prefix}{meant}"))
    })
}

/// Underscores are often forgotten, so they do not count.
fn nearest(name: &str, candidates: &[String]) -> Option<String> {
    let written = name.to_ascii_uppercase().replace('_', "");
    if written.len() < SHORTEST {
        return None;
    }
    let most = if written.len() < 14 { 1 } else { 2 };
    let distances = candidates
        .iter()
        .map(|candidate| (strsim::osa_distance(&written, &candidate.replace('_', "")), candidate));
    let (distance, best) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= most && best.len() >= SHORTEST).then(|| best.clone())
}
