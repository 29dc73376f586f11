//! Who may call which endpoint: every path of the gateway with its class. The endpoint that a request has matched decides about
//! access, never the text of its URL.

use std::fmt;

/// One endpoint. A trailing slash makes no difference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    /// The methods that it accepts.
    pub(super) methods: &'static str,
    pub(super) access: Access,
}

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody. It reveals only that the gateway runs; `/health` has details for those who may read.
    Open,
    /// Clients: with a client key if there is one, else as `src/api/access.rs` decides.
    Serve,
    /// With a client key if there is one, else from this machine only; with the admin key or a session of the dashboard in any case.
    Read,
    /// The pages of the dashboard: with a session, with a key, or from this machine if there is no key.
    Dashboard,
    /// With the admin key or an admin session of the dashboard only.
    Admin,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Serve => "serve",
            Self::Read => "read",
            Self::Dashboard => "dashboard",
            Self::Admin => "admin",
        })
    }
}

const fn endpoint(methods: &'static str, path: &'static str, access: Access) -> Endpoint {
    Endpoint { path, methods, access }
}

pub(super) const MESSAGES: Endpoint = endpoint("POST", "/v1/messages", Access::Serve);
pub(super) const COUNT_TOKENS: Endpoint = endpoint("POST", "/v1/messages/count_tokens", Access::Serve);
pub(super) const CHAT_COMPLETIONS: Endpoint = endpoint("POST", "/v1/chat/completions", Access::Serve);
pub(super) const RESPONSES: Endpoint = endpoint("POST", "/v1/responses", Access::Serve);
pub(super) const RESPONSES_COMPACT: Endpoint = endpoint("POST", "/v1/responses/compact", Access::Serve);
pub(super) const RESPONSES_INPUT_TOKENS: Endpoint =
    endpoint("POST", "/v1/responses/input_tokens", Access::Serve);
pub(super) const EMBEDDINGS: Endpoint = endpoint("POST", "/v1/embeddings", Access::Serve);
pub(super) const COMPLETIONS: Endpoint = endpoint("POST", "/v1/completions", Access::Serve);
pub(super) const MODERATIONS: Endpoint = endpoint("POST", "/v1/moderations", Access::Serve);
pub(super) const IMAGE_GENERATIONS: Endpoint = endpoint("POST", "/v1/images/generations", Access::Serve);
pub(super) const IMAGE_EDITS: Endpoint = endpoint("POST", "/v1/images/edits", Access::Serve);
pub(super) const IMAGE_VARIATIONS: Endpoint = endpoint("POST", "/v1/images/variations", Access::Serve);
pub(super) const SPEECH: Endpoint = endpoint("POST", "/v1/audio/speech", Access::Serve);
pub(super) const TRANSCRIPTIONS: Endpoint = endpoint("POST", "/v1/audio/transcriptions", Access::Serve);
pub(super) const TRANSLATIONS: Endpoint = endpoint("POST", "/v1/audio/translations", Access::Serve);
pub(super) const RERANK: Endpoint = endpoint("POST", "/v1/rerank", Access::Serve);
pub(super) const INVOKE: Endpoint = endpoint("POST", "/model/{model}/invoke", Access::Serve);
pub(super) const INVOKE_STREAM: Endpoint =
    endpoint("POST", "/model/{model}/invoke-with-response-stream", Access::Serve);
pub(super) const INVOKE_COUNT: Endpoint = endpoint("POST", "/model/{model}/count-tokens", Access::Serve);
pub(super) const INFERENCE_PROFILES: Endpoint = endpoint("GET", "/inference-profiles", Access::Serve);
pub(super) const INFERENCE_PROFILE: Endpoint = endpoint("GET", "/inference-profiles/{id}", Access::Serve);
pub(super) const RAW_PREDICT: Endpoint = endpoint(
    "POST",
    "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}",
    Access::Serve,
);
pub(super) const MODELS: Endpoint = endpoint("GET, HEAD", "/v1/models", Access::Serve);
pub(super) const MODEL: Endpoint = endpoint("GET, HEAD", "/v1/models/{id:.+}", Access::Serve);
pub(super) const ALIASES: Endpoint = endpoint("GET, HEAD", "/v1/aliases", Access::Serve);
pub(super) const PROFILES: Endpoint = endpoint("GET, HEAD", "/v1/profiles", Access::Serve);
pub(super) const SHORT_PROFILES: Endpoint = endpoint("GET, HEAD", "/profiles", Access::Serve);
pub(super) const TOP_MODELS: Endpoint = endpoint("GET, HEAD", "/top-models", Access::Serve);
// It sends a request to a model, so HEAD is not accepted.
pub(super) const TEST_CONNECTION: Endpoint = endpoint("GET", "/test-connection", Access::Serve);
pub(super) const METRICS: Endpoint = endpoint("GET, HEAD", "/metrics", Access::Read);
pub(super) const RUNNING_TOTALS: Endpoint = endpoint("GET, HEAD", "/metrics/running-totals", Access::Read);
pub(super) const LOGS: Endpoint = endpoint("GET, HEAD", "/metrics/logs", Access::Read);
pub(super) const ACTIVE_REQUESTS: Endpoint = endpoint("GET, HEAD", "/metrics/active-requests", Access::Read);
// The stream does not end, so HEAD is not accepted.
pub(super) const ACTIVE_STREAM: Endpoint = endpoint("GET", "/metrics/active-requests/stream", Access::Read);
pub(super) const UI_USAGE: Endpoint = endpoint("GET, HEAD", "/api/ui/usage", Access::Read);
pub(super) const UI_REQUESTS: Endpoint = endpoint("GET, HEAD", "/api/ui/requests", Access::Read);
pub(super) const UI_REQUEST: Endpoint = endpoint("GET, HEAD", "/api/ui/requests/{id}", Access::Read);
pub(super) const RELOAD: Endpoint = endpoint("POST", "/admin/reload", Access::Admin);
pub(super) const RESET_HEALTH: Endpoint = endpoint("POST", "/admin/health/reset", Access::Admin);
pub(super) const DISABLE_KEY: Endpoint = endpoint("POST", "/admin/keys/disable", Access::Admin);
pub(super) const ENABLE_KEY: Endpoint = endpoint("POST", "/admin/keys/enable", Access::Admin);
pub(super) const PROBE: Endpoint = endpoint("POST", "/admin/probe", Access::Admin);
pub(super) const RESTART: Endpoint = endpoint("POST", "/admin/restart", Access::Admin);
pub(super) const REFRESH_MODELS: Endpoint = endpoint("POST", "/admin/models/refresh", Access::Admin);
pub(super) const CLEAR_CACHES: Endpoint = endpoint("POST", "/admin/caches/clear", Access::Admin);
// The content of the dashboard's pages.
pub(super) const UI_PROVIDERS: Endpoint = endpoint("GET, HEAD", "/api/ui/providers", Access::Read);
pub(super) const UI_MODELS: Endpoint = endpoint("GET, HEAD", "/api/ui/models", Access::Read);
pub(super) const UI_ROUTING: Endpoint = endpoint("GET, HEAD", "/api/ui/routing", Access::Read);
pub(super) const UI_SYSTEM: Endpoint = endpoint("GET, HEAD", "/api/ui/system", Access::Read);
pub(super) const UI_LOGS: Endpoint = endpoint("GET, HEAD", "/api/ui/logs", Access::Read);
pub(super) const CANCEL_REQUEST: Endpoint = endpoint("POST", "/admin/requests/{id}/cancel", Access::Admin);
pub(super) const UI_TOP: Endpoint = endpoint("GET, HEAD", "/api/ui/top", Access::Read);
pub(super) const DASHBOARD: Endpoint = endpoint("GET, HEAD", "/dashboard", Access::Dashboard);
pub(super) const DASHBOARD_PAGE: Endpoint = endpoint("GET, HEAD", "/dashboard/{page:.+}", Access::Dashboard);
// Nothing in it is secret, and the login page needs it.
pub(super) const DASHBOARD_ASSET: Endpoint = endpoint("GET, HEAD", "/dashboard/assets/{file}", Access::Open);
pub(super) const LOGIN: Endpoint = endpoint("GET, HEAD, POST", "/dashboard/login", Access::Open);
pub(super) const LOGOUT: Endpoint = endpoint("POST", "/dashboard/logout", Access::Open);
pub(super) const UI_SNAPSHOT: Endpoint = endpoint("GET, HEAD", "/api/ui/snapshot", Access::Read);
// The stream does not end, so HEAD is not accepted.
pub(super) const UI_STREAM: Endpoint = endpoint("GET", "/api/ui/stream", Access::Read);
pub(super) const HEALTH: Endpoint = endpoint("GET, HEAD", "/health", Access::Open);
// For orchestrators and load balancers.
pub(super) const LIVE: Endpoint = endpoint("GET, HEAD", "/health/live", Access::Open);
pub(super) const READY: Endpoint = endpoint("GET, HEAD", "/health/ready", Access::Open);
pub(super) const WELCOME: Endpoint = endpoint("GET, HEAD", "/", Access::Open);
// Claude Code opens its connection with this request; any answer is enough.
pub(super) const HELLO: Endpoint = endpoint("HEAD", "/api/hello", Access::Open);

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Endpoint; 64] = [
        MESSAGES,
        COUNT_TOKENS,
        CHAT_COMPLETIONS,
        RESPONSES,
        RESPONSES_COMPACT,
        RESPONSES_INPUT_TOKENS,
        EMBEDDINGS,
        COMPLETIONS,
        MODERATIONS,
        IMAGE_GENERATIONS,
        IMAGE_EDITS,
        IMAGE_VARIATIONS,
        SPEECH,
        TRANSCRIPTIONS,
        TRANSLATIONS,
        RERANK,
        INVOKE,
        INVOKE_STREAM,
        INVOKE_COUNT,
        INFERENCE_PROFILES,
        INFERENCE_PROFILE,
        RAW_PREDICT,
        MODELS,
        MODEL,
        ALIASES,
        PROFILES,
        SHORT_PROFILES,
        TOP_MODELS,
        TEST_CONNECTION,
        METRICS,
        RUNNING_TOTALS,
        LOGS,
        ACTIVE_REQUESTS,
        ACTIVE_STREAM,
        UI_USAGE,
        UI_REQUESTS,
        UI_REQUEST,
        RELOAD,
        RESET_HEALTH,
        DISABLE_KEY,
        ENABLE_KEY,
        PROBE,
        RESTART,
        REFRESH_MODELS,
        CLEAR_CACHES,
        UI_PROVIDERS,
        UI_MODELS,
        UI_ROUTING,
        UI_SYSTEM,
        UI_LOGS,
        CANCEL_REQUEST,
        UI_TOP,
        DASHBOARD,
        DASHBOARD_PAGE,
        DASHBOARD_ASSET,
        LOGIN,
        LOGOUT,
        UI_SNAPSHOT,
        UI_STREAM,
        HEALTH,
        LIVE,
        READY,
        WELCOME,
        HELLO,
    ];

    /// Requirement: one table shows every endpoint with its class. `tests/gateway/security/endpoints.rs` calls each of them.
    #[test]
    fn security_md_shows_every_endpoint() {
        let row = |Endpoint { path, methods, access }: &Endpoint| {
            format!("| {access} | {methods} | `{}` |\n", path.replace(":.+", ""))
        };
        let table: String = ALL.iter().map(row).collect();
        println!("{table}");
        assert!(include_str!("../../SECURITY.md").contains(&table), "SECURITY.md must contain:\n{table}");
    }

    /// Requirement: no endpoint is outside of the table.
    #[test]
    fn every_registered_endpoint_is_in_the_table() {
        let registered = include_str!("../api.rs");
        let named = include_str!("routes.rs").lines().filter_map(|line| {
            line.strip_prefix("pub(super) const ")?.split_once(": Endpoint").map(|(name, _)| name)
        });
        let named: Vec<&str> = named.collect();
        assert_eq!(named.len(), ALL.len());
        for name in named {
            assert!(registered.contains(&format!("routes::{name}")), "{name} is not registered");
        }
        // Only `register` (thrice) and the endpoint of the feature `faults` add services.
        assert_eq!(registered.matches("app.service(").count(), 4);
    }
}
