//! Upstream: owns one provider's HTTP client (pool, TLS, connector) on one worker thread and lends it. The request
//! itself runs in the client request's own task: when a client disconnects, its upstream request is cancelled.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`GetClient`] | a request, on the same thread | the client, which never leaves the thread |
//!
//! Each actor starts on first use, one per provider and thread: awc's client is not `Send`, and one thread for all I/O
//! costs 1.3 to 3.7 times as much (measured).

mod client;
mod connector;
mod forward;
mod local_shortage;
mod names;
mod pool;
mod proxy;
mod reply_io;
mod tls;
mod transport;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message, MessageResult, Supervised};
use rustls::ClientConfig;

pub use self::client::{CallHead, Client, SendError};
use self::pool::Pool;
pub use self::proxy::{ProxyAddress, ProxyFault, ProxyProblem, ProxySettings, Tls};
pub use self::reply_io::ConnectionFault;
pub use self::tls::{CertificateFault, TlsFault};
use crate::certificates::ProviderTls;
use crate::panic_guard;
use crate::settings::ProviderSettings;

/// One message per request of this thread to this provider.
const MAILBOX: usize = 4096;
/// The settings that all upstream connections of the process share.
#[derive(Clone)]
pub struct ConnectionSettings {
    pub tls: Arc<ClientConfig>,
    pub proxies: Arc<ProxySettings>,
    pub connect_timeout: Duration,
}

/// The actor that owns one provider's HTTP client on one worker thread.
pub struct Upstream {
    provider: Arc<str>,
    wiring: ConnectionSettings,
    client: Client,
}

/// Requests the HTTP client of this thread.
#[derive(Message)]
#[rtype(result = "Client")]
pub struct GetClient;

thread_local! {
    static UPSTREAMS: RefCell<HashMap<Arc<str>, Started>> = RefCell::default();
}

/// A provider's actor on this thread.
struct Started {
    address: Addr<Upstream>,
    tls: Option<ProviderTls>,
}

/// The upstream actor of `provider` on this thread. Starts one if there is none, if the old one has been given up, or if it
/// has other certificates.
pub fn thread_upstream(provider: &ProviderSettings, wiring: &ConnectionSettings) -> Addr<Upstream> {
    let ProviderSettings { name, tls, .. } = provider;
    UPSTREAMS.with_borrow_mut(|upstreams| {
        let fits = |started: &&Started| started.address.connected() && started.tls == *tls;
        if let Some(living) = upstreams.get(name).filter(fits) {
            return living.address.clone();
        }
        let shared = wiring.tls.clone();
        let wiring =
            ConnectionSettings { tls: tls.as_ref().map_or(shared, ProviderTls::config), ..wiring.clone() };
        let for_actor = name.clone();
        let address = panic_guard::start(
            &actix_rt::Arbiter::current(),
            format!("upstream:{name}"),
            MAILBOX,
            move || Upstream::new(for_actor, wiring),
        );
        upstreams.insert(name.clone(), Started { address: address.clone(), tls: tls.clone() });
        address
    })
}

/// Closes the idle connections of these providers on this thread, and drops the addresses of all names. Requests in flight
/// continue.
pub fn forget_here(providers: &[Arc<str>]) {
    names::forget_all();
    UPSTREAMS.with_borrow_mut(|upstreams| {
        for provider in providers {
            upstreams.remove(provider);
        }
    });
}

impl Upstream {
    fn new(provider: Arc<str>, wiring: ConnectionSettings) -> Self {
        let client = Client::new(&wiring, Pool::new(provider.clone()));
        Self { provider, wiring, client }
    }
}

impl Actor for Upstream {
    type Context = Context<Self>;
}

impl Supervised for Upstream {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.client = Client::new(&self.wiring, Pool::new(self.provider.clone()));
    }
}

impl Handler<GetClient> for Upstream {
    type Result = MessageResult<GetClient>;

    fn handle(&mut self, _: GetClient, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.client.clone())
    }
}
