//! Where model names lead: aliases and profiles with their targets, and the steps of one name.

use std::collections::BTreeMap;

use serde::Serialize;
use vandamme_actors::clock;
use vandamme_actors::routing::{Routes, RoutingStep, Unroutable};
use vandamme_actors::settings::{Profile, ProfileSource, Settings};
use vandamme_protocol::vocabulary::Usage;

use crate::config::ConfigValue;
use crate::gateway::Gateway;

/// More input tokens than any request has.
const MOST_TOKENS: u64 = 1_000_000_000;

/// All aliases and profiles.
#[derive(Debug, Serialize)]
pub(crate) struct RoutingReport {
    pub(crate) default_provider: Option<String>,
    pub(crate) default_profile: Option<String>,
    pub(crate) aliases: Vec<AliasRow>,
    pub(crate) profiles: Vec<ProfileRow>,
    /// Aliases and fallbacks that lead nowhere, one line each.
    pub(crate) issues: Vec<String>,
}

/// One alias of a provider or a profile.
#[derive(Debug, Serialize)]
pub(crate) struct AliasRow {
    /// The name of the provider, or of the profile after a `#`.
    pub(crate) owner: String,
    pub(crate) alias: String,
    /// As configured.
    pub(crate) target: String,
    /// Where it was set: `FILE:LINE:COLUMN`, `environment variable NAME` or the like.
    pub(crate) place: Option<String>,
    #[serde(flatten)]
    pub(crate) source: AliasSource,
    #[serde(flatten)]
    pub(crate) destination: Destination,
}

/// The kind of place where an alias was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub(crate) enum AliasSource {
    Environment,
    /// A configuration file.
    File,
    Defaults,
    Unknown,
}

#[derive(Debug, Serialize)]
pub(crate) struct ProfileRow {
    pub(crate) name: String,
    pub(crate) source: &'static str,
    pub(crate) aliases: usize,
    pub(crate) timeout_seconds: Option<f64>,
    pub(crate) max_retries: Option<u32>,
    /// Why the profile cannot be used.
    pub(crate) inactive: Option<String>,
}

/// Where a name leads, and how.
#[derive(Debug, Serialize)]
pub(crate) struct Destination {
    /// `None` if it leads nowhere.
    pub(crate) provider: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) profile: Option<String>,
    /// The fallbacks, as `provider:model`.
    pub(crate) fallbacks: Vec<String>,
    /// One sentence for each step.
    pub(crate) steps: Vec<String>,
    /// The names that aliases replace one another by, from the requested one to the last.
    pub(crate) chain: Vec<String>,
    /// Why it leads nowhere.
    pub(crate) error: Option<String>,
}

impl AliasSource {
    fn of(place: Option<&str>) -> Self {
        match place {
            Some(place) if place.starts_with("built-in") => Self::Defaults,
            Some(place) if place.contains("environment variable") || place.contains(".env") => {
                Self::Environment
            }
            Some(_) => Self::File,
            None => Self::Unknown,
        }
    }
}

/// Where this name leads now.
pub(crate) fn explain(gateway: &Gateway, name: &str) -> Destination {
    Destination::of(&gateway.registry.load().routes, name)
}

/// What so many input tokens cost there, in millionths of a dollar; `None` if the price is not known.
pub(crate) fn input_cost(gateway: &Gateway, destination: &Destination, tokens: u64) -> Option<u64> {
    let (provider, model) = (destination.provider.as_deref()?, destination.model.as_deref()?);
    let usage = Usage { input: tokens.min(MOST_TOKENS), ..Usage::default() };
    let prices = &gateway.live_config().settings.prices;
    let cost = prices.of_model(provider, model).cost(&usage, None, clock::wall());
    cost.map(|cost| cost.micro_dollars)
}

pub(crate) fn read(gateway: &Gateway) -> RoutingReport {
    let live = gateway.live_config();
    let settings = &live.settings;
    let (registry, values) = (gateway.registry.load(), gateway.values());
    let places: BTreeMap<&str, &ConfigValue> =
        values.iter().map(|value| (value.key.as_str(), value)).collect();
    let routes = &registry.routes;
    let mistakes = routes.mistakes();
    let issues = mistakes.iter().map(ToString::to_string).chain(routes.unusable_fallbacks());
    let issues = issues.chain(routes.unusable_roles()).collect();
    RoutingReport {
        default_provider: settings.default_provider.as_ref().map(ToString::to_string),
        default_profile: settings.default_profile.as_ref().map(ToString::to_string),
        aliases: aliases(settings, routes, &places),
        profiles: settings.profiles.iter().map(|profile| ProfileRow::new(profile)).collect(),
        issues,
    }
}

fn aliases(settings: &Settings, routes: &Routes, places: &BTreeMap<&str, &ConfigValue>) -> Vec<AliasRow> {
    let row = |owner: String, prefix: &str, section: &str, alias: &str, target: &str| {
        // A provider takes over what `[defaults.aliases]` sets.
        let sections = if section.starts_with('"') { &[section][..] } else { &[section, "defaults"][..] };
        let keys = sections.iter().map(|section| format!("{section}.aliases.{alias}"));
        let place = keys.filter_map(|key| places.get(key.as_str())).map(|value| value.place.clone()).next();
        AliasRow {
            source: AliasSource::of(place.as_deref()),
            destination: Destination::of(routes, &format!("{prefix}:{alias}")),
            alias: alias.to_owned(),
            target: target.to_owned(),
            owner,
            place,
        }
    };
    let of_providers = settings.providers.iter().flat_map(|provider| {
        let name = &*provider.name;
        provider.aliases.iter().map(move |(alias, target)| row(name.to_owned(), name, name, alias, target))
    });
    let of_profiles = settings.profiles.iter().flat_map(|profile| {
        let name = &*profile.name;
        let (owner, section) = (format!("#{name}"), format!("\"#{name}\""));
        let rows = profile
            .aliases
            .iter()
            .map(move |(alias, target)| row(owner.clone(), name, &section, alias, target));
        rows.collect::<Vec<_>>()
    });
    of_providers.chain(of_profiles).collect()
}

impl ProfileRow {
    fn new(profile: &Profile) -> Self {
        Self {
            name: profile.name.to_string(),
            source: match profile.source {
                ProfileSource::Package => "defaults",
                ProfileSource::User => "user file",
                ProfileSource::Local => "local file",
                ProfileSource::Given => "--config file",
            },
            aliases: profile.aliases.len(),
            timeout_seconds: profile.timeout.map(|timeout| timeout.as_secs_f64()),
            max_retries: profile.max_retries,
            inactive: profile.inactive.clone(),
        }
    }
}

impl Destination {
    fn of(routes: &Routes, name: &str) -> Self {
        let (mut steps, mut chain) = (vec![], vec![]);
        let found = routes.explain(name, &mut |step| {
            if let RoutingStep::Alias { alias, target, .. } = &step {
                if chain.is_empty() {
                    chain.push((*alias).to_owned());
                }
                chain.push((*target).to_owned());
            }
            steps.push(step.to_string());
        });
        let error = found.as_ref().err().map(Unroutable::to_string);
        let route = found.ok();
        let fallbacks = route.iter().flat_map(|route| &route.fallbacks);
        let fallbacks =
            fallbacks.map(|target| format!("{}:{}", target.provider.name, target.model)).collect();
        Self {
            provider: route.as_ref().map(|route| route.provider.name.to_string()),
            model: route.as_ref().map(|route| route.model.to_string()),
            profile: route.and_then(|route| route.profile).map(|profile| profile.name.to_string()),
            fallbacks,
            steps,
            chain,
            error,
        }
    }
}
