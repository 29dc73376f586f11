//! Reads and writes a connection to an upstream below HTTP: TCP, with TLS if the upstream's URL says https.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use actix_rt::net::TcpStream;
use actix_tls::connect::rustls_0_23::reexports::AsyncTlsStream;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The start of the reply with which a server may close an idle connection.
const CLOSE_NOTICE: &[u8] = b"HTTP/1.1 408";

#[derive(Debug)]
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<AsyncTlsStream<TcpStream>>),
}

/// What an idle connection has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdleRead {
    Nothing,
    /// The end of the connection, or data that only concerns the connection itself.
    Closed,
    /// Bytes that belong to no reply.
    Bytes,
}

impl Transport {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Checks an idle connection, which should have received nothing. If it has, it cannot be reused.
    pub(super) fn received_while_idle(&mut self) -> IdleRead {
        let mut bytes = [0; CLOSE_NOTICE.len()];
        let mut read = ReadBuf::new(&mut bytes);
        let mut task = Context::from_waker(Waker::noop());
        match Pin::new(&mut *self).poll_read(&mut task, &mut read) {
            // The runtime only knows what the system has reported to it; the socket itself knows what has arrived.
            Poll::Pending => self.socket_received(),
            Poll::Ready(Ok(())) => IdleRead::from_idle_bytes(read.filled()),
            Poll::Ready(Err(_)) => IdleRead::Closed,
        }
    }

    /// Checks what the socket has received, without consuming it.
    fn socket_received(&self) -> IdleRead {
        let mut bytes = [0; CLOSE_NOTICE.len()];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match (rustix::net::recv(self.tcp(), &mut bytes[..], flags), self) {
            (Err(Errno::WOULDBLOCK), _) => IdleRead::Nothing,
            // Data on a TLS connection may concern TLS alone, which cannot be seen from here.
            (Ok((0, _)) | Err(_), _) | (Ok(_), Self::Tls(_)) => IdleRead::Closed,
            (Ok((length, _)), Self::Plain(_)) => IdleRead::from_idle_bytes(&bytes[..length.min(bytes.len())]),
        }
    }
}

impl IdleRead {
    /// A server may close an idle connection with a 408 (RFC 9110, section 15.5.9).
    fn from_idle_bytes(bytes: &[u8]) -> Self {
        if CLOSE_NOTICE.starts_with(bytes) { Self::Closed } else { Self::Bytes }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(task, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(task, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(task, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(task, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(task, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(task, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(task),
            Self::Tls(stream) => Pin::new(stream).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(task),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(task),
        }
    }
}

/// The number of bytes read into `buffer` by one poll; `Ok(0)` is the end.
pub(super) fn poll_read_into(
    transport: &mut Transport,
    task: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<usize>> {
    let before = buffer.filled().len();
    ready!(Pin::new(transport).poll_read(task, buffer))?;
    Poll::Ready(Ok(buffer.filled().len() - before))
}
