//! Tools: a token counter, a playground, and what to set in a client.

use askama::Template;
use serde_json::json;

use crate::dashboard::page::{Context, Page, PageError, Shell};
use crate::gateway::Gateway;

/// The most names that are offered.
const SUGGESTED: usize = 100;

pub(super) const PAGE: Page = Page {
    name: "tools",
    title: "Tools",
    scripts: &["operate.js", "tools.js"],
    render: |context| Box::pin(async move { render(&context) }),
    data: |context| {
        Box::pin(async move {
            Ok(json!({"models": suggested(&context.gateway), "url": own_url(&context.gateway)}))
        })
    },
};

/// Aliases that lead to a working model at most providers.
const FIRST: [&str; 3] = ["haiku", "sonnet", "opus"];

#[derive(Template)]
#[template(path = "tools.html")]
struct ToolsPage<'p> {
    shell: &'p Shell,
    /// Names that a model field offers.
    models: Vec<String>,
    /// The gateway's own URL. The script replaces it by the one that the browser uses.
    url: String,
    /// Clients must send a key.
    needs_key: bool,
}

fn render(context: &Context) -> Result<String, PageError> {
    let gateway = &context.gateway;
    let page = ToolsPage {
        shell: &context.shell,
        models: suggested(gateway),
        url: own_url(gateway),
        needs_key: gateway.live_config().access.are_required(),
    };
    Ok(page.render()?)
}

/// The aliases of the default provider, then those of the others with their prefix.
fn suggested(gateway: &Gateway) -> Vec<String> {
    let live = gateway.live_config();
    let settings = &live.settings;
    let default = settings.default_provider.as_ref();
    let own = settings.providers.iter().filter(|provider| Some(&provider.name) == default);
    let own = own.flat_map(|provider| provider.aliases.keys().cloned());
    let others = settings.providers.iter().filter(|provider| Some(&provider.name) != default);
    let others =
        others.flat_map(|provider| provider.aliases.keys().map(|alias| format!("{}:{alias}", provider.name)));
    let mut names: Vec<String> = own.chain(others).take(SUGGESTED).collect();
    // The first one is filled in.
    if let Some(at) = names.iter().position(|name| FIRST.contains(&name.as_str())) {
        names[..=at].rotate_right(1);
    }
    names
}

fn own_url(gateway: &Gateway) -> String {
    let scheme = if gateway.tls().is_some() { "https" } else { "http" };
    let address = gateway.listener().map(|listener| listener.address.to_string());
    format!("{scheme}://{}", address.unwrap_or_else(|| "127.0.0.1:8082".to_owned()))
}
