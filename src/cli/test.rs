//! `vdm test …`: sends small requests to providers and models, and lists the configured providers.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;
use vandamme_actors::settings::{Api, ProviderSettings};

use super::embedded::{self, Selection};
use super::exit_code::Exit;
use super::options::ConfigOptions;
use super::table::Table;
use super::{configured, print_json, print_to_stderr};
use crate::gateway::Gateway;
use crate::probe::{self, ProbeOutcome, ProbeResult};

/// The models that Claude Code uses by default.
const USUAL: [&str; 3] = ["haiku", "sonnet", "opus"];

#[derive(Debug, Subcommand)]
pub(super) enum Test {
    /// Send a small request to a provider (a few tokens); exit code 0 if it answers, 1 if not.
    Connection(ConnectionArgs),
    /// Send a small request to each model (a few tokens); exit code 0 if all answer, 1 if not.
    Models(ModelNames),
    /// List the configured providers without calling them; exit code 0 if there is one, 1 if not.
    Providers(Providers),
}

#[derive(Args, Debug)]
pub(super) struct ConnectionArgs {
    /// Provider to test; the default provider if omitted
    #[arg(short, long, value_name = "PROVIDER", conflicts_with = "all")]
    provider: Option<String>,
    /// All providers
    #[arg(long, conflicts_with = "model")]
    all: bool,
    /// Model to use; chosen from its aliases or its list if omitted
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    options: ConfigOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct ModelNames {
    /// Names as a client sends them; haiku, sonnet and opus if omitted
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    #[command(flatten)]
    options: ConfigOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Providers {
    #[command(flatten)]
    options: ConfigOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The result of one request.
#[derive(Serialize)]
struct TestResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    model: Option<String>,
    /// The target to which the name resolves.
    #[serde(skip_serializing_if = "Option::is_none")]
    leads_to: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Test {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Connection(connection) => connection.run(),
            Self::Models(models) => models.run(),
            Self::Providers(providers) => providers.run(),
        }
    }
}

impl TestResult {
    fn from_probe(provider: Option<String>, probe: ProbeResult) -> Self {
        let ProbeResult { model, elapsed, outcome: probed } = probe;
        let elapsed_ms = Some(elapsed.as_millis());
        let outcome = Self {
            provider,
            model,
            leads_to: None,
            status: "success",
            elapsed_ms,
            upstream_status: None,
            message: None,
        };
        match probed {
            ProbeOutcome::Answered { .. } => outcome,
            ProbeOutcome::Skipped => {
                let message = "it needs a key from each client; this command has none".to_owned();
                Self { status: "skipped", elapsed_ms: None, message: Some(message), ..outcome }
            }
            ProbeOutcome::Failed { status, message, .. } => {
                Self { status: "failed", upstream_status: Some(status), message: Some(message), ..outcome }
            }
        }
    }

    fn row(&self) -> [String; 3] {
        let time = self.elapsed_ms.map(|elapsed| format!("{elapsed} ms")).unwrap_or_default();
        let name = self.model.as_ref().or(self.provider.as_ref()).cloned().unwrap_or_default();
        let said = match (&self.message, self.upstream_status) {
            (Some(message), Some(status)) => format!("{} ({status}): {message}", self.status),
            (Some(message), None) => format!("{}: {message}", self.status),
            (None, _) => self
                .leads_to
                .as_ref()
                .map_or_else(|| "answers".to_owned(), |model| format!("answers as {model}")),
        };
        [name, time, said]
    }
}

fn concluded(outcomes: &[TestResult], json: &Json) -> Exit {
    if json.0 {
        print_json(&outcomes);
    } else {
        let mut table = Table::new(["MODEL", "TIME", "RESULT"]);
        outcomes.iter().for_each(|outcome| table.row(outcome.row()));
        table.print();
    }
    match outcomes.iter().any(|outcome| outcome.status == "failed") {
        true => Exit::Failed,
        false => Exit::Ok,
    }
}

/// Whether `--json` is set.
struct Json(bool);

impl ConnectionArgs {
    fn run(self) -> Exit {
        embedded::with_gateway(self.options.clone(), async |gateway| self.query(gateway).await)
    }

    async fn query(self, gateway: Arc<Gateway>) -> Exit {
        let selection = if self.all { Selection::All } else { Selection::One(self.provider.as_deref()) };
        let providers = match embedded::providers(&gateway, &selection) {
            Ok(providers) => providers,
            Err(exit) => return exit,
        };
        let names = names(&providers);
        let model = self.model.as_deref();
        let probes =
            embedded::each(&names, |index| probe::provider(&gateway, &providers[index], model)).await;
        let outcomes: Vec<_> = names
            .into_iter()
            .zip(probes)
            .map(|(name, probe)| TestResult::from_probe(Some(name), probe))
            .collect();
        concluded(&outcomes, &Json(self.json))
    }
}

fn names(providers: &[Arc<ProviderSettings>]) -> Vec<String> {
    providers.iter().map(|provider| provider.name.to_string()).collect()
}

impl ModelNames {
    fn run(self) -> Exit {
        embedded::with_gateway(self.options.clone(), async |gateway| self.query(gateway).await)
    }

    async fn query(self, gateway: Arc<Gateway>) -> Exit {
        let models = match self.models.is_empty() {
            true => USUAL.map(str::to_owned).to_vec(),
            false => self.models,
        };
        let trials = embedded::each(&models, |index| probe::model_name(&gateway, &models[index])).await;
        let routes = gateway.registry.load().routes.clone();
        let leads_to = |probe: &ProbeResult| {
            let route = routes.resolve(probe.model.as_deref()?).ok()?;
            Some(format!("{}:{}", route.provider.name, route.model))
        };
        let outcomes: Vec<_> = trials
            .into_iter()
            .map(|probe| TestResult { leads_to: leads_to(&probe), ..TestResult::from_probe(None, probe) })
            .collect();
        concluded(&outcomes, &Json(self.json))
    }
}

/// One provider as configured.
#[derive(Serialize)]
struct Configured {
    provider: String,
    default: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_format: Option<&'static str>,
    /// The APIs that its requests can use, in the words of `api-format`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    apis: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

impl Providers {
    fn run(self) -> Exit {
        let config = match configured(&self.options) {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let settings = &config.settings;
        let default = settings.default_provider.as_ref();
        let mut all: Vec<_> = settings
            .providers
            .iter()
            .map(|provider| Configured {
                default: default == Some(&provider.name),
                ..Configured::from(&**provider)
            })
            .collect();
        all.extend(settings.partial.iter().map(|partial| Configured {
            provider: partial.name.clone(),
            default: false,
            status: "incomplete",
            api_format: None,
            apis: vec![],
            base_url: None,
            keys: vec![],
            missing: Some(partial.missing.clone()),
        }));
        if self.json {
            print_json(&all)
        } else {
            print_providers(&all)
        }
        if settings.providers.is_empty() {
            print_to_stderr(format_args!(
                "vdm: no provider is configured; set OPENAI_API_KEY, ANTHROPIC_API_KEY or another\n"
            ));
            return Exit::Failed;
        }
        Exit::Ok
    }
}

impl From<&ProviderSettings> for Configured {
    fn from(provider: &ProviderSettings) -> Self {
        Self {
            provider: provider.name.to_string(),
            default: false,
            status: if provider.passthrough { "passthrough" } else { "ready" },
            api_format: Some(provider.api.name()),
            apis: provider.apis().into_iter().map(Api::name).collect(),
            base_url: Some(provider.base_url.clone()),
            keys: provider.keys.iter().map(|key| key.id().to_string()).collect(),
            missing: None,
        }
    }
}

fn print_providers(all: &[Configured]) {
    if all.is_empty() {
        return;
    }
    let mut table = Table::new(["PROVIDER", "STATUS", "FORMAT", "KEYS", "BASE URL"]);
    for Configured { provider, default, status, apis, base_url, keys, missing, .. } in all {
        let mark = if *default { " *" } else { "" };
        let status =
            missing.as_ref().map_or_else(|| (*status).to_owned(), |missing| format!("set {missing}"));
        let format = apis.join(", ");
        let base_url = base_url.clone().unwrap_or_default();
        table.row([format!("{provider}{mark}"), status, format, keys.join(" "), base_url]);
    }
    table.print();
    if all.iter().any(|provider| provider.default) {
        print_to_stderr(format_args!("* takes model names without a prefix\n"));
    }
}
