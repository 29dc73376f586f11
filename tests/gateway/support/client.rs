//! A client that sends given bytes and reads the reply piece by piece.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::PATIENCE;
use super::reply::{self, Event, Reply};
use super::wire::{Framing, Head, Wire};

/// A request under construction.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The body of a Messages request, streamed.
pub(crate) fn prompt(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 1024, "stream": true, "messages": [{"role": "user", "content": text}]})
}

impl Call {
    /// Whether the target begins like this.
    pub(crate) fn is_to(&self, prefix: &str) -> bool {
        self.target.starts_with(prefix)
    }

    pub(crate) fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        Self {
            address,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![("host".to_owned(), address.to_string())],
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn replacing_host(mut self, host: &str) -> Self {
        self.headers.retain(|(name, _)| name != "host");
        self.header("host", host)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sends the request and reads the head of the reply. The rest is read on demand.
    pub(crate) fn open(&self) -> Exchange {
        let mut exchange = self.send();
        exchange.head();
        exchange
    }

    /// Sends the request and reads nothing.
    pub(crate) fn send(&self) -> Exchange {
        let stream = connect(self.address);
        (&stream).write_all(&self.bytes()).expect("the gateway takes the request");
        Exchange { bodiless: self.method == "HEAD", ..Exchange::new(stream) }
    }

    /// Sends the request and reads the whole reply.
    pub(crate) fn reply(&self) -> Reply {
        self.open().finish()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let framed =
            self.headers.iter().any(|(name, _)| name == "content-length" || name == "transfer-encoding");
        if !framed && (!self.body.is_empty() || self.method == "POST") {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A raw connection, for misbehaving clients.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// A request that was sent; dropping it closes the connection.
pub(crate) struct Exchange {
    stream: TcpStream,
    wire: Wire,
    head: Option<(Head, Framing)>,
    text: Vec<u8>,
    taken: usize,
    /// Whether the request is HEAD, whose reply has a length but no body.
    bodiless: bool,
}

impl Exchange {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let wire = Wire::new(stream.try_clone().expect("a descriptor"));
        Self { stream, wire, head: None, text: Vec::new(), taken: 0, bodiless: false }
    }

    /// The reply's head, once it has arrived.
    pub(crate) fn head(&mut self) -> Head {
        if self.head.is_none() {
            let head = self.wire.head().unwrap_or_else(|error| panic!("no reply: {error}"));
            let head = head.expect("the gateway closed without a reply");
            let bodiless = self.bodiless || matches!(head.second_word(), "204" | "304");
            let framing = if bodiless { Framing::Length(0) } else { Framing::of_reply(&head) };
            self.head = Some((head, framing));
        }
        self.head.as_ref().map(|(head, _)| head.clone()).expect("just read")
    }

    /// Reads another head, after that of an interim reply.
    pub(crate) fn next_head(&mut self) -> Head {
        self.head = None;
        self.head()
    }

    pub(crate) fn status(&mut self) -> u16 {
        self.head().second_word().parse().expect("a status")
    }

    /// The next event of the stream as soon as it is complete; `None` at the end.
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.head();
        loop {
            let text = String::from_utf8_lossy(&self.text[self.taken..]).into_owned();
            if let Some(event) = reply::events(&text).0.into_iter().next() {
                self.taken += event.raw.len();
                return Some(event);
            }
            if !self.more().unwrap_or_else(|error| panic!("{error} after {text:?}")) {
                return None;
            }
        }
    }

    /// The next event with this name. Skips others.
    pub(crate) fn event_named(&mut self, name: &str) -> Event {
        loop {
            let event = self.event().unwrap_or_else(|| panic!("the stream ended without {name}"));
            if event.name == name {
                return event;
            }
        }
    }

    /// Waits for more bytes. Returns `false` at the end.
    fn more(&mut self) -> io::Result<bool> {
        let Some((_, framing)) = self.head.as_mut() else { return Ok(false) };
        let piece = self.wire.piece(framing)?;
        self.text.extend_from_slice(piece.as_deref().unwrap_or_default());
        Ok(piece.is_some())
    }

    /// Reads to the end.
    pub(crate) fn finish(mut self) -> Reply {
        let head = self.head();
        let complete = loop {
            match self.more() {
                Ok(true) => {}
                Ok(false) => break true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the reply never ends: {head:?}")
                }
                Err(_) => break false,
            }
        };
        Reply { head, body: self.text, complete }
    }

    /// Panics if anything arrives within half a second.
    pub(crate) fn assert_silent(&self) {
        self.stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
        let came = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        assert!(came.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock), "silence was expected");
    }

    /// Closes the connection like a killed client.
    pub(crate) fn hang_up(self) {
        let _closed = self.stream.shutdown(Shutdown::Both);
    }

    /// Shuts down the sending side, which no HTTP/1.1 client does while it waits.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a socket");
    }
}
