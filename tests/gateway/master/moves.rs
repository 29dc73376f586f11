//! A restart onto another port.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{restart, runs};
use crate::process_control::paused;
use crate::support::PATIENCE;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, free_port};

/// Restarts the gateway onto a port that was free when it was chosen.
pub(super) fn move_away(gateway: &mut Gateway) {
    for _ in 0..5 {
        let port = free_port();
        gateway.run.write("vandamme-config.toml", &format!("port = {port}\n"));
        let output = gateway.server(&["restart"]).output().expect("vdm is built");
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            gateway.address.set_port(port);
            return;
        }
        assert!(said.contains("is already in use"), "{said}");
    }
    panic!("no port stayed free long enough")
}

/// Sends request after request, each on a new connection, until one is refused. Returns how many were answered.
fn ask_until_refused(address: SocketAddr) -> Result<usize, String> {
    let until = Instant::now() + PATIENCE;
    let mut answered = 0;
    while Instant::now() < until {
        let mut stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(answered),
            Err(error) => return Err(format!("after {answered} answers: {error}")),
        };
        stream.set_read_timeout(Some(PATIENCE / 4)).expect("a socket");
        let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let mut answer = String::new();
        let asked = stream.write_all(request).and_then(|()| stream.read_to_string(&mut answer));
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(format!("after {answered} answers: {asked:?} {answer:?}"));
        }
        answered += 1;
    }
    Err(format!("never refused; {answered} answers"))
}

/// Requirement (issue 15): after a restart onto another port the old port refuses clients while the old worker still drains, and
/// every client that was connected before is served. The gateway can move back.
#[test]
fn the_old_port_refuses_clients_while_the_old_worker_drains() {
    let (upstream, events) = paused();
    let mut gateway = Gateway::before(&upstream).port_in_file().start();
    let (old_address, old_worker) = (gateway.address, gateway.worker());
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");
    let clients: Vec<_> = (0..4).map(|_| thread::spawn(move || ask_until_refused(old_address))).collect();
    thread::sleep(Duration::from_millis(200));

    move_away(&mut gateway);

    for client in clients {
        let answered = client.join().expect("no panic").unwrap_or_else(|lost| panic!("{lost}"));
        assert!(answered > 0);
    }
    assert!(runs(old_worker), "it still serves its stream");
    assert_eq!(gateway.get("/health").status(), 200);
    let new_port = gateway.address.port();
    gateway.run.write("vandamme-config.toml", &format!("port = {}\n", old_address.port()));
    let back = restart(&gateway);
    assert_eq!(back["address"], old_address.to_string());
    assert!(TcpStream::connect(old_address).is_ok() && new_port != old_address.port());
    assert!(runs(old_worker), "it still serves its stream");
    upstream.permit();
    assert_eq!(exchange.finish().body, events.concat());
}
