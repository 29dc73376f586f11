//! Routing: aliases and profiles, and where a name leads.

use askama::Template;

use crate::dashboard::gather;
use crate::dashboard::page::{Context, Page, PageError, Shell};
use crate::gateway::Gateway;
use crate::views::routing::{self, AliasRow, AliasSource, Destination, RoutingReport};

/// The longest name that is explained, in bytes.
const LONGEST_NAME: usize = 256;

pub(super) const PAGE: Page = Page {
    name: "routing",
    title: "Routing",
    scripts: &["operate.js"],
    render: |context| Box::pin(async move { render(&context) }),
    data: |context| Box::pin(async move { Ok(serde_json::to_value(routing::read(&context.gateway))?) }),
};

#[derive(Template)]
#[template(path = "routing.html")]
struct RoutingPage<'p> {
    shell: &'p Shell,
    report: &'p RoutingReport,
    /// The name to explain, as the viewer has written it.
    name: &'p str,
    explained: Option<Destination>,
}

fn render(context: &Context) -> Result<String, PageError> {
    let report = routing::read(&context.gateway);
    let name = context.query.get("model").unwrap_or_default().trim();
    if name.len() > LONGEST_NAME {
        return Err(PageError::new(400, format!("A model name has at most {LONGEST_NAME} bytes.")));
    }
    let explained = (!name.is_empty()).then(|| explain(&context.gateway, name));
    Ok(RoutingPage { shell: &context.shell, report: &report, name, explained }.render()?)
}

/// Where the name leads. A name may be a key that somebody has pasted.
fn explain(gateway: &Gateway, name: &str) -> Destination {
    let live = gateway.live_config();
    let shown = |text: String| gather::shown(&text, &live.secrets);
    let found = routing::explain(gateway, name);
    Destination {
        model: found.model.map(shown),
        steps: found.steps.into_iter().map(shown).collect(),
        chain: found.chain.into_iter().map(shown).collect(),
        error: found.error.map(shown),
        ..found
    }
}

impl AliasRow {
    fn source_label(&self) -> &'static str {
        match self.source {
            AliasSource::Environment => "environment",
            AliasSource::File => "file",
            AliasSource::Defaults => "defaults",
            // The aliases of the demo provider are in no file.
            AliasSource::Unknown => "built in",
        }
    }
}

impl Destination {
    /// `provider:model`
    fn target(&self) -> Option<String> {
        Some(format!("{}:{}", self.provider.as_ref()?, self.model.as_ref()?))
    }
}
