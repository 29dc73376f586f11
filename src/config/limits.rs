//! The merged `[limits]`, in the types of the actors.

use std::time::Duration;

use serde::Deserialize;
use vandamme_actors::settings::Limits;
use vandamme_actors::signatures::Retention;

use super::layer::Section;

/// The merged table. It has every key, since the built-in file has every key.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    request_body: u64,
    model_name: u64,
    request_head_timeout: f64,
    body_grace: f64,
    body_min_rate: u64,
    connections: u64,
    connections_per_address: u64,
    in_flight: u64,
    provider_in_flight: u64,
    provider_queue: u64,
    provider_queue_wait: f64,
    client_channel: u64,
    client_timeout: f64,
    reply_grace: f64,
    reply_min_rate: u64,
    event: u64,
    event_min_rate: u64,
    before_first_event: u64,
    whole_reply: u64,
    connect_timeout: f64,
    whole_timeout: f64,
    first_byte_timeout: f64,
    idle_timeout: f64,
    total_timeout: f64,
    head_patience: f64,
    ping_interval: f64,
    cooldown: f64,
    cooldown_cap: f64,
    alias_chain: u64,
    models_ttl: f64,
    models_cache_ttl: f64,
    healing_ttl: f64,
    thoughts: u64,
    thoughts_ttl: f64,
    thoughts_sweep: f64,
    drain: f64,
    watch_interval: f64,
    watch_patience: f64,
    active_requests_interval: f64,
    active_requests_heartbeat: f64,
}

/// The limits, or an error for a missing key.
pub(super) fn build(limits: Section<'_>) -> Result<Limits, String> {
    let table: Table = limits.value().try_deserialize().map_err(|error| error.to_string())?;
    Ok(Limits {
        request_body: size(table.request_body),
        model_name: size(table.model_name),
        request_head_timeout: Duration::from_secs_f64(table.request_head_timeout),
        body_grace: Duration::from_secs_f64(table.body_grace),
        body_min_rate: table.body_min_rate,
        connections: size(table.connections),
        connections_per_address: Some(size(table.connections_per_address)).filter(|most| *most > 0),
        in_flight: size(table.in_flight),
        provider_in_flight: size(table.provider_in_flight),
        provider_queue: size(table.provider_queue),
        provider_queue_wait: Duration::from_secs_f64(table.provider_queue_wait),
        client_channel: size(table.client_channel),
        client_timeout: unless_zero(table.client_timeout),
        reply_grace: Duration::from_secs_f64(table.reply_grace),
        reply_min_rate: table.reply_min_rate,
        event: size(table.event),
        event_min_rate: table.event_min_rate,
        before_first_event: size(table.before_first_event),
        whole_reply: size(table.whole_reply),
        connect_timeout: Duration::from_secs_f64(table.connect_timeout),
        whole_timeout: unless_zero(table.whole_timeout),
        first_byte_timeout: unless_zero(table.first_byte_timeout),
        idle_timeout: unless_zero(table.idle_timeout),
        total_timeout: unless_zero(table.total_timeout),
        head_patience: Duration::from_secs_f64(table.head_patience),
        ping_interval: Duration::from_secs_f64(table.ping_interval),
        cooldown: Duration::from_secs_f64(table.cooldown),
        cooldown_cap: Duration::from_secs_f64(table.cooldown_cap),
        alias_chain: size(table.alias_chain),
        models_ttl: Duration::from_secs_f64(table.models_ttl),
        models_cache_ttl: Duration::from_secs_f64(table.models_cache_ttl),
        healing_ttl: Duration::from_secs_f64(table.healing_ttl),
        thoughts: Retention {
            entries: size(table.thoughts),
            ttl: Duration::from_secs_f64(table.thoughts_ttl),
            sweep: Duration::from_secs_f64(table.thoughts_sweep),
        },
        drain: Duration::from_secs_f64(table.drain),
        watch_interval: Duration::from_secs_f64(table.watch_interval),
        watch_patience: Duration::from_secs_f64(table.watch_patience),
        active_interval: Duration::from_secs_f64(table.active_requests_interval),
        active_heartbeat: Duration::from_secs_f64(table.active_requests_heartbeat),
    })
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Zero means "no limit".
fn unless_zero(seconds: f64) -> Option<Duration> {
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
}
