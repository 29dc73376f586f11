//! Variables whose names are near the name of one that vdm reads: `OPENAI_APIKEY`, `VDM_DEFAULT_PROVIDR`. Each gets one
//! warning with the name that is meant. Other unknown variables belong to other programs.

use super::environment::{is_read, prefix};
use super::schema::{self, PROVIDER_VARIABLES};
use super::variables::Variables;

/// Variables with this prefix are for vdm alone.
const OWN_PREFIX: &str = "VDM_";

/// Variables with that prefix that are not read from the configuration.
const OTHERS: [&str; 2] = ["VDM_WRAP_URL", "VDM_STRICT_PROFILE_VALIDATION"];

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

/// Names shorter than this are too likely to be near by chance.
const SHORTEST: usize = 8;

/// One line for each such variable; `known` are the providers that files name.
pub(super) fn warnings(variables: &Variables, known: &[&str]) -> Vec<String> {
    let candidates = candidates(known);
    let set = variables.iter().filter(|(_, variable)| !variable.text.trim().is_empty());
    let warned = set.filter_map(|(name, variable)| {
        let meant = meant(name, known, &candidates).filter(|meant| !is_set(variables, meant));
        match meant {
            Some(meant) => {
                Some(format!("{}: vdm does not read this variable; did you mean {meant}?", variable.place))
            }
            None if is_own_and_unknown(name) => Some(format!(
                "{}: there is no such variable, so it has no effect; vdm config env lists all",
                variable.place
            )),
            None => None,
        }
    });
    warned.collect()
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
        let suffixes = PROVIDER_VARIABLES.iter().map(|(suffix, _)| *suffix).chain(["_AUTH_MODE"]);
        suffixes.map(|suffix| format!("{}{suffix}", prefix(name)))
    });
    schema::variables().map(|variable| variable.name.to_owned()).chain(of_providers).collect()
}

fn meant(name: &str, known: &[&str], candidates: &[String]) -> Option<String> {
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
