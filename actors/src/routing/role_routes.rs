//! The routes of roles: `[routing]` and the `routing` of profiles, resolved once.
//!
//! A rule applies to names that leave the choice to the gateway: aliases and bare names. `provider:model`, `!name` and a name from the
//! list of models select their model themselves. `profile:name` follows the rules of its profile alone; a bare name those of the
//! default profile, then `[routing]`.

use std::collections::HashMap;
use std::sync::Arc;

use super::aliases::Aliases;
use super::explain::RoutingStep;
use super::fallbacks::add_fallback;
use super::resolver::{Resolved, Resolver, without_marker};
use super::routes::{DISCOVERED, RoleRoute, RoleTable, RoleTables, Route, Routes, Target};
use super::unroutable::{SkippedFallback, Unroutable};
use crate::roles::{Role, RoleInput, RoleReason, RoleRules, decide};
use crate::settings::{Profile, Settings};

/// The rule that applies to a request, and why.
#[derive(Clone, Debug)]
pub struct RoleDecision {
    pub rule: Arc<RoleRoute>,
    pub why: RoleReason,
}

/// The aliases that a bare target can name.
type OwnAliases<'r> = Option<&'r (Arc<Profile>, Aliases)>;

impl Routes {
    /// Resolves the rules, once the names can be resolved.
    pub(super) fn add_roles(&mut self, settings: &Settings) {
        let mut profiles = HashMap::new();
        for profile in settings.profiles.iter().filter(|profile| !profile.roles.targets.is_empty()) {
            let table = self.role_table(profile.roles.clone(), |_| Some(profile));
            profiles.insert(profile.name.to_lowercase(), table);
        }
        let default = self
            .default_profile
            .as_ref()
            .and_then(|name| self.profiles.get(name))
            .map(|(profile, _)| profile);
        let own = default.map(|profile| profile.roles.clone()).unwrap_or_default();
        let mut rules = settings.roles.clone();
        rules.targets.extend(own.targets.clone());
        rules.long_context_threshold = own.long_context_threshold.or(rules.long_context_threshold);
        let owner = |role: Role| default.filter(|_| own.targets.contains_key(&role));
        let bare = self.role_table(rules, owner);
        if !bare.routes.is_empty() || !profiles.is_empty() {
            self.roles = Some(Box::new(RoleTables { bare, profiles }));
        }
    }

    fn role_table<'p>(
        &self,
        rules: RoleRules,
        owner: impl Fn(Role) -> Option<&'p Arc<Profile>>,
    ) -> RoleTable {
        let route =
            |(role, targets): (&Role, &Vec<String>)| (*role, self.role_rule(*role, targets, owner(*role)));
        RoleTable { routes: rules.targets.iter().map(route).collect(), rules }
    }

    /// Whether any role has a rule. Without one, no request needs a decision.
    pub fn have_roles(&self) -> bool {
        self.roles.is_some()
    }

    /// The rule for a request; `None` if its model name decides.
    pub fn role(&self, input: &RoleInput<'_>) -> Option<RoleDecision> {
        let table = self.table(input.model)?;
        let (role, why) = decide(&table.rules, input)?;
        let rule = table.routes.get(&role)?.clone();
        (!self.takes_others_key(&rule, input.model)).then_some(RoleDecision { rule, why })
    }

    /// The route of a request: that of its role, or of its model name. Reports every decision.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub fn explain_decision(
        &self,
        model: &str,
        decision: Option<&RoleDecision>,
        report: &mut dyn FnMut(RoutingStep<'_>),
    ) -> Result<Route, Unroutable> {
        let Some(RoleDecision { rule, why }) = decision else {
            if self.have_roles() && self.table(model).is_none() {
                report(RoutingStep::RolesSkipped { name: model });
            }
            return self.explain(model, report);
        };
        let owner = rule.owner.as_ref().map(|profile| &*profile.name);
        report(RoutingStep::Role { role: &rule.name, why, owner, target: &rule.targets.join(", ") });
        self.role_route(&rule.targets, rule.owner.as_ref(), report)
    }

    /// Rules that can never be used, each with the reason.
    pub fn unusable_roles(&self) -> Vec<String> {
        let tables = self.roles.iter().flat_map(|tables| tables.profiles.values().chain([&tables.bare]));
        let rules = tables.flat_map(|table| table.routes.values());
        let mut found: Vec<String> = rules
            .filter_map(|rule| {
                let why = rule.route.as_ref().err()?;
                let owner = rule.owner.as_ref().filter(|owner| owner.inactive.is_none());
                let owner = match (owner, &rule.owner) {
                    (Some(owner), _) => format!("profile '{}'", owner.name),
                    (None, None) => "[routing]".to_owned(),
                    (None, Some(_)) => return None,
                };
                Some(format!("requests of the role '{}' of {owner} fail: {why}", rule.name))
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// The rules for a name; `None` if it selects its model itself.
    fn table(&self, model: &str) -> Option<&RoleTable> {
        let tables = self.roles.as_ref()?;
        let name = without_marker(model.trim());
        if name.is_empty() || name.starts_with('!') || name.starts_with(DISCOVERED) {
            return None;
        }
        let Some((prefix, rest)) = name.split_once(':') else { return Some(&tables.bare) };
        let profile = prefix.to_lowercase();
        if let Some((settings, _)) = self.profiles.get(&profile)
            && (settings.inactive.is_none() || self.provider_routes(prefix).is_none())
        {
            let selects = rest.is_empty() || rest.starts_with('!') || !self.is_bare(rest);
            return tables.profiles.get(&profile).filter(|_| !selects && settings.inactive.is_none());
        }
        self.is_bare(name).then_some(&tables.bare)
    }

    /// Whether the name has no prefix, or one that is part of a model's id (`vendor/model:free`). Any other prefix names a provider,
    /// or is a mistake.
    fn is_bare(&self, name: &str) -> bool {
        let Some((prefix, _)) = name.split_once(':') else { return true };
        prefix.contains(['/', '.']) && !self.is_known(prefix)
    }

    /// A client's own key is sent only to the provider that the requested name leads to.
    fn takes_others_key(&self, rule: &RoleRoute, model: &str) -> bool {
        let Ok(route) = &rule.route else { return false };
        let takes_key =
            route.provider.passthrough || route.fallbacks.iter().any(|it| it.provider.passthrough);
        takes_key && {
            let own = self.resolve(model).map(|own| own.provider.name.clone());
            let targets = route.fallbacks.iter().map(|target| &target.provider).chain([&route.provider]);
            let mut keyed = targets.filter(|provider| provider.passthrough);
            keyed.any(|provider| own.as_ref().ok() != Some(&provider.name))
        }
    }

    fn role_rule(&self, role: Role, targets: &[String], owner: Option<&Arc<Profile>>) -> Arc<RoleRoute> {
        Arc::new(RoleRoute {
            role,
            name: role.to_string().into(),
            owner: owner.cloned(),
            targets: targets.to_vec(),
            route: self.role_route(targets, owner, &mut |_| {}).map(Arc::new),
        })
    }

    /// The route of the first target that can be used. The others are its fallbacks; a single target has those of its name.
    fn role_route(
        &self,
        targets: &[String],
        owner: Option<&Arc<Profile>>,
        report: &mut dyn FnMut(RoutingStep<'_>),
    ) -> Result<Route, Unroutable> {
        let profile =
            owner.map(|profile| profile.name.to_lowercase()).or_else(|| self.default_profile.clone());
        let own = profile.and_then(|name| self.profiles.get(&name));
        let mut failed = None;
        for (at, text) in targets.iter().enumerate() {
            if at > 0 {
                report(RoutingStep::NextTarget { target: text });
            }
            let resolved = Resolver::new(self, text, report).resolve_for_role(own, owner);
            match resolved {
                Ok(Resolved { mut route, fallbacks }) => {
                    let rest = targets.get(at + 1..).unwrap_or_default();
                    let next = if targets.len() == 1 { fallbacks } else { rest };
                    self.role_fallbacks(&mut route, next, own, report);
                    return Ok(route);
                }
                Err(error) => {
                    if targets.len() > 1 {
                        let why = SkippedFallback::Unroutable(error.clone());
                        report(RoutingStep::SkippedFallback { target: text, why: &why });
                    }
                    failed.get_or_insert(error);
                }
            }
        }
        Err(failed.unwrap_or(Unroutable::EmptyModel))
    }

    fn role_fallbacks(
        &self,
        route: &mut Route,
        targets: &[String],
        own: OwnAliases<'_>,
        report: &mut dyn FnMut(RoutingStep<'_>),
    ) {
        for text in targets {
            let target = Resolver::new(self, text, &mut |_| {}).resolve_for_role(own, None);
            let target = target
                .map(|Resolved { route: Route { provider, model, .. }, .. }| Target { provider, model });
            add_fallback(route, text, target, report);
        }
    }
}
