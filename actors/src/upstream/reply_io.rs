//! What awc reads and writes: one connection for one exchange. It skips interim replies, removes the framing, and gives the
//! connection to the pool the moment its reply has ended, so that awc has none to reuse and no byte of another exchange to read.

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
use super::pool::{Connection, Pool};
use super::transport::poll_read_into;

/// What is read of a body at once, bytes. It waits for a slow client whole.
const LARGEST_READ: usize = 8 << 10;
/// Proxy Authentication Required.
const PROXY_AUTHENTICATION: u16 = 407;

/// Why an exchange broke off, as far as HTTP is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The connection was reused, and ended before any byte of a reply (the upstream closed it as the request went out), or
    /// carried bytes that are no reply to this request. A new one may do better.
    Stale,
    /// The upstream closed the connection while the request was being sent, without a reply.
    WhileSending,
    /// The upstream closed the connection before its reply.
    BeforeReply,
    /// The proxy that forwards the request wants another user or password (407).
    ProxyAuthentication,
    Reply(ReplyError),
}

impl ConnectionFault {
    /// What `error` says of the connection, if it comes from here.
    pub fn of(error: &SendRequestError) -> Option<Self> {
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
            Self::Stale => f.write_str("the upstream closed a kept connection"),
            Self::WhileSending => {
                f.write_str("the upstream closed the connection while the request was sent")
            }
            Self::BeforeReply => f.write_str("the upstream closed the connection before its reply"),
            Self::ProxyAuthentication => f.write_str("the proxy wants another user or password"),
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
    /// `None` when the exchange is over.
    connection: Option<Box<Connection>>,
    pool: Weak<Pool>,
    reply: ReplyReader,
    /// What awc gets next: the head, and what came with it.
    output: BytesMut,
    history: History,
    /// A byte of the reply has come.
    heard: bool,
    request: Request,
    request_line: RequestLine,
    /// Why the exchange broke off before its final head, for awc's next read.
    fault: Option<ConnectionFault>,
}

/// Whether a connection has carried other exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    New,
    Reused,
}

/// What becomes of the request's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Sent,
    /// The upstream has refused the request before it took all of it; the rest is dropped.
    Superseded,
    /// The upstream has closed the connection; the rest is dropped.
    Refused,
}

impl fmt::Debug for ReplyIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyIo").field("history", &self.history).finish_non_exhaustive()
    }
}

impl ReplyIo {
    pub(super) fn new(connection: Box<Connection>, pool: Weak<Pool>, history: History) -> Self {
        Self {
            request_line: RequestLine::of(connection.forwarding.as_ref()),
            connection: Some(connection),
            pool,
            reply: ReplyReader::default(),
            output: BytesMut::new(),
            history,
            heard: false,
            request: Request::Sent,
            fault: None,
        }
    }

    /// The reply has ended: the connection is kept if it may carry another exchange, else closed.
    fn finish(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let Some(pool) = self.pool.upgrade() else { return };
        if self.reply.has_excess() {
            pool.distrust();
        } else if self.reply.reusable() && self.request == Request::Sent {
            pool.put(connection, self.reply.keep_alive());
        }
    }

    fn fail(&mut self, fault: ConnectionFault) -> io::Error {
        self.connection = None;
        self.fault = Some(fault);
        fault.into()
    }

    /// On a reused connection, the bytes most likely belong to an earlier exchange. A new connection leaves no doubt.
    fn unreadable_head(&mut self, error: ReplyError) -> io::Error {
        if self.history == History::New {
            return self.fail(ConnectionFault::Reply(error));
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.distrust();
        }
        self.fail(ConnectionFault::Stale)
    }

    /// The connection has ended, with `error` or without.
    fn closed(&mut self, error: Option<io::Error>) -> io::Result<()> {
        if !self.heard {
            return Err(match (self.history, self.request, error) {
                (History::Reused, _, _) => self.fail(ConnectionFault::Stale),
                (History::New, Request::Refused, _) => self.fail(ConnectionFault::WhileSending),
                (History::New, _, None) => self.fail(ConnectionFault::BeforeReply),
                (History::New, _, Some(error)) => error,
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

    /// Reads until the final head is there.
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

    /// Takes what has come of the head, and what came of the body with it.
    fn take_head(&mut self) -> io::Result<()> {
        self.heard = true;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let input = &mut connection.input;
        match self.reply.head(input, &mut self.output) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => return Err(self.unreadable_head(error)),
        }
        // The upstream itself has no use for this status.
        if self.reply.status() == PROXY_AUTHENTICATION && connection.forwarding.is_some() {
            return Err(self.fail(ConnectionFault::ProxyAuthentication));
        }
        if !self.reply.ended() {
            match self.reply.body(input) {
                Ok(length) => self.output.extend_from_slice(&input[..length]),
                Err(error) => return Err(self.fail(ConnectionFault::Reply(error))),
            }
        }
        input.clear();
        if self.reply.ended() {
            self.finish();
        }
        Ok(())
    }

    /// Reads the body straight into awc's buffer.
    fn poll_body(&mut self, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
            let room = buffer.remaining().min(LARGEST_READ);
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
            // Nothing at all would mean the end.
            if length > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// While the upstream takes no more of the request: looks for a reply, or its end. Ready when the rest of the request
    /// need not be sent.
    fn poll_early_reply(&mut self, task: &mut Context<'_>) -> Poll<()> {
        while self.reply.in_head() {
            let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
            let Ok(1..) = ready!(connection.poll_input(task)) else {
                self.request = Request::Refused;
                return Poll::Ready(());
            };
            if self.take_head().is_err() {
                return Poll::Ready(());
            }
        }
        // An upstream that is content with the request may still want the rest of it.
        if self.history == History::New && self.reply.status() < 400 {
            return Poll::Pending;
        }
        self.request = Request::Superseded;
        if self.history == History::Reused {
            // Nothing tells this reply from a late one to an earlier exchange.
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
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReplyIo {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(connection) = &mut this.connection else { return Poll::Ready(Ok(bytes.len())) };
        if this.request != Request::Sent {
            return Poll::Ready(Ok(bytes.len()));
        }
        let Connection { transport, forwarding, .. } = &mut **connection;
        let written = match forwarding {
            Some(forwarding) => this.request_line.poll_write(forwarding, transport, task, bytes),
            None => Pin::new(transport).poll_write(task, bytes),
        };
        match written {
            Poll::Ready(Ok(length)) => Poll::Ready(Ok(length)),
            // A reply may have come before the upstream closed; awc looks for it once the request is out of the way.
            Poll::Ready(Err(_)) => {
                this.request = Request::Refused;
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
        if this.request != Request::Sent {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut connection.transport).poll_flush(task) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => this.request = Request::Refused,
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
