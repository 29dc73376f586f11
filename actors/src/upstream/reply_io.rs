//! Implements the connection that awc reads and writes: one for each request. It skips interim replies, removes the
//! framing, and returns the connection to the pool as soon as its reply has ended. So awc has no connection to reuse
//! and sees no byte of another reply.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Weak;
use std::task::{Context, Poll, ready};

use actix_http::error::ParseError;
use actix_rt::net::{ActixStream, Ready};
use awc::error::SendRequestError;
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use vandamme_protocol::http1::{ReplyError, ReplyReader};

use super::forward::RequestLine;
use super::pool::{Pool, UpstreamConnection};
use super::transport::poll_read_into;

/// The most bytes of a body read at once. All of them may wait for a slow client.
const MAX_READ: usize = 8 << 10;
/// Proxy Authentication Required.
const PROXY_AUTHENTICATION: u16 = 407;

/// The reason why a request or its reply broke off at the HTTP level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The connection was reused and ended before any byte of a reply (the upstream closed it while the request was
    /// being sent), or carried bytes that are no reply to this request. A new connection may succeed.
    Stale,
    /// The upstream closed the connection while the request was being sent, without a reply.
    WhileSending,
    /// The upstream closed the connection before its reply.
    BeforeReply,
    /// The proxy that forwards the request requires other credentials (407).
    ProxyAuthentication,
    Reply(ReplyError),
}

impl ConnectionFault {
    /// The fault in `error`, if it comes from this module.
    pub fn from_send_error(error: &SendRequestError) -> Option<Self> {
        let (SendRequestError::Send(error) | SendRequestError::Response(ParseError::Io(error))) = error
        else {
            return None;
        };
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for ConnectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the upstream closed a reused connection"),
            Self::WhileSending => {
                f.write_str("the upstream closed the connection while the request was being sent")
            }
            Self::BeforeReply => f.write_str("the upstream closed the connection before its reply"),
            Self::ProxyAuthentication => f.write_str("the proxy requires another user or password"),
            Self::Reply(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for ConnectionFault {}

impl From<ConnectionFault> for io::Error {
    fn from(fault: ConnectionFault) -> Self {
        Self::other(fault)
    }
}

pub(super) struct ReplyIo {
    /// `None` when the reply has ended or failed.
    connection: Option<Box<UpstreamConnection>>,
    pool: Weak<Pool>,
    reply: ReplyReader,
    /// The next bytes for awc: the head and the bytes that arrived with it.
    output: BytesMut,
    history: ConnectionHistory,
    /// A byte of the reply has arrived.
    has_received: bool,
    request: RequestState,
    request_line: RequestLine,
    /// Why the request failed before its final head, for awc's next read.
    fault: Option<ConnectionFault>,
}

/// Whether a connection has carried earlier requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionHistory {
    New,
    Reused,
}

/// What happens to the request's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestState {
    /// The request is being sent or has been sent.
    Sending,
    /// The upstream has replied with an error before it read all of the request; the rest is dropped.
    AnsweredEarly,
    /// The upstream has closed the connection; the rest is dropped.
    ConnectionClosed,
}

impl fmt::Debug for ReplyIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyIo").field("history", &self.history).finish_non_exhaustive()
    }
}

impl ReplyIo {
    pub(super) fn new(
        connection: Box<UpstreamConnection>,
        pool: Weak<Pool>,
        history: ConnectionHistory,
    ) -> Self {
        Self {
            request_line: RequestLine::new(connection.forwarding.as_ref()),
            connection: Some(connection),
            pool,
            reply: ReplyReader::default(),
            output: BytesMut::new(),
            history,
            has_received: false,
            request: RequestState::Sending,
            fault: None,
        }
    }

    /// Ends the reply: the connection is kept if it can carry another request, and closed otherwise.
    fn finish(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let Some(pool) = self.pool.upgrade() else { return };
        if self.reply.has_excess() {
            pool.distrust();
        } else if self.reply.reusable() && self.request == RequestState::Sending {
            pool.put(connection, self.reply.keep_alive());
        }
    }

    fn fail(&mut self, fault: ConnectionFault) -> io::Error {
        self.connection = None;
        self.fault = Some(fault);
        fault.into()
    }

    /// Fails on a head that cannot be parsed. On a reused connection the bytes most likely belong to an earlier reply;
    /// on a new connection they are this reply's.
    fn fail_on_head(&mut self, error: ReplyError) -> io::Error {
        if self.history == ConnectionHistory::New {
            return self.fail(ConnectionFault::Reply(error));
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.distrust();
        }
        self.fail(ConnectionFault::Stale)
    }

    /// Handles the end of the connection, with `error` or without.
    fn closed(&mut self, error: Option<io::Error>) -> io::Result<()> {
        if !self.has_received {
            return Err(match (self.history, self.request, error) {
                (ConnectionHistory::Reused, _, _) => self.fail(ConnectionFault::Stale),
                (ConnectionHistory::New, RequestState::ConnectionClosed, _) => {
                    self.fail(ConnectionFault::WhileSending)
                }
                (ConnectionHistory::New, _, None) => self.fail(ConnectionFault::BeforeReply),
                (ConnectionHistory::New, _, Some(error)) => error,
            });
        }
        if let Some(error) = error {
            self.connection = None;
            return Err(error);
        }
        match self.reply.closed() {
            Ok(()) => {
                self.finish();
                Ok(())
            }
            Err(error) => Err(self.fail(ConnectionFault::Reply(error))),
        }
    }

    /// Reads until the final head is complete.
    fn poll_head(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(fault) = self.fault {
            return Poll::Ready(Err(fault.into()));
        }
        while self.reply.in_head() {
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
            match ready!(connection.poll_input(task)) {
                Ok(1..) => self.take_head()?,
                Ok(0) => return Poll::Ready(self.closed(None)),
                Err(error) => return Poll::Ready(self.closed(Some(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Consumes the received part of the head, and any bytes of the body after it.
    fn take_head(&mut self) -> io::Result<()> {
        self.has_received = true;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let input = &mut connection.input;
        match self.reply.head(input, &mut self.output) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => return Err(self.fail_on_head(error)),
        }
        // An upstream has no reason to send this status itself.
        if self.reply.status() == PROXY_AUTHENTICATION && connection.forwarding.is_some() {
            return Err(self.fail(ConnectionFault::ProxyAuthentication));
        }
        if !self.reply.ended() {
            match self.reply.body(input) {
                Ok(length) => self.output.extend_from_slice(&input[..length]),
                Err(error) => return Err(self.fail(ConnectionFault::Reply(error))),
            }
        }
        if self.reply.ended() {
            input.clear();
            self.finish();
        } else {
            // The rest of the body is read directly into awc's buffer, which may take minutes.
            *input = BytesMut::new();
        }
        Ok(())
    }

    /// Reads the body directly into awc's buffer.
    fn poll_body(&mut self, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
            let room = buffer.remaining().min(MAX_READ);
            let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(room));
            match ready!(poll_read_into(&mut connection.transport, task, &mut piece)) {
                Ok(1..) => {}
                Ok(0) => return Poll::Ready(self.closed(None)),
                Err(error) => return Poll::Ready(self.closed(Some(error))),
            }
            let length = match self.reply.body(piece.filled_mut()) {
                Ok(length) => length,
                Err(error) => return Poll::Ready(Err(self.fail(ConnectionFault::Reply(error)))),
            };
            buffer.advance(length);
            if self.reply.ended() {
                self.finish();
            }
            // Returning no bytes would mean the end of the reply.
            if length > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Looks for a reply or its end while the upstream accepts no more of the request. Ready when the rest of the
    /// request need not be sent.
    fn poll_early_reply(&mut self, task: &mut Context<'_>) -> Poll<()> {
        while self.reply.in_head() {
            let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
            let Ok(1..) = ready!(connection.poll_input(task)) else {
                self.request = RequestState::ConnectionClosed;
                return Poll::Ready(());
            };
            if self.take_head().is_err() {
                return Poll::Ready(());
            }
        }
        // Without an error status, the upstream may still read the rest of the request.
        if self.history == ConnectionHistory::New && self.reply.status() < 400 {
            return Poll::Pending;
        }
        self.request = RequestState::AnsweredEarly;
        if self.history == ConnectionHistory::Reused {
            // This reply cannot be distinguished from a late reply to an earlier request.
            self.output.clear();
            self.fail(ConnectionFault::Stale);
        }
        Poll::Ready(())
    }
}

impl AsyncRead for ReplyIo {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.output.is_empty() && (this.reply.in_head() || this.fault.is_some()) {
            ready!(this.poll_head(task))?;
        }
        if this.output.is_empty() {
            return this.poll_body(task, buffer);
        }
        let length = this.output.len().min(buffer.remaining());
        buffer.put_slice(&this.output[..length]);
        this.output.advance(length);
        if this.output.is_empty() {
            this.output = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReplyIo {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(connection) = &mut this.connection else { return Poll::Ready(Ok(bytes.len())) };
        if this.request != RequestState::Sending {
            return Poll::Ready(Ok(bytes.len()));
        }
        let UpstreamConnection { transport, forwarding, .. } = &mut **connection;
        let written = match forwarding {
            Some(forwarding) => this.request_line.poll_write(forwarding, transport, task, bytes),
            None => Pin::new(transport).poll_write(task, bytes),
        };
        match written {
            Poll::Ready(Ok(length)) => Poll::Ready(Ok(length)),
            // A reply may have arrived before the upstream closed; awc looks for it after it has written the request.
            Poll::Ready(Err(_)) => {
                this.request = RequestState::ConnectionClosed;
                Poll::Ready(Ok(bytes.len()))
            }
            Poll::Pending => {
                ready!(this.poll_early_reply(task));
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(connection) = &mut this.connection else { return Poll::Ready(Ok(())) };
        if this.request != RequestState::Sending {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut connection.transport).poll_flush(task) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => this.request = RequestState::ConnectionClosed,
            Poll::Pending => ready!(this.poll_early_reply(task)),
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().connection = None;
        Poll::Ready(Ok(()))
    }
}

impl ActixStream for ReplyIo {
    fn poll_read_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        Poll::Ready(Ok(Ready::READABLE))
    }

    fn poll_write_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        Poll::Ready(Ok(Ready::WRITABLE))
    }
}
