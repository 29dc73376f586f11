//! Client connections: their cost, their timeouts, and the order of requests and replies.

mod descriptors;
mod expectations;
mod heads;
mod limits;
mod old_clients;
mod pipelining;
mod slow_readers;

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::wire::{Framing, Head, Wire};

/// Reads the next reply on a connection, to a request with this method.
fn reply(wire: &mut Wire, method: &str) -> (Head, String) {
    let head = wire.head().expect("a readable reply").expect("the gateway closed without a reply");
    let framing = if method == "HEAD" { Framing::Length(0) } else { Framing::of_reply(&head) };
    let body = wire.body(framing).expect("a whole body");
    (head, String::from_utf8_lossy(&body).into_owned())
}

/// Waits until the gateway has closed the connection, and returns what it sent before.
#[track_caller]
fn closed(stream: &mut TcpStream) -> String {
    let until = Instant::now() + PATIENCE;
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => said.extend_from_slice(&buffer[..read]),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {
                assert!(Instant::now() < until, "the connection stays open");
            }
            Err(_reset) => break,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}
