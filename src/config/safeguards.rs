//! The judges of tool calls for auto mode.

use std::sync::Arc;

use vandamme_actors::routing::Routes;
use vandamme_actors::settings::{Judge, JudgeMode};

use super::builder::Builder;
use super::error::ConfigError;
use super::layer::{LocatedText, Section};
use super::schema::suggestion;

/// A provider's `judge` with this value has none.
const NONE: &str = "none";
pub(super) const TABLE: &str = "safeguards";

/// The judge of a provider: its own, else that of all.
pub(super) fn judge(provider: Section<'_>, root: Section<'_>) -> Option<Judge> {
    let all = root.section(TABLE);
    let target = provider.text("judge").or_else(|| all.text("judge"))?.text.trim();
    let mode = match all.flag("shadow") {
        Some(true) => JudgeMode::Shadow,
        Some(false) | None => JudgeMode::Answers,
    };
    (target != NONE).then(|| Judge { target: Arc::from(target), mode })
}

impl Builder<'_> {
    /// A judge is called with a key of the gateway, so that its provider must have one. An unknown provider is misspelt.
    pub(super) fn check_judges(&mut self) {
        let root = self.merged.root();
        let providers = root.section("providers");
        let of_providers =
            providers.names().into_iter().filter_map(|name| providers.section(name).text("judge"));
        let all: Vec<_> = root.section(TABLE).text("judge").into_iter().chain(of_providers).collect();
        if all.is_empty() && root.section(TABLE).flag("shadow") == Some(true) {
            let text = "[safeguards] shadow has no effect without a judge; set judge in [safeguards] or for a provider";
            self.warnings.push(text.to_owned());
        }
        for LocatedText { text, place } in all {
            if let Some(error) = self.judge_error(text.trim()) {
                self.errors.push(ConfigError::new(place, error));
            }
        }
    }

    fn judge_error(&self, target: &str) -> Option<String> {
        let (provider, model) = target.trim_start_matches('!').split_once(':')?;
        if provider.starts_with('#') || self.merged.root().section("profiles").section(provider).is_there() {
            return None;
        }
        let known = || self.merged.providers().iter().map(String::as_str).chain([super::DEMO]);
        if !known().any(|name| name.eq_ignore_ascii_case(provider)) {
            let near = suggestion(provider, known());
            let meant = near.map_or_else(String::new, |name| format!("; did you mean \"{name}:{model}\"?"));
            return Some(format!("judge {target:?}: there is no provider {provider:?}{meant}"));
        }
        let found = self.registered.iter().find(|known| known.name.eq_ignore_ascii_case(provider));
        found.filter(|provider| provider.passthrough).map(|provider| {
            format!(
                "judge {target:?}: provider '{}' uses the keys of clients; choose a provider with a key of its own",
                provider.name
            )
        })
    }
}

/// A warning for each judge that cannot be called.
pub(super) fn warnings(routes: &Routes, judges: impl Iterator<Item = Arc<str>>) -> Vec<String> {
    let mut judges: Vec<_> = judges.collect();
    judges.sort();
    judges.dedup();
    judges.into_iter().filter_map(|judge| warning(routes, &judge)).collect()
}

fn warning(routes: &Routes, judge: &str) -> Option<String> {
    match routes.resolve(judge) {
        Err(why) => Some(format!("judge {judge:?} cannot be used: {why}; tool calls get no verdict")),
        Ok(route) if !judge.contains(':') && *route.model == *judge => Some(format!(
            "judge {judge:?} is no alias, so it is a model of the default provider '{name}'; write \"{name}:{judge}\" if that is meant",
            name = route.provider.name
        )),
        Ok(_) => None,
    }
}
