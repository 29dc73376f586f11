//! Where a request goes when its target fails. Fallbacks of fallbacks do not count, so there is no circle to go round in.

use super::explain::RoutingStep;
use super::resolver::Resolver;
use super::routes::{Route, Routes, Target};
use super::unroutable::{SkippedFallback, Unroutable};

impl Routes {
    /// Appends to `route` where it goes when it fails, as far as that can be used.
    pub(super) fn fall_back(
        &self,
        route: &mut Route,
        targets: &[String],
        report: &mut dyn FnMut(RoutingStep<'_>),
    ) {
        for text in targets {
            add_fallback(route, text, self.resolve_fallback(text), report);
        }
    }

    /// Fallbacks that can never be used, each with why: those of providers and of active profiles.
    pub fn unusable_fallbacks(&self) -> Vec<String> {
        let profiles = self.profiles.values().filter(|(profile, _)| profile.inactive.is_none());
        let profiles = profiles.map(|(profile, aliases)| (format!("profile '{}'", profile.name), aliases));
        let homes = self
            .names
            .iter()
            .filter_map(|name| Some((format!("'{name}'"), &self.provider_routes(name)?.aliases)));
        let mut found = Vec::new();
        for (owner, aliases) in homes.chain(profiles) {
            let all =
                aliases.all_fallbacks().flat_map(|(name, all)| all.iter().map(move |text| (name, text)));
            found.extend(all.filter_map(|(name, text)| {
                let why = self.resolve_fallback(text).err()?;
                Some(format!("fallback '{text}' for '{name}' of {owner} is not used: {why}"))
            }));
        }
        found.sort();
        found
    }

    /// A target leads where an alias for it would lead.
    fn resolve_fallback(&self, text: &str) -> Result<Target, Unroutable> {
        Resolver::new(self, text, &mut |_| {}).target_of_fallback()
    }
}

/// Appends a target to `route`, if the target can be used.
pub(super) fn add_fallback(
    route: &mut Route,
    text: &str,
    target: Result<Target, Unroutable>,
    report: &mut dyn FnMut(RoutingStep<'_>),
) {
    match target.map_err(SkippedFallback::from).and_then(|target| admitted(route, target)) {
        Ok(target) => {
            let (provider, model) = (&target.provider.name, &target.model);
            report(RoutingStep::Fallback { target: text, provider, model });
            route.fallbacks.push(target);
        }
        Err(why) => report(RoutingStep::SkippedFallback { target: text, why: &why }),
    }
}

fn admitted(route: &Route, target: Target) -> Result<Target, SkippedFallback> {
    let fallbacks = route.fallbacks.iter().map(|earlier| (&earlier.provider, &earlier.model));
    let earlier = [(&route.provider, &route.model)].into_iter().chain(fallbacks);
    for (provider, model) in earlier {
        let same = provider.name == target.provider.name;
        if same && *model == target.model {
            return Err(SkippedFallback::Tried);
        }
        if !same && provider.passthrough && target.provider.passthrough {
            return Err(SkippedFallback::OthersKey(provider.name.to_string()));
        }
    }
    Ok(target)
}
