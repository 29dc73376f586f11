//! All HTTP endpoints on one page.

mod access;
mod active_requests;
mod aliases;
mod body;
mod chat_completions;
mod client_api;
pub(crate) mod connection;
pub(crate) mod cors;
mod count_tokens;
mod discovery;
mod endpoint;
#[cfg(feature = "faults")]
mod faults;
mod health;
mod logs;
mod messages;
mod models;
mod profiles;
mod query;
mod render_error;
mod report;
mod running_totals;
mod test_connection;
mod top_models;
mod unmatched;
mod welcome;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Resource, Route, web};
use futures_util::FutureExt as _;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use self::health::probes;
use crate::gateway::Gateway;
use crate::request_id::RequestId;

/// Registers the endpoints. A trailing slash makes no difference.
pub(crate) fn endpoints(gateway: &web::Data<Gateway>) -> impl Fn(&mut web::ServiceConfig) + Clone + 'static {
    let gateway = gateway.clone();
    move |app| {
        app.app_data(gateway.clone());
        // One resource for each path: several paths in one are a regular expression, which costs every request some 2 µs.
        for path in ["/v1/messages", "/v1/messages/"] {
            app.service(only_post(path, web::post().to(messages::create)));
        }
        for path in ["/v1/messages/count_tokens", "/v1/messages/count_tokens/"] {
            app.service(only_post(path, web::post().to(count_tokens::count)));
        }
        for path in ["/v1/chat/completions", "/v1/chat/completions/"] {
            app.service(only_post(path, web::post().to(chat_completions::create)));
        }
        for path in ["/v1/models", "/v1/models/"] {
            app.service(only_get(path, [web::get().to(models::list), web::head().to(models::list)]));
        }
        for path in ["/v1/aliases", "/v1/aliases/"] {
            app.service(only_get(path, [web::get().to(aliases::list), web::head().to(aliases::list)]));
        }
        for path in ["/v1/profiles", "/v1/profiles/", "/profiles", "/profiles/"] {
            app.service(only_get(path, [web::get().to(profiles::list), web::head().to(profiles::list)]));
        }
        for path in ["/top-models", "/top-models/"] {
            app.service(only_get(path, [web::get().to(top_models::list), web::head().to(top_models::list)]));
        }
        // It sends a request to a model, so HEAD is not accepted.
        for path in ["/test-connection", "/test-connection/"] {
            let test = web::get().to(test_connection::test);
            app.service(web::resource(path).route(test).default_service(web::to(|r| wrong_method(r, "GET"))));
        }
        health_endpoints(app);
        for path in ["/metrics/running-totals", "/metrics/running-totals/"] {
            let totals = running_totals::running_totals;
            app.service(only_get(path, [web::get().to(totals), web::head().to(totals)]));
        }
        for path in ["/metrics/logs", "/metrics/logs/"] {
            app.service(only_get(path, [web::get().to(logs::list), web::head().to(logs::list)]));
        }
        for path in ["/metrics/active-requests", "/metrics/active-requests/"] {
            let list = active_requests::list;
            app.service(only_get(path, [web::get().to(list), web::head().to(list)]));
        }
        // The stream does not end, so HEAD is not accepted.
        for path in ["/metrics/active-requests/stream", "/metrics/active-requests/stream/"] {
            let watch = web::get().to(active_requests::stream::watch);
            app.service(
                web::resource(path).route(watch).default_service(web::to(|r| wrong_method(r, "GET"))),
            );
        }
        // After the paths of requests. An id may contain slashes: `vendor/model`.
        let one = [web::get().to(models::one), web::head().to(models::one)];
        app.service(only_get("/v1/models/{id:.+}", one));
        app.service(only_get("/", [web::get().to(welcome::welcome), web::head().to(HttpResponse::Ok)]));
        // Claude Code opens its connection with this request; any answer is enough.
        app.service(
            web::resource("/api/hello")
                .route(web::head().to(HttpResponse::Ok))
                .default_service(web::to(|request| wrong_method(request, "HEAD"))),
        );
        #[cfg(feature = "faults")]
        app.service(web::resource("/faults/{what}").route(web::post().to(faults::inject)));
        app.default_service(web::to(unmatched::serve));
    }
}

/// The report and the probes.
fn health_endpoints(app: &mut web::ServiceConfig) {
    for path in ["/health", "/health/"] {
        app.service(only_get(path, [web::get().to(health::health), web::head().to(health::health)]));
    }
    for path in ["/health/live", "/health/live/"] {
        let live = probes::live;
        app.service(only_get(path, [web::get().to(live), web::head().to(live)]));
    }
    for path in ["/health/ready", "/health/ready/"] {
        let ready = probes::ready;
        app.service(only_get(path, [web::get().to(ready), web::head().to(ready)]));
    }
}

/// An endpoint that accepts GET and HEAD only.
fn only_get(path: &str, [get, head]: [Route; 2]) -> Resource {
    web::resource(path)
        .route(get)
        .route(head)
        .default_service(web::to(|request| wrong_method(request, "GET, HEAD")))
}

/// An endpoint that accepts POST only.
fn only_post(path: &'static str, route: Route) -> Resource {
    web::resource(path).route(route).default_service(web::to(|request| wrong_method(request, "POST")))
}

/// Runs a handler so that a panic fails its own request only.
pub(crate) async fn guarded<F>(api: Api, id: &RequestId, handler: F) -> HttpResponse
where
    F: Future<Output = HttpResponse>,
{
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(response) => response,
        Err(_panic) => {
            let message = "internal gateway error";
            render_error::error(api, ErrorKind::Api, message, id.as_str())
        }
    }
}

async fn wrong_method(request: HttpRequest, allowed: &'static str) -> HttpResponse {
    let id = RequestId::new();
    let path = printable(request.path());
    let message = format!("{path} accepts {allowed}, not {}", request.method());
    let mut response = render_error::shaped(
        client_api::infer(request.path(), request.headers()),
        (405, ErrorKind::InvalidRequest),
        &message,
        id.as_str(),
    );
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    if request.method() == Method::HEAD {
        return response.drop_body().map_into_boxed_body();
    }
    response
}

/// A path, shortened and without control characters, for a message.
fn printable(path: &str) -> String {
    path.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The shared state, as handlers receive it.
fn shared(gateway: &web::Data<Gateway>) -> Arc<Gateway> {
    gateway.clone().into_inner()
}
