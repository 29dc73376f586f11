//! The declaration of every family: name, type, unit, labels and explanation. The exposition and the table in docs/metrics.md
//! follow from it.

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// One family.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declared {
    /// Without the unit, and without the suffix of its type.
    pub(super) base: &'static str,
    pub(super) kind: Kind,
    /// The base unit, which ends the name; empty for plain numbers.
    pub(super) unit: &'static str,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

impl Declared {
    /// The name of its samples; those of a histogram have a further suffix.
    #[cfg(test)]
    pub(super) fn name(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!("_{}", self.unit) };
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{suffix}", self.base)
    }
}

macro_rules! families {
    ($($name:ident: $kind:ident $base:literal $unit:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) static $name: Declared = Declared {
            base: $base, kind: Kind::$kind, unit: $unit, labels: &[$($label),*], help: $help,
        };)*
        /// All families, in the order of the documentation.
        #[cfg(test)]
        pub(super) static ALL: &[&Declared] = &[$(&$name),*];
    };
}

families! {
    REQUESTS: Counter "vdm_requests" "" ["provider", "model", "api", "outcome", "status_class"]
        "Finished requests. outcome is succeeded, failed or cancelled; status_class is that of the client's status, none if the client left before it.";
    REQUEST_ERRORS: Counter "vdm_request_errors" "" ["provider", "type"]
        "Failed requests by the error's type in terms of Anthropic's API.";
    REQUEST_DURATION: Histogram "vdm_request_duration" "seconds" ["provider", "model", "api"]
        "Time from the request to the end of its reply.";
    FIRST_EVENT: Histogram "vdm_time_to_first_event" "seconds" ["provider", "model", "api"]
        "Time from the request to the first event of its reply; to the head of a reply that is not streamed.";
    TOKENS: Counter "vdm_tokens" "" ["provider", "model", "type"]
        "Tokens as the providers report them. type is input, output, cache_read, cache_write or reasoning; input excludes the cached ones, reasoning is a part of output.";
    COST: Counter "vdm_cost" "dollars" ["provider", "model"]
        "Cost in US dollars of the requests whose model has a known price.";
    CACHE_SAVINGS: Gauge "vdm_cache_savings" "dollars" ["provider", "model"]
        "US dollars that the prompt cache has saved; negative while writing to it cost more.";
    UNPRICED: Counter "vdm_unpriced_requests" "" ["provider", "model"]
        "Requests with tokens whose model has no known price.";
    CACHE_LOSSES: Counter "vdm_cache_losses" "" ["provider", "model", "cause"]
        "Requests whose session had lost its prompt cache, by cause.";
    TOOL_CALLS: Counter "vdm_tool_calls" "" ["provider", "model"] "Tool calls in replies.";
    REQUEST_BYTES: Counter "vdm_request" "bytes" ["provider", "model"] "Bodies of requests.";
    REPLY_BYTES: Counter "vdm_reply" "bytes" ["provider", "model"] "Bodies of replies, as sent to clients.";
    UPSTREAM_CALLS: Counter "vdm_upstream_calls" "" ["provider", "outcome"]
        "Calls to providers by their outcome, in the words of docs/health.md.";
    UPSTREAM_DURATION: Histogram "vdm_upstream_call_duration" "seconds" ["provider"]
        "Time from the start of a call to the head of its reply, or to its failure.";
    RETRIES: Counter "vdm_upstream_retries" "" ["provider"]
        "Further calls of a request to the same provider, with the same key or another one.";
    FALLBACKS: Counter "vdm_fallbacks" "" ["provider"]
        "Requests that moved to another target after this provider failed.";
    REFUSED: Counter "vdm_refused" "" ["limit"]
        "Requests and connections that a limit of docs/limits.md has refused, by the limit's name.";
    VERDICTS: Counter "vdm_safeguard_verdicts" "" ["outcome", "mode"]
        "Verdicts on tool calls for auto mode. outcome is not_flagged, flagged or unavailable; mode is answers, or shadow if they were recorded only.";
    WEB_SEARCHES: Counter "vdm_web_searches" "" ["service"]
        "Web searches that a search service has answered; the searches that providers run are not counted.";
    IN_FLIGHT: Gauge "vdm_requests_in_flight" "" [] "Requests in progress.";
    CONNECTIONS: Gauge "vdm_client_connections" "" [] "Open client connections.";
    PROVIDER_IN_FLIGHT: Gauge "vdm_provider_requests_in_flight" "" ["provider"] "Requests in progress at a provider.";
    PROVIDER_WAITING: Gauge "vdm_provider_requests_waiting" "" ["provider"] "Requests that wait for a provider.";
    PROVIDER_USABLE: Gauge "vdm_provider_usable" "" ["provider"]
        "1 if the provider works and at least one of its keys does, otherwise 0: then it is called last.";
    KEYS: Gauge "vdm_provider_keys" "" ["provider", "state"]
        "Keys by state: ready, cooling, rejected or out_of_credit.";
    MODELS_FAILING: Gauge "vdm_provider_models_failing" "" ["provider"]
        "Models of the provider that are called last, because they fail.";
    HISTORY_DROPPED: Counter "vdm_history_dropped" "" []
        "Requests whose details the history dropped, because they came too fast for it or for the disk, since the history began; its sums have them.";
    LOG_DROPPED: Counter "vdm_log_lines_dropped" "" [] "Log lines that were dropped, because stderr or the journal was too slow.";
    SPANS: Counter "vdm_otlp_spans" "" ["result"]
        "Spans for the OpenTelemetry collector; result is exported or dropped.";
    REQUESTS_MISSED: Counter "vdm_otlp_requests_missed" "" []
        "Requests without spans, because the exporter was too far behind.";
    RELOADS: Counter "vdm_config_reloads" "" ["result"] "Reloads of the configuration; result is success or failure.";
    RELOAD_TIME: Gauge "vdm_config_last_reload_success_timestamp" "seconds" []
        "Unix time of the last successful reload, or of the start.";
    BUILD: Info "vdm_build" "" ["version"] "Always 1.";
    CPU: Counter "process_cpu" "seconds" [] "CPU time of the worker process.";
    MEMORY: Gauge "process_resident_memory" "bytes" [] "Resident memory of the worker process.";
    OPEN_FDS: Gauge "process_open_fds" "" [] "Open file descriptors of the worker process.";
    MAX_FDS: Gauge "process_max_fds" "" [] "The limit of open file descriptors.";
    THREADS: Gauge "process_threads" "" [] "Threads of the worker process.";
    START_TIME: Gauge "process_start_time" "seconds" [] "Unix time of the worker's start.";
}
