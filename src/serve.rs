//! The whole gateway as one call.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use actix_web::dev::{Server, ServerHandle};
use actix_web::rt::System;
use actix_web::rt::time::{sleep, timeout};
use actix_web::{App, HttpServer, web};
use vandamme_actors::observe::Observe;
use vandamme_actors::settings::Limits;
use vandamme_actors::supervisor::Supervisor;
use vandamme_actors::upstream::{ProxySettings, Wiring, client_config};

use crate::config::{Config, DemoMode};
use crate::demo;
use crate::gateway::Gateway;
use crate::http;
use crate::process::Termination;

/// Clients keep their connections; balancers in front of us close theirs after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Between the error events and the end, so that they reach the clients.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves on `listener` until SIGTERM or SIGINT, then drains: requests in flight may finish within `limits.drain`, a second
/// signal ends them at once. The error is one line for the person who started it.
pub fn serve(listener: TcpListener, config: Config) -> Result<(), String> {
    System::new().block_on(run(listener, config))
}

async fn run(listener: TcpListener, config: Config) -> Result<(), String> {
    let Config { mut settings, proxy_api_key, demo: mode, .. } = config;
    let _demo = match mode {
        DemoMode::Off => None,
        DemoMode::Forced | DemoMode::Fallback => {
            let demo =
                demo::start().map_err(|error| format!("the demo provider cannot be started: {error}"))?;
            let provider = Arc::new(demo::provider(&demo.base_url));
            settings.default_provider.get_or_insert_with(|| provider.name.clone());
            settings.providers.push(provider);
            Some(demo)
        }
    };
    let proxies =
        ProxySettings::read(|name| std::env::var(name).ok()).map_err(|mistakes| mistakes.join("; "))?;
    let wiring = Wiring {
        tls: client_config()?,
        proxies: Arc::new(proxies),
        connect_timeout: settings.limits.connect_timeout,
    };
    let limits = settings.limits.clone();
    let (_supervisor, roster) = Supervisor::start_tree(settings.clone());
    let gateway = web::Data::new(Gateway::new(settings, roster, wiring, proxy_api_key));
    let mut termination =
        Termination::listen().map_err(|error| format!("signals cannot be handled: {error}"))?;
    let server =
        server(listener, &gateway, &limits).map_err(|error| format!("the server cannot start: {error}"))?;
    let handle = server.handle();
    let serving = actix_web::rt::spawn(server);
    termination.received().await;
    log::info!("stopping: requests in flight have {} s", limits.drain.as_secs_f64());
    drain(&gateway, &handle, &mut termination).await;
    // A server that was told to hurry while it was stopping does not hear it: the process ends without it.
    drop(timeout(LAST_WORDS, serving).await);
    // Before the ledger has answered, the last requests are not in the log.
    drop(timeout(LAST_WORDS, gateway.roster.load().ledger.send(Observe::new())).await);
    Ok(())
}

fn server(listener: TcpListener, gateway: &web::Data<Gateway>, limits: &Limits) -> std::io::Result<Server> {
    let app_gateway = gateway.clone();
    let server = HttpServer::new(move || {
        app_gateway.enlist(Arbiter::current());
        App::new().configure(http::doors(&app_gateway))
    })
    .disable_signals()
    // Otherwise a client that goes away is not noticed while the upstream is silent (measured).
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(limits.request_head_timeout)
    .max_connections(limits.connections.div_ceil(workers()))
    .workers(workers())
    .shutdown_timeout(limits.drain.as_secs().saturating_add(2))
    .listen(listener)?;
    Ok(server.run())
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Turns new requests away, waits for those in flight, then ends what still runs.
async fn drain(gateway: &Gateway, handle: &ServerHandle, termination: &mut Termination) {
    gateway.leave_rotation();
    let stopping = handle.stop(true);
    let impatient = async {
        let second = Box::pin(termination.received());
        let deadline = Box::pin(sleep(gateway.settings.limits.drain));
        futures_util::future::select(second, deadline).await;
        gateway.end_replies();
        sleep(LAST_WORDS).await;
    };
    futures_util::future::select(Box::pin(stopping), Box::pin(impatient)).await;
    // Whatever is left now is not worth waiting for.
    drop(handle.stop(false));
}
