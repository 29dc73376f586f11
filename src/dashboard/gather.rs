//! Reads what pages show: providers, requests in flight, and text that clients chose.

use std::sync::Arc;
use std::time::Duration;

use vandamme_actors::history::Dimension;
use vandamme_actors::ledger::{Active, ActiveView, CacheView};
use vandamme_actors::observe::Observe;
use vandamme_actors::provider::ProviderView;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::ProviderSettings;

use crate::gateway::Gateway;
use crate::usage_report;

/// An actor that does not answer within this time is restarting.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest text that a client chose, such as the name of a model, in characters.
const LONGEST_TEXT: usize = 300;

/// Every provider of the configuration, with its state if its actor answers.
pub(super) async fn providers(gateway: &Gateway) -> Vec<(Arc<ProviderSettings>, Option<ProviderView>)> {
    let live = gateway.live_config();
    let registry = gateway.registry.load();
    let views = live.settings.providers.iter().map(|settings| {
        let address = registry.provider(&settings.name);
        let asked = address.map(|address| address.send(Observe::new()).timeout(PATIENCE));
        async move {
            let view = match asked {
                Some(asked) => asked.await.ok(),
                None => None,
            };
            (settings.clone(), view)
        }
    });
    futures_util::future::join_all(views).await
}

/// The requests in flight, newest first; `None` while the ledger restarts.
pub(super) async fn active(gateway: &Gateway) -> Option<Vec<Active>> {
    let ledger = gateway.registry.load().ledger.clone();
    let view = ledger.send(Observe::<ActiveView>::new()).timeout(PATIENCE).await;
    view.ok().map(|ActiveView(active)| active)
}

/// The prompt caches of sessions; `None` while the ledger restarts.
pub(super) async fn caches(gateway: &Gateway) -> Option<CacheView> {
    let ledger = gateway.registry.load().ledger.clone();
    ledger.send(Observe::<CacheView>::new()).timeout(PATIENCE).await.ok()
}

/// What is wrong with the history, whose numbers are then incomplete.
pub(super) fn history_problem(gateway: &Gateway) -> Option<String> {
    let missing = usage_report::Missing::of(&gateway.registry.load().history.status())?;
    Some(format!("The history cannot be written. {missing}"))
}

/// What stands for the requests that have no value of this dimension.
pub(super) fn without(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Provider => "(no provider)",
        Dimension::Model => "(no model)",
        Dimension::RequestedModel => "(no requested model)",
        Dimension::Key => "(no key)",
        Dimension::Client => "(no client key)",
        Dimension::Session => "(no session)",
        Dimension::Api => "(no API)",
        Dimension::Delivery => "(unknown)",
        Dimension::End => "(no outcome)",
        Dimension::Day => "(no day)",
    }
}

/// A text that a client or an upstream chose: one line, of limited length, without keys.
pub(super) fn shown(text: &str, secrets: &Secrets) -> String {
    // Secrets are searched first, because a truncated key would not be found.
    let scrubbed = secrets.scrub(text.chars().take(10 * LONGEST_TEXT).collect());
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    scrubbed.chars().take(LONGEST_TEXT).map(|c| if breaks(c) { ' ' } else { c }).collect()
}
