//! Accepts a client connection, or refuses it.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_web::rt::time::timeout;
use tokio::sync::oneshot;
use vandamme_actors::settings::Limits;

use super::limiter::{Class, SlotClaim};
use super::{ClientConnection, ClientStream, ConnectionLimiter, worker};
use crate::gateway::Gateway;

/// How long the other threads may take to find a connection to close.
const PATIENCE: Duration = Duration::from_secs(1);
/// So much may wait in the system's buffer unsent. More would only hide how slowly a client reads.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 << 10;

/// Sets a new connection up, or refuses it.
pub(crate) async fn accept(
    io: TcpStream,
    gateway: &Gateway,
    limiter: &Arc<ConnectionLimiter>,
) -> io::Result<(ClientStream, Option<SocketAddr>)> {
    let peer = io.peer_addr().ok();
    let live = gateway.live_config();
    let limits = &live.settings.limits;
    let slot = match limiter.claim(peer.map(|peer| peer.ip()), limits) {
        SlotClaim::Granted(slot) => slot,
        SlotClaim::Full(mut slot) => {
            // Another one may have closed meanwhile.
            if !make_room(gateway).await && !slot.fits(limits) {
                slot.class = Class::Reserved;
                if slot.exceeds_reserve(limits) && !worker::close_longest_waiting(Class::Reserved) {
                    return Err(refuse(&io, "the gateway has as many client connections as it may have"));
                }
            }
            slot
        }
        SlotClaim::Refused => return Err(refuse(&io, "there are too many connections from this address")),
    };
    set_up(&io, limits);
    let connection = Rc::new(ClientConnection::new(slot, peer));
    worker::add(&connection);
    Ok((ClientStream::new(io, connection), peer))
}

fn set_up(io: &TcpStream, limits: &Limits) {
    // Otherwise a reply that is written in several pieces waits for acknowledgements (measured).
    let _ = io.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        // The system closes the connection of a client that takes nothing at all.
        if let Some(patience) = limits.client_timeout {
            let longest = i32::MAX.unsigned_abs();
            let patience =
                u32::try_from(patience.as_millis()).map_or(longest, |millis| millis.clamp(1, longest));
            if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(io, patience) {
                log::warn!("limits.client-timeout has no effect: {error}");
            }
        }
        if let Err(error) = socket2::SockRef::from(io).set_tcp_notsent_lowat(UNSENT) {
            log::debug!("the system buffers more for slow clients than it should: {error}");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = limits;
}

/// Says why as far as that is possible without waiting, and leaves the connection to be closed.
fn refuse(io: &TcpStream, why: &str) -> io::Error {
    let body = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\"message\":\"{why}\"}}}}");
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // A client that does not take it has lost nothing but the reason.
    let _ = socket2::SockRef::from(io).send(reply.as_bytes());
    io::ErrorKind::ConnectionRefused.into()
}

/// Closes the connection that has waited longest for a request, on this thread or another one; `false` when all are in use.
async fn make_room(gateway: &Gateway) -> bool {
    if worker::close_longest_waiting(Class::Ordinary) {
        return true;
    }
    let elsewhere = async {
        for worker in gateway.threads().iter() {
            let (answer, closed) = oneshot::channel();
            worker.spawn_fn(move || {
                // Whoever asked may have given up.
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
