//! All HTTP endpoints on one page.

mod access;
mod active_requests;
mod admin;
mod aliases;
mod body;
mod chat_completions;
mod client_api;
mod cloud_doors;
mod cloud_request;
mod codex_models;
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
mod openai_endpoints;
mod profiles;
mod prometheus;
mod query;
mod render_error;
mod report;
mod responses;
mod routes;
mod running_totals;
mod session;
mod test_connection;
mod top;
mod top_models;
mod ui;
mod unmatched;
mod viewer;
mod views;
mod welcome;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, web};
use futures_util::FutureExt as _;
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use self::health::probes;
use self::routes::{Access, Endpoint};
use crate::dashboard;
use crate::gateway::Gateway;
use crate::request_id::RequestId;

/// Registers the endpoints. A trailing slash makes no difference.
pub(crate) fn endpoints(gateway: &web::Data<Gateway>) -> impl Fn(&mut web::ServiceConfig) + Clone + 'static {
    let gateway = gateway.clone();
    move |app| {
        app.app_data(gateway.clone());
        register(app, &routes::MESSAGES, || [web::post().to(messages::create)]);
        register(app, &routes::COUNT_TOKENS, || [web::post().to(count_tokens::count)]);
        register(app, &routes::CHAT_COMPLETIONS, || [web::post().to(chat_completions::create)]);
        register_openai_endpoints(app);
        register_cloud_doors(app);
        register(app, &routes::MODELS, || reads(models::list));
        register(app, &routes::ALIASES, || reads(aliases::list));
        register(app, &routes::PROFILES, || reads(profiles::list));
        register(app, &routes::SHORT_PROFILES, || reads(profiles::list));
        register(app, &routes::TOP_MODELS, || reads(top_models::list));
        register(app, &routes::TEST_CONNECTION, || [web::get().to(test_connection::test)]);
        register(app, &routes::HEALTH, || reads(health::health));
        register(app, &routes::LIVE, || reads(probes::live));
        register(app, &routes::READY, || reads(probes::ready));
        register(app, &routes::METRICS, || reads(prometheus::scrape));
        register(app, &routes::RUNNING_TOTALS, || reads(running_totals::running_totals));
        register(app, &routes::LOGS, || reads(logs::list));
        register(app, &routes::ACTIVE_REQUESTS, || reads(active_requests::list));
        register(app, &routes::ACTIVE_STREAM, || [web::get().to(active_requests::stream::watch)]);
        register(app, &routes::UI_USAGE, || reads(ui::usage::usage));
        register(app, &routes::UI_REQUESTS, || reads(ui::requests::list));
        register(app, &routes::UI_REQUEST, || reads(ui::requests::one));
        register(app, &routes::RELOAD, || [web::post().to(admin::reload)]);
        register(app, &routes::RESET_HEALTH, || [web::post().to(admin::reset_health)]);
        register(app, &routes::DISABLE_KEY, || [web::post().to(admin::keys::disable)]);
        register(app, &routes::ENABLE_KEY, || [web::post().to(admin::keys::enable)]);
        register(app, &routes::PROBE, || [web::post().to(admin::probe::send)]);
        register(app, &routes::RESTART, || [web::post().to(admin::restart::restart)]);
        register(app, &routes::REFRESH_MODELS, || [web::post().to(admin::models::refresh)]);
        register(app, &routes::CLEAR_CACHES, || [web::post().to(admin::caches::clear)]);
        register(app, &routes::UI_PROVIDERS, || reads(views::providers));
        register(app, &routes::UI_MODELS, || reads(views::models));
        register(app, &routes::UI_ROUTING, || reads(views::routing));
        register(app, &routes::UI_SYSTEM, || reads(views::system));
        register(app, &routes::UI_LOGS, || reads(views::logs));
        register(app, &routes::CANCEL_REQUEST, || [web::post().to(admin::cancel_request)]);
        register(app, &routes::UI_TOP, || reads(top::report));
        register(app, &routes::DASHBOARD, || reads(dashboard::show));
        register(app, &routes::DASHBOARD_ASSET, || reads(dashboard::asset));
        register(app, &routes::LOGIN, login);
        register(app, &routes::LOGOUT, || [web::post().to(dashboard::log_out)]);
        register(app, &routes::DASHBOARD_PAGE, || reads(dashboard::show));
        register(app, &routes::UI_SNAPSHOT, || {
            reads(dashboard::snapshot).map(|route| route.wrap(from_fn(viewer::require)))
        });
        register(app, &routes::UI_STREAM, || {
            [web::get().to(dashboard::follow).wrap(from_fn(viewer::require))]
        });
        // After the paths of requests. An id may contain slashes: `vendor/model`.
        register(app, &routes::MODEL, || reads(models::one));
        register(app, &routes::WELCOME, || {
            [web::get().to(welcome::welcome), web::head().to(HttpResponse::Ok)]
        });
        register(app, &routes::HELLO, || [web::head().to(HttpResponse::Ok)]);
        #[cfg(feature = "faults")]
        app.service(web::resource("/faults/{what}").route(web::post().to(faults::inject)));
        app.default_service(web::to(unmatched::serve));
    }
}

/// Registers the endpoints that OpenAI's API has beside Chat Completions.
fn register_openai_endpoints(app: &mut web::ServiceConfig) {
    register(app, &routes::RESPONSES, responses);
    register(app, &routes::RESPONSES_COMPACT, || openai_endpoints::route(OpenAiEndpoint::ResponsesCompact));
    register(app, &routes::RESPONSES_INPUT_TOKENS, || [web::post().to(count_tokens::count_input)]);
    register(app, &routes::EMBEDDINGS, || openai_endpoints::route(OpenAiEndpoint::Embeddings));
    register(app, &routes::COMPLETIONS, || openai_endpoints::route(OpenAiEndpoint::Completions));
    register(app, &routes::MODERATIONS, || openai_endpoints::route(OpenAiEndpoint::Moderations));
    register(app, &routes::IMAGE_GENERATIONS, || openai_endpoints::route(OpenAiEndpoint::ImageGenerations));
    register(app, &routes::IMAGE_EDITS, || openai_endpoints::route(OpenAiEndpoint::ImageEdits));
    register(app, &routes::IMAGE_VARIATIONS, || openai_endpoints::route(OpenAiEndpoint::ImageVariations));
    register(app, &routes::SPEECH, || openai_endpoints::route(OpenAiEndpoint::Speech));
    register(app, &routes::TRANSCRIPTIONS, || openai_endpoints::route(OpenAiEndpoint::Transcriptions));
    register(app, &routes::TRANSLATIONS, || openai_endpoints::route(OpenAiEndpoint::Translations));
    register(app, &routes::RERANK, || openai_endpoints::route(OpenAiEndpoint::Rerank));
}

/// Registers the endpoints of clients in a cloud's mode.
fn register_cloud_doors(app: &mut web::ServiceConfig) {
    register(app, &routes::INVOKE, || [web::post().to(cloud_doors::serve)]);
    register(app, &routes::INVOKE_STREAM, || [web::post().to(cloud_doors::serve)]);
    register(app, &routes::INVOKE_COUNT, || [web::post().to(cloud_doors::serve)]);
    register(app, &routes::INFERENCE_PROFILES, || [web::get().to(cloud_doors::serve)]);
    register(app, &routes::INFERENCE_PROFILE, || [web::get().to(cloud_doors::serve)]);
    register(app, &routes::RAW_PREDICT, || [web::post().to(cloud_doors::serve)]);
}

/// Registers an endpoint. Each path is a resource of its own: one with several paths is a regular expression, which costs
/// every request some 2 µs.
fn register<const N: usize>(
    app: &mut web::ServiceConfig,
    endpoint: &'static Endpoint,
    handlers: impl Fn() -> [Route; N],
) {
    let slashed = format!("{}/", endpoint.path);
    let takes_all = endpoint.path.ends_with(['/', '}']);
    let paths = [endpoint.path, &slashed];
    for path in &paths[..if takes_all { 1 } else { 2 }] {
        let resource = handlers().into_iter().fold(web::resource(*path), Resource::route);
        let wrong_method = web::to(|request| wrong_method(request, endpoint.methods));
        let resource = resource.default_service(wrong_method);
        match endpoint.access {
            Access::Admin => app.service(resource.wrap(from_fn(admin::require_key))),
            Access::Dashboard => app.service(resource.wrap(from_fn(viewer::require))),
            // Their handlers check, in the words of the client's API.
            Access::Open | Access::Serve | Access::Read => app.service(resource),
        };
    }
}

/// Requests, and the upgrade to a WebSocket.
fn responses() -> [Route; 2] {
    [web::post().to(responses::create), web::get().to(responses::connect)]
}

/// The login form, and what it sends.
fn login() -> [Route; 3] {
    let [get, head] = reads(dashboard::form);
    [get, head, web::post().to(dashboard::log_in)]
}

/// The same handler for GET and HEAD.
fn reads<F, Args>(handler: F) -> [Route; 2]
where
    F: Handler<Args> + Clone,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    [web::get().to(handler.clone()), web::head().to(handler)]
}

/// Runs a handler so that a panic fails its own request only.
pub(crate) async fn guarded<F>(api: Api, id: &RequestId, handler: F) -> HttpResponse
where
    F: Future<Output = HttpResponse>,
{
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(response) => response,
        Err(_panic) => {
            log::error!(REQUEST_ID = id.as_str(); "{} panicked; the line before says where", id.as_str());
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
