//! `vdm explain MODEL`: how a model name is routed, and a request under it by its role.

mod facts;
mod upstream_apis;

use std::io::Write;

use clap::Args;
use serde::Serialize;
use vandamme_actors::catalog::store::ModelListStore;
use vandamme_actors::routing::{Lists, RoleDecision, Routes, Unroutable};
use vandamme_actors::settings::Settings;
use vandamme_actors::snapshot::Snapshot;

use self::facts::RequestFacts;
use self::upstream_apis::UpstreamApis;
use super::exit_code::Exit;
use super::options::ConfigOptions;
use super::{configured, print_to_stderr};

#[derive(Args, Debug)]
pub(super) struct Explain {
    /// Model name as a client sends it
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<String>,
    #[command(flatten)]
    options: ConfigOptions,
    #[command(flatten)]
    facts: RequestFacts,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How one name is routed.
#[derive(Serialize)]
struct Explained<'a> {
    model: &'a str,
    /// The role by which `[routing]` has chosen the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    steps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_model: Option<String>,
    /// The API of the upstream, by that of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_api: Option<UpstreamApis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    /// The fallbacks, as `provider:model`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fallbacks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> Exit {
        let config = match configured(&self.options) {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let settings = config.settings_with_demo();
        let routes = Routes::new(&settings, Snapshot::new(listed(&settings)));
        let request = match self.facts.read(settings.limits.request_body) {
            Ok(request) => request,
            Err(message) => {
                print_to_stderr(format_args!("vdm: {message}\n"));
                return Exit::Usage;
            }
        };
        let explain = |model| Explained::new(&routes, model, request.role(&routes, model).as_ref());
        let explained: Vec<_> = self.models.iter().map(|model| explain(model)).collect();
        // A closed pipe is not an error.
        let _ = if self.json { print_json(&explained) } else { print_words(&explained) };
        match explained.iter().any(|explained| explained.error.is_some()) {
            true => Exit::Failed,
            false => Exit::Ok,
        }
    }
}

/// The cached lists of models, which the gateway also uses.
pub(super) fn listed(settings: &Settings) -> Lists {
    let store = settings.cache.as_deref().map(ModelListStore::new);
    store.map(|store| store.lists(&settings.providers)).unwrap_or_default()
}

impl<'a> Explained<'a> {
    fn new(routes: &Routes, model: &'a str, role: Option<&RoleDecision>) -> Self {
        let mut steps = vec![];
        let found = routes.explain_decision(model, role, &mut |step| steps.push(step.to_string()));
        let error = found.as_ref().err().map(Unroutable::to_string);
        let route = found.ok();
        let fallbacks = route.iter().flat_map(|route| &route.fallbacks);
        let fallbacks =
            fallbacks.map(|target| format!("{}:{}", target.provider.name, target.model)).collect();
        Self {
            fallbacks,
            model,
            role: role.map(|decision| decision.rule.name.to_string()),
            steps,
            provider: route.as_ref().map(|route| route.provider.name.to_string()),
            upstream_model: route.as_ref().map(|route| route.model.to_string()),
            upstream_api: route.as_ref().map(UpstreamApis::of),
            profile: route.and_then(|route| route.profile).map(|profile| profile.name.to_string()),
            error,
        }
    }
}

fn print_json(explained: &[Explained<'_>]) -> std::io::Result<()> {
    let json = serde_json::to_string_pretty(explained).unwrap_or_default();
    writeln!(std::io::stdout(), "{json}")
}

fn print_words(explained: &[Explained<'_>]) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    for Explained { model, steps, provider, upstream_model, upstream_api, fallbacks, error, .. } in explained
    {
        writeln!(out, "{model}")?;
        for step in steps {
            writeln!(out, "  {step}")?;
        }
        if let Some(apis) = upstream_api {
            writeln!(out, "  {}", apis.sentence())?;
        }
        match (provider, upstream_model, error) {
            (Some(provider), Some(upstream_model), _) => {
                let then: String = fallbacks.iter().map(|target| format!(", then {target}")).collect();
                writeln!(out, "→ {provider}:{upstream_model}{then}")?;
            }
            (_, _, Some(error)) => print_to_stderr(format_args!("vdm: {error}\n")),
            (_, _, None) => {}
        }
    }
    Ok(())
}
