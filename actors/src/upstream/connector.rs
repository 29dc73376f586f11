//! Connects to upstreams: takes an idle connection from the pool or opens a new one, without Nagle's delay, with
//! keep-alive, through a proxy if one is configured, and with TLS if the URL says https.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Uri;
use actix_rt::net::TcpStream;
use actix_service::Service;
use actix_tls::connect::rustls_0_23::TlsConnector;
use actix_tls::connect::{
    ConnectError, ConnectInfo, Connection, Connector as TcpConnector, ConnectorService,
};
use futures_util::future::{Either, LocalBoxFuture, Ready, ready};
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::forward::Forwarding;
use super::local_shortage::{is_local, resolver_shortage};
use super::names::{self, HostConnection, Unproven};
use super::pool::{ConnectionOrigin, Pool, UpstreamConnection as Pooled};
use super::proxy::{ProxyAddress, ProxyFault, ProxyProblem, ProxySettings, Tls};
use super::reply_io::{ConnectionHistory, ReplyIo};
use super::transport::Transport;

/// The idle time after which a connection is probed, so that one that a firewall has dropped is detected.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The share of the connect timeout in which a proxy must answer. Beyond the whole timeout, awc cancels the connection
/// without its cause.
const PROXY_SHARE: f64 = 0.9;
/// The most bytes of an answer to CONNECT that are read.
const MAX_TUNNEL_ANSWER: usize = 8 << 10;

#[derive(Clone)]
pub(super) struct UpstreamConnector {
    tcp: ConnectorService,
    proxies: Rc<ProxySettings>,
    /// `None` for plain TCP.
    tls: Option<Arc<ClientConfig>>,
    pool: Rc<Pool>,
    /// The time for a proxy to accept a connection and to answer CONNECT.
    proxy_timeout: Duration,
}

impl UpstreamConnector {
    pub(super) fn new(
        proxies: Rc<ProxySettings>,
        tls: Option<Arc<ClientConfig>>,
        pool: Rc<Pool>,
        connect_timeout: Duration,
    ) -> Self {
        let proxy_timeout = connect_timeout.mul_f64(PROXY_SHARE);
        Self { tcp: TcpConnector::default().service(), proxies, tls, pool, proxy_timeout }
    }

    /// Opens a TCP connection to the host of `uri` or to a proxy: for TLS with a tunnel through the proxy, otherwise
    /// one whose requests the proxy forwards.
    fn connect(&self, uri: &Uri) -> LocalBoxFuture<'static, Result<Connected, ConnectError>> {
        let tls = if self.tls.is_some() { Tls::Yes } else { Tls::No };
        let proxy = uri.host().and_then(|host| self.proxies.proxy_for(tls, host)).cloned();
        let uri = uri.clone();
        let Some(proxy) = proxy else {
            let connecting = names::connect(self.tcp.clone(), uri);
            return Box::pin(async move {
                let HostConnection { connection, name } = connecting.await?;
                Ok(Connected { connection: set_tcp_options(connection)?, name, forwarding: None })
            });
        };
        let connecting = names::connect(self.tcp.clone(), format!("{}:{}", proxy.host, proxy.port));
        let deadline = Instant::now() + self.proxy_timeout;
        Box::pin(async move {
            let late = |_| proxy_fault(&proxy, ProxyProblem::Silent);
            let connection = timeout_at(deadline, connecting).await.map_err(late)?;
            let connection = connection.map_err(|error| proxy_unreachable(error, &proxy))?;
            let HostConnection { connection, name } = connection;
            let (mut stream, _) = set_tcp_options(connection)?.into_parts();
            let forwarding = match tls {
                Tls::No => Some(Forwarding::new(&uri, proxy)),
                Tls::Yes => {
                    let port = uri.port_u16().unwrap_or(443);
                    let target = format!("{}:{port}", uri.host().unwrap_or_default());
                    let tunnel = tunnel(&mut stream, &proxy, &target);
                    let tunnel = timeout_at(deadline, tunnel).await.map_err(late)?;
                    tunnel.map_err(|problem| proxy_fault(&proxy, problem))?;
                    None
                }
            };
            Ok(Connected { connection: Connection::new(uri, stream), name, forwarding })
        })
    }
}

/// A connection below TLS.
struct Connected {
    connection: Connection<Uri, TcpStream>,
    /// The name that led to it: the upstream's, or the proxy's.
    name: Unproven,
    /// Set if the connection leads to a proxy that forwards its requests.
    forwarding: Option<Forwarding>,
}

impl Service<ConnectInfo<Uri>> for UpstreamConnector {
    type Response = Connection<Uri, ReplyIo>;
    type Error = ConnectError;
    type Future = Either<
        Ready<Result<Self::Response, Self::Error>>,
        LocalBoxFuture<'static, Result<Self::Response, Self::Error>>,
    >;

    actix_service::always_ready!();

    fn call(&self, request: ConnectInfo<Uri>) -> Self::Future {
        let uri = request.request().clone();
        let pool = Rc::downgrade(&self.pool);
        let Some(authority) = uri.authority().cloned() else {
            return Either::Left(ready(Err(ConnectError::Unresolved)));
        };
        let origin = ConnectionOrigin { authority, tls: self.tls.is_some() };
        if let Some(connection) = self.pool.take(&origin) {
            let io = ReplyIo::new(connection, pool, ConnectionHistory::Reused);
            return Either::Left(ready(Ok(Connection::new(uri, io))));
        }
        let connecting = self.connect(&uri);
        let tls = self.tls.clone().map(TlsConnector::service);
        Either::Right(Box::pin(async move {
            let Connected { connection, name, forwarding } = connecting.await?;
            let transport = match tls {
                None => Transport::Plain(connection.into_parts().0),
                Some(tls) => {
                    let secured = tls.call(connection).await.map_err(ConnectError::Io)?;
                    Transport::Tls(Box::new(secured.into_parts().0))
                }
            };
            name.proven();
            let io = ReplyIo::new(Pooled::new(transport, origin, forwarding), pool, ConnectionHistory::New);
            Ok(Connection::new(uri, io))
        }))
    }
}

fn set_tcp_options<R>(
    connection: Connection<R, TcpStream>,
) -> Result<Connection<R, TcpStream>, ConnectError> {
    let stream = connection.io_ref();
    stream.set_nodelay(true).map_err(ConnectError::Io)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive).map_err(ConnectError::Io)?;
    Ok(connection)
}

fn proxy_fault(proxy: &ProxyAddress, problem: ProxyProblem) -> ConnectError {
    ConnectError::Io(io::Error::other(ProxyFault { proxy: proxy.clone(), problem }))
}

/// There is no TCP connection to the proxy. A shortage of this machine stays what it is.
fn proxy_unreachable(error: ConnectError, proxy: &ProxyAddress) -> ConnectError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other errors say themselves what failed")]
    let cause = match error {
        ConnectError::Io(error) if is_local(&error) => return ConnectError::Io(error),
        ConnectError::Resolver(_) | ConnectError::NoRecords => match resolver_shortage() {
            Some(shortage) => return ConnectError::Io(shortage),
            None => "its name has no address".to_owned(),
        },
        ConnectError::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    proxy_fault(proxy, ProxyProblem::Unreachable(cause))
}

/// Requests a tunnel to `target` from the proxy (RFC 9110, section 9.3.6). The proxy resolves the name.
async fn tunnel(stream: &mut TcpStream, proxy: &ProxyAddress, target: &str) -> Result<(), ProxyProblem> {
    let authorization = proxy
        .authorization
        .as_ref()
        .map(|value| format!("proxy-authorization: {value}\r\n"))
        .unwrap_or_default();
    let request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|_| ProxyProblem::NotHttp)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_TUNNEL_ANSWER {
            return Err(ProxyProblem::NotHttp);
        }
        // Read byte by byte: the bytes after the blank line belong to the tunnel.
        answer.push(stream.read_u8().await.map_err(|_| ProxyProblem::NotHttp)?);
    }
    match tunnel_status(&answer).ok_or(ProxyProblem::NotHttp)? {
        200..300 => Ok(()),
        status => Err(ProxyProblem::Refused(status)),
    }
}

fn tunnel_status(answer: &[u8]) -> Option<u16> {
    let version_and_rest = answer.strip_prefix(b"HTTP/1.")?;
    let word = version_and_rest.split(|byte| b" \r".contains(byte)).nth(1)?;
    std::str::from_utf8(word).ok()?.parse().ok()
}
