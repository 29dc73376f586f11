//! One name on its way through the tables.

use std::sync::Arc;

use vandamme_protocol::cloud::model_ids;

use super::aliases::{AliasMatch, Aliases};
use super::explain::{AliasSkipped, RoutingStep};
use super::routes::{DISCOVERED, MARKER, ProviderRoutes, Route, Routes, Target};
use super::unroutable::Unroutable;
use crate::settings::Profile;

/// Whether substrings count: a name that a person has chosen for one provider is more likely that model's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NameSource {
    /// `provider:model`
    ForThis,
    /// A bare name.
    Not,
    /// By discovery, or in a form that only models have: it is a model's own name.
    FromAList,
}

/// One resolution.
pub(super) struct Resolver<'r, 't> {
    routes: &'r Routes,
    report: &'t mut dyn FnMut(RoutingStep<'_>),
    /// As the client sent it.
    requested: &'t str,
    profile: Option<Arc<Profile>>,
    /// Of the first alias on the way that has any.
    fallbacks: Option<&'r [String]>,
}

/// A resolved name.
pub(super) struct Resolved<'r> {
    /// Without fallbacks.
    pub(super) route: Route,
    /// The fallbacks of the name, as configured.
    pub(super) fallbacks: &'r [String],
}

/// Where the aliases of a name end.
struct AtProvider<'r> {
    owner: &'r ProviderRoutes,
    /// The model's name at that provider.
    model: String,
}

type FollowResult<'r> = Result<AtProvider<'r>, Unroutable>;

/// A model's name after its prefix.
struct Split<'r, 'm> {
    owner: &'r ProviderRoutes,
    name: &'m str,
    is_prefixed: bool,
}

impl<'r, 't> Resolver<'r, 't> {
    pub(super) fn new(
        routes: &'r Routes,
        requested: &'t str,
        report: &'t mut dyn FnMut(RoutingStep<'_>),
    ) -> Self {
        Self { routes, report, requested, profile: None, fallbacks: None }
    }

    pub(super) fn resolve(mut self) -> Result<Resolved<'r>, Unroutable> {
        let at = self.walk()?;
        let fallbacks = self.fallbacks_at(&at).unwrap_or_default();
        let Target { provider, model } = at.into();
        Ok(Resolved { route: Route { provider, model, profile: self.profile, fallbacks: vec![] }, fallbacks })
    }

    /// Where a fallback leads, which always names its provider.
    pub(super) fn target_of_fallback(mut self) -> Result<Target, Unroutable> {
        let at = match self.requested.strip_prefix('!') {
            Some(literal) => self.literal(literal)?,
            None => {
                let Split { owner, name, .. } = self.split(self.requested)?;
                self.follow(owner, name)?
            }
        };
        Ok(at.into())
    }

    /// Where a target of `[routing]` leads: as the target of an alias, but a name without a provider can also be an alias of the
    /// profile `own`. `owner` is the profile that has the rule.
    pub(super) fn resolve_for_role(
        mut self,
        own: Option<&'r (Arc<Profile>, Aliases)>,
        owner: Option<&Arc<Profile>>,
    ) -> Result<Resolved<'r>, Unroutable> {
        self.profile = owner.cloned();
        let own = own.filter(|(profile, _)| profile.inactive.is_none());
        let hit = own.and_then(|(profile, aliases)| Some((profile, aliases, aliases.whole(self.requested)?)));
        let target = match hit {
            Some((profile, aliases, hit)) => {
                self.profile = Some(profile.clone());
                self.report_alias(&profile.name, aliases, hit);
                hit.target
            }
            None => self.requested,
        };
        let at = match target.strip_prefix('!') {
            Some(literal) => self.literal(literal)?,
            None => {
                let Split { owner, name, .. } = self.split(target)?;
                self.follow(owner, name)?
            }
        };
        let fallbacks = self.fallbacks_at(&at).unwrap_or_default();
        let Target { provider, model } = at.into();
        Ok(Resolved { route: Route { provider, model, profile: self.profile, fallbacks: vec![] }, fallbacks })
    }

    /// The fallbacks of the requested name; without any, those of its model, then of the profile, then of the provider.
    fn fallbacks_at(&self, at: &AtProvider<'r>) -> Option<&'r [String]> {
        let AtProvider { owner, model } = at;
        let of_profile = || {
            let profile = self.profile.as_ref()?;
            self.routes.profiles.get(&profile.name.to_lowercase())?.1.fallbacks_of_all()
        };
        self.fallbacks
            .or_else(|| owner.aliases.fallbacks(model))
            .or_else(of_profile)
            .or_else(|| owner.aliases.fallbacks_of_all())
    }

    fn walk(&mut self) -> FollowResult<'r> {
        let (model, chosen) = self.unmarked(self.requested.trim());
        if let Some(literal) = model.strip_prefix('!') {
            (self.report)(RoutingStep::Literal { name: literal });
            return self.literal(literal);
        }
        if let Some((prefix, rest)) = model.split_once(':')
            && let Some((profile, aliases)) = self.routes.profiles.get(&prefix.to_lowercase())
            && (profile.inactive.is_none() || self.routes.provider_routes(prefix).is_none())
        {
            (self.report)(RoutingStep::Profile { profile: &profile.name, name: rest });
            return self.through_profile(profile, aliases, rest);
        }
        self.without_profile(model, chosen)
    }

    /// Takes off what Claude Code puts around a name.
    fn unmarked<'m>(&mut self, model: &'m str) -> (&'m str, NameSource) {
        let (mut model, mut chosen) = (model, NameSource::Not);
        if let Some((name, mark)) = split_marker(model) {
            model = name;
            (self.report)(RoutingStep::Unmarked { mark, name: model });
        }
        if let Some(name) = model.strip_prefix(DISCOVERED) {
            (model, chosen) = (name, NameSource::FromAList);
            (self.report)(RoutingStep::Unmarked { mark: DISCOVERED, name: model });
        }
        (model, chosen)
    }

    fn through_profile(
        &mut self,
        profile: &'r Arc<Profile>,
        aliases: &'r Aliases,
        name: &str,
    ) -> FollowResult<'r> {
        if name.is_empty() {
            return Err(Unroutable::EmptyModel);
        }
        if let Some(why) = profile.inactive.clone() {
            return Err(Unroutable::InactiveProfile { name: profile.name.to_string(), why });
        }
        self.profile = Some(profile.clone());
        let elsewhere = name.split_once(':').is_some_and(|(prefix, _)| self.routes.is_known(prefix));
        let part = || aliases.part(name).filter(|_| !elsewhere);
        let Some(hit) = aliases.whole(name).or_else(part) else {
            (self.report)(RoutingStep::NotInProfile { profile: &profile.name, name });
            return self.without_profile_again(name);
        };
        self.report_alias(&profile.name, aliases, hit);
        match hit.target.strip_prefix('!') {
            Some(literal) => self.literal(literal),
            None => {
                let Split { owner, name, .. } = self.split(hit.target)?;
                self.follow(owner, name)
            }
        }
    }

    /// A name that may still start with the default profile's aliases.
    fn without_profile(&mut self, model: &str, chosen: NameSource) -> FollowResult<'r> {
        let routes = self.routes;
        if model.is_empty() {
            return Err(Unroutable::EmptyModel);
        }
        let prefixed = model.split_once(':').is_some_and(|(prefix, _)| routes.is_known(prefix));
        if !prefixed
            && chosen == NameSource::Not
            && let Some(profile) = routes.default_profile.as_ref()
            && let Some((profile, aliases)) = routes.profiles.get(profile)
        {
            (self.report)(RoutingStep::DefaultProfile { profile: &profile.name });
            return self.through_profile(profile, aliases, model);
        }
        self.at_provider(model, chosen)
    }

    fn without_profile_again(&mut self, name: &str) -> FollowResult<'r> {
        match name.strip_prefix('!') {
            Some(literal) => self.literal(literal),
            None => self.at_provider(name, NameSource::Not),
        }
    }

    fn at_provider(&mut self, model: &str, chosen: NameSource) -> FollowResult<'r> {
        let Split { owner, name, is_prefixed } = self.split(model)?;
        let chosen = match chosen {
            NameSource::Not if is_prefixed => NameSource::ForThis,
            // `vendor/model:free`, but not `us.anthropic.claude-…-v1:0`
            NameSource::Not if name.contains(':') && !model_ids::is_of_cloud(name) => NameSource::FromAList,
            NameSource::Not | NameSource::ForThis | NameSource::FromAList => chosen,
        };
        let provider = &owner.settings.name;
        (self.report)(if is_prefixed {
            RoutingStep::Prefix { provider, name }
        } else {
            RoutingStep::Default { provider, name }
        });
        let Some(hit) = self.hit(owner, name, chosen) else {
            return Ok(AtProvider { owner, model: name.to_owned() });
        };
        self.report_alias(&owner.settings.name, &owner.aliases, hit);
        match hit.target.strip_prefix('!') {
            Some(literal) => self.literal_at(owner, literal),
            None if hit.target.eq_ignore_ascii_case(name) => {
                Ok(AtProvider { owner, model: hit.target.to_owned() })
            }
            None => {
                let (owner, name) = self.target(owner, hit.target)?;
                self.follow(owner, name)
            }
        }
    }

    /// The alias that applies to a name at a provider.
    fn hit(&mut self, owner: &'r ProviderRoutes, name: &str, chosen: NameSource) -> Option<AliasMatch<'r>> {
        // Clouds have ids of their own, such as `us.anthropic.claude-…`.
        let lower = name.to_lowercase();
        let claude = owner.settings.serves_claude && model_ids::plain(&lower).starts_with("claude-");
        if let Some(hit) = owner.aliases.whole(name).filter(|_| !claude) {
            return Some(hit);
        }
        let hit = owner.aliases.part(name).filter(|_| chosen != NameSource::FromAList)?;
        let why = if claude {
            AliasSkipped::ServesClaude
        } else if chosen == NameSource::ForThis && owner.aliases.stands_for(name) {
            AliasSkipped::IsATarget
        } else if chosen == NameSource::ForThis && self.lists(owner, name) {
            AliasSkipped::IsListed
        } else {
            return Some(hit);
        };
        (self.report)(RoutingStep::AliasSkipped { name, alias: hit.alias, why });
        None
    }

    fn lists(&self, owner: &ProviderRoutes, name: &str) -> bool {
        self.routes.lists.load().get(&owner.settings.name).is_some_and(|models| models.contains(name))
    }

    /// Follows exact aliases until none applies.
    fn follow(&mut self, owner: &'r ProviderRoutes, name: &str) -> FollowResult<'r> {
        let (mut owner, mut name) = (owner, name.to_owned());
        let mut chain = vec![format!("{}:{name}", owner.settings.name)];
        while let Some(hit) = owner.aliases.whole(&name) {
            if hit.target.eq_ignore_ascii_case(&name) {
                name = hit.target.to_owned();
                break;
            }
            self.report_alias(&owner.settings.name, &owner.aliases, hit);
            if let Some(literal) = hit.target.strip_prefix('!') {
                return self.literal_at(owner, literal);
            }
            let (next, rest) = self.target(owner, hit.target)?;
            (owner, name) = (next, rest.to_owned());
            let here = format!("{}:{}", owner.settings.name, name.to_lowercase());
            let circle = chain.contains(&here);
            chain.push(here);
            let (model, limit) = (self.requested.to_owned(), self.routes.chain_limit);
            if circle {
                return Err(Unroutable::AliasCycle { model, chain: chain.join(" → ") });
            }
            if chain.len() > limit {
                return Err(Unroutable::LongChain { model, chain: chain.join(" → "), limit });
            }
        }
        Ok(AtProvider { owner, model: name })
    }

    fn literal(&self, literal: &str) -> FollowResult<'r> {
        if literal.is_empty() {
            return Err(Unroutable::EmptyModel);
        }
        let Split { owner, name, .. } = self.split(literal)?;
        Ok(AtProvider { owner, model: name.to_owned() })
    }

    /// A literal target of an alias at `owner`.
    fn literal_at(&self, owner: &'r ProviderRoutes, literal: &str) -> FollowResult<'r> {
        let (owner, name) = self.target(owner, literal)?;
        Ok(AtProvider { owner, model: name.to_owned() })
    }

    /// Where a target of an alias at `owner` leads: across only if its first part is a provider.
    fn target<'m>(
        &self,
        owner: &'r ProviderRoutes,
        target: &'m str,
    ) -> Result<(&'r ProviderRoutes, &'m str), Unroutable> {
        let Some((prefix, rest)) = target.split_once(':').filter(|(prefix, _)| *prefix != "arn") else {
            return Ok((owner, target));
        };
        match self.routes.provider_routes(prefix) {
            Some(other) => Ok((other, rest)),
            None => self.routes.unusable(prefix).map_or(Ok((owner, target)), Err),
        }
    }

    /// Splits at the first colon, and says whether there was a prefix. One with `/` or `.` in it is part of a model's id
    /// (`vendor/model:free`).
    fn split<'m>(&self, model: &'m str) -> Result<Split<'r, 'm>, Unroutable> {
        let routes = self.routes;
        let default = || {
            let default = routes.default.as_ref().ok_or(Unroutable::NoProvider)?;
            routes.provider_routes(&default.name).ok_or(Unroutable::NoProvider)
        };
        let unprefixed = || Ok(Split { owner: default()?, name: model, is_prefixed: false });
        // The id of a model at AWS may be an ARN, which begins so.
        let Some((prefix, rest)) = model.split_once(':').filter(|(prefix, _)| *prefix != "arn") else {
            return unprefixed();
        };
        if let Some(owner) = routes.provider_routes(prefix) {
            return if rest.is_empty() {
                Err(Unroutable::EmptyModel)
            } else {
                Ok(Split { owner, name: rest, is_prefixed: true })
            };
        }
        if prefix.is_empty() {
            return Err(Unroutable::EmptyModel);
        }
        if let Some(unusable) = routes.unusable(prefix) {
            return Err(unusable);
        }
        if prefix.contains(['/', '.']) {
            return unprefixed();
        }
        if routes.names.is_empty() {
            return Err(Unroutable::NoProvider);
        }
        let known = routes.known(prefix);
        Err(Unroutable::UnknownProvider { prefix: prefix.to_owned(), model: model.to_owned(), known })
    }

    fn report_alias(
        &mut self,
        owner: &str,
        aliases: &'r Aliases,
        AliasMatch { alias, target, kind }: AliasMatch<'_>,
    ) {
        (self.report)(RoutingStep::Alias { owner, alias, target, kind });
        self.fallbacks = self.fallbacks.or_else(|| aliases.fallbacks(alias));
    }
}

/// Splits off the mark of a 1M context window.
fn split_marker(model: &str) -> Option<(&str, &str)> {
    let end = model.len().checked_sub(MARKER.len()).filter(|&at| model.is_char_boundary(at))?;
    let (name, mark) = model.split_at(end);
    mark.eq_ignore_ascii_case(MARKER).then(|| (name.trim_end(), mark))
}

/// The name without the mark of a 1M context window.
pub(super) fn without_marker(model: &str) -> &str {
    split_marker(model).map_or(model, |(name, _)| name)
}

impl From<AtProvider<'_>> for Target {
    fn from(AtProvider { owner, model }: AtProvider<'_>) -> Self {
        Self { provider: owner.settings.clone(), model: model.into() }
    }
}
