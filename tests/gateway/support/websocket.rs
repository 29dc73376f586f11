//! A client of a WebSocket that sends given bytes, and reads the server's frames one by one (RFC 6455).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;
use super::client::{Call, connect};

/// The kinds of frames.
pub(crate) const TEXT: u8 = 1;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The key of the example in RFC 6455, section 1.3, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request that opens a WebSocket.
pub(crate) fn upgrade(address: SocketAddr) -> Call {
    Call::new(address, "GET", "/v1/responses")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", KEY)
        .header("openai-beta", "responses_websockets=2026-02-06")
        .header("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")
}

/// An open connection.
pub(crate) struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerFrame {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

impl ServerFrame {
    pub(crate) fn text(&self) -> String {
        assert_eq!(self.kind, TEXT, "{self:?}");
        String::from_utf8(self.payload.clone()).expect("UTF-8")
    }
}

impl Socket {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::opened_by(&upgrade(address), address)
    }

    /// Sends this request and reads the head of the answer, which must accept it.
    pub(crate) fn opened_by(call: &Call, address: SocketAddr) -> Self {
        let stream = connect(address);
        (&stream).write_all(&call.bytes()).expect("the gateway takes the request");
        let mut socket = Self { stream, unread: Vec::new() };
        let head = loop {
            if let Some(end) = socket.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = socket.unread.split_off(end + 4);
                break String::from_utf8(std::mem::replace(&mut socket.unread, rest)).expect("a head");
            }
            assert!(socket.more(), "closed without a head: {:?}", String::from_utf8_lossy(&socket.unread));
        };
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let lower = head.to_ascii_lowercase();
        assert!(head.contains(ACCEPT) && lower.contains("upgrade: websocket"), "{head}");
        for forbidden in
            ["sec-websocket-extensions", "transfer-encoding", "content-length", "connection: close"]
        {
            assert!(!lower.contains(forbidden), "{head}");
        }
        socket
    }

    /// Sends a text as one frame.
    pub(crate) fn send(&mut self, text: &Value) {
        self.send_bytes(&frame(TEXT, text.to_string().as_bytes()));
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the gateway takes the frame");
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<ServerFrame> {
        loop {
            if let Some(frame) = self.parsed() {
                return Some(frame);
            }
            if !self.more() {
                assert!(self.unread.is_empty(), "cut off inside of a frame: {:?}", self.unread);
                return None;
            }
        }
    }

    /// The next text. Pings are answered.
    pub(crate) fn text(&mut self) -> String {
        loop {
            let frame = self.frame().expect("the connection is open");
            if frame.kind == PING {
                self.send_bytes(&self::frame(PONG, &frame.payload));
            } else if frame.kind != PONG {
                return frame.text();
            }
        }
    }

    pub(crate) fn json(&mut self) -> Value {
        serde_json::from_str(&self.text()).expect("JSON")
    }

    /// The texts up to the last event of a response, or up to an error.
    pub(crate) fn response(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            texts.push(self.text());
            let last: Value = texts.last().and_then(|text| serde_json::from_str(text).ok()).expect("JSON");
            let kind = last["type"].as_str().unwrap_or_default();
            if matches!(kind, "response.completed" | "response.incomplete" | "response.failed" | "error") {
                return texts;
            }
        }
    }

    /// The code of the close frame, which is the next one but for pings, and which this side confirms.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        let frame = loop {
            let frame = self.frame().expect("a close frame");
            if !matches!(frame.kind, PING | PONG) {
                break frame;
            }
        };
        assert_eq!(frame.kind, CLOSE, "{:?}", String::from_utf8_lossy(&frame.payload));
        // The connection may be closed already.
        let _sent = self.stream.write_all(&self::frame(CLOSE, &frame.payload));
        Some(u16::from_be_bytes(frame.payload.get(..2)?.try_into().ok()?))
    }

    /// Whether the gateway closes the connection without a further frame.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.frame().is_none()
    }

    /// Panics if a frame arrives within half a second.
    pub(crate) fn assert_silent(&mut self) {
        self.stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
        let came = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let silent = came.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(silent && self.unread.is_empty(), "silence was expected");
    }

    /// Closes the connection like a killed client.
    pub(crate) fn hang_up(self) {
        let _closed = self.stream.shutdown(Shutdown::Both);
    }

    fn parsed(&mut self) -> Option<ServerFrame> {
        let (first, second) = (*self.unread.first()?, *self.unread.get(1)?);
        assert_eq!(second & 0x80, 0, "a server does not mask");
        assert_eq!(first & 0xf0, 0x80, "frames of the gateway are whole and have no extension");
        let (header, length) = match second {
            126 => (4, number(self.unread.get(2..4)?)),
            127 => (10, number(self.unread.get(2..10)?)),
            length => (2, usize::from(length)),
        };
        let payload = self.unread.get(header..header + length)?.to_vec();
        self.unread.drain(..header + length);
        Some(ServerFrame { kind: first & 0x0f, payload })
    }

    /// Waits for more bytes. Returns `false` at the end.
    fn more(&mut self) -> bool {
        let mut piece = [0; 16 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(read) => {
                self.unread.extend_from_slice(&piece[..read]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// A masked frame that others continue.
pub(crate) fn fragment(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(kind, payload);
    bytes[0] &= 0x7f;
    bytes
}

/// A masked frame.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![0x80 | kind];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length.to_be_bytes()[7]),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&length.to_be_bytes()[6..]);
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
