//! One name on its way through the tables.

use std::sync::Arc;

use super::aliases::{Aliases, Hit};
use super::resolve::{DISCOVERED, Home, MARKER, Route, Routes, Unroutable};
use super::steps::{Kept, Step};
use crate::settings::Profile;

/// Whether substrings count: a name that a person has chosen for one provider is more likely that model's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chosen {
    /// `provider:model`
    ForThis,
    /// A bare name.
    Not,
    /// By discovery, or in a form that only models have: it is a model's own name.
    FromAList,
}

/// One resolution.
pub(super) struct Walk<'r, 't> {
    pub(super) routes: &'r Routes,
    pub(super) tell: &'t mut dyn FnMut(Step<'_>),
    /// As the client sent it.
    pub(super) asked: &'t str,
    pub(super) profile: Option<Arc<Profile>>,
}

impl<'r> Walk<'r, '_> {
    pub(super) fn route(mut self, model: &str) -> Result<Route, Unroutable> {
        let (model, chosen) = self.unmarked(model.trim());
        if let Some(literal) = model.strip_prefix('!') {
            (self.tell)(Step::Literal { name: literal });
            return self.literal(literal);
        }
        if let Some((prefix, rest)) = model.split_once(':')
            && let Some((profile, aliases)) = self.routes.profiles.get(&prefix.to_lowercase())
            && (profile.inactive.is_none() || self.routes.home(prefix).is_none())
        {
            (self.tell)(Step::Profile { profile: &profile.name, name: rest });
            return self.through_profile((profile, aliases), rest);
        }
        self.without_profile(model, chosen)
    }

    /// Takes off what Claude Code puts around a name.
    fn unmarked<'m>(&mut self, model: &'m str) -> (&'m str, Chosen) {
        let (mut model, mut chosen) = (model, Chosen::Not);
        let end = model.len().checked_sub(MARKER.len()).filter(|&at| model.is_char_boundary(at));
        if let Some((name, mark)) = end.map(|at| model.split_at(at))
            && mark.eq_ignore_ascii_case(MARKER)
        {
            model = name.trim_end();
            (self.tell)(Step::Unmarked { mark, name: model });
        }
        if let Some(name) = model.strip_prefix(DISCOVERED) {
            (model, chosen) = (name, Chosen::FromAList);
            (self.tell)(Step::Unmarked { mark: DISCOVERED, name: model });
        }
        (model, chosen)
    }

    fn through_profile(
        mut self,
        (profile, aliases): (&'r Arc<Profile>, &'r Aliases),
        name: &str,
    ) -> Result<Route, Unroutable> {
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
            (self.tell)(Step::NotInProfile { profile: &profile.name, name });
            return self.without_profile_again(name);
        };
        self.tell_alias(&profile.name, hit);
        match hit.target.strip_prefix('!') {
            Some(literal) => self.literal(literal),
            None => {
                let (home, name) = self.split(hit.target)?.0;
                self.follow(home, name)
            }
        }
    }

    /// A name that may still start with the default profile's aliases.
    fn without_profile(self, model: &str, chosen: Chosen) -> Result<Route, Unroutable> {
        let routes = self.routes;
        if model.is_empty() {
            return Err(Unroutable::EmptyModel);
        }
        let prefixed = model.split_once(':').is_some_and(|(prefix, _)| routes.is_known(prefix));
        if !prefixed
            && chosen == Chosen::Not
            && let Some(profile) = routes.default_profile.as_ref()
            && let Some((profile, aliases)) = routes.profiles.get(profile)
        {
            (self.tell)(Step::DefaultProfile { profile: &profile.name });
            return self.through_profile((profile, aliases), model);
        }
        self.at_provider(model, chosen)
    }

    fn without_profile_again(self, name: &str) -> Result<Route, Unroutable> {
        match name.strip_prefix('!') {
            Some(literal) => self.literal(literal),
            None => self.at_provider(name, Chosen::Not),
        }
    }

    fn at_provider(mut self, model: &str, chosen: Chosen) -> Result<Route, Unroutable> {
        let ((home, name), prefixed) = self.split(model)?;
        let chosen = match chosen {
            Chosen::Not if prefixed => Chosen::ForThis,
            // `vendor/model:free`
            Chosen::Not if name.contains(':') => Chosen::FromAList,
            Chosen::Not | Chosen::ForThis | Chosen::FromAList => chosen,
        };
        let provider = &home.settings.name;
        (self.tell)(if prefixed {
            Step::Prefix { provider, name }
        } else {
            Step::Default { provider, name }
        });
        let Some(hit) = self.hit(home, name, chosen) else { return Ok(self.found(home, name)) };
        self.tell_alias(&home.settings.name, hit);
        match hit.target.strip_prefix('!') {
            Some(literal) => self.literal_at(home, literal),
            None if hit.target.eq_ignore_ascii_case(name) => Ok(self.found(home, hit.target)),
            None => {
                let (home, name) = self.target(home, hit.target)?;
                self.follow(home, name)
            }
        }
    }

    /// The alias that applies to a name at a provider.
    fn hit(&mut self, home: &'r Home, name: &str, chosen: Chosen) -> Option<Hit<'r>> {
        let claude = home.settings.serves_claude && name.to_lowercase().starts_with("claude-");
        if let Some(hit) = home.aliases.whole(name).filter(|_| !claude) {
            return Some(hit);
        }
        let hit = home.aliases.part(name).filter(|_| chosen != Chosen::FromAList)?;
        let why = if claude {
            Kept::ServesClaude
        } else if chosen == Chosen::ForThis && home.aliases.stands_for(name) {
            Kept::IsATarget
        } else if chosen == Chosen::ForThis && self.lists(home, name) {
            Kept::IsListed
        } else {
            return Some(hit);
        };
        (self.tell)(Step::Kept { name, alias: hit.alias, why });
        None
    }

    fn lists(&self, home: &Home, name: &str) -> bool {
        self.routes.lists.load().get(&home.settings.name).is_some_and(|models| models.contains(name))
    }

    /// Follows exact aliases until none applies.
    fn follow(mut self, home: &'r Home, name: &str) -> Result<Route, Unroutable> {
        let (mut home, mut name) = (home, name.to_owned());
        let mut chain = vec![format!("{}:{name}", home.settings.name)];
        while let Some(hit) = home.aliases.whole(&name) {
            if hit.target.eq_ignore_ascii_case(&name) {
                name = hit.target.to_owned();
                break;
            }
            self.tell_alias(&home.settings.name, hit);
            if let Some(literal) = hit.target.strip_prefix('!') {
                return self.literal_at(home, literal);
            }
            let (next, rest) = self.target(home, hit.target)?;
            (home, name) = (next, rest.to_owned());
            let here = format!("{}:{}", home.settings.name, name.to_lowercase());
            let circle = chain.contains(&here);
            chain.push(here);
            let (model, limit) = (self.asked.to_owned(), self.routes.chain_limit);
            if circle {
                return Err(Unroutable::AliasCycle { model, chain: chain.join(" → ") });
            }
            if chain.len() > limit {
                return Err(Unroutable::LongChain { model, chain: chain.join(" → "), limit });
            }
        }
        Ok(self.found(home, &name))
    }

    fn literal(self, literal: &str) -> Result<Route, Unroutable> {
        if literal.is_empty() {
            return Err(Unroutable::EmptyModel);
        }
        let ((home, name), _) = self.split(literal)?;
        Ok(self.found(home, name))
    }

    /// A literal target of an alias at `home`.
    fn literal_at(self, home: &'r Home, literal: &str) -> Result<Route, Unroutable> {
        let (home, name) = self.target(home, literal)?;
        Ok(self.found(home, name))
    }

    /// Where a target of an alias at `home` leads: across only if its first part is a provider.
    fn target<'m>(&self, home: &'r Home, target: &'m str) -> Result<(&'r Home, &'m str), Unroutable> {
        let Some((prefix, rest)) = target.split_once(':') else { return Ok((home, target)) };
        match self.routes.home(prefix) {
            Some(other) => Ok((other, rest)),
            None => self.routes.unusable(prefix).map_or(Ok((home, target)), Err),
        }
    }

    /// Splits at the first colon, and says whether there was a prefix. One with `/` or `.` in it is part of a model's id
    /// (`vendor/model:free`).
    fn split<'m>(&self, model: &'m str) -> Result<((&'r Home, &'m str), bool), Unroutable> {
        let routes = self.routes;
        let default = || {
            let default = routes.default.as_ref().ok_or(Unroutable::NoProvider)?;
            routes.home(&default.name).ok_or(Unroutable::NoProvider)
        };
        let Some((prefix, rest)) = model.split_once(':') else { return Ok(((default()?, model), false)) };
        if let Some(home) = routes.home(prefix) {
            return if rest.is_empty() { Err(Unroutable::EmptyModel) } else { Ok(((home, rest), true)) };
        }
        if prefix.is_empty() {
            return Err(Unroutable::EmptyModel);
        }
        if let Some(unusable) = routes.unusable(prefix) {
            return Err(unusable);
        }
        if prefix.contains(['/', '.']) {
            return Ok(((default()?, model), false));
        }
        if routes.names.is_empty() {
            return Err(Unroutable::NoProvider);
        }
        let known = routes.names.join(", ");
        Err(Unroutable::UnknownProvider { prefix: prefix.to_owned(), model: model.to_owned(), known })
    }

    fn tell_alias(&mut self, owner: &str, Hit { alias, target, fit }: Hit<'_>) {
        (self.tell)(Step::Alias { owner, alias, target, fit });
    }

    fn found(self, home: &Home, name: &str) -> Route {
        Route { provider: home.settings.clone(), model: name.into(), profile: self.profile }
    }
}
