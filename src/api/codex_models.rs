//! The models that Codex asks for with `client_version`: every name that the gateway routes, with what Codex must know of the model
//! behind it. The lists come from the catalog's cache.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use vandamme_actors::routing::Routes;
use vandamme_actors::settings::{ProviderSettings, Settings};
use vandamme_protocol::models::codex::{self, CodexModel, Visibility};
use vandamme_protocol::models::{ModelDetails, Models};

use crate::gateway::Gateway;
use crate::models;

/// The largest answer that Codex reads (seen with 0.171).
const LARGEST: usize = 1 << 20;

/// What each provider's list says, by provider and model.
type KnownDetails = HashMap<Arc<str>, HashMap<String, ModelDetails>>;

/// The answer: `data` is the list for OpenAI's clients.
pub(super) async fn catalogue(gateway: &Arc<Gateway>, data: &[u8]) -> Vec<u8> {
    let live = gateway.live_config();
    let providers = &live.settings.providers;
    let known = known_details(gateway, providers).await;
    let routes = gateway.registry.load().routes.clone();
    let mut names = RoutedNames { routes: &routes, known: &known, seen: HashSet::new(), names: vec![] };
    names.fill(&live.settings);
    let models = names.names.iter().map(|name| name.model(&known));
    codex::catalogue(data, models, LARGEST)
}

async fn known_details(gateway: &Gateway, providers: &[Arc<ProviderSettings>]) -> KnownDetails {
    // A list that belongs to one client's key is not shared.
    let shared = providers.iter().filter(|provider| !provider.passthrough);
    let lists = shared.map(async |provider| {
        let listing = models::last(gateway, provider).await?;
        let models = Models::read(&listing.body).ok()?;
        let details = models.details().map(|details| (details.id.clone(), details));
        Some((provider.name.clone(), details.collect()))
    });
    join_all(lists).await.into_iter().flatten().collect()
}

/// A name that requests can use, and its target.
struct RoutedName {
    slug: String,
    description: String,
    provider: Arc<str>,
    model: Arc<str>,
    visibility: Visibility,
}

impl RoutedName {
    fn model<'a>(&'a self, known: &'a KnownDetails) -> CodexModel<'a> {
        let details = known.get(&self.provider).and_then(|models| models.get(&*self.model));
        CodexModel {
            slug: &self.slug,
            display_name: &self.slug,
            description: &self.description,
            model: &self.model,
            details,
            visibility: self.visibility,
        }
    }
}

struct RoutedNames<'r> {
    routes: &'r Routes,
    known: &'r KnownDetails,
    seen: HashSet<String>,
    names: Vec<RoutedName>,
}

impl RoutedNames<'_> {
    /// The order, which decides what is left out of a large answer: the names without a prefix, then those of profiles and
    /// providers.
    fn fill(&mut self, settings: &Settings) {
        let profiles = || settings.profiles.iter().filter(|profile| profile.inactive.is_none());
        let is_default = |name: &Arc<str>| settings.default_provider.as_ref() == Some(name);
        let mut providers: Vec<_> = settings.providers.iter().collect();
        providers.sort_by_key(|provider| !is_default(&provider.name));
        for profile in profiles().filter(|profile| settings.default_profile.as_ref() == Some(&profile.name)) {
            profile.aliases.keys().for_each(|alias| self.add(alias.clone(), Visibility::List));
        }
        for provider in providers.iter().filter(|provider| is_default(&provider.name)) {
            provider.aliases.keys().for_each(|alias| self.add(alias.clone(), Visibility::List));
            self.models_of(provider, "", Visibility::List);
        }
        for profile in profiles() {
            for alias in profile.aliases.keys() {
                self.add(format!("{}:{alias}", profile.name), Visibility::List);
            }
        }
        for provider in providers {
            // The names of the default provider are in the list without its prefix.
            let visibility = if is_default(&provider.name) { Visibility::Hide } else { Visibility::List };
            for alias in provider.aliases.keys() {
                self.add(format!("{}:{alias}", provider.name), visibility);
            }
            self.models_of(provider, &format!("{}:", provider.name), visibility);
        }
    }

    fn models_of(&mut self, provider: &ProviderSettings, prefix: &str, visibility: Visibility) {
        let Some(models) = self.known.get(&provider.name) else { return };
        let mut ids: Vec<&String> = models.keys().collect();
        ids.sort();
        for id in ids.into_iter().filter(|id| codex::converses(id, models.get(*id))) {
            self.add(format!("{prefix}{id}"), visibility);
        }
    }

    /// Omits names without a target.
    fn add(&mut self, slug: String, visibility: Visibility) {
        let Ok(route) = self.routes.resolve(&slug) else { return };
        if !self.seen.insert(slug.clone()) {
            return;
        }
        let target = format!("{}:{}", route.provider.name, route.model);
        let description = if target == slug { String::new() } else { target };
        let (provider, model) = (route.provider.name.clone(), route.model.clone());
        self.names.push(RoutedName { slug, description, provider, model, visibility });
    }
}
