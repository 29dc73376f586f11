//! The declarations of `[limits]`, in the order of the files. After a change, run
//! `UPDATE_SNAPSHOTS=1 cargo test --lib config::tests` to generate the files that show them.

use super::{COUNT, LimitDeclaration};
use crate::config::setting::SettingDeclaration;
use crate::config::value_type::KeyType::Value;
use crate::config::value_type::ValueType::{Bytes, Count, Hours, Pause, Rate, Seconds};

/// `FIELD = READER` sets a field of the settings with a method of [`super::LimitValue`]. The methods of [`SettingDeclaration`] after the
/// documentation say what else holds for it.
macro_rules! limit {
    (
        $key:literal,
        $type:expr,
        $default:literal,
        $($field:ident).+ = $reader:ident,
        $meaning:literal
        $(, $method:ident($($argument:expr),*))*
    ) => {
        LimitDeclaration {
            setting: SettingDeclaration::new($key, Value($type), $meaning)
                .with_default($default)
                $(.$method($($argument),*))*,
            field: stringify!($($field).+),
            set: |limits, number| limits.$($field).+ = number.$reader(),
        }
    };
}

/// All limits, in the order of the files.
pub(in crate::config) static LIMITS: [LimitDeclaration; COUNT] = [
    limit!(
        "request-body",
        Bytes,
        "\"32MiB\"",
        request_body = size,
        "Largest body of a request. A larger one gets 413."
    ),
    limit!(
        "model-name",
        Bytes,
        "256",
        model_name = size,
        "Longest model name in a request, in bytes. A longer one gets 400."
    ),
    limit!(
        "request-head-timeout",
        Pause,
        "10",
        request_head_timeout = duration,
        "Time for the head of each request of a connection. After that the client gets 408."
    ),
    limit!(
        "certificate-check",
        Pause,
        "60",
        certificate_check = duration,
        "How often the files of tls-cert and tls-key are checked for a change."
    ),
    limit!(
        "body-grace",
        Seconds,
        "10",
        body_grace = duration,
        "Time before body-min-rate applies to the body of a request."
    ),
    limit!(
        "body-min-rate",
        Bytes,
        "\"1KiB\"",
        body_min_rate = rate,
        "Least bytes per second of a request's body. A slower client gets 408."
    ),
    limit!(
        "connections",
        Count(1),
        "10_000",
        connections = size,
        "Open client connections. At the limit, the connection that has been idle longest is closed for a \
         new one. If all are in use, a new one can request /health, and other requests get 503. vdm \
         raises its soft limit of open files at the start, and warns if the hard limit is too low."
    ),
    limit!(
        "connections-per-address",
        Count(0),
        "8_000",
        connections_per_address = size_unless_zero,
        "Open connections of one client address (of one /64 network for IPv6). Beyond that: 503 and \
         closed. 0 for no limit. Clients behind one NAT or reverse proxy share an address."
    ),
    limit!(
        "websockets",
        Count(0),
        "1_000",
        websockets = size,
        "Open WebSockets on /v1/responses. Beyond that, and with 0, an upgrade gets 426, and the client uses HTTP."
    ),
    limit!(
        "websocket-idle",
        Seconds,
        "1_800",
        websocket_idle = unless_zero,
        "Time after which a WebSocket without a response in progress is closed. 0 for no limit."
    ),
    limit!(
        "websocket-items",
        Bytes,
        "\"256MiB\"",
        websocket_items = size,
        "Memory for the items that vdm keeps for the conversations of all WebSockets; those of one conversation have at most \
         request-body. Beyond that, the client is told to send all items again."
    ),
    limit!(
        "in-flight",
        Count(1),
        "4_096",
        in_flight = size,
        "Requests in progress, over all providers. Beyond that: 503."
    ),
    limit!(
        "provider-in-flight",
        Count(1),
        "4_096",
        provider_in_flight = size,
        "Requests in progress for one provider. Further requests wait."
    ),
    limit!(
        "provider-queue",
        Count(0),
        "256",
        provider_queue = size,
        "Requests that wait for one provider. Beyond that: 503."
    ),
    limit!(
        "provider-queue-wait",
        Seconds,
        "5",
        provider_queue_wait = duration,
        "Longest wait for a provider. After that: 503."
    ),
    limit!(
        "client-channel",
        Bytes,
        "\"64KiB\"",
        client_channel = size,
        "Data of one stream that waits for a slow client. Beyond that, vdm stops reading from the \
         provider."
    ),
    limit!(
        "client-timeout",
        Seconds,
        "600",
        client_timeout = unless_zero,
        "Time after which the connection of a client that acknowledges nothing is closed (on Linux). 0 \
         for no limit."
    ),
    limit!(
        "reply-grace",
        Pause,
        "60",
        reply_grace = duration,
        "Time before reply-min-rate applies to a client. Only time during which data waits for the client \
         counts."
    ),
    limit!(
        "reply-min-rate",
        Rate,
        "\"1KiB\"",
        reply_min_rate = rate,
        "Least bytes per second at which a client must read its reply. The connection of a slower one is \
         closed. 0 for no minimum."
    ),
    limit!("event", Bytes, "\"16MiB\"", event = size, "Largest event of a stream, decompressed."),
    limit!(
        "event-min-rate",
        Bytes,
        "\"1KiB\"",
        event_min_rate = rate,
        "Least bytes per second at which part of an event ends a silence (see idle-timeout)."
    ),
    limit!(
        "before-first-event",
        Bytes,
        "\"64KiB\"",
        before_first_event = size,
        "Pings and comments that are kept before the first event of a stream. Further ones are dropped."
    ),
    limit!(
        "whole-reply",
        Bytes,
        "\"64MiB\"",
        whole_reply = size,
        "Largest reply that is not streamed, decompressed."
    ),
    limit!(
        "connect-timeout",
        Pause,
        "10",
        connect_timeout = duration,
        "Longest wait for a connection to a provider, TLS included.",
        with_variable("STREAMING_CONNECT_TIMEOUT_SECONDS"),
        at_start()
    ),
    limit!(
        "whole-timeout",
        Seconds,
        "600",
        whole_timeout = unless_zero,
        "Longest wait for a reply that is not streamed, for providers without a timeout. 0 for no limit."
    ),
    limit!(
        "first-byte-timeout",
        Seconds,
        "300",
        first_byte_timeout = unless_zero,
        "Longest wait for the first byte of a stream, for providers without a timeout. 0 for no limit."
    ),
    limit!(
        "idle-timeout",
        Seconds,
        "300",
        idle_timeout = unless_zero,
        "Longest silence of a provider inside a stream. Events, pings and comments end a silence; part of \
         an event does if it arrives at event-min-rate. 0 for no limit, in a file only.",
        with_typed_variable("STREAMING_READ_TIMEOUT_SECONDS", Pause)
    ),
    limit!("total-timeout", Seconds, "0", total_timeout = unless_zero, "Longest stream. 0 for no limit."),
    limit!(
        "head-patience",
        Seconds,
        "45",
        head_patience = duration,
        "Longest wait for a provider's reply before the client gets status 200 and pings. Until then the \
         status can still be an error."
    ),
    limit!(
        "ping-interval",
        Pause,
        "15",
        ping_interval = duration,
        "Silence after which a client gets a ping."
    ),
    limit!(
        "cooldown",
        Seconds,
        "5",
        cooldown = duration,
        "Cooldown of a key after a 429 without a wait. It doubles each time, up to a minute."
    ),
    limit!(
        "cooldown-cap",
        Seconds,
        "300",
        cooldown_cap = duration,
        "Longest cooldown of a key, whatever wait the provider states."
    ),
    limit!(
        "alias-chain",
        Count(1),
        "10",
        alias_chain = size,
        "Most aliases in a chain in which each resolves to the next.",
        with_variable("ALIAS_MAX_CHAIN_LENGTH")
    ),
    limit!(
        "models-ttl",
        Seconds,
        "300",
        models_ttl = duration,
        "Age at which a provider's list of models is requested again."
    ),
    limit!(
        "models-cache-ttl",
        Seconds,
        "86_400",
        models_cache_ttl = duration,
        "Age up to which an old list of models is served, as stale, while a new one is requested. An \
         older list is served only if the provider does not answer.",
        with_typed_variable("MODELS_CACHE_TTL_HOURS", Hours)
    ),
    limit!(
        "learned-rules-ttl",
        Seconds,
        "86_400",
        learned_rules_ttl = duration,
        "Time for which vdm remembers what a provider refuses, such as an unknown parameter, and changes \
         requests accordingly."
    ),
    limit!(
        "signatures",
        Count(1),
        "10_000",
        signatures.entries = size,
        "Thought signatures that are remembered. Beyond that, the oldest are dropped.",
        with_variable("THOUGHT_SIGNATURE_MAX_CACHE_SIZE"),
        at_start()
    ),
    limit!(
        "signatures-ttl",
        Pause,
        "3_600",
        signatures.ttl = duration,
        "Time for which a thought signature is remembered.",
        with_variable("THOUGHT_SIGNATURE_CACHE_TTL"),
        at_start()
    ),
    limit!(
        "signatures-sweep",
        Pause,
        "300",
        signatures.sweep = duration,
        "Time between two removals of old thought signatures.",
        with_variable("THOUGHT_SIGNATURE_CLEANUP_INTERVAL"),
        at_start()
    ),
    limit!("drain", Seconds, "25", drain = duration, "Time for requests in flight to finish when vdm stops."),
    limit!(
        "worker-liveness",
        Pause,
        "60",
        worker_liveness = duration,
        "Time that the worker process may be unresponsive. After that the master process kills and replaces it.",
        at_start()
    ),
    limit!(
        "watch-interval",
        Pause,
        "0.25",
        watch_interval = duration,
        "Time between two liveness checks of vdm's actors.",
        at_start()
    ),
    limit!(
        "watch-patience",
        Pause,
        "0.5",
        watch_patience = duration,
        "Time for an actor's answer to a liveness check. An actor that does not answer is replaced.",
        at_start()
    ),
    limit!(
        "active-requests-interval",
        Pause,
        "0.5",
        active_interval = duration,
        "Least time between two updates of the numbers in the stream of requests in flight; at least one second, and longer with many \
         requests. The start and end of a request appear within half a second.",
        with_variable("VDM_ACTIVE_REQUESTS_SSE_INTERVAL")
    ),
    limit!(
        "active-requests-heartbeat",
        Pause,
        "30",
        active_heartbeat = duration,
        "Time between two heartbeats in the stream of requests in flight.",
        with_variable("VDM_ACTIVE_REQUESTS_SSE_HEARTBEAT")
    ),
    limit!(
        "history-days",
        Count(1),
        "90",
        history_days = size,
        "Days for which the history keeps requests and their sums.",
        at_start()
    ),
    limit!(
        "history-requests",
        Count(1),
        "1_000_000",
        history_requests = size,
        "Requests whose details the history keeps, about 0.5 KiB each. The sums by hour, model, key, client and session stay \
         for history-days, up to as many rows.",
        at_start()
    ),
];
