//! Accepts a client connection, or refuses it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_rt::net::TcpStream;
use actix_web::rt::time::timeout;
use tokio::sync::oneshot;
use vandamme_actors::settings::Limits;

use super::client_io::{self, ClientIo};
use super::limiter::{Class, SlotClaim};
use super::{ClientConnection, ClientStream, ConnectionLimiter, ConnectionPhase, Security, worker};
use crate::gateway::{Bound, Gateway};

/// How long to wait for the other threads to find a connection to close.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many unsent bytes the system buffers. More would only hide how slowly a client reads.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 << 10;

/// Sets a new connection up, or refuses it.
pub(crate) async fn accept(
    io: TcpStream,
    gateway: &Gateway,
    limiter: &Arc<ConnectionLimiter>,
) -> io::Result<(ClientStream, Option<SocketAddr>)> {
    let peer = io.peer_addr().ok();
    let tls = gateway.tls();
    let security = if tls.is_some() { Security::Tls } else { Security::Plain };
    let live = gateway.live_config();
    let limits = &live.settings.limits;
    let slot = match limiter.claim(peer.map(|peer| peer.ip()), limits) {
        SlotClaim::Granted(slot) => slot,
        SlotClaim::Full(mut slot) => {
            // Another connection may have closed in the meantime.
            if !make_room(gateway).await && !slot.fits(limits) {
                slot.class = Class::Reserved;
                gateway.counters.refuse(Bound::Connections);
                if slot.exceeds_reserve(limits) && !worker::close_longest_waiting(Class::Reserved) {
                    return Err(refuse(
                        &io,
                        security,
                        "the gateway has reached its limit of client connections (limits.connections)",
                    ));
                }
            }
            slot
        }
        SlotClaim::Refused => {
            gateway.counters.refuse(Bound::ConnectionsPerAddress);
            return Err(refuse(
                &io,
                security,
                "this address has reached its limit of connections (limits.connections-per-address)",
            ));
        }
    };
    set_up(&io, limits);
    let registration = worker::add(ClientConnection::new(slot, peer, security));
    let io = match tls.as_ref() {
        None => ClientIo::Plain(io),
        Some(tls) => {
            let connection = &registration.0;
            let secured = client_io::secured(io, tls.server_config(), connection).await;
            let secured = secured.inspect_err(|error| {
                log::debug!("the TLS handshake with {} failed: {error}", connection.peer());
            })?;
            // The time limit of the first head starts here.
            connection.enter(ConnectionPhase::Idle, Instant::now());
            secured
        }
    };
    Ok((ClientStream::new(io, registration), peer))
}

fn set_up(io: &TcpStream, limits: &Limits) {
    // Otherwise a reply that is written in several pieces waits for acknowledgements (measured).
    let _ = io.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        // The system closes the connection of a client that acknowledges nothing.
        if let Some(patience) = limits.client_timeout {
            let longest = i32::MAX.unsigned_abs();
            let patience =
                u32::try_from(patience.as_millis()).map_or(longest, |millis| millis.clamp(1, longest));
            if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(io, patience) {
                log::warn!("limits.client-timeout has no effect: {error}");
            }
        }
        if let Err(error) = socket2::SockRef::from(io).set_tcp_notsent_lowat(UNSENT) {
            log::debug!("cannot limit the system's buffer for slow clients: {error}");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = limits;
}

/// Sends the reason if that is possible without waiting. The caller then drops the connection, which closes it. Before a TLS
/// handshake no answer can be sent.
fn refuse(io: &TcpStream, security: Security, why: &str) -> io::Error {
    if security == Security::Tls {
        return io::ErrorKind::ConnectionRefused.into();
    }
    let body = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\"message\":\"{why}\"}}}}");
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // If this fails, the client misses only the reason.
    let _ = socket2::SockRef::from(io).send(reply.as_bytes());
    io::ErrorKind::ConnectionRefused.into()
}

/// Closes the connection that has waited longest for a request, on this thread or another one. Returns `false` if all
/// are in use.
async fn make_room(gateway: &Gateway) -> bool {
    if worker::close_longest_waiting(Class::Ordinary) {
        return true;
    }
    let elsewhere = async {
        for worker in gateway.threads().iter() {
            let (answer, closed) = oneshot::channel();
            worker.spawn_fn(move || {
                // The receiver may have timed out.
                let _ = answer.send(worker::close_longest_waiting(Class::Ordinary));
            });
            if closed.await == Ok(true) {
                return true;
            }
        }
        false
    };
    timeout(PATIENCE, elsewhere).await == Ok(true)
}
