//! Upstream: one provider's connections on one worker thread. It owns the HTTP client (pool, TLS, connector) and
//! lends it; the request itself is the exchange's own, so that a client that leaves takes its upstream along.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Borrow`] | exchange, on the same thread | the client, which never leaves the thread |
//!
//! Started on first use, one per provider and thread: awc's client is not `Send`, and one thread for all I/O costs
//! 1.3 to 3.7 times as much (measured).

mod connector;
mod proxy;
mod tls;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message, MessageResult, Supervised};
use rustls::ClientConfig;
use send_wrapper::SendWrapper;

use self::connector::UpstreamConnector;
pub use self::proxy::{ProxyAddress, ProxySettings, Tls};
pub use self::tls::client_config;
use crate::keeper;

/// One message per request of this thread to this provider.
const MAILBOX: usize = 4096;
/// Below the 60 s and more after which providers close idle connections themselves.
const IDLE_CONNECTION: Duration = Duration::from_secs(50);
/// Balancers move; a connection that is this old is replaced between two requests.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(600);

/// What every upstream connection of the process shares.
#[derive(Clone)]
pub struct Wiring {
    pub tls: Arc<ClientConfig>,
    pub proxies: Arc<ProxySettings>,
    pub connect_timeout: Duration,
}

pub struct Upstream {
    wiring: Wiring,
    client: awc::Client,
}

/// Asks for the HTTP client of this thread.
#[derive(Message)]
#[rtype(result = "Client")]
pub struct Borrow;

/// A lent client. It panics when it is used on another thread.
#[derive(Clone)]
pub struct Client(SendWrapper<awc::Client>);

impl std::ops::Deref for Client {
    type Target = awc::Client;

    fn deref(&self) -> &awc::Client {
        &self.0
    }
}

thread_local! {
    static UPSTREAMS: RefCell<HashMap<Arc<str>, Addr<Upstream>>> = RefCell::default();
}

/// The upstream actor of `provider` on this thread, started if there is none or the old one has been given up.
pub fn here(provider: &Arc<str>, wiring: &Wiring) -> Addr<Upstream> {
    UPSTREAMS.with_borrow_mut(|upstreams| {
        if let Some(living) = upstreams.get(provider).filter(|address| address.connected()) {
            return living.clone();
        }
        let wiring = wiring.clone();
        let started = keeper::start(
            &actix_rt::Arbiter::current(),
            format!("upstream:{provider}"),
            MAILBOX,
            move || Upstream::new(wiring),
        );
        upstreams.insert(provider.clone(), started.clone());
        started
    })
}

/// Closes the connections of this thread that these providers keep for their next request. What is in flight goes on.
pub fn forget_here(providers: &[Arc<str>]) {
    UPSTREAMS.with_borrow_mut(|upstreams| {
        for provider in providers {
            upstreams.remove(provider);
        }
    });
}

impl Upstream {
    fn new(wiring: Wiring) -> Self {
        let client = client(&wiring);
        Self { wiring, client }
    }
}

fn client(wiring: &Wiring) -> awc::Client {
    let proxies = Rc::new(wiring.proxies.as_ref().clone());
    let connector = awc::Connector::new()
        .connector(UpstreamConnector::new(proxies))
        .rustls_0_23(wiring.tls.clone())
        .timeout(wiring.connect_timeout)
        .handshake_timeout(wiring.connect_timeout)
        // The gate is the provider's; a limit here would be shared by all hosts and wait in silence.
        .limit(0)
        .conn_keep_alive(IDLE_CONNECTION)
        .conn_lifetime(CONNECTION_LIFETIME);
    awc::Client::builder()
        .connector(connector)
        // A redirect would carry `x-api-key` to another host.
        .disable_redirects()
        // Deadlines are the exchange's own.
        .disable_timeout()
        .no_default_headers()
        .finish()
}

impl Actor for Upstream {
    type Context = Context<Self>;
}

impl Supervised for Upstream {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.client = client(&self.wiring);
    }
}

impl Handler<Borrow> for Upstream {
    type Result = MessageResult<Borrow>;

    fn handle(&mut self, _: Borrow, _: &mut Self::Context) -> Self::Result {
        MessageResult(Client(SendWrapper::new(self.client.clone())))
    }
}
