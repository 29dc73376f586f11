//! The declarations of `[limits]`, in the order of the files. After a change, run
//! `UPDATE_SNAPSHOTS=1 cargo test --lib config::tests::limits` to generate the files that show them.

use super::{COUNT, Limit};
use crate::config::schema::Variable;
use crate::config::value_type::ValueType::{Bytes, Count, Hours, Pause, Rate, Seconds};

macro_rules! limit {
    ($key:literal, $type:expr, $default:literal, $set:expr, $doc:literal) => {
        Limit { key: $key, value_type: $type, default: $default, doc: $doc, variable: None, set: $set }
    };
    ($key:literal, $type:expr, $default:literal, $set:expr, $variable:literal: $variable_type:expr, $doc:literal) => {
        Limit {
            variable: Some(Variable {
                name: $variable,
                about: $doc,
                kind: $variable_type,
                path: &["limits", $key],
            }),
            ..limit!($key, $type, $default, $set, $doc)
        }
    };
}

/// All limits, in the order of the files.
pub(in crate::config) static LIMITS: [Limit; COUNT] = [
    limit!(
        "request-body",
        Bytes,
        "\"32MiB\"",
        |limits, n| limits.request_body = n.size(),
        "Largest body of a request. A larger one gets 413."
    ),
    limit!(
        "model-name",
        Bytes,
        "256",
        |limits, n| limits.model_name = n.size(),
        "Longest model name in a request, in bytes. A longer one gets 400."
    ),
    limit!(
        "request-head-timeout",
        Pause,
        "10",
        |limits, n| limits.request_head_timeout = n.duration(),
        "Time for the head of each request of a connection. After that the client gets 408."
    ),
    limit!(
        "certificate-check",
        Pause,
        "60",
        |limits, n| limits.certificate_check = n.duration(),
        "How often the files of tls-cert and tls-key are checked for a change."
    ),
    limit!(
        "body-grace",
        Seconds,
        "10",
        |limits, n| limits.body_grace = n.duration(),
        "Time before body-min-rate applies to the body of a request."
    ),
    limit!(
        "body-min-rate",
        Bytes,
        "\"1KiB\"",
        |limits, n| limits.body_min_rate = n.rate(),
        "Least bytes per second of a request's body. A slower client gets 408."
    ),
    limit!(
        "connections",
        Count(1),
        "10_000",
        |limits, n| limits.connections = n.size(),
        "Open client connections. At the limit, the connection that has been idle longest is closed for a new one. If all are in \
         use, a new one can request /health, and other requests get 503. vdm raises its soft limit of open files at the start, and \
         warns if the hard limit is too low."
    ),
    limit!(
        "connections-per-address",
        Count(0),
        "8_000",
        |limits, n| limits.connections_per_address = Some(n.size()).filter(|most| *most > 0),
        "Open connections of one client address (of one /64 network for IPv6). Beyond that: 503 and closed. 0 for no limit. Clients \
         behind one NAT or reverse proxy share an address."
    ),
    limit!(
        "in-flight",
        Count(1),
        "4_096",
        |limits, n| limits.in_flight = n.size(),
        "Requests in progress, over all providers. Beyond that: 503."
    ),
    limit!(
        "provider-in-flight",
        Count(1),
        "1_024",
        |limits, n| limits.provider_in_flight = n.size(),
        "Requests in progress for one provider. Further requests wait."
    ),
    limit!(
        "provider-queue",
        Count(0),
        "256",
        |limits, n| limits.provider_queue = n.size(),
        "Requests that wait for one provider. Beyond that: 503."
    ),
    limit!(
        "provider-queue-wait",
        Seconds,
        "5",
        |limits, n| limits.provider_queue_wait = n.duration(),
        "Longest wait for a provider. After that: 503."
    ),
    limit!(
        "client-channel",
        Bytes,
        "\"64KiB\"",
        |limits, n| limits.client_channel = n.size(),
        "Data of one stream that waits for a slow client. Beyond that, vdm stops reading from the provider."
    ),
    limit!(
        "client-timeout",
        Seconds,
        "600",
        |limits, n| limits.client_timeout = n.unless_zero(),
        "Time after which the connection of a client that acknowledges nothing is closed (on Linux). 0 for no limit."
    ),
    limit!(
        "reply-grace",
        Pause,
        "60",
        |limits, n| limits.reply_grace = n.duration(),
        "Time before reply-min-rate applies to a client. Only time during which data waits for the client counts."
    ),
    limit!(
        "reply-min-rate",
        Rate,
        "\"1KiB\"",
        |limits, n| limits.reply_min_rate = n.rate(),
        "Least bytes per second at which a client must read its reply. The connection of a slower one is closed. 0 for no minimum."
    ),
    limit!(
        "event",
        Bytes,
        "\"16MiB\"",
        |limits, n| limits.event = n.size(),
        "Largest event of a stream, decompressed."
    ),
    limit!(
        "event-min-rate",
        Bytes,
        "\"1KiB\"",
        |limits, n| limits.event_min_rate = n.rate(),
        "Least bytes per second at which part of an event ends a silence (see idle-timeout)."
    ),
    limit!(
        "before-first-event",
        Bytes,
        "\"64KiB\"",
        |limits, n| limits.before_first_event = n.size(),
        "Pings and comments that are kept before the first event of a stream. Further ones are dropped."
    ),
    limit!(
        "whole-reply",
        Bytes,
        "\"64MiB\"",
        |limits, n| limits.whole_reply = n.size(),
        "Largest reply that is not streamed, decompressed."
    ),
    limit!(
        "connect-timeout",
        Pause,
        "10",
        |limits, n| limits.connect_timeout = n.duration(),
        "STREAMING_CONNECT_TIMEOUT_SECONDS": Pause,
        "Longest wait for a connection to a provider, TLS included."
    ),
    limit!(
        "whole-timeout",
        Seconds,
        "600",
        |limits, n| limits.whole_timeout = n.unless_zero(),
        "Longest wait for a reply that is not streamed, for providers without a timeout. 0 for no limit."
    ),
    limit!(
        "first-byte-timeout",
        Seconds,
        "300",
        |limits, n| limits.first_byte_timeout = n.unless_zero(),
        "Longest wait for the first byte of a stream, for providers without a timeout. 0 for no limit."
    ),
    limit!(
        "idle-timeout",
        Seconds,
        "300",
        |limits, n| limits.idle_timeout = n.unless_zero(),
        "STREAMING_READ_TIMEOUT_SECONDS": Pause,
        "Longest silence of a provider inside a stream. Events, pings and comments end a silence; part of an event does if it arrives \
         at event-min-rate. 0 for no limit, in a file only."
    ),
    limit!(
        "total-timeout",
        Seconds,
        "0",
        |limits, n| limits.total_timeout = n.unless_zero(),
        "Longest stream. 0 for no limit."
    ),
    limit!(
        "head-patience",
        Seconds,
        "45",
        |limits, n| limits.head_patience = n.duration(),
        "Longest wait for a provider's reply before the client gets status 200 and pings. Until then the status can still be an error."
    ),
    limit!(
        "ping-interval",
        Pause,
        "15",
        |limits, n| limits.ping_interval = n.duration(),
        "Silence after which a client gets a ping."
    ),
    limit!(
        "cooldown",
        Seconds,
        "5",
        |limits, n| limits.cooldown = n.duration(),
        "Cooldown of a key after a 429 without a wait. It doubles each time, up to a minute."
    ),
    limit!(
        "cooldown-cap",
        Seconds,
        "300",
        |limits, n| limits.cooldown_cap = n.duration(),
        "Longest cooldown of a key, whatever wait the provider states."
    ),
    limit!(
        "alias-chain",
        Count(1),
        "10",
        |limits, n| limits.alias_chain = n.size(),
        "ALIAS_MAX_CHAIN_LENGTH": Count(1),
        "Most aliases in a chain in which each resolves to the next."
    ),
    limit!(
        "models-ttl",
        Seconds,
        "300",
        |limits, n| limits.models_ttl = n.duration(),
        "Age at which a provider's list of models is requested again."
    ),
    limit!(
        "models-cache-ttl",
        Seconds,
        "86_400",
        |limits, n| limits.models_cache_ttl = n.duration(),
        "MODELS_CACHE_TTL_HOURS": Hours,
        "Age up to which an old list of models is served, as stale, while a new one is requested. An older list is served only if the \
         provider does not answer."
    ),
    limit!(
        "healing-ttl",
        Seconds,
        "86_400",
        |limits, n| limits.healing_ttl = n.duration(),
        "Time for which vdm remembers what a provider refuses, such as an unknown parameter, and changes requests accordingly."
    ),
    limit!(
        "thoughts",
        Count(1),
        "10_000",
        |limits, n| limits.thoughts.entries = n.size(),
        "THOUGHT_SIGNATURE_MAX_CACHE_SIZE": Count(1),
        "Thought signatures that are remembered. Beyond that, the oldest are dropped."
    ),
    limit!(
        "thoughts-ttl",
        Pause,
        "3_600",
        |limits, n| limits.thoughts.ttl = n.duration(),
        "THOUGHT_SIGNATURE_CACHE_TTL": Pause,
        "Time for which a thought signature is remembered."
    ),
    limit!(
        "thoughts-sweep",
        Pause,
        "300",
        |limits, n| limits.thoughts.sweep = n.duration(),
        "THOUGHT_SIGNATURE_CLEANUP_INTERVAL": Pause,
        "Time between two removals of old thought signatures."
    ),
    limit!(
        "drain",
        Seconds,
        "25",
        |limits, n| limits.drain = n.duration(),
        "Time for requests in flight to finish when vdm stops."
    ),
    limit!(
        "watch-interval",
        Pause,
        "0.25",
        |limits, n| limits.watch_interval = n.duration(),
        "Time between two liveness checks of vdm's actors."
    ),
    limit!(
        "watch-patience",
        Pause,
        "0.5",
        |limits, n| limits.watch_patience = n.duration(),
        "Time for an actor's answer to a liveness check. An actor that does not answer is replaced."
    ),
    limit!(
        "active-requests-interval",
        Pause,
        "0.5",
        |limits, n| limits.active_interval = n.duration(),
        "VDM_ACTIVE_REQUESTS_SSE_INTERVAL": Pause,
        "Time between two updates in the stream of requests in flight, 0.05 at least. The start and end of a request appear within half \
         a second."
    ),
    limit!(
        "active-requests-heartbeat",
        Pause,
        "30",
        |limits, n| limits.active_heartbeat = n.duration(),
        "VDM_ACTIVE_REQUESTS_SSE_HEARTBEAT": Pause,
        "Time between two heartbeats in the stream of requests in flight."
    ),
];
