//! `vdm models list` and `vdm models top`.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use actix_web::http::header::HeaderMap;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use vandamme_actors::catalog::Listing;
use vandamme_actors::settings::ProviderSettings;
use vandamme_protocol::models::Models;
use vandamme_protocol::models::top::TopModel;

use super::embedded::{self, Selection};
use super::exit_code::Exit;
use super::options::ConfigOptions;
use super::table::Table;
use super::{print_json, print_to_stderr};
use crate::gateway::Gateway;
use crate::models::{self, ListedModels, Remembered, TopList, TopQuery};
use crate::request_id::RequestId;

#[derive(Debug, Subcommand)]
pub(super) enum ModelsOf {
    /// List the models of all providers, by the names that requests use.
    List(ModelsArgs),
    /// List recommended models of OpenRouter's catalogue.
    Top(Top),
}

#[derive(Args, Debug)]
pub(super) struct ModelsArgs {
    /// Only models of this provider
    #[arg(short, long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Query the provider instead of using the cached list
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    options: ConfigOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Top {
    /// Number of models
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=50))]
    limit: u8,
    /// Only models of this provider or this model owner
    #[arg(short, long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Only models of this owner: the part of an id before the /
    #[arg(long, value_name = "OWNER")]
    sub_provider: Option<String>,
    /// Query the catalogue instead of using the cached one
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    options: ConfigOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One model of the list.
#[derive(Serialize)]
struct ModelRow {
    /// The name that a request uses.
    model: String,
    provider: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    /// The model's web page, as the provider's `model-page` names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

/// A provider that could not be listed.
#[derive(Serialize)]
struct Missing {
    provider: String,
    message: String,
}

/// A cached list that is not current.
#[derive(Serialize)]
struct Aged {
    provider: String,
    listed: String,
}

#[derive(Default, Serialize)]
struct Found {
    models: Vec<ModelRow>,
    errors: Vec<Missing>,
    /// Providers that need the client's own key.
    skipped: Vec<String>,
    stale: Vec<Aged>,
}

impl ModelsOf {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::List(list) => list.run(),
            Self::Top(top) => top.run(),
        }
    }
}

impl ModelsArgs {
    fn run(self) -> Exit {
        embedded::with_gateway(self.options.clone(), async |gateway| self.query(gateway).await)
    }

    async fn query(self, gateway: Arc<Gateway>) -> Exit {
        let selection = self.provider.as_deref().map_or(Selection::All, |name| Selection::One(Some(name)));
        let providers = match embedded::providers(&gateway, &selection) {
            Ok(providers) => providers,
            Err(exit) => return exit,
        };
        let (own, providers): (Vec<_>, Vec<_>) =
            providers.into_iter().partition(|provider| provider.passthrough);
        let remembered = if self.refresh { Remembered::PassedOver } else { Remembered::ServesWhileItHolds };
        let names: Vec<_> = providers.iter().map(|provider| provider.name.to_string()).collect();
        let answers = embedded::each(&names, |index| listed(&gateway, &providers[index], remembered)).await;
        let skipped = own.iter().map(|provider| provider.name.to_string()).collect();
        let mut found = Found { skipped, ..Found::default() };
        for (provider, answer) in providers.iter().zip(answers) {
            found.take(provider, answer);
        }
        for provider in &providers {
            models::lists_written(&gateway, provider).await;
        }
        if self.json {
            print_json(&found)
        } else {
            found.print()
        }
        match found.errors.is_empty() && !providers.is_empty() {
            true => Exit::Ok,
            false => Exit::Failed,
        }
    }
}

async fn listed(
    gateway: &Arc<Gateway>,
    provider: &Arc<ProviderSettings>,
    remembered: Remembered,
) -> Result<ListedModels, String> {
    let no_headers = HeaderMap::new();
    let id = RequestId::new().shared();
    let listed = models::list(gateway.clone(), id, provider, &no_headers, remembered).await;
    listed.map_err(|failure| failure.message())
}

impl Found {
    fn take(&mut self, provider: &ProviderSettings, answer: Result<ListedModels, String>) {
        let name = provider.name.to_string();
        let listing = match answer {
            Ok(ListedModels::Current(listing)) => listing,
            Ok(ListedModels::Stale(listing)) => {
                self.stale.push(Aged { provider: name.clone(), listed: time(&listing) });
                listing
            }
            Err(message) => return self.errors.push(Missing { provider: name, message }),
        };
        // The list was valid when it was fetched.
        let models = Models::read(&listing.body).ok();
        self.models.extend(models.iter().flat_map(Models::named).map(|model| ModelRow {
            model: format!("{name}:{}", model.id),
            provider: name.clone(),
            page: models::model_page(provider, &model.id, model.name.as_deref()),
            id: model.id,
            display_name: model.name,
            created_at: model.created,
        }));
    }

    fn print(&self) {
        let mut table = Table::new(["MODEL", "CREATED", "NAME"]);
        for ModelRow { model, display_name, created_at, .. } in &self.models {
            let day = created_at.as_deref().filter(|time| !time.starts_with("1970")).unwrap_or_default();
            let day = day.split('T').next().unwrap_or_default();
            table.row([model.clone(), day.to_owned(), display_name.clone().unwrap_or_default()]);
        }
        if !self.models.is_empty() {
            table.print();
        }
        for provider in &self.skipped {
            print_to_stderr(format_args!(
                "vdm: {provider} needs a key from each client; this command has none\n"
            ));
        }
        for Aged { provider, listed } in &self.stale {
            print_to_stderr(format_args!("vdm: {provider} does not answer; showing its list of {listed}\n"));
        }
        for Missing { provider, message } in &self.errors {
            print_to_stderr(format_args!("vdm: {provider}: {message}\n"));
        }
    }
}

fn time(listing: &Listing) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(listing.listed);
    let time = Timestamp::try_from(time).ok().map(|time| time.as_second());
    time.and_then(|second| Timestamp::from_second(second).ok())
        .map(|time| time.to_string())
        .unwrap_or_default()
}

impl Top {
    fn run(self) -> Exit {
        embedded::with_gateway(self.options.clone(), async |gateway| self.query(gateway).await)
    }

    async fn query(self, gateway: Arc<Gateway>) -> Exit {
        let live = gateway.live_config();
        let Some(top) = &live.settings.top_models else {
            print_to_stderr(format_args!(
                "vdm: recommended models are off: set TOP_MODELS_SOURCE=openrouter, or OPENROUTER_API_KEY, or \
                 TOP_MODELS_RANKINGS_FILE with TOP_MODELS_SOURCE=manual_rankings\n"
            ));
            return Exit::Failed;
        };
        let wanted = TopQuery {
            limit: self.limit.into(),
            remembered: if self.refresh { Remembered::PassedOver } else { Remembered::ServesWhileItHolds },
            provider: self.provider,
            sub_provider: self.sub_provider,
            cache_info: true,
        };
        let asked = [top.catalogue.name.to_string()];
        let answers = embedded::each(&asked, |_| models::top_models(&gateway, &wanted)).await;
        models::lists_written(&gateway, &top.catalogue).await;
        let Some(answer) = answers.into_iter().next() else { return Exit::Internal };
        match answer {
            Ok(told) => {
                if self.json {
                    print_json(&told)
                } else {
                    print_top(&told)
                }
                Exit::Ok
            }
            Err(unknown) => {
                print_to_stderr(format_args!("vdm: {}\n", unknown.message));
                Exit::Failed
            }
        }
    }
}

fn print_top(told: &TopList) {
    let mut table = Table::new(["MODEL", "CONTEXT", "$/M IN", "$/M OUT", "$/M AVG", "CAPABILITIES"]);
    for TopModel { id, provider, context_window, capabilities, pricing, .. } in &told.models {
        let dollars = |price: Option<f64>| price.map(|price| format!("{price:.3}")).unwrap_or_default();
        table.row([
            format!("{provider}:{id}"),
            context_window.map(|tokens| tokens.to_string()).unwrap_or_default(),
            dollars(pricing.input),
            dollars(pricing.output),
            dollars(pricing.average),
            capabilities.join(","),
        ]);
    }
    table.print();
    if !told.suggested_aliases.is_empty() {
        let mut suggested = Table::new(["SUGGESTED", "MODEL"]);
        for (name, id) in &told.suggested_aliases {
            suggested.row([(*name).to_owned(), id.clone()]);
        }
        println_blank();
        suggested.print();
    }
    let time = told.last_updated.as_deref().unwrap_or_default();
    if told.stale {
        print_to_stderr(format_args!("vdm: the catalogue is not available; showing the one of {time}\n"));
    } else if told.cached {
        print_to_stderr(format_args!("cached at {time}; --refresh queries the catalogue again\n"));
    }
}

fn println_blank() {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout());
}
