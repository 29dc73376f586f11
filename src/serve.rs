//! The gateway as a server, from start to shutdown.

mod certificate;
mod exhaustion;
mod orders;
mod reload;
mod server;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::rt::time::{sleep, timeout};
use actix_web::web;
use futures_util::future::select;
use vandamme_actors::ledger::LedgerView;
use vandamme_actors::observe::Observe;

use self::orders::{Orders, Shutdown};
use self::reload::Reloader;
use crate::api::connection::ConnectionLimiter;
use crate::config::{Config, Overrides};
use crate::gateway::{Gateway, Listener};
use crate::process::Signals;
use crate::process::descriptors::Descriptors;

/// The pause after the error events, so that they reach the clients.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How the gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Stopped,
    /// It must be started again with the same arguments.
    Restart,
}

/// How the gateway was started.
pub struct Origin {
    /// The sources of its configuration.
    pub overrides: Overrides,
    /// The name of its sessions. The gateway stops when the last of them exits.
    pub sessions: Option<String>,
}

/// Serves on `listener` until SIGTERM, SIGINT or an order over the control socket, then drains: requests in flight may finish
/// within `limits.drain`; a second signal ends them at once.
///
/// # Errors
/// One line for the user who started it.
pub fn serve(listener: TcpListener, config: Config, origin: Origin) -> Result<Ending, String> {
    System::new().block_on(run(listener, config, origin))
}

async fn run(listener: TcpListener, config: Config, origin: Origin) -> Result<Ending, String> {
    let mut reloader = Reloader::new(&config, origin.overrides);
    let (host, limits) = (config.host.clone(), config.settings.limits.clone());
    let gateway = web::Data::new(Gateway::start(config)?);
    let mut signals = Signals::listen().map_err(|error| format!("signals cannot be handled: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("the listener has no address: {error}"))?;
    gateway.listens(Listener { address, host });
    let descriptors = Descriptors::raise(&limits);
    let limiter = Arc::new(ConnectionLimiter::new(descriptors.connections()));
    let server = server::server(listener, &gateway, &limiter)
        .map_err(|error| format!("the server cannot start: {error}"))?;
    actix_web::rt::spawn(exhaustion::watch(gateway.clone().into_inner(), limiter));
    actix_web::rt::spawn(certificate::watch(gateway.clone().into_inner()));
    let handle = server.handle();
    let serving = actix_web::rt::spawn(server);
    let (_control, mut orders) = orders::open(&gateway, address, origin.sessions.as_deref())?;
    let shutdown = orders.until_shutdown(&gateway, &mut reloader, &mut signals).await;
    log::info!(
        "shutting down; waiting up to {} s for {} requests",
        gateway.live_config().settings.limits.drain.as_secs_f64(),
        gateway.in_flight(),
    );
    drain(&gateway, &handle, &mut signals, &mut orders, shutdown).await;
    // A server that is already stopping ignores a second order: the process ends without it.
    drop(timeout(LAST_WORDS, serving).await);
    // Once the ledger answers, the last requests are in the log.
    drop(timeout(LAST_WORDS, gateway.registry.load().ledger.send(Observe::<LedgerView>::new())).await);
    Ok(if shutdown == Shutdown::Restart { Ending::Restart } else { Ending::Stopped })
}

/// Refuses new requests, waits for those in flight, then ends the rest.
async fn drain(
    gateway: &Gateway,
    handle: &ServerHandle,
    signals: &mut Signals,
    orders: &mut Orders,
    shutdown: Shutdown,
) {
    gateway.leave_rotation();
    let stopping = handle.stop(true);
    let impatient = async {
        let drain = gateway.live_config().settings.limits.drain;
        let patience = if shutdown == Shutdown::StopNow { Duration::ZERO } else { drain };
        let second = Box::pin(select(Box::pin(signals.stop()), Box::pin(orders.hurry(gateway))));
        let deadline = Box::pin(sleep(patience));
        select(second, deadline).await;
        gateway.end_replies();
        sleep(LAST_WORDS).await;
    };
    select(Box::pin(stopping), Box::pin(impatient)).await;
    // Drops what is left.
    drop(handle.stop(false));
}
