//! One client's connection, plain or with TLS.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::Trouble;
use crate::chunks::Framing;
use crate::tls::handshake;

/// The longest wait for a reply, far more than any needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the gateway listens, and how.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsConnector>,
}

/// A stream of bytes in both directions.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

pub(crate) struct Connection {
    stream: Box<dyn Duplex>,
    read: BytesMut,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The gateway closes the connection.
    pub(crate) closes: bool,
}

impl Connection {
    pub(crate) async fn open(listener: &Listener) -> Result<Self, Trouble> {
        let stream = TcpStream::connect(listener.address).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Duplex> = match &listener.tls {
            Some(connector) => Box::new(handshake(connector, stream).await?),
            None => Box::new(stream),
        };
        Ok(Self { stream, read: BytesMut::new() })
    }

    /// Sends a request and reads the whole reply.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Reply, Trouble> {
        timeout(PATIENCE, self.exchange(request)).await?
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Reply, Trouble> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let head = loop {
            if let Some(end) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                break self.read.split_to(end + 4);
            }
            self.fill().await?;
        };
        let mut framing = Framing::of_head(&head)?;
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        let mut body = Vec::new();
        framing.take(&mut self.read, |slice| body.extend_from_slice(slice))?;
        while !framing.is_over() {
            self.fill().await?;
            framing.take(&mut self.read, |slice| body.extend_from_slice(slice))?;
        }
        Ok(Reply { status, body, closes: head.contains("\r\nconnection: close\r\n") })
    }

    async fn fill(&mut self) -> Result<(), Trouble> {
        self.read.reserve(8192);
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err("the gateway closed the connection in a reply".into()),
            _ => Ok(()),
        }
    }
}
