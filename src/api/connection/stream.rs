//! The stream through which the HTTP server reads and writes a client's TCP connection, one request at a time.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf as _, BytesMut};
use memchr::memchr_iter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client_io::ClientIo;
use super::framing::{self, Head, RequestFraming};
use super::{ClientConnection, Closing, ConnectionPhase, Held, Interim, Registration, Security};

/// The longest head that the HTTP server accepts.
const LONGEST_HEAD: usize = 128 << 10;
/// How many bytes of further requests are kept while one is in progress.
const LONGEST_PIPELINE: usize = 64 << 10;
/// The longest end of a head (`\n\r\n` and the `\r` before it), less one byte.
const END_OF_HEAD: usize = 3;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

pub(crate) struct ClientStream {
    io: ClientIo,
    connection: Rc<ClientConnection>,
    _registration: Registration,
    reading: ReadState,
    /// Bytes that have arrived and that the server must not read yet.
    held: BytesMut,
    /// How many of those have been searched for the end of a head, and the length at which they are parsed in any case.
    searched: usize,
    parse_at: usize,
}

enum ReadState {
    /// The head of the next request.
    Head,
    Request(RequestFraming),
    /// The request has arrived. Later bytes belong to the next one.
    Next,
}

impl ClientStream {
    pub(super) fn new(io: ClientIo, registration: Registration) -> Self {
        Self {
            io,
            connection: registration.0.clone(),
            _registration: registration,
            reading: ReadState::Head,
            held: BytesMut::new(),
            searched: 0,
            parse_at: 0,
        }
    }

    pub(crate) fn connection(&self) -> &Rc<ClientConnection> {
        &self.connection
    }

    /// The result of a read if the connection is being closed.
    fn closing(&mut self) -> Option<io::Result<()>> {
        match self.connection.closing.get()? {
            Closing::Idle => Some(Ok(())),
            Closing::HeadTimeout => {
                // No reply is in progress while a head is missing. Sending the reason is best effort, so an error is ignored.
                if !self.connection.flow.get().blocked {
                    self.io.write_at_once(HEAD_TIMEOUT);
                }
                Some(Ok(()))
            }
            Closing::Abort => Some(Err(self.abort())),
        }
    }

    fn abort(&self) -> io::Error {
        // Otherwise the system would keep the unsent bytes.
        self.io.reset_on_close();
        io::ErrorKind::ConnectionAborted.into()
    }

    /// Copies held bytes of the current request to `buffer`. Returns `false` if more bytes must arrive first.
    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if matches!(self.reading, ReadState::Head) {
            if !self.may_be_whole_head() {
                return false;
            }
            match framing::head(&mut self.held) {
                Head::Partial if self.held.len() < LONGEST_HEAD => {
                    self.partial_head();
                    return false;
                }
                // The HTTP server answers with the reason.
                Head::Partial | Head::Invalid => self.begin_unframed(),
                Head::Complete { request, interim } => self.begin(request, interim),
            }
        }
        let ReadState::Request(request) = &mut self.reading else { return false };
        let fits = self.held.len().min(buffer.remaining());
        let taken = request.take(&self.held[..fits]);
        buffer.put_slice(&self.held[..taken]);
        self.held.advance(taken);
        if self.held.is_empty() {
            // Frees the memory: few connections need it again.
            self.held = BytesMut::new();
        }
        self.end_if_complete();
        taken > 0
    }

    /// Whether parsing is worth while. Searches only new bytes, so a head that arrives slowly is not parsed again and again.
    fn may_be_whole_head(&mut self) -> bool {
        let new = self.searched.saturating_sub(END_OF_HEAD).min(self.held.len());
        self.searched = self.held.len();
        self.held.len() >= self.parse_at || ends_head(&self.held[new..])
    }

    fn partial_head(&mut self) {
        // Empty lines before a request are not part of it (RFC 9112, section 2.2).
        if self.held.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            self.held.clear();
        }
        (self.searched, self.parse_at) = (self.held.len(), self.held.len() * 2);
        if !self.held.is_empty() && self.connection.phase.get() == ConnectionPhase::Idle {
            self.connection.enter(ConnectionPhase::Head, Instant::now());
        }
    }

    fn begin(&mut self, request: RequestFraming, interim: Interim) {
        self.reading = ReadState::Request(request);
        (self.searched, self.parse_at) = (0, 0);
        self.connection.begin();
        self.connection.interim.set(interim);
    }

    /// Begins a request whose end cannot be determined. The connection ends with its reply.
    fn begin_unframed(&mut self) {
        self.connection.held.set(Held::Discarded);
        self.begin(RequestFraming::unframed(), Interim::None);
    }

    fn end_if_complete(&mut self) {
        if matches!(&self.reading, ReadState::Request(request) if request.is_complete()) {
            self.reading = ReadState::Next;
            self.connection.request_read();
        }
    }

    /// Handles the bytes that have just arrived in `buffer` after its first `before` bytes. Those that the server must not read
    /// yet are moved to `held`. Returns `false` if none are left in `buffer`.
    fn arrived(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> bool {
        let new = &mut buffer.filled_mut()[before..];
        if matches!(self.reading, ReadState::Head) && self.held.is_empty() {
            match framing::head(new) {
                Head::Partial => {}
                Head::Invalid => self.begin_unframed(),
                Head::Complete { request, interim } => self.begin(request, interim),
            }
        }
        let new = &buffer.filled()[before..];
        let taken = match &mut self.reading {
            ReadState::Request(request) => request.take(new),
            ReadState::Head | ReadState::Next => 0,
        };
        self.end_if_complete();
        self.hold(&buffer.filled()[before + taken..]);
        buffer.set_filled(before + taken);
        taken > 0
    }

    /// Keeps these bytes for later.
    fn hold(&mut self, bytes: &[u8]) {
        let connection = &self.connection;
        if connection.held.get() == Held::Discarded {
            return;
        }
        let pipelined = matches!(self.reading, ReadState::Next);
        if pipelined && self.held.len() + bytes.len() > LONGEST_PIPELINE {
            self.held = BytesMut::new();
            connection.held.set(Held::Discarded);
            return;
        }
        self.held.extend_from_slice(bytes);
    }
}

fn ends_head(bytes: &[u8]) -> bool {
    memchr_iter(b'\n', bytes).any(|end| {
        let rest = &bytes[end + 1..];
        rest.starts_with(b"\r\n") || rest.starts_with(b"\n")
    })
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.connection.runs_in(task);
        if let Some(ended) = this.closing() {
            return Poll::Ready(ended);
        }
        loop {
            if matches!(this.reading, ReadState::Next)
                && this.connection.phase.get() != ConnectionPhase::Serving
            {
                if this.connection.held.get() == Held::Discarded {
                    return Poll::Ready(Ok(()));
                }
                this.reading = ReadState::Head;
            }
            if !this.held.is_empty() && this.hand_over(buffer) {
                return Poll::Ready(Ok(()));
            }
            if this.connection.held.get() != Held::Discarded {
                this.connection.held.set(if this.held.is_empty() { Held::Nothing } else { Held::Bytes });
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(task, buffer))?;
            if buffer.filled().len() == before || this.arrived(buffer, before) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl ClientStream {
    /// Sends the rest of `100 Continue`.
    fn poll_continue(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Interim::Sending(sent) = self.connection.interim.get() {
            let Some(rest) = CONTINUE.get(sent..).filter(|rest| !rest.is_empty()) else {
                self.connection.interim.set(Interim::None);
                break;
            };
            let more = ready!(Pin::new(&mut self.io).poll_write(task, rest))?;
            self.connection.interim.set(Interim::Sending(sent + more));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let connection = &this.connection;
        if connection.closing.get() == Some(Closing::Abort) {
            return Poll::Ready(Err(this.abort()));
        }
        // An interim reply that has begun must be completed before the final one. One that has not begun is omitted.
        if matches!(connection.interim.get(), Interim::Sending(1..)) {
            ready!(this.poll_continue(task))?;
        }
        let connection = &this.connection;
        let written = Pin::new(&mut this.io).poll_write(task, bytes);
        connection.flow.set(connection.flow.get().after(&written));
        written
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_continue(task))?;
        let flushed = Pin::new(&mut this.io).poll_flush(task);
        let connection = &this.connection;
        if connection.security == Security::Tls {
            // Encrypted bytes may wait here although all plain ones have been taken.
            let flow = connection.flow.get();
            let taken = if flushed.is_pending() { Poll::Pending } else { Poll::Ready(Ok(0)) };
            connection.flow.set(flow.after(&taken));
        }
        ready!(flushed)?;
        if connection.paused.take() {
            task.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(task)
    }
}
