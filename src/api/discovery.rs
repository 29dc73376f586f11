//! The list for Claude Code's `/model`: every alias, profile and model that the gateway knows of, by names that it routes.
//! The list comes from the catalog's cache, without waiting for a provider.
//!
//! Claude Code shows only ids with "claude" in them (code.claude.com/docs/en/llm-gateway-protocol), hence the prefix, which
//! the router takes off again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use vandamme_actors::routing::{DISCOVERED, Routes};
use vandamme_actors::settings::{Profile, ProviderSettings, Settings};
use vandamme_protocol::models::Named;

use crate::gateway::Gateway;
use crate::models;

/// Every model's id and what people call it, as a list that [`vandamme_protocol::models::Models`] reads.
pub(super) async fn everything(gateway: &Arc<Gateway>) -> Vec<u8> {
    let live = gateway.live_config();
    let known = models::remembered(gateway, live.settings.providers.clone()).await;
    let routes = gateway.registry.load().routes.clone();
    let mut list = DiscoveryList { routes: &routes, listed: HashSet::new(), entries: vec![] };
    list.fill(&live.settings, &known);
    // Strings: nothing in it can fail.
    serde_json::to_vec(&list.entries).unwrap_or_default()
}

struct DiscoveryList<'r> {
    routes: &'r Routes,
    listed: HashSet<String>,
    entries: Vec<DiscoveryEntry>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct DiscoveryEntry {
    id: String,
    display_name: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

impl DiscoveryList<'_> {
    /// What is nearest first: the default profile, the other ones, then the default provider and the other ones, each with
    /// its aliases before its models.
    fn fill(&mut self, settings: &Settings, known: &HashMap<Arc<str>, Arc<[Named]>>) {
        let mut profiles: Vec<_> =
            settings.profiles.iter().filter(|profile| profile.inactive.is_none()).collect();
        profiles.sort_by_key(|profile| settings.default_profile.as_ref() != Some(&profile.name));
        for profile in profiles {
            self.profile(profile);
        }
        let mut providers: Vec<_> = settings.providers.iter().collect();
        providers.sort_by_key(|provider| settings.default_provider.as_ref() != Some(&provider.name));
        for provider in providers {
            for alias in provider.aliases.keys() {
                self.alias(&provider.name, alias);
            }
            for model in known.get(&provider.name).into_iter().flat_map(|models| models.iter()) {
                self.model(provider, model);
            }
        }
    }

    fn profile(&mut self, profile: &Profile) {
        for alias in profile.aliases.keys() {
            self.alias(&profile.name, alias);
        }
    }

    /// An alias without a target is left out.
    fn alias(&mut self, owner: &str, alias: &str) {
        let name = format!("{owner}:{alias}");
        let id = format!("{DISCOVERED}{name}");
        let Ok(route) = self.routes.resolve(&id) else { return };
        let description = format!("alias of {}:{}", route.provider.name, route.model);
        self.add_entry(DiscoveryEntry { id, display_name: name, description, created_at: None });
    }

    /// One of Claude's own ids stays as it is if the bare id leads to this provider. A model that is hidden behind an alias
    /// of its name is left out.
    fn model(&mut self, provider: &ProviderSettings, model: &Named) {
        let leads_there = |id: &str| {
            self.routes.resolve(id).is_ok_and(|route| {
                route.provider.name == provider.name && *route.model == *model.id && route.profile.is_none()
            })
        };
        let name = format!("{}:{}", provider.name, model.id);
        let prefixed = format!("{DISCOVERED}{name}");
        let bare = model.id.starts_with("claude-") && leads_there(&model.id);
        let id = match bare {
            true => model.id.clone(),
            false if leads_there(&prefixed) => prefixed,
            false => return,
        };
        let display_name = match &model.name {
            Some(called) if bare => called.clone(),
            Some(called) => format!("{called} ({})", provider.name),
            None if bare => id.clone(),
            None => name,
        };
        let description = format!("{} of {}", model.id, provider.name);
        self.add_entry(DiscoveryEntry { id, display_name, description, created_at: model.created.clone() });
    }

    fn add_entry(&mut self, entry: DiscoveryEntry) {
        if self.listed.insert(entry.id.clone()) {
            self.entries.push(entry);
        }
    }
}
