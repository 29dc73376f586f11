//! `GET /`: the name of the gateway and its endpoints.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::gateway::Gateway;

#[derive(Serialize)]
struct Welcome<'a> {
    message: &'a str,
    status: &'a str,
    version: &'a str,
    config: Summary,
    endpoints: Endpoints<'a>,
}

#[derive(Serialize)]
struct Summary {
    api_key_configured: bool,
    client_api_key_validation: bool,
}

#[derive(Serialize)]
struct Endpoints<'a> {
    messages: &'a str,
    count_tokens: &'a str,
    chat_completions: &'a str,
    models: &'a str,
    aliases: &'a str,
    profiles: &'a str,
    top_models: &'a str,
    test_connection: &'a str,
    health: &'a str,
    running_totals: &'a str,
    active_requests: &'a str,
    active_requests_stream: &'a str,
    logs: &'a str,
}

pub(super) async fn welcome(gateway: web::Data<Gateway>) -> HttpResponse {
    let live = gateway.live_config();
    let providers = &live.settings.providers;
    HttpResponse::Ok().json(Welcome {
        message: concat!("Vandamme Proxy v", env!("CARGO_PKG_VERSION")),
        status: "running",
        version: env!("CARGO_PKG_VERSION"),
        config: Summary {
            api_key_configured: providers.iter().any(|provider| !provider.demo),
            client_api_key_validation: live.access.are_required(),
        },
        endpoints: Endpoints {
            messages: "/v1/messages",
            count_tokens: "/v1/messages/count_tokens",
            chat_completions: "/v1/chat/completions",
            models: "/v1/models",
            aliases: "/v1/aliases",
            profiles: "/v1/profiles",
            top_models: "/top-models",
            test_connection: "/test-connection",
            health: "/health",
            running_totals: "/metrics/running-totals",
            active_requests: "/metrics/active-requests",
            active_requests_stream: "/metrics/active-requests/stream",
            logs: "/metrics/logs",
        },
    })
}
