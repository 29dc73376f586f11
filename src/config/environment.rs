//! Builds the configuration layer of the environment variables, and warns of those without effect.

use config::ValueKind;

use super::error::{ConfigError, Diagnostics};
use super::headers;
use super::layer::Layer;
use super::schema::{self, PROXY_API_KEY, PROXY_API_KEY_FILE, ProviderVariable};
use super::value_type::{AWS, GOOGLE};
use super::variables::{EnvironmentVariable, Variables};

/// Between a provider and the name of a header, where `_` means `-`.
const HEADER: &str = "_CUSTOM_HEADER_";

/// Prefix of a header that is sent to every provider.
const HEADER_FOR_ALL: &str = "CUSTOM_HEADER_";

/// Variables of OpenAI's own SDKs, and the headers in which the provider `openai` gets them. No other provider does.
const OPENAI_HEADERS: [(&str, &str); 2] =
    [("OPENAI_ORG_ID", "openai-organization"), ("OPENAI_PROJECT_ID", "openai-project")];

/// Variables of the Python original that vdm does not need, with the reason.
const GONE: [(&str, &str); 3] = [
    ("ALIAS_CACHE_TTL_SECONDS", "aliases are not cached"),
    ("ALIAS_CACHE_MAX_SIZE", "aliases are not cached"),
    (
        "VDM_STRICT_PROFILE_VALIDATION",
        "a profile that leads to a provider without a key is inactive and never ends the start",
    ),
];

/// The words of `auth-mode`, but for the refused `oauth`.
const AUTH_MODES: [&str; 3] = ["passthrough", AWS, GOOGLE];

/// Between a provider and the name of an alias; the last one counts.
const ALIAS: &str = "_ALIAS_";

/// The layer of the variables. `known` are the providers that the files name. An empty variable counts as not set, since
/// compose files write `VAR=${VAR:-}`. The values of one provider are checked when that provider is built: many variables
/// that end in `_API_KEY` belong to other programs.
pub(super) fn layer(variables: &Variables, known: &[String], report: &mut Diagnostics) -> Layer {
    let mut layer = Layer::default();
    for declared in schema::variables() {
        let Some(variable) = variables.find(declared.name) else { continue };
        if variable.text.trim().is_empty() {
            continue;
        }
        match declared.value_type.check_variable(&variable.text) {
            Ok(value) => layer.put(&declared.path(), value, &variable.place),
            Err(refusal) => report.error(&variable.place, refusal),
        }
    }
    // First: a custom header of the same name has the last word.
    put_openai_headers(&mut layer, variables, report);
    for (name, variable) in variables.iter().filter(|(_, variable)| !variable.text.trim().is_empty()) {
        if let Some(OfProvider { prefix, key }) = OfProvider::parse(name)
            && !names_itself(key, &variable.text)
            && (!key.is_of_clouds() || is_provider(prefix, known, variables))
        {
            put(&mut layer, &named(prefix, known), key, variable);
        }
        if let Some(header) = name.strip_prefix(HEADER_FOR_ALL).filter(|header| !header.is_empty()) {
            put_for_all(&mut layer, &header_name(header), variable, report);
        }
    }
    for (name, variable) in variables.iter() {
        let written = variable.text.trim();
        let mode = AUTH_MODES.into_iter().find(|mode| written.eq_ignore_ascii_case(mode));
        let provider = name.strip_suffix("_AUTH_MODE").filter(|provider| is_prefix(provider));
        if let (Some(mode), Some(provider)) = (mode, provider) {
            let path = ["providers", &named(provider, known), "auth-mode"];
            layer.put(&path, ValueKind::from(mode), &variable.place);
        }
    }
    report.errors.extend(oauth(variables, known));
    layer
}

fn put_openai_headers(layer: &mut Layer, variables: &Variables, report: &mut Diagnostics) {
    for (name, header) in OPENAI_HEADERS {
        let Some(variable) = variables.find(name) else { continue };
        let value = variable.text.trim();
        if value.is_empty() {
            continue;
        }
        match headers::parse(header, value) {
            Ok(_) => {
                let path = ["providers", "openai", "custom-headers", header];
                layer.put(&path, ValueKind::from(value.to_owned()), &variable.place);
            }
            Err(refusal) => report.error(&variable.place, refusal),
        }
    }
}

/// A header for every provider. A header that vdm sets itself is not sent: a container's environment often contains such
/// variables for another program.
fn put_for_all(layer: &mut Layer, header: &str, variable: &EnvironmentVariable, report: &mut Diagnostics) {
    if headers::is_reserved(header) {
        let text = format!("vdm sets the header {header} itself, so this value is not sent; remove it");
        return report.warning(&variable.place, text);
    }
    match headers::parse(header, &variable.text) {
        Ok((header, _)) => {
            let path = ["everywhere", "custom-headers", header.as_str()];
            layer.put(&path, ValueKind::from(variable.text.clone()), &variable.place);
        }
        Err(refusal) => report.error(&variable.place, refusal),
    }
}

/// One line for each variable that is set and has no effect. A variable with the prefix of no provider may belong to
/// another program.
pub(super) fn without_effect(variables: &Variables, is_provider: impl Fn(&str) -> bool) -> Vec<String> {
    let idle = variables.iter().filter_map(|(name, variable)| {
        let why = idle(name, variable.text.trim(), &is_provider)?;
        Some(format!("{}: {why}", variable.place))
    });
    idle.collect()
}

fn idle(name: &str, text: &str, is_provider: impl Fn(&str) -> bool) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    if let Some(OfProvider { prefix, key: key @ VariableKey::Alias(_) }) = OfProvider::parse(name) {
        let itself = names_itself(key, text).then_some("the alias names itself, so it has no effect");
        return itself.filter(|_| is_provider(prefix)).map(str::to_owned);
    }
    let (_, why) = GONE.iter().find(|(gone, _)| *gone == name)?;
    Some(format!("no longer needed, so it has no effect: {why}"))
}

/// `{P}` of a provider: `my-corp` is `MY_CORP`.
pub(crate) fn prefix(provider: &str) -> String {
    provider.to_ascii_uppercase().replace('-', "_")
}

/// Whether a variable of this name has a meaning: a global one, or one of any provider.
pub(super) fn is_read(name: &str) -> bool {
    schema::variables().any(|variable| variable.name == name)
        || GONE.iter().any(|(gone, _)| *gone == name)
        || OPENAI_HEADERS.iter().any(|(header, _)| *header == name)
        || name.ends_with("_AUTH_MODE")
        || name.starts_with(HEADER_FOR_ALL)
        || OfProvider::parse(name).is_some()
}

/// What the name of a provider's variable says: `POE_ALIAS_HAIKU`.
struct OfProvider<'a> {
    /// `POE`
    prefix: &'a str,
    key: VariableKey<'a>,
}

#[derive(Clone, Copy)]
enum VariableKey<'a> {
    Setting(&'static str),
    Header(&'a str),
    Alias(&'a str),
}

impl VariableKey<'_> {
    /// Whether other programs have variables that end like this one: `AWS_REGION`, `GOOGLE_CLOUD_PROJECT`.
    fn is_of_clouds(self) -> bool {
        const KEYS: [&str; 4] = ["region", "project", "workspace", "aws-profile"];
        matches!(self, Self::Setting(key) if KEYS.contains(&key))
    }
}

/// Whether a provider has this prefix: files name it, or other variables make it one.
fn is_provider(provider: &str, known: &[String], variables: &Variables) -> bool {
    let is_set = |suffix: &str| variables.find(&format!("{provider}{suffix}")).is_some();
    known.iter().any(|name| prefix(name) == provider)
        || ["_API_KEY", "_API_KEY_FILE", "_API_FORMAT", "_AUTH_MODE"].into_iter().any(is_set)
}

/// An alias for its own name: it would only redirect other names that contain it.
fn names_itself(key: VariableKey<'_>, text: &str) -> bool {
    matches!(key, VariableKey::Alias(alias) if text.trim().eq_ignore_ascii_case(alias))
}

fn put(layer: &mut Layer, provider: &str, key: VariableKey<'_>, variable: &EnvironmentVariable) {
    let value = |text: &str| ValueKind::from(text.to_owned());
    match key {
        VariableKey::Setting(key) => {
            layer.put(&["providers", provider, key], value(variable.text.trim()), &variable.place);
        }
        VariableKey::Alias(name) => {
            let path = ["providers", provider, "aliases", &name.to_lowercase()];
            layer.put(&path, value(variable.text.trim()), &variable.place);
        }
        VariableKey::Header(name) => {
            let path = ["providers", provider, "custom-headers", &header_name(name)];
            layer.put(&path, value(&variable.text), &variable.place);
        }
    }
}

/// `X_TEAM` is `x-team`.
fn header_name(variable: &str) -> String {
    variable.replace('_', "-").to_ascii_lowercase()
}

impl<'a> OfProvider<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let is_service =
            schema::WEB_SEARCH.iter().any(|setting| setting.variable.is_some_and(|own| own.name == name));
        if [PROXY_API_KEY, PROXY_API_KEY_FILE].contains(&name)
            || name.starts_with(HEADER_FOR_ALL)
            || is_service
        {
            return None;
        }
        let found = match (name.split_once(HEADER), name.rsplit_once(ALIAS)) {
            (Some((prefix, header)), _) => Self { prefix, key: VariableKey::Header(header) },
            (None, Some((prefix, alias))) => Self { prefix, key: VariableKey::Alias(alias) },
            (None, None) => schema::provider_variables().find_map(|ProviderVariable { suffix, key }| {
                Some(Self { prefix: name.strip_suffix(suffix)?, key: VariableKey::Setting(key) })
            })?,
        };
        let nameless = matches!(found.key, VariableKey::Header("") | VariableKey::Alias(""));
        (!nameless && is_prefix(found.prefix)).then_some(found)
    }
}

fn is_prefix(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

pub(super) fn named(provider: &str, known: &[String]) -> String {
    let known = known.iter().find(|name| prefix(name) == provider);
    known.cloned().unwrap_or_else(|| provider.to_ascii_lowercase())
}

/// `{P}_AUTH_MODE=oauth` of anything that is a provider here or in the Python original.
fn oauth<'a>(variables: &'a Variables, known: &'a [String]) -> impl Iterator<Item = ConfigError> + 'a {
    let modes =
        variables.iter().filter_map(|(name, variable)| Some((name.strip_suffix("_AUTH_MODE")?, variable)));
    let oauth = modes.filter(|(_, variable)| variable.text.trim().eq_ignore_ascii_case("oauth"));
    let ours = oauth.filter(|(provider, _)| {
        let set = |suffix| variables.find(&format!("{provider}{suffix}")).is_some();
        *provider == "CHATGPT"
            || known.iter().any(|name| prefix(name) == *provider)
            || set("_API_KEY")
            || set("_API_KEY_FILE")
            || set("_BASE_URL")
    });
    ours.map(|(_, variable)| ConfigError::oauth(&variable.place))
}
