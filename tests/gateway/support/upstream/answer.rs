//! The answer of an upstream to one request, with its faults.

use std::time::Duration;

/// One answer of the script. The head is sent before the pieces, unless a hold is set.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) framing: Framed,
    pub(super) before_head: Vec<Piece>,
    pub(super) pieces: Vec<Piece>,
    pub(super) ending: Ending,
}

/// How the end of the body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// `content-length`, which may be wrong.
    Length(usize),
    Chunked,
    /// Neither header: the body ends with the connection.
    Close,
    /// No generated head: the pieces are all bytes.
    Bare,
}

/// A step of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// In one write, and one chunk if chunked.
    Bytes(Vec<u8>),
    /// Byte by byte, each in its own segment (and its own chunk if chunked).
    Trickle(Vec<u8>),
    /// Waits for a permit of the test.
    Permit,
    Pause(Duration),
    /// Sends nothing more, until the gateway disconnects.
    Silence,
    /// Repeats these bytes, until the gateway disconnects.
    Flood(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The body's proper end. The connection serves further requests.
    KeepAlive,
    /// The body's proper end, then FIN.
    Close,
    /// FIN without the body's end.
    Cut,
    /// RST without the body's end.
    Reset,
}

impl Answer {
    fn new(status: u16, framing: Framed) -> Self {
        Self {
            status,
            headers: Vec::new(),
            framing,
            before_head: Vec::new(),
            pieces: Vec::new(),
            ending: Ending::KeepAlive,
        }
    }

    /// A whole body with its `content-length`.
    pub(crate) fn whole(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let mut answer = Self::new(status, Framed::Length(body.len())).header("content-type", content_type);
        answer.pieces.push(Piece::Bytes(body));
        answer
    }

    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::whole(status, "application/json", body)
    }

    /// A 200 of server-sent events, each its own chunk.
    pub(crate) fn events(events: Vec<Vec<u8>>) -> Self {
        Self::pieces(events.into_iter().map(Piece::Bytes).collect())
    }

    /// A 200 of server-sent events in these steps.
    pub(crate) fn pieces(pieces: Vec<Piece>) -> Self {
        let mut answer =
            Self::new(200, Framed::Chunked).header("content-type", "text/event-stream; charset=utf-8");
        answer.pieces = pieces;
        answer
    }

    /// Exactly these bytes: head, framing and body.
    pub(crate) fn bare(bytes: impl Into<Vec<u8>>) -> Self {
        let mut answer = Self::new(0, Framed::Bare);
        answer.pieces.push(Piece::Bytes(bytes.into()));
        answer.ending = Ending::Close;
        answer
    }

    /// Exactly these bytes, in these steps. Then the connection serves further requests.
    pub(crate) fn raw(pieces: Vec<Piece>) -> Self {
        let mut answer = Self::new(0, Framed::Bare);
        answer.pieces = pieces;
        answer
    }

    /// Reads the request and never answers.
    pub(crate) fn silence() -> Self {
        let mut answer = Self::new(0, Framed::Bare);
        answer.pieces.push(Piece::Silence);
        answer
    }

    /// Reads the request and closes the connection.
    pub(crate) fn hang_up() -> Self {
        let mut answer = Self::new(0, Framed::Bare);
        answer.ending = Ending::Cut;
        answer
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The head waits for a permit of the test.
    pub(crate) fn head_on_permit(mut self) -> Self {
        self.before_head.push(Piece::Permit);
        self
    }

    pub(crate) fn head_after(mut self, pause: Duration) -> Self {
        self.before_head.push(Piece::Pause(pause));
        self
    }

    /// Declares another length than the body's.
    pub(crate) fn claiming_length(mut self, length: usize) -> Self {
        self.framing = Framed::Length(length);
        self
    }

    /// The body ends with the connection.
    pub(crate) fn until_close(mut self) -> Self {
        self.framing = Framed::Close;
        self.ending = Ending::Close;
        self
    }

    pub(crate) fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// The body's first `bytes`, then `ending`.
    pub(crate) fn broken_after(mut self, bytes: usize, ending: Ending) -> Self {
        let mut body = self.body();
        body.truncate(bytes);
        self.pieces = vec![Piece::Bytes(body)];
        self.ending = ending;
        self
    }

    /// The body's first `bytes` in one write, then nothing.
    pub(crate) fn silent_after(mut self, bytes: usize) -> Self {
        let mut body = self.body();
        body.truncate(bytes);
        self.pieces = vec![Piece::Bytes(body), Piece::Silence];
        self
    }

    /// Another body in these steps, chunked.
    pub(crate) fn in_pieces(mut self, pieces: Vec<Piece>) -> Self {
        self.framing = Framed::Chunked;
        self.pieces = pieces;
        self
    }

    /// Another content type.
    pub(crate) fn typed(mut self, content_type: &str) -> Self {
        self.headers.retain(|(name, _)| name != "content-type");
        self.header("content-type", content_type)
    }

    /// No content type.
    pub(crate) fn unlabelled(mut self) -> Self {
        self.headers.retain(|(name, _)| name != "content-type");
        self
    }

    /// Repeats these bytes after the body.
    pub(crate) fn flooding(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.pieces.push(Piece::Flood(bytes.into()));
        self
    }

    /// The body in two writes, split at this byte.
    pub(crate) fn split_at(mut self, byte: usize) -> Self {
        let mut body = self.body();
        let rest = body.split_off(byte);
        self.pieces = vec![Piece::Bytes(body), Piece::Bytes(rest)];
        self
    }

    pub(crate) fn byte_by_byte(mut self) -> Self {
        self.pieces = vec![Piece::Trickle(self.body())];
        self
    }

    /// All bytes of the body.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) | Piece::Trickle(bytes) => body.extend_from_slice(bytes),
                Piece::Permit | Piece::Pause(_) | Piece::Silence | Piece::Flood(_) => {}
            }
        }
        body
    }

    pub(super) fn head(&self) -> Vec<u8> {
        if self.framing == Framed::Bare {
            return Vec::new();
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.framing {
            Framed::Length(length) => head.push_str(&format!("content-length: {length}\r\n")),
            Framed::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
            Framed::Close => head.push_str("connection: close\r\n"),
            Framed::Bare => {}
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}
