//! `vdm health upstream`: checks that providers accept the configured keys. It costs no tokens.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use vandamme_actors::settings::{MessagesForm, ProviderSettings};
use vandamme_protocol::models::Models;

use super::embedded::{self, Selection};
use super::exit_code::Exit;
use super::options::ConfigOptions;
use super::print_json;
use super::table::Table;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::models;

#[derive(Args, Debug)]
pub(super) struct UpstreamArgs {
    /// Provider to check; the default provider if omitted
    #[arg(short, long, value_name = "PROVIDER", conflicts_with = "all")]
    provider: Option<String>,
    /// All providers
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    options: ConfigOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The health of one provider.
#[derive(Serialize)]
struct UpstreamHealth {
    provider: String,
    status: &'static str,
    base_url: String,
    /// Ids of the keys, never the keys.
    api_keys: Vec<String>,
    elapsed_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl UpstreamArgs {
    pub(super) fn run(self) -> Exit {
        embedded::with_gateway(self.options.clone(), async |gateway| self.query(gateway).await)
    }

    async fn query(self, gateway: Arc<Gateway>) -> Exit {
        let selection = if self.all { Selection::All } else { Selection::One(self.provider.as_deref()) };
        let providers = match embedded::providers(&gateway, &selection) {
            Ok(providers) => providers,
            Err(exit) => return exit,
        };
        let names: Vec<_> = providers.iter().map(|provider| provider.name.to_string()).collect();
        let all = embedded::each(&names, |index| health(&gateway, &providers[index])).await;
        for provider in &providers {
            models::lists_written(&gateway, provider).await;
        }
        if self.json {
            print_json(&all)
        } else {
            print(&all)
        }
        match all.iter().any(|health| health.status == "error") {
            true => Exit::Failed,
            false => Exit::Ok,
        }
    }
}

async fn health(gateway: &Arc<Gateway>, provider: &Arc<ProviderSettings>) -> UpstreamHealth {
    let began = Instant::now();
    let (status, models, message) = if provider.passthrough {
        let message = "it needs a key from each client; this command has none";
        ("skipped", None, Some(message.to_owned()))
    } else {
        match models::reached(gateway, provider).await {
            Ok(listing) => {
                ("healthy", Models::read(&listing.body).ok().map(|models| models.named().count()), None)
            }
            // The refusal proves that the credential is accepted, and requests need no list.
            Err(failure) if lacks_list_permission(provider, &failure) => {
                ("healthy", None, Some(failure.message()))
            }
            Err(failure) => ("error", None, Some(format!("{} ({})", failure.message(), failure.status()))),
        }
    };
    UpstreamHealth {
        provider: provider.name.to_string(),
        status,
        base_url: provider.base_url.clone(),
        api_keys: provider.keys.iter().map(|key| format!("sha256:{}", key.id())).collect(),
        elapsed_ms: began.elapsed().as_millis(),
        models,
        message,
    }
}

/// Whether AWS accepts the credential, but does not permit the list of models.
fn lacks_list_permission(provider: &ProviderSettings, failure: &Failure) -> bool {
    let is_bedrock = matches!(provider.messages_form, MessagesForm::InvokeModel { .. });
    is_bedrock && failure.status() == 403 && failure.message().contains("bedrock:ListInferenceProfiles")
}

fn print(all: &[UpstreamHealth]) {
    let mut table = Table::new(["PROVIDER", "STATUS", "TIME", "BASE URL", "SAYS"]);
    for UpstreamHealth { provider, status, base_url, elapsed_ms, models, message, .. } in all {
        let said = match (message, models) {
            (Some(message), _) => message.clone(),
            (None, models) => format!("{} models", models.unwrap_or_default()),
        };
        table.row([
            provider.clone(),
            (*status).to_owned(),
            format!("{elapsed_ms} ms"),
            base_url.clone(),
            said,
        ]);
    }
    table.print();
}
