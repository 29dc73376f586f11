//! Upstream: owns one provider's HTTP client (pool, TLS, connector) on one worker thread and lends it. The request
//! itself runs in the client request's own task: when a client disconnects, its upstream request is cancelled.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`GetClient`] | a request, on the same thread | the client, which never leaves the thread |
//!
//! An actor publishes its client to its thread, so that requests take it without a message ([`client`]). They send one only
//! while the actor starts.
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
use std::rc::Weak;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, Addr, AsyncContext as _, Context, Handler, MailboxError, Message, MessageResult, Supervised,
};
use rustls::ClientConfig;

use self::client::Clients;
pub use self::client::{CallHead, CallUrl, Client, SendError};
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
    /// What the actor lends now. It is gone when the actor is gone or has replaced it.
    lent: Weak<Clients>,
}

impl Started {
    fn fits(&self, provider: &ProviderSettings) -> bool {
        self.address.connected() && self.tls == provider.tls
    }
}

/// The HTTP client of `provider` on this thread.
///
/// # Errors
/// The actor that owns it has stopped.
pub async fn client(
    provider: &ProviderSettings,
    wiring: &ConnectionSettings,
) -> Result<Client, MailboxError> {
    match lent_client(provider) {
        Some(client) => Ok(client),
        None => thread_upstream(provider, wiring).send(GetClient).await,
    }
}

/// The client that the provider's actor lends on this thread; `None` if the actor must be started or asked.
fn lent_client(provider: &ProviderSettings) -> Option<Client> {
    UPSTREAMS.with_borrow(|upstreams| {
        let started = upstreams.get(&provider.name).filter(|started| started.fits(provider))?;
        started.lent.upgrade().map(Client::new)
    })
}

/// The upstream actor of `provider` on this thread. Starts one if there is none, if the old one has been given up, or if it
/// has other certificates.
pub fn thread_upstream(provider: &ProviderSettings, wiring: &ConnectionSettings) -> Addr<Upstream> {
    let ProviderSettings { name, tls, .. } = provider;
    UPSTREAMS.with_borrow_mut(|upstreams| {
        if let Some(living) = upstreams.get(name).filter(|started| started.fits(provider)) {
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
        let started = Started { address: address.clone(), tls: tls.clone(), lent: Weak::new() };
        upstreams.insert(name.clone(), started);
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
        let client = Client::with_pool(&wiring, Pool::new(provider.clone()));
        Self { provider, wiring, client }
    }

    /// Lends the client to the requests of this thread, unless another actor has taken this one's place.
    fn publish(&self, context: &mut Context<Self>) {
        UPSTREAMS.with_borrow_mut(|upstreams| {
            let own = context.address();
            if let Some(started) = upstreams.get_mut(&self.provider).filter(|started| started.address == own)
            {
                started.lent = self.client.downgrade();
            }
        });
    }
}

impl Actor for Upstream {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.publish(context);
    }
}

impl Supervised for Upstream {
    fn restarting(&mut self, context: &mut Self::Context) {
        self.client = Client::with_pool(&self.wiring, Pool::new(self.provider.clone()));
        self.publish(context);
    }
}

impl Handler<GetClient> for Upstream {
    type Result = MessageResult<GetClient>;

    fn handle(&mut self, _: GetClient, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.client.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::client_config;
    use crate::testing::provider;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Break;

    impl Handler<Break> for Upstream {
        type Result = ();

        fn handle(&mut self, _: Break, _: &mut Self::Context) {
            panic!("broken on purpose");
        }
    }

    fn wiring() -> ConnectionSettings {
        ConnectionSettings {
            tls: client_config().unwrap(),
            proxies: Arc::new(ProxySettings::default()),
            connect_timeout: Duration::from_secs(1),
        }
    }

    /// Requirement: requests take the client without a message, as long as the actor that owns it lives and has not replaced it.
    #[actix_rt::test]
    async fn a_client_is_lent_until_its_actor_replaces_it_or_is_forgotten() {
        let (provider, wiring) = (provider("lends").build(), wiring());
        assert!(lent_client(&provider).is_none(), "no actor has started");
        let first = client(&provider, &wiring).await.unwrap();
        let lent = lent_client(&provider).unwrap();
        assert!(Weak::ptr_eq(&first.downgrade(), &lent.downgrade()));

        let actor = thread_upstream(&provider, &wiring);
        assert!(actor.send(Break).await.is_err());
        let second = client(&provider, &wiring).await.unwrap();
        let is_new = !Weak::ptr_eq(&first.downgrade(), &second.downgrade());
        assert!(is_new, "after a panic there is a new one");
        let lent = lent_client(&provider).unwrap();
        assert!(Weak::ptr_eq(&second.downgrade(), &lent.downgrade()));

        forget_here(std::slice::from_ref(&provider.name));
        assert!(lent_client(&provider).is_none(), "its idle connections must be closed");
    }
}
