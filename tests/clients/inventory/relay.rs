//! Stands between a client and the gateway, and records the client's requests as they are sent.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::support::wire::{Framing, Head, Wire};

/// A request as the client sent it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

type Requests = Arc<Mutex<Vec<Recorded>>>;

/// Its threads end with the connections and with the test's process.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    requests: Requests,
}

impl Relay {
    pub(super) fn start(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let requests = Requests::default();
        let recorded = requests.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let recorded = recorded.clone();
                thread::spawn(move || relay(client, gateway, &recorded));
            }
        });
        Self { address, requests }
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Passes requests on until either side closes. Replies pass unread.
fn relay(client: TcpStream, gateway: SocketAddr, recorded: &Requests) -> io::Result<()> {
    let mut upstream = TcpStream::connect(gateway)?;
    let (mut replies, mut back) = (upstream.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let copied = io::copy(&mut replies, &mut back);
        drop(back.shutdown(std::net::Shutdown::Both));
        copied
    });
    let mut wire = Wire::new(client);
    while let Some(head) = wire.head()? {
        let body = wire.body(Framing::of_request(&head))?;
        upstream.write_all(&encoded(&head, &body))?;
        recorded.lock().unwrap_or_else(PoisonError::into_inner).push(Recorded { head, body });
    }
    upstream.shutdown(std::net::Shutdown::Write)
}

/// The same request; a chunked body gets a length.
fn encoded(head: &Head, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{}\r\n", head.first);
    for (name, value) in &head.headers {
        if !matches!(name.to_ascii_lowercase().as_str(), "transfer-encoding" | "content-length") {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if !body.is_empty() {
        bytes.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    bytes.push_str("\r\n");
    [bytes.as_bytes(), body].concat()
}
