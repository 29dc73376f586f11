//! Clients that send short requests one after the other, and count what is lost.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::wire::{Framing, Wire};

/// Whether a client uses its connection again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// As long as the gateway keeps it open.
    KeepAlive,
    NewConnections,
}

/// Clients at work.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(crate) fn start(gateway: &Gateway, clients: usize, reuse: Reuse) -> Self {
        Self::start_for(gateway, MODEL, clients, reuse)
    }

    /// With requests for this model.
    pub(crate) fn start_for(gateway: &Gateway, model: &str, clients: usize, reuse: Reuse) -> Self {
        let (over, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let request = gateway.messages(&whole_prompt(model, "hi")).bytes();
        let clients = (0..clients).map(|_| {
            let client = Client { address: gateway.address, reuse, request: request.clone() };
            let (over, served) = (over.clone(), served.clone());
            thread::spawn(move || client.run(&over, &served))
        });
        Self { clients: clients.collect(), over, served }
    }

    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    /// Waits until so many more requests have been served.
    pub(crate) fn await_more(&self, count: usize) {
        let before = self.served();
        crate::support::await_that("more requests are served", || self.served() >= before + count);
    }

    /// Ends it. What happened to the requests that were lost, and how many were served.
    pub(crate) fn finish(self) -> (Vec<String>, usize) {
        self.over.store(true, Ordering::SeqCst);
        let lost = self.clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect();
        (lost, self.served.load(Ordering::SeqCst))
    }
}

struct Client {
    address: SocketAddr,
    reuse: Reuse,
    request: Vec<u8>,
}

impl Client {
    fn run(&self, over: &AtomicBool, served: &AtomicUsize) -> Vec<String> {
        let (mut lost, mut connection) = (Vec::new(), None);
        while !over.load(Ordering::SeqCst) {
            match self.request(connection.take()) {
                Ok(kept) => {
                    served.fetch_add(1, Ordering::SeqCst);
                    connection = kept;
                }
                Err(why) => {
                    lost.push(why);
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
        lost
    }

    /// One request; the connection, if the next one may use it.
    fn request(&self, connection: Option<(TcpStream, Wire)>) -> Result<Option<(TcpStream, Wire)>, String> {
        let is_reused = connection.is_some();
        let failed = |what: &str| format!("{what}, reused: {is_reused}");
        let (mut stream, mut wire) = match connection {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(self.address).map_err(|error| failed(&error.to_string()))?;
                stream.set_read_timeout(Some(crate::support::PATIENCE)).expect("a socket");
                let wire = Wire::new(stream.try_clone().expect("a descriptor"));
                (stream, wire)
            }
        };
        stream.write_all(&self.request).map_err(|error| failed(&error.to_string()))?;
        let head = wire.head().map_err(|error| failed(&error.to_string()))?;
        let head = head.ok_or_else(|| failed("closed without a reply"))?;
        wire.body(Framing::of_reply(&head)).map_err(|error| failed(&error.to_string()))?;
        if head.second_word() != "200" {
            return Err(failed(&head.first));
        }
        let closes = head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok((!closes && self.reuse == Reuse::KeepAlive).then_some((stream, wire)))
    }
}
