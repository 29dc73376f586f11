//! The bytes of a client connection below HTTP: TCP, with TLS if the listener has a certificate.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use actix_rt::net::TcpStream;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{ClientConnection, Closing};
use crate::config::TLS_BUFFER;

/// The type of a TLS record that begins a handshake. No HTTP request begins with this byte.
const HANDSHAKE: u8 = 0x16;
/// The answer to a client that sends plain HTTP to a listener with TLS.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 120\r\nconnection: close\r\n\r\n{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"this port speaks TLS; use https:// in the base URL\"}}";
/// The part of a refused plain request that is read. What is left unread would reset the connection.
const DISCARDED: usize = 64 << 10;

pub(super) enum ClientIo {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Completes the TLS handshake of a new connection, unless the connection is closed before: by the sweep after
/// `limits.request-head-timeout`, or in favour of another connection.
pub(super) async fn secured(
    io: TcpStream,
    config: Arc<ServerConfig>,
    connection: &ClientConnection,
) -> io::Result<ClientIo> {
    let mut first = [0];
    until_closed(connection, io.peek(&mut first)).await?;
    if first[0] != HANDSHAKE {
        refuse_plain(io).await;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS"));
    }
    let accepting = TlsAcceptor::from(config).accept_with(io, |tls| tls.set_buffer_limit(Some(TLS_BUFFER)));
    let stream = until_closed(connection, accepting).await?;
    Ok(ClientIo::Tls(Box::new(stream)))
}

async fn until_closed<T>(
    connection: &ClientConnection,
    step: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut step = pin!(step);
    poll_fn(|task| {
        connection.runs_in(task);
        match connection.closing.get() {
            Some(Closing::HeadTimeout) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Some(Closing::Idle | Closing::Abort) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            None => step.as_mut().poll(task),
        }
    })
    .await
}

/// Answers without waiting for the client.
async fn refuse_plain(mut io: TcpStream) {
    let (mut buffer, mut read) = ([0; 4 << 10], 0);
    while let Ok(length @ 1..) = io.try_read(&mut buffer)
        && read < DISCARDED
    {
        read += length;
    }
    // A client that does not take the answer loses only the reason.
    let _ = io.try_write(PLAIN_HTTP);
    let _ = io.shutdown().await;
}

impl ClientIo {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(io) => io,
            Self::Tls(io) => io.get_ref().0,
        }
    }

    /// Writes as much as is possible without waiting.
    pub(super) fn write_at_once(&mut self, bytes: &[u8]) {
        let mut task = Context::from_waker(Waker::noop());
        // Whether the client reads it makes no difference.
        let _ = Pin::new(&mut *self).poll_write(&mut task, bytes);
        let _ = Pin::new(self).poll_flush(&mut task);
    }

    /// The next close resets the connection. Otherwise the system keeps data that the client does not read.
    pub(super) fn reset_on_close(&self) {
        let _ = self.tcp().set_zero_linger();
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(task, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(task, buffer),
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(task, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(task, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(task),
            Self::Tls(io) => Pin::new(io).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(task),
            Self::Tls(io) => Pin::new(io).poll_shutdown(task),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: plain HTTP on a TLS port gets a readable answer, whose length is correct.
    #[test]
    fn the_answer_to_plain_http_has_its_length() {
        let text = std::str::from_utf8(PLAIN_HTTP).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
