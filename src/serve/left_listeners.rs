//! The listeners of a worker after the gateway has moved to another address. No other process accepts connections on them, so
//! this one serves the connections that wait there, and closes the listeners: later clients are refused at once.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use actix_server::GracefulShutdownSignal;
use actix_service::{Service as _, ServiceFactory as _};
use actix_web::rt::time::sleep;
use actix_web::{rt, web};
use futures_util::future::poll_fn;
use rustix::net::Shutdown;

use super::PAUSE;
use super::server::http;
use crate::api::connection::ConnectionLimiter;
use crate::gateway::Gateway;

/// The most connections that are taken from one listener. Its backlog is shorter.
const MOST: usize = 8192;

/// What a connection is served with.
#[derive(Clone)]
pub(super) struct HttpParts {
    pub(super) gateway: web::Data<Gateway>,
    pub(super) limiter: Arc<ConnectionLimiter>,
    pub(super) draining: GracefulShutdownSignal,
}

/// Closes the listeners for all processes that have them, and serves what waited there, when the server has paused.
pub(super) async fn close(listeners: Vec<TcpListener>, parts: &HttpParts) {
    sleep(PAUSE).await;
    let mut waiting = Vec::new();
    for listener in &listeners {
        waiting.extend((0..MOST).map_while(|_| next(listener)));
        // Nothing happens between the last accept and this call.
        if let Err(error) = rustix::net::shutdown(listener, Shutdown::Both) {
            log::warn!("the old listener cannot be closed before this worker exits: {error}");
        }
    }
    if waiting.is_empty() {
        return;
    }
    log::debug!("{} connections waited at the old address", waiting.len());
    let threads = parts.gateway.threads();
    let share = waiting.len().div_ceil(threads.len().max(1));
    for thread in threads.iter() {
        let streams: Vec<_> = waiting.drain(..share.min(waiting.len())).collect();
        let parts = parts.clone();
        thread.spawn_fn(move || drop(rt::spawn(serve(streams, parts))));
    }
}

/// A connection that waits; `None` if there is none.
fn next(listener: &TcpListener) -> Option<TcpStream> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Some(stream),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            Err(_) => return None,
        }
    }
}

/// Serves these connections on this thread.
async fn serve(streams: Vec<TcpStream>, HttpParts { gateway, limiter, draining }: HttpParts) {
    let Ok(service) = http(gateway, limiter, draining).new_service(()).await else { return };
    for stream in streams {
        let stream = stream.set_nonblocking(true).and_then(|()| rt::net::TcpStream::from_std(stream));
        let Ok(stream) = stream else { continue };
        if poll_fn(|context| service.poll_ready(context)).await.is_err() {
            return;
        }
        rt::spawn(service.call(stream));
    }
}
