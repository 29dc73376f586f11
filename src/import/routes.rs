//! `Router` and `fallback`: which model serves which kind of request.

use super::json5::Node;
use super::references::{self, Lookup};
use super::report::{Place, Report};

/// A provider of the other file.
#[derive(Debug)]
pub(super) struct KnownProvider {
    /// As routes name it.
    pub(super) called: String,
    /// As vdm names it; `None` for one that is not imported.
    pub(super) name: Option<String>,
    pub(super) models: Vec<String>,
}

/// A target with those that are tried after it.
#[derive(Debug, Default)]
pub(super) struct Route {
    pub(super) target: String,
    pub(super) fallbacks: Vec<String>,
}

/// The routes of the other file.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// The profile that names the default route.
    pub(super) profile: String,
    pub(super) default: Option<Route>,
    /// By the key of `[routing]`.
    pub(super) roles: Vec<(&'static str, Route)>,
    /// The estimated tokens above which `long-context` applies; by default as many as there.
    pub(super) long_context_threshold: Option<u64>,
}

/// The names of scenarios there, and the keys of `[routing]`.
const ROLES: [(&str, &str); 5] = [
    ("background", "background"),
    ("think", "think"),
    ("longContext", "long-context"),
    ("webSearch", "web-search"),
    ("image", "image"),
];
const EXPECTED: &str = "expected \"provider,model\"";

/// Reads targets.
pub(super) struct RouteReader<'a> {
    pub(super) providers: &'a [KnownProvider],
    pub(super) lookup: Lookup<'a>,
    pub(super) report: &'a mut Report,
}

impl RouteReader<'_> {
    pub(super) fn read(&mut self, router: Option<&Node>, fallback: Option<&Node>) -> Routes {
        let mut routes = Routes { profile: self.profile(), ..Routes::default() };
        if let Some(node) = router {
            match node.table() {
                Some(entries) => entries.iter().for_each(|(name, node)| self.entry(name, node, &mut routes)),
                None => {
                    let text = format!("expected an object, found {}", node.kind());
                    self.report.error(Place::new(node.line, "Router"), text);
                }
            }
        }
        if let Some(entries) = fallback.and_then(Node::table) {
            entries.iter().for_each(|(name, node)| self.fallbacks(name, node, &mut routes));
        } else if let Some(node) = fallback.filter(|node| !node.is_empty()) {
            let text = format!("expected an object of lists, found {}", node.kind());
            self.report.error(Place::new(node.line, "fallback"), text);
        }
        routes
    }

    /// A name that no provider has.
    fn profile(&self) -> String {
        let is_taken = |name: &str| self.providers.iter().any(|known| known.name.as_deref() == Some(name));
        let free = ["ccr", "router", "imported"].into_iter().find(|name| !is_taken(name));
        free.unwrap_or("from-ccr").to_owned()
    }

    fn entry(&mut self, name: &str, node: &Node, routes: &mut Routes) {
        let setting = format!("Router.{name}");
        let place = Place::new(node.line, &setting);
        let role = ROLES.iter().find(|(theirs, _)| *theirs == name).map(|(_, key)| *key);
        match (name, role) {
            _ if node.is_empty() => self.report.not_needed(place, "it is empty"),
            ("longContextThreshold", _) => self.threshold(node, place, routes),
            ("default", _) => {
                let Some(target) = self.target(node, place) else { return };
                let profile = &routes.profile;
                let note = format!(
                    "{target}: the profile {profile} sends haiku, sonnet, opus and fable there, and is the default"
                );
                self.report.taken(place, note);
                routes.default = Some(Route { target, fallbacks: Vec::new() });
            }
            ("fallback", _) => self.one_fallback(node, place, routes),
            (_, Some(key)) => {
                let Some(target) = self.target(node, place) else { return };
                self.report.taken(place, format!("{target}: [routing] {key}"));
                routes.roles.push((key, Route { target, fallbacks: Vec::new() }));
            }
            (_, None) => self
                .report
                .not_taken(place, "vdm does not know this scenario; [routing] has the roles that it knows"),
        }
    }

    fn threshold(&mut self, node: &Node, place: Place<'_>, routes: &mut Routes) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in this range")]
        let tokens = node.number().filter(|count| (1.0..1e12).contains(count)).map(|count| count as u64);
        match tokens {
            Some(tokens) => {
                routes.long_context_threshold = Some(tokens);
                self.report.taken(place, format!("[routing] long-context-threshold = {tokens}"));
            }
            None => self.report.error(place, "expected a number of tokens, at least 1"),
        }
    }

    /// Forks have one list, or one target, for every scenario in `Router`.
    fn one_fallback(&mut self, node: &Node, place: Place<'_>, routes: &mut Routes) {
        let targets = self.list(node, place);
        match &mut routes.default {
            Some(route) if !targets.is_empty() => {
                self.report.taken(place, format!("fallbacks of the default: {}", targets.join(", ")));
                route.fallbacks = targets;
            }
            Some(_) => {}
            None => self.report.not_taken(place, "there is no Router.default above it"),
        }
    }

    fn fallbacks(&mut self, name: &str, node: &Node, routes: &mut Routes) {
        let setting = format!("fallback.{name}");
        let place = Place::new(node.line, &setting);
        if node.is_empty() {
            return self.report.not_needed(place, "it is empty");
        }
        let targets = self.list(node, place);
        let key = ROLES.iter().find(|(theirs, _)| *theirs == name).map(|(_, key)| *key);
        let route = match key {
            None if name == "default" => routes.default.as_mut(),
            None => None,
            Some(key) => routes.roles.iter_mut().find(|(known, _)| *known == key).map(|(_, route)| route),
        };
        match route {
            Some(route) if !targets.is_empty() => {
                self.report.taken(place, format!("tried after {}: {}", route.target, targets.join(", ")));
                route.fallbacks = targets;
            }
            Some(_) => {}
            None => self.report.not_taken(place, format!("Router has no {name} that was taken")),
        }
    }

    fn list(&mut self, node: &Node, place: Place<'_>) -> Vec<String> {
        let items = node.list().unwrap_or(std::slice::from_ref(node));
        items.iter().filter_map(|item| self.target(item, Place::new(item.line, place.setting))).collect()
    }

    /// A target in vdm's form: `!provider:model`. The `!` keeps aliases away: a name such as `claude-3.5-sonnet` contains one.
    fn target(&mut self, node: &Node, place: Place<'_>) -> Option<String> {
        let Some(text) = node.text() else {
            self.report.error(place, format!("{EXPECTED}, found {}", node.kind()));
            return None;
        };
        let text = match references::resolve(text, self.lookup) {
            Ok(text) => text,
            Err(name) => {
                self.report.error(place, format!("the environment variable {name} is not set"));
                return None;
            }
        };
        let parts = text.split_once(',').map(|(provider, model)| (provider.trim(), model.trim()));
        let Some((provider, model)) =
            parts.filter(|(provider, model)| !provider.is_empty() && !model.is_empty())
        else {
            self.report.error(place, format!("{EXPECTED}, found {text:?}"));
            return None;
        };
        let known = self.providers.iter().find(|known| known.called.eq_ignore_ascii_case(provider));
        match known {
            None => {
                let text = format!("Providers has no {provider:?}; add it there, or correct the name");
                self.report.error(place, text);
                None
            }
            Some(KnownProvider { name: None, .. }) => {
                self.report.not_taken(place, format!("provider {provider} was not taken"));
                None
            }
            Some(KnownProvider { name: Some(name), models, .. }) => {
                // Names of models are compared without case there, and sent as Providers has them.
                let model = models
                    .iter()
                    .find(|known| known.eq_ignore_ascii_case(model))
                    .map_or(model, String::as_str);
                Some(format!("!{name}:{model}"))
            }
        }
    }
}
