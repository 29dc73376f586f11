//! The families of the gateway's state: requests in progress, keys, providers, limits, reloads.

use std::collections::BTreeMap;

use vandamme_actors::observe::Observe;
use vandamme_actors::provider::ProviderView;

use super::declared;
use super::exposition::{Exposition, Sample};
use super::{PATIENCE, requests};
use crate::gateway::{Bound, Gateway, VERDICTS};
use crate::telemetry;

/// The states of a key that are always shown, so that an alert sees them fall to 0.
const KEY_STATES: [&str; 4] = ["ready", "cooling", "rejected", "out of credit"];

pub(super) async fn add(gateway: &Gateway, connections: Option<usize>, exposition: &mut Exposition) {
    let counters = &gateway.counters;
    let refused = Bound::ALL.map(|bound| Sample::whole(&[bound.limit()], counters.refused(bound)));
    exposition.add(&declared::REFUSED, refused);
    let verdicts = ["answers", "shadow"].into_iter().zip(counters.verdicts()).flat_map(|(mode, counts)| {
        let outcomes = VERDICTS.into_iter().zip(counts);
        outcomes.map(move |(outcome, count)| Sample::whole(&[outcome, mode], count))
    });
    exposition.add(&declared::VERDICTS, verdicts);
    let searches = counters.web_searches().map(|(service, count)| Sample::whole(&[service.name()], count));
    exposition.add(&declared::WEB_SEARCHES, searches);
    exposition.add(&declared::IN_FLIGHT, [Sample::whole(&[], gateway.in_flight() as u64)]);
    exposition.add(&declared::CONNECTIONS, connections.map(|open| Sample::whole(&[], open as u64)));
    add_providers(&views(gateway).await, exposition);
    exposition.add(&declared::LOG_DROPPED, [Sample::whole(&[], telemetry::dropped_lines())]);
    if gateway.sampler.is_some() {
        let results = ["exported", "dropped"].into_iter().zip(counters.spans());
        exposition.add(&declared::SPANS, results.map(|(result, count)| Sample::whole(&[result], count)));
        exposition.add(&declared::REQUESTS_MISSED, [Sample::whole(&[], counters.missed_by_exporter())]);
    }
    let dropped = gateway.registry.load().history.status().dropped;
    exposition.add(&declared::HISTORY_DROPPED, [Sample::whole(&[], dropped)]);
    let reloads = counters.reloads();
    let results = [("success", reloads.succeeded), ("failure", reloads.failed)];
    exposition.add(&declared::RELOADS, results.map(|(result, count)| Sample::whole(&[result], count)));
    exposition.add(&declared::RELOAD_TIME, [Sample::fraction(&[], reloads.last_success.as_secs_f64())]);
    exposition.add(&declared::BUILD, [Sample::present(&[env!("CARGO_PKG_VERSION")])]);
}

/// The states of all providers that answer in time.
async fn views(gateway: &Gateway) -> Vec<ProviderView> {
    let registry = gateway.registry.load();
    let asked = registry
        .providers()
        .map(|(_, provider)| provider.send(Observe::<ProviderView>::new()).timeout(PATIENCE));
    futures_util::future::join_all(asked).await.into_iter().filter_map(Result::ok).collect()
}

fn add_providers(views: &[ProviderView], exposition: &mut Exposition) {
    let samples = |number: fn(&ProviderView) -> usize| {
        let sample = move |view: &ProviderView| Sample::whole(&[&view.settings.name], number(view) as u64);
        views.iter().map(sample).collect::<Vec<_>>()
    };
    exposition.add(&declared::PROVIDER_IN_FLIGHT, samples(|view| view.in_flight));
    exposition.add(&declared::PROVIDER_WAITING, samples(|view| view.waiting));
    exposition.add(&declared::PROVIDER_USABLE, samples(|view| usize::from(is_usable(view))));
    let keys = views.iter().filter(|view| !view.keys.is_empty()).flat_map(|view| {
        let mut states = BTreeMap::from(KEY_STATES.map(|state| (state, 0)));
        view.keys.iter().for_each(|key| *states.entry(key.state).or_default() += 1);
        let name = view.settings.name.clone();
        states.into_iter().map(move |(state, count)| Sample::whole(&[&name, &requests::word(state)], count))
    });
    exposition.add(&declared::KEYS, keys);
    exposition.add(&declared::MODELS_FAILING, samples(|view| view.models.len()));
}

/// As `/health` judges it.
fn is_usable(view: &ProviderView) -> bool {
    let has_key = view.keys.is_empty() || view.keys.iter().any(|key| key.condition.is_preferred());
    view.host.is_preferred() && has_key
}
