//! The HTTP server: connections from the listeners to the application.
//!
//! It is what `actix_web::HttpServer` builds, with a stream of our own between TCP and HTTP (`src/api/connection.rs`).

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_rt::Arbiter;
use actix_rt::net::TcpStream;
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, web};

use crate::api::connection::{self, ClientStream, ConnectionLimiter};
use crate::api::{self, cors};
use crate::gateway::Gateway;

/// For the client to close a connection that we have closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// `limits.drain` decides, which can change while the gateway runs; this is longer than it can be.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2 * 366 * 86_400);

pub(super) fn server(
    listeners: Vec<TcpListener>,
    gateway: &web::Data<Gateway>,
    limiter: &Arc<ConnectionLimiter>,
) -> std::io::Result<(Server, GracefulShutdownSignal)> {
    let mut builder = Server::build()
        .disable_signals()
        .workers(workers())
        // The limiter decides, which can also refuse and make room.
        .max_concurrent_connections(i32::MAX.unsigned_abs() as usize)
        .shutdown_timeout(SHUTDOWN_TIMEOUT.as_secs());
    let draining = builder.graceful_shutdown_signal();
    for (number, listener) in listeners.into_iter().enumerate() {
        builder = listen(builder, number, listener, gateway, limiter)?;
    }
    Ok((builder.run(), draining))
}

/// Adds a listener.
fn listen(
    builder: ServerBuilder,
    number: usize,
    listener: TcpListener,
    gateway: &web::Data<Gateway>,
    limiter: &Arc<ConnectionLimiter>,
) -> std::io::Result<ServerBuilder> {
    let draining = builder.graceful_shutdown_signal();
    let (gateway, limiter) = (gateway.clone(), limiter.clone());
    builder.listen(format!("http-{number}"), listener, move || {
        // Each thread starts a service for every listener.
        if number == 0 {
            gateway.enlist(Arbiter::current());
            connection::start_sweeps(gateway.clone().into_inner());
        }
        http(gateway.clone(), limiter.clone(), draining.clone())
    })
}

/// What serves a connection on the thread that has accepted it.
pub(super) fn http(
    gateway: web::Data<Gateway>,
    limiter: Arc<ConnectionLimiter>,
    draining: GracefulShutdownSignal,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> {
    let shared = gateway.clone();
    let app = App::new()
        .app_data(web::Data::from(limiter.clone()))
        .configure(api::endpoints(&gateway))
        .wrap_fn(move |request, app| cors::handle(request, app, &shared));
    let app = apply_fn_factory(map_config(app, |()| AppConfig::default()), connection::serve);
    let http = HttpService::build()
        // As HttpServer does it; the method is public, but not documented.
        .graceful_shutdown_signal(move || {
            let draining = draining.clone();
            async move { draining.notified().await }
        })
        // The sweep closes idle connections and those whose request does not arrive.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        // Otherwise a client that goes away is not noticed while the upstream is silent (measured).
        .h1_allow_half_closed(false)
        .on_connect_ext(|stream: &ClientStream, data: &mut actix_http::Extensions| {
            data.insert(stream.connection().clone());
        })
        .h1(app);
    fn_service(move |io: TcpStream| {
        let (gateway, limiter) = (gateway.clone(), limiter.clone());
        async move { connection::accept(io, &gateway, &limiter).await.map_err(DispatchError::Io) }
    })
    .and_then(http)
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
