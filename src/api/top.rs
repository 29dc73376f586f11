//! `GET /api/ui/top`: the report that `vdm top` shows.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::clock::{self, Millis, millis};
use vandamme_actors::history::{HistoryHandle, Selection, UsageQuery, UsageSums};
use vandamme_actors::ledger::{Active, ActiveView, FinishedRequest, RequestEnd};
use vandamme_actors::observe::Observe;
use vandamme_actors::provider::ProviderView;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::{Api, Metrics, ProviderSettings};

use super::report::{self, uncached};
use super::{guarded, shared};
use crate::gateway::Gateway;
use crate::live::SLOT;
use crate::request_id::RequestId;
use crate::top::{MOST_ROWS, RecentSums, TodayCost, TopProvider, TopReport, TopRequest};

/// The time that the sums are about, in milliseconds.
const WINDOW: u64 = 5 * 60_000;
const DAY: u64 = 86_400_000;
/// An actor that does not answer within this time is restarting.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest text that a client or an upstream chose, in characters.
const LONGEST_TEXT: usize = 300;

pub(super) async fn report(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let (id, gateway) = (RequestId::new(), shared(&gateway));
    if let Some(refusal) = report::turned_away(&request, &gateway, "the live view", &id) {
        return refusal;
    }
    let handler = async { uncached(HttpResponse::Ok().json(read(&gateway).await)) };
    guarded(Api::Messages, &id, handler).await
}

async fn read(gateway: &Gateway) -> TopReport {
    let live = gateway.live_config();
    let registry = gateway.registry.load();
    let views = live.settings.providers.iter().map(|settings| {
        let asked = registry.provider(&settings.name).map(|address| address.send(Observe::new()));
        async move { Some(asked?.timeout(PATIENCE).await.ok()?) }
    });
    let active = registry.ledger.send(Observe::<ActiveView>::new()).timeout(PATIENCE);
    let (views, active) = futures_util::future::join(futures_util::future::join_all(views), active).await;
    let ActiveView(active) = active.unwrap_or_default();
    let now = clock::wall();
    // The current interval counts from its start, so the window is a little longer than its name.
    let (since, until) = ((now - now % SLOT).saturating_sub(WINDOW), now + 1);
    let position = gateway.last_hour.position();
    let latest = gateway.last_hour.news(position.saturating_sub(MOST_ROWS as u64));
    let finished = latest.requests.iter().rev().map(|request| finished(request, &live.secrets));
    let (recent, providers) = gateway.last_hour.read(|window| {
        let providers = live.settings.providers.iter().zip(&views).map(|(settings, view)| {
            provider(settings, view.as_ref(), &window.provider(&settings.name, since, until))
        });
        (window.sums(since, until), providers.collect())
    });
    TopReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now,
        uptime_seconds: now.saturating_sub(gateway.last_hour.since()) / 1000,
        metrics_off: live.settings.request_metrics == Metrics::Off,
        recent: sums(&recent, (now + 1).saturating_sub(since).div_ceil(1000)),
        today: today(&registry.history, now).await,
        in_flight: active.len() as u64,
        running: active.iter().take(MOST_ROWS).map(|active| running(active, &live.secrets)).collect(),
        finished: finished.take(MOST_ROWS).collect(),
        providers,
    }
}

/// `None` if there is no history.
async fn today(history: &HistoryHandle, now: Millis) -> Option<TodayCost> {
    let selection = Selection { since: now - now % DAY, until: Millis::MAX, filters: vec![] };
    let rows = history.usage(UsageQuery { selection, groups: 1, ..UsageQuery::default() }).await.ok()?;
    let sum =
        |value: fn(&UsageSums) -> u64| rows.iter().map(|row| value(&row.sums)).fold(0, u64::saturating_add);
    Some(TodayCost {
        micro_dollars: sum(|sums| sums.cost.micro_dollars),
        unpriced: sum(|sums| sums.unpriced),
    })
}

fn sums(sums: &UsageSums, seconds: u64) -> RecentSums {
    RecentSums {
        seconds,
        requests: sums.requests,
        failed: sums.failed,
        cancelled: sums.cancelled,
        input_tokens: sums.usage.prompt_total(),
        output_tokens: sums.usage.output,
        cache_read_tokens: sums.usage.cache_read,
        p95_ms: sums.elapsed.quantile(0.95).map(millis),
        first_event_p95_ms: sums.first_event.quantile(0.95).map(millis),
    }
}

/// Secrets are searched first, because a truncated key would not be found.
fn shown(text: &str, secrets: &Secrets) -> String {
    let scrubbed = secrets.scrub(text.chars().take(10 * LONGEST_TEXT).collect());
    report::one_line(&scrubbed).chars().take(LONGEST_TEXT).collect()
}

fn running(active: &Active, secrets: &Secrets) -> TopRequest {
    TopRequest {
        id: active.request_id.to_string(),
        started: active.since,
        duration_ms: millis(active.elapsed),
        status: None,
        outcome: "running".to_owned(),
        error: None,
        client: active.request.client.as_ref().map(ToString::to_string),
        requested: shown(&active.request.model, secrets),
        provider: active.provider.to_string(),
        model: shown(&active.model, secrets),
        key: active.calls.last().and_then(|call| call.key).map(|key| key.to_string()),
        stream: active.request.streamed,
        first_event_ms: active.first_event.map(millis),
        input_tokens: active.usage.prompt_total(),
        output_tokens: active.usage.output,
        cache_read_tokens: active.usage.cache_read,
        micro_dollars: None,
    }
}

fn finished(finished: &FinishedRequest, secrets: &Secrets) -> TopRequest {
    let record = &finished.record;
    let (outcome, error) = match &record.end {
        RequestEnd::Succeeded => ("succeeded", None),
        RequestEnd::Cancelled => ("cancelled", None),
        RequestEnd::Failed { kind, message } => (*kind, Some(shown(message, secrets))),
    };
    TopRequest {
        id: record.request_id.to_string(),
        started: finished.started(),
        duration_ms: millis(record.elapsed),
        status: Some(record.status),
        outcome: outcome.to_owned(),
        error,
        client: record.request.client.as_ref().map(ToString::to_string),
        requested: shown(&record.request.model, secrets),
        provider: record.provider.as_deref().unwrap_or_default().to_owned(),
        model: record.model.as_ref().map(|model| shown(model, secrets)).unwrap_or_default(),
        key: record.key.map(|key| key.to_string()),
        stream: record.request.streamed,
        first_event_ms: record.first_event.map(millis),
        input_tokens: record.usage.prompt_total(),
        output_tokens: record.usage.output,
        cache_read_tokens: record.usage.cache_read,
        micro_dollars: finished.cost.map(|cost| cost.micro_dollars),
    }
}

fn provider(settings: &ProviderSettings, view: Option<&ProviderView>, sums: &UsageSums) -> TopProvider {
    let keys = view.map(|view| &view.keys[..]).unwrap_or_default();
    let preferred = keys.iter().filter(|key| key.condition.is_preferred()).count();
    let (state, reason) = match view {
        None => ("down", Some("does not answer".to_owned())),
        Some(view) => match view.host.reason {
            Some(reason) => ("down", Some(reason.to_owned())),
            None if preferred == 0 && !keys.is_empty() => {
                ("down", keys.first().map(|key| format!("no key is preferred ({})", key.state)))
            }
            None if preferred < keys.len() => (
                "degraded",
                Some(format!("{} of {} keys are not preferred", keys.len() - preferred, keys.len())),
            ),
            None if !view.models.is_empty() => {
                ("degraded", Some(format!("{} models are not preferred", view.models.len())))
            }
            None => ("ok", None),
        },
    };
    TopProvider {
        name: settings.name.to_string(),
        state: state.to_owned(),
        reason,
        keys: keys.len(),
        keys_preferred: preferred,
        in_flight: view.map_or(0, |view| view.in_flight),
        waiting: view.map_or(0, |view| view.waiting),
        requests: sums.requests,
        failed: sums.failed,
        p95_ms: sums.elapsed.quantile(0.95).map(millis),
    }
}
