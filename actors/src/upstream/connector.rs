//! How TCP connections to upstreams are made: without Nagle's delay, with keep-alive, through a proxy where one is
//! configured. awc has no switch for any of these.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use actix_http::Uri;
use actix_rt::net::TcpStream;
use actix_service::Service;
use actix_tls::connect::{
    ConnectError, ConnectInfo, Connection, Connector as TcpConnector, ConnectorService,
};
use futures_util::future::LocalBoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::proxy::{ProxyAddress, ProxySettings, Tls};

/// An idle connection is probed after this long, so that one that died behind a firewall is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The largest answer to CONNECT that is read.
const TUNNEL_ANSWER: usize = 8 << 10;

#[derive(Clone)]
pub(crate) struct UpstreamConnector {
    tcp: ConnectorService,
    proxies: Rc<ProxySettings>,
}

impl UpstreamConnector {
    pub(crate) fn new(proxies: Rc<ProxySettings>) -> Self {
        Self { tcp: TcpConnector::default().service(), proxies }
    }
}

impl Service<ConnectInfo<Uri>> for UpstreamConnector {
    type Response = Connection<Uri, TcpStream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, request: ConnectInfo<Uri>) -> Self::Future {
        let uri = request.request().clone();
        let tls = if uri.scheme_str() == Some("https") { Tls::Yes } else { Tls::No };
        let proxy = uri.host().and_then(|host| self.proxies.of(tls, host)).cloned();
        let Some(proxy) = proxy else {
            let connecting = self.tcp.call(request);
            return Box::pin(async move { tuned(connecting.await?) });
        };
        let address = ConnectInfo::new(format!("{}:{}", proxy.host, proxy.port));
        let connecting = Service::<ConnectInfo<String>>::call(&self.tcp, address);
        Box::pin(async move {
            let (mut stream, _) = tuned(connecting.await?)?.into_parts();
            let port = uri.port_u16().unwrap_or(match tls {
                Tls::Yes => 443,
                Tls::No => 80,
            });
            tunnel(&mut stream, &proxy, &format!("{}:{port}", uri.host().unwrap_or_default()))
                .await
                .map_err(ConnectError::Io)?;
            Ok(Connection::new(uri, stream))
        })
    }
}

fn tuned<R>(connection: Connection<R, TcpStream>) -> Result<Connection<R, TcpStream>, ConnectError> {
    let stream = connection.io_ref();
    stream.set_nodelay(true).map_err(ConnectError::Io)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive).map_err(ConnectError::Io)?;
    Ok(connection)
}

/// Asks the proxy for a tunnel to `target` (RFC 9110, section 9.3.6). The proxy resolves the name.
async fn tunnel(stream: &mut TcpStream, proxy: &ProxyAddress, target: &str) -> io::Result<()> {
    let authorization = proxy
        .authorization
        .as_ref()
        .map(|value| format!("proxy-authorization: {value}\r\n"))
        .unwrap_or_default();
    let request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= TUNNEL_ANSWER {
            return Err(io::Error::other("the proxy's answer to CONNECT is too long"));
        }
        // Byte by byte: what follows the blank line already belongs to the tunnel.
        answer.push(stream.read_u8().await?);
    }
    let status = answer.split(|&byte| byte == b' ').nth(1).and_then(|word| std::str::from_utf8(word).ok());
    match status {
        Some(status) if status.starts_with('2') => Ok(()),
        Some(status) => Err(io::Error::other(format!("the proxy refused the tunnel with status {status}"))),
        None => Err(io::Error::other("the proxy's answer to CONNECT is not HTTP")),
    }
}
