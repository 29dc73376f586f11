//! The routing tables, built once from the settings.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::aliases::Aliases;
use super::unroutable::Unroutable;
use crate::roles::{Role, RoleRules};
use crate::settings::{PartialProvider, Profile, ProviderSettings, Settings};
use crate::snapshot::Snapshot;

/// What the names of Claude Code's model discovery start with here, so that it shows models of every provider.
pub const DISCOVERED: &str = "claude-vdm/";
/// Claude Code marks a model with a 1M context window as `name[1m]`; no provider knows that name.
pub(super) const MARKER: &str = "[1m]";

/// The routing tables: immutable, swapped as a whole.
pub struct Routes {
    providers: HashMap<String, ProviderRoutes>,
    pub(super) names: Vec<String>,
    pub(super) profiles: HashMap<String, (Arc<Profile>, Aliases)>,
    partial: Vec<PartialProvider>,
    keyless: Vec<PartialProvider>,
    pub(super) default: Option<Arc<ProviderSettings>>,
    pub(super) default_profile: Option<String>,
    pub(super) chain_limit: usize,
    pub(super) lists: Snapshot<Lists>,
    /// `None` if no role has a rule.
    pub(super) roles: Option<Box<RoleTables>>,
}

pub(super) struct ProviderRoutes {
    pub(super) settings: Arc<ProviderSettings>,
    pub(super) aliases: Aliases,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Route {
    pub provider: Arc<ProviderSettings>,
    /// As that provider calls it.
    pub model: Arc<str>,
    /// The profile whose timeout and retries hold.
    pub profile: Option<Arc<Profile>>,
    /// Where it goes next, one after the other, while it fails.
    pub fallbacks: Vec<Target>,
}

/// A model of a provider that stands in for another.
#[derive(Clone, Debug)]
pub struct Target {
    pub provider: Arc<ProviderSettings>,
    /// As that provider calls it.
    pub model: Arc<str>,
}

/// The rules of all scopes.
pub(super) struct RoleTables {
    /// Of bare names.
    pub(super) bare: RoleTable,
    /// By the profile's name in lower case.
    pub(super) profiles: HashMap<String, RoleTable>,
}

/// The rules of one scope.
pub(super) struct RoleTable {
    pub(super) rules: RoleRules,
    pub(super) routes: BTreeMap<Role, Arc<RoleRoute>>,
}

/// A rule, and where it leads.
#[derive(Debug)]
pub struct RoleRoute {
    pub role: Role,
    /// The role as in `[routing]`.
    pub name: Arc<str>,
    /// The profile that has the rule; `None` for `[routing]`.
    pub owner: Option<Arc<Profile>>,
    /// As configured.
    pub(super) targets: Vec<String>,
    pub route: Result<Arc<Route>, Unroutable>,
}

/// The ids of the models that providers have listed, by provider.
pub type Lists = BTreeMap<Arc<str>, HashSet<String>>;

impl Routes {
    /// `lists` is what is known of the providers' models, kept by the catalog.
    pub fn new(settings: &Settings, lists: Snapshot<Lists>) -> Self {
        let with_aliases = |provider: &Arc<ProviderSettings>| ProviderRoutes {
            settings: provider.clone(),
            aliases: Aliases::new(&provider.aliases, &provider.fallbacks),
        };
        let providers: HashMap<_, _> = settings
            .providers
            .iter()
            .map(|provider| (provider.name.to_string(), with_aliases(provider)))
            .collect();
        let profile = |profile: &Arc<Profile>| {
            let aliases = Aliases::new(&profile.aliases, &profile.fallbacks);
            (profile.name.to_lowercase(), (profile.clone(), aliases))
        };
        let default = settings.default_provider.as_ref().and_then(|name| providers.get(&**name));
        let mut routes = Self {
            default: default.map(|default| default.settings.clone()),
            names: settings.providers.iter().map(|provider| provider.name.to_string()).collect(),
            profiles: settings.profiles.iter().map(profile).collect(),
            partial: settings.partial.clone(),
            keyless: settings.keyless.clone(),
            default_profile: settings.default_profile.as_ref().map(|name| name.to_lowercase()),
            chain_limit: settings.limits.alias_chain,
            providers,
            lists,
            roles: None,
        };
        routes.add_roles(settings);
        routes
    }

    /// The provider of that name in any case, or the default one.
    ///
    /// # Errors
    /// When there is none.
    pub fn provider(&self, name: Option<&str>) -> Result<&Arc<ProviderSettings>, Unroutable> {
        let Some(name) = name else { return self.default.as_ref().ok_or(Unroutable::NoProvider) };
        if let Some(owner) = self.provider_routes(name) {
            return Ok(&owner.settings);
        }
        Err(self.unusable(name).unwrap_or_else(|| match self.names.is_empty() {
            true => Unroutable::NoProvider,
            false => Unroutable::NoSuchProvider { name: name.to_owned(), known: self.known(name) },
        }))
    }

    /// All providers, and the provider or profile that is meant by an unknown name, if one is near. A usable one comes before
    /// one without a key.
    pub(super) fn known(&self, written: &str) -> String {
        let written = written.to_lowercase();
        let most = if written.len() < 8 { 1 } else { 2 };
        let names = self.names.iter().map(String::as_str).chain(self.profiles.keys().map(String::as_str));
        let near = |names: &mut dyn Iterator<Item = &str>| {
            let distances = names.map(|name| (strsim::osa_distance(&written, name), name));
            distances.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name.to_owned())
        };
        let usable = near(&mut names.into_iter()).map(|name| format!("; did you mean '{name}'?"));
        let near = usable.or_else(|| {
            let unusable = self.keyless.iter().chain(&self.partial);
            let name = near(&mut unusable.clone().map(|provider| provider.name.as_str()))?;
            let missing = unusable.clone().find(|provider| provider.name == name)?.missing.as_str();
            Some(format!("; did you mean '{name}', which needs {missing}?"))
        });
        let near = near.unwrap_or_default();
        format!("{}{near}", self.names.join(", "))
    }

    pub(super) fn provider_routes(&self, name: &str) -> Option<&ProviderRoutes> {
        self.providers.get(name).or_else(|| self.providers.get(&name.to_lowercase()))
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        self.provider_routes(name).is_some() || self.unusable(name).is_some()
    }

    /// Why a provider that is known by name cannot be used.
    pub(super) fn unusable(&self, name: &str) -> Option<Unroutable> {
        let lower = name.to_lowercase();
        if let Some(partial) = self.partial.iter().find(|partial| partial.name.eq_ignore_ascii_case(&lower)) {
            let PartialProvider { name, missing } = partial.clone();
            return Some(Unroutable::Incomplete { name, missing });
        }
        let keyless = self.keyless.iter().find(|keyless| keyless.name == lower)?;
        Some(Unroutable::Keyless { name: lower, variable: keyless.missing.clone() })
    }
}
