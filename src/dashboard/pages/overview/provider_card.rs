//! One provider: whether it works, what it does at present, and its latest error.

use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::UsageSums;
use vandamme_actors::provider::{ConditionView, ProviderView};
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::ProviderSettings;

use crate::dashboard::gather;
use crate::dashboard::units::{Count, Elapsed, Share, models_avoided};

/// One provider with its health.
#[derive(Debug, Serialize)]
pub(super) struct ProviderCard {
    pub(super) name: String,
    /// `ok`, `warn` or `down`
    pub(super) state: &'static str,
    pub(super) state_text: String,
    /// Since when the provider is in this state; `None` while it works, or if the time is not known.
    pub(super) since: Option<Millis>,
    pub(super) demo: bool,
    pub(super) requests: Count,
    /// Without the mistakes of clients.
    pub(super) success: Share,
    /// Requests that failed because of their clients' own mistakes.
    pub(super) client_errors: Count,
    pub(super) p95: Elapsed,
    pub(super) last_error: Option<String>,
    pub(super) keys: usize,
    pub(super) keys_resting: usize,
    pub(super) in_flight: usize,
    pub(super) waiting: usize,
}

impl ProviderCard {
    pub(super) fn new(
        settings: &ProviderSettings,
        view: Option<&ProviderView>,
        sums: &UsageSums,
        client_errors: u64,
        secrets: &Secrets,
    ) -> Self {
        let keys = view.map(|view| &view.keys[..]).unwrap_or_default();
        let resting = keys.iter().filter(|key| !key.condition.is_preferred()).count();
        let error = view.and_then(|view| {
            let conditions = std::iter::once(&view.host).chain(keys.iter().map(|key| &key.condition));
            conditions
                .filter(|condition| !condition.is_preferred())
                .find_map(|condition| condition.last_error.as_deref())
        });
        let (state, text) = match view {
            None => ("down", "does not answer".to_owned()),
            Some(view) if !view.host.is_preferred() => ("down", reason(&view.host)),
            Some(_) if !keys.is_empty() && resting == keys.len() => ("down", "no key is ready".to_owned()),
            Some(_) if resting > 0 => {
                ("warn", format!("{} of {} keys ready", keys.len() - resting, keys.len()))
            }
            Some(view) if !view.models.is_empty() => ("warn", models_avoided(view.models.len())),
            Some(_) => ("ok", "working".to_owned()),
        };
        Self {
            name: settings.name.to_string(),
            state,
            state_text: text,
            since: view.and_then(since),
            demo: settings.demo,
            requests: Count(sums.requests),
            success: Share::of(
                sums.requests - sums.failed - sums.cancelled,
                (sums.requests - sums.cancelled).saturating_sub(client_errors),
            ),
            client_errors: Count(client_errors),
            p95: Elapsed(sums.elapsed.quantile(0.95)),
            last_error: error.map(|error| gather::shown(error, secrets)),
            keys: keys.len(),
            keys_resting: resting,
            in_flight: view.map_or(0, |view| view.in_flight),
            waiting: view.map_or(0, |view| view.waiting),
        }
    }
}

/// Since when requests avoid the host, all keys, one of the keys or a model: the first of these that applies.
fn since(view: &ProviderView) -> Option<Millis> {
    let keys = || view.keys.iter().map(|key| &key.condition);
    if !view.host.is_preferred() {
        return view.host.since;
    }
    if view.keys.iter().all(|key| !key.condition.is_preferred()) {
        return keys().filter_map(|condition| condition.since).max();
    }
    let models = view.models.iter().map(|model| &model.condition);
    keys().filter_map(|key| key.since).min().or_else(|| models.filter_map(|model| model.since).min())
}

fn reason(condition: &ConditionView) -> String {
    condition.reason.unwrap_or("failing").to_owned()
}
