//! The HTTP client of one provider on one thread: awc on connections that cannot mix two replies.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::{Rc, Weak};

use actix_http::body::MessageBody;
use actix_http::error::ParseError;
use actix_http::header::{ACCEPT_ENCODING, HOST, HeaderMap, HeaderValue};
use actix_http::{Method, Uri};
use awc::ClientResponse;
use awc::error::{ConnectError, HttpError, SendRequestError};
use send_wrapper::SendWrapper;
use thiserror::Error;

use super::ConnectionSettings;
use super::connector::UpstreamConnector;
use super::local_shortage::{is_local, resolver_shortage};
use super::pool::Pool;
use super::proxy::ProxyFault;
use super::reply_io::ConnectionFault;
use super::tls::TlsFault;

/// A lent client. It panics if it is used on another thread.
#[derive(Clone)]
pub struct Client(SendWrapper<Rc<Clients>>);

/// For an https URL awc would add TLS above our connections, and the end of a reply cannot be detected below TLS.
/// Therefore awc gets http URLs only: one client connects without TLS, the other adds TLS below our connections.
pub(super) struct Clients {
    plain: awc::Client,
    tls: awc::Client,
    pool: Rc<Pool>,
}

/// The head of a GET or POST request.
pub struct CallHead {
    pub method: Method,
    pub url: CallUrl,
    pub headers: HeaderMap,
}

/// A URL as awc takes it. Cloning it is much cheaper than parsing its text: 150 instead of 4,000 instructions.
#[derive(Clone, Debug)]
pub struct CallUrl {
    /// With the scheme `http`, also for TLS.
    uri: Uri,
    host: Option<HeaderValue>,
    layer: Layer,
}

/// Which of the two clients connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Plain,
    Tls,
}

impl CallUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(url: &str) -> Result<Self, SendError> {
        let (layer, url) = match url.strip_prefix("https://") {
            Some(rest) => (Layer::Tls, with_port(rest)),
            None => (Layer::Plain, url.to_owned()),
        };
        let host = host(&url);
        let uri = Uri::try_from(url).map_err(|error| SendRequestError::from(HttpError::from(error)))?;
        Ok(Self { uri, host, layer })
    }

    /// The value of the header `host`.
    #[cfg(feature = "aws")]
    pub(crate) fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    /// The URL as the upstream sees it: with its scheme, and without a default port.
    #[must_use]
    pub fn text(&self) -> String {
        let scheme = match self.layer {
            Layer::Plain => "http",
            Layer::Tls => "https",
        };
        let host = self.host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        format!("{scheme}://{host}{path}")
    }
}

/// The reason why there is no reply.
#[derive(Debug, Error)]
pub enum SendError {
    /// This machine has no descriptors, ports or memory left. The upstream is not the cause.
    #[error("this machine cannot open another connection: {0}")]
    Local(io::Error),
    #[error("{0}")]
    Connection(ConnectionFault),
    #[error("{0}")]
    Tls(TlsFault),
    #[error("{0}")]
    Proxy(ProxyFault),
    #[error("{0}")]
    Other(SendRequestError),
}

impl From<SendRequestError> for SendError {
    fn from(error: SendRequestError) -> Self {
        if let Some(fault) = ConnectionFault::from_send_error(&error) {
            return Self::Connection(fault);
        }
        if let SendRequestError::Connect(ConnectError::Io(error)) = &error
            && let Some(fault) = TlsFault::of(error)
        {
            return Self::Tls(fault);
        }
        if let SendRequestError::Connect(ConnectError::Io(error)) = &error
            && let Some(fault) = ProxyFault::of(error)
        {
            return Self::Proxy(fault);
        }
        // With TLS 1.3 the server's answer to the client's certificate comes after the handshake.
        if let SendRequestError::Send(reason) | SendRequestError::Response(ParseError::Io(reason)) = &error
            && let Some(TlsFault::ClientCertificate) = TlsFault::of(reason)
        {
            return Self::Tls(TlsFault::ClientCertificate);
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "awc's other errors have other causes")]
        match error {
            SendRequestError::Connect(ConnectError::Io(error)) if is_local(&error) => Self::Local(error),
            SendRequestError::Connect(ConnectError::Resolver(error)) => match resolver_shortage() {
                Some(shortage) => Self::Local(shortage),
                None => Self::Other(SendRequestError::Connect(ConnectError::Resolver(error))),
            },
            error => Self::Other(error),
        }
    }
}

impl Client {
    pub(super) fn new(clients: Rc<Clients>) -> Self {
        Self(SendWrapper::new(clients))
    }

    /// A client with a pool of its own, for a task that stays on this thread and calls other services than providers.
    pub(crate) fn of_owner(name: &str, wiring: &ConnectionSettings) -> Self {
        Self::with_pool(wiring, Pool::new(name.into()))
    }

    /// The client without a right to keep it.
    pub(super) fn downgrade(&self) -> Weak<Clients> {
        Rc::downgrade(&self.0)
    }

    pub(super) fn with_pool(wiring: &ConnectionSettings, pool: Rc<Pool>) -> Self {
        let proxies = Rc::new(wiring.proxies.as_ref().clone());
        let client = |tls| {
            let connect_timeout = wiring.connect_timeout;
            let connector = UpstreamConnector::new(proxies.clone(), tls, pool.clone(), connect_timeout);
            let connector = awc::Connector::new()
                .connector(connector)
                .timeout(connect_timeout)
                // The provider limits the requests in flight; a limit here would be shared by all hosts and delay
                // requests silently.
                .limit(0);
            awc::Client::builder()
                .connector(connector)
                // A redirect would carry `x-api-key` to another host.
                .disable_redirects()
                // The proxy run enforces the deadlines.
                .disable_timeout()
                .no_default_headers()
                .finish()
        };
        let (plain, tls) = (client(None), client(Some(wiring.tls.clone())));
        Self::new(Rc::new(Clients { plain, tls, pool }))
    }

    /// Sends a request and waits for the final head of the reply. If the upstream has closed a reused connection since
    /// its last reply, the request is sent once more on a new connection; `body` builds the body for each attempt.
    ///
    /// # Errors
    /// The request was not sent, or not answered.
    pub async fn send<B>(&self, request: CallHead, body: impl Fn() -> B) -> Result<ClientResponse, SendError>
    where
        B: MessageBody + 'static,
    {
        let CallHead { method, url: CallUrl { uri, host, layer }, mut headers } = request;
        let client = match layer {
            Layer::Tls => &self.0.tls,
            Layer::Plain => &self.0.plain,
        };
        // Setting it here saves the second header map that awc would create for it.
        if let Some(host) = host {
            headers.insert(HOST, host);
        }
        // awc sets the same, with ten times the work.
        if !headers.contains_key(ACCEPT_ENCODING) {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let mut request = client.request(method, uri).no_decompress();
        *request.headers_mut() = headers;
        let request = request.freeze().map_err(SendRequestError::from)?;
        let sent = request.send_body(body()).await.map_err(SendError::from);
        let Err(SendError::Connection(ConnectionFault::Stale)) = sent else { return sent };
        let mut again = pin!(async { request.send_body(body()).await });
        let sent = poll_fn(|task| self.0.pool.with_new_only(|| again.as_mut().poll(task))).await;
        sent.map_err(SendError::from)
    }
}

/// The host of an http URL, with its port unless it is a default port.
fn host(url: &str) -> Option<HeaderValue> {
    let rest = url.strip_prefix("http://")?;
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = &rest[..end.unwrap_or(rest.len())];
    let host = authority.bytes().rposition(|byte| byte == b'@').map_or(authority, |at| &authority[at + 1..]);
    let host = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(host);
    HeaderValue::from_str(host).ok()
}

/// Converts an https URL, given without its scheme, to an http URL with the same host and port.
fn with_port(rest: &str) -> String {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let port = authority.parse::<Uri>().ok().and_then(|uri| uri.port_u16());
    match port {
        Some(_) => format!("http://{rest}"),
        None => format!("http://{authority}:443{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_port_is_not_a_part_of_the_host() {
        for (url, expected) in [
            ("http://api.example:443/v1", "api.example"),
            ("http://127.0.0.1:80", "127.0.0.1"),
            ("http://me:p@api.example:8080?a=:80", "api.example:8080"),
            ("http://[::1]:8443/v1", "[::1]:8443"),
            ("http://api.example/v1/@me", "api.example"),
        ] {
            assert_eq!(host(url).unwrap(), expected);
        }
    }

    /// Requirement: a signature covers the URL as the upstream sees it.
    #[test]
    fn a_url_has_the_text_that_the_upstream_sees() {
        for url in [
            "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages?beta=true",
            "https://api.example:8443/model/us.anthropic.x-v1:0/invoke",
            "http://127.0.0.1:7700/model/arn%3Aaws%2Fx/invoke",
        ] {
            assert_eq!(CallUrl::parse(url).unwrap().text(), url);
        }
    }

    #[test]
    fn an_https_url_keeps_its_port() {
        assert_eq!(with_port("api.example/v1?a=b"), "http://api.example:443/v1?a=b");
        assert_eq!(with_port("api.example"), "http://api.example:443");
        assert_eq!(with_port("api.example:8443/v1"), "http://api.example:8443/v1");
        assert_eq!(with_port("[::1]/v1"), "http://[::1]:443/v1");
        assert_eq!(with_port("[::1]:8443/v1"), "http://[::1]:8443/v1");
        assert_eq!(with_port("me@api.example/v1"), "http://me@api.example:443/v1");
    }
}
