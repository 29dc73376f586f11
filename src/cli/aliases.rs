//! `vdm aliases`: lists every alias and the model that it resolves to.

use clap::Args;
use serde::Serialize;
use vandamme_actors::routing::Routes;
use vandamme_actors::settings::Settings;
use vandamme_actors::snapshot::Snapshot;

use super::exit_code::Exit;
use super::explain::listed;
use super::options::ConfigOptions;
use super::table::Table;
use super::{configured, print_json, print_to_stderr};
use crate::config;

#[derive(Args, Debug)]
pub(super) struct AliasesArgs {
    /// Only aliases of this provider or profile
    #[arg(short, long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Include aliases of inactive profiles
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    options: ConfigOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The kind of an alias that a profile owns.
const PROFILE: &str = "profile";

/// One alias.
#[derive(Serialize)]
struct AliasRow {
    /// The name that a request uses.
    name: String,
    owner: String,
    kind: &'static str,
    /// As configured.
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    leads_to: Option<String>,
    /// The next targets if that fails, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fallbacks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl AliasesArgs {
    pub(super) fn run(self) -> Exit {
        let config = match configured(&self.options) {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let settings = &config.settings_with_demo();
        let mut rows = rows(settings);
        if let Some(asked) = self.provider {
            let asked = asked.trim_start_matches('#').to_lowercase();
            let mut owners = owners(settings);
            if !owners.contains(&asked) {
                owners.sort_unstable();
                let near = config::nearest_name(&asked, owners.iter().map(String::as_str));
                let near = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
                let known = owners.join(", ");
                print_to_stderr(format_args!(
                    "vdm: no provider or profile is called '{asked}', but {known}{near}\n"
                ));
                return Exit::Failed;
            }
            rows.retain(|row| row.owner == asked);
        } else if !self.all && !self.json {
            let inactive = hide_inactive(settings, &mut rows);
            if !inactive.is_empty() {
                let names = inactive.join(", ");
                print_to_stderr(format_args!("inactive profiles are not shown: {names}; --all shows them\n"));
            }
        }
        if self.json {
            print_json(&rows)
        } else {
            print(&rows)
        }
        Exit::Ok
    }
}

fn owners(settings: &Settings) -> Vec<String> {
    let providers = settings.providers.iter().map(|provider| provider.name.to_string());
    providers.chain(settings.profiles.iter().map(|profile| profile.name.to_lowercase())).collect()
}

/// Removes the aliases of inactive profiles, and returns the names of these profiles.
fn hide_inactive(settings: &Settings, rows: &mut Vec<AliasRow>) -> Vec<String> {
    let inactive = settings.profiles.iter().filter(|profile| profile.inactive.is_some());
    let mut names: Vec<_> = inactive.map(|profile| profile.name.to_lowercase()).collect();
    names.retain(|name| rows.iter().any(|row| row.kind == PROFILE && row.owner == *name));
    rows.retain(|row| row.kind != PROFILE || !names.contains(&row.owner));
    names
}

fn rows(settings: &Settings) -> Vec<AliasRow> {
    let routes = Routes::new(settings, Snapshot::new(listed(settings)));
    let profiles = settings.profiles.iter().map(|profile| (PROFILE, &profile.name, &profile.aliases));
    let providers = settings.providers.iter().map(|provider| ("provider", &provider.name, &provider.aliases));
    let owned = profiles.chain(providers).flat_map(|(kind, owner, aliases)| {
        aliases.iter().map(move |(alias, target)| (kind, owner, alias, target))
    });
    owned
        .map(|(kind, owner, alias, target)| {
            let name = format!("{owner}:{alias}");
            let found = routes.resolve(&name);
            let error = found.as_ref().err().map(ToString::to_string);
            let route = found.ok();
            let fallbacks = route.iter().flat_map(|route| &route.fallbacks);
            let fallbacks =
                fallbacks.map(|target| format!("{}:{}", target.provider.name, target.model)).collect();
            let leads_to = route.map(|route| format!("{}:{}", route.provider.name, route.model));
            let (owner, target) = (owner.to_lowercase(), target.clone());
            AliasRow { name, owner, kind, target, leads_to, fallbacks, error }
        })
        .collect()
}

fn print(rows: &[AliasRow]) {
    if rows.is_empty() {
        return print_to_stderr(format_args!("no aliases; set {{PROVIDER}}_ALIAS_{{NAME}} to create one\n"));
    }
    let mut table = Table::new(["ALIAS", "STANDS FOR", "LEADS TO"]);
    for AliasRow { name, target, leads_to, fallbacks, error, .. } in rows {
        let end = match (leads_to, error) {
            (Some(model), _) => {
                let then = fallbacks.iter().map(|target| format!(", then {target}"));
                then.fold(model.clone(), |line, then| line + &then)
            }
            (None, error) => format!("nowhere: {}", error.as_deref().unwrap_or_default()),
        };
        table.row([name.clone(), target.clone(), end]);
    }
    table.print();
}
