//! The running gateway: its assembly, and what its threads share.

mod cancel;
mod config_in_use;
mod counters;
mod facts;
mod health_reset;
mod history;
mod key_switch;
mod live_config;
mod liveness;
mod state;
mod websockets;

pub(crate) use self::cancel::NotCancelled;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use actix::Addr;
use actix_rt::ArbiterHandle;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use vandamme_actors::catalog::{Listing, ListingKey};
use vandamme_actors::certificates::client_config;
use vandamme_actors::credentials::Credentials;
use vandamme_actors::registry::Registry;
use vandamme_actors::retry::RecentFailures;
use vandamme_actors::settings::{ProviderSettings, Settings};
use vandamme_actors::snapshot::Snapshot;
use vandamme_actors::supervisor::{Reconfigure, Supervisor};
use vandamme_actors::upstream::ConnectionSettings;

pub(crate) use self::counters::{Bound, Counters, VERDICTS};
use self::facts::ProcessFacts;
pub(crate) use self::key_switch::NotSwitched;
use self::live_config::ConfiguredKeys;
pub(crate) use self::live_config::LiveConfig;
pub(crate) use self::websockets::KeptItems;
use self::websockets::WebSockets;
use crate::config::{Config, DemoMode, ListenerTls, Sampler, SavedFiles};
use crate::demo::{self, Demo};
use crate::failure::Failure;
use crate::image_descriptions::ImageDescriptions;
use crate::live::Live;
use crate::login::Logins;
use crate::process::control::Reloaded;
use crate::single_flight::SingleFlight;
use config_in_use::ConfigInUse;

/// The most clients that may watch the running requests at once. Each of them gets all updates.
const WATCHERS: usize = 16;
/// The most replies whose judge is awaited in shadow mode.
const JUDGED_IN_SHADOW: usize = 256;

/// Reloads over HTTP that may wait for the one that runs.
const RELOADS: usize = 8;

/// One running gateway.
pub(crate) struct Gateway {
    live: Snapshot<LiveConfig>,
    tls: Snapshot<Option<ListenerTls>>,
    pub(crate) config_in_use: ConfigInUse,
    facts: ProcessFacts,
    supervisor: Addr<Supervisor>,
    pub(crate) registry: Snapshot<Registry>,
    pub(crate) wiring: ConnectionSettings,
    /// The credentials of cloud identities.
    pub(crate) credentials: Credentials,
    /// Recognises a client's own retry.
    pub(crate) failures: RecentFailures,
    /// The calls for lists of models that run now.
    pub(crate) listings: SingleFlight<ListingKey, Result<Listing, Failure>>,
    /// The check of `GET /health/live` that runs now.
    pub(crate) liveness: SingleFlight<(), Vec<String>>,
    /// The descriptions of images, for models that accept only text.
    pub(crate) images: ImageDescriptions,
    /// The last hour of requests.
    pub(crate) last_hour: Arc<Live>,
    /// The sessions of the dashboard.
    pub(crate) logins: Logins,
    /// The demo provider. Once started it stays, since requests to it may be in flight.
    demo: Mutex<Option<Demo>>,
    pub(crate) counters: Counters,
    /// Which requests are traced; `None` exports no traces.
    pub(crate) sampler: Option<Sampler>,
    in_flight: Arc<AtomicUsize>,
    watchers: Arc<AtomicUsize>,
    judged_in_shadow: Arc<AtomicUsize>,
    pub(crate) websockets: WebSockets,
    ready: AtomicBool,
    /// Notified when `ready` ends.
    draining: Notify,
    /// Another worker accepts new connections.
    retired: AtomicBool,
    /// Notified when this process no longer accepts connections.
    leaving: Notify,
    drain: watch::Sender<bool>,
    workers: Snapshot<Vec<ArbiterHandle>>,
    listener: OnceLock<Listener>,
    reloads: OnceLock<mpsc::Sender<ReloadReply>>,
}

/// Where the result of a reload goes that was ordered over HTTP.
pub(crate) type ReloadReply = oneshot::Sender<Result<Reloaded, Vec<String>>>;

/// Where clients reach the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    /// As configured: a name or an address.
    pub(crate) host: String,
}

/// One place among the requests in flight or the watching clients. Its drop frees the place.
pub(crate) struct Admission(Arc<AtomicUsize>);

impl Admission {
    fn among(taken: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let room = |taken: usize| (taken < limit).then_some(taken + 1);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).ok()?;
        Some(Self(taken.clone()))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gateway {
    /// Starts the actors that this configuration needs, and the demo provider if it is enabled. Requires a running
    /// [`System`](actix_rt::System).
    ///
    /// # Errors
    /// One line for the user who started it.
    pub(crate) fn start(config: Config) -> Result<Self, String> {
        let Config {
            mut settings,
            proxies,
            proxy_api_key: proxy_key,
            access,
            demo,
            tls,
            otlp,
            files,
            values,
            ..
        } = config;
        let demo = match demo {
            DemoMode::Off => None,
            DemoMode::Forced | DemoMode::Fallback => Some(with_demo(None, &mut settings)?),
        };
        let connect_timeout = settings.limits.connect_timeout;
        let sampler = otlp.as_ref().and_then(|otlp| otlp.traces.as_ref().map(|_| otlp.sampler));
        let exports = otlp.map(|otlp| otlp.headers).unwrap_or_default();
        let keys = ConfiguredKeys { proxy_key, access, exports };
        let wiring = ConnectionSettings { tls: client_config()?, proxies, connect_timeout };
        let (supervisor, registry) = Supervisor::start_tree(settings.clone());
        Ok(Self {
            live: Snapshot::new(LiveConfig::new(settings, keys, None)),
            tls: Snapshot::new(tls),
            config_in_use: ConfigInUse::new(files),
            facts: ProcessFacts::new(values),
            supervisor,
            registry,
            credentials: Credentials::new(wiring.clone()),
            wiring,
            failures: RecentFailures::default(),
            listings: SingleFlight::default(),
            liveness: SingleFlight::default(),
            images: ImageDescriptions::default(),
            last_hour: Arc::new(Live::new()),
            logins: Logins::default(),
            demo: Mutex::new(demo),
            counters: Counters::default(),
            sampler,
            in_flight: Arc::default(),
            watchers: Arc::default(),
            judged_in_shadow: Arc::default(),
            websockets: WebSockets::default(),
            ready: AtomicBool::new(true),
            draining: Notify::new(),
            retired: AtomicBool::new(false),
            leaving: Notify::new(),
            drain: watch::Sender::new(false),
            workers: Snapshot::new(vec![]),
            listener: OnceLock::new(),
            reloads: OnceLock::new(),
        })
    }

    /// Replaces the live configuration, and closes idle connections to providers that are gone or have moved.
    ///
    /// # Errors
    /// One line for the user who reloads.
    pub(crate) async fn apply(&self, config: Config) -> Result<(), String> {
        let Config { mut settings, proxy_api_key: proxy_key, access, demo, tls, files, values, .. } = config;
        match demo {
            DemoMode::Off => {}
            DemoMode::Forced | DemoMode::Fallback => {
                let mut running = self.demo.lock();
                *running = Some(with_demo(running.take(), &mut settings)?);
            }
        }
        let before = self.live_config();
        self.tls.store(tls);
        self.facts.replace_values(values);
        let obsolete = obsolete_addresses(&before.settings, &settings);
        let identities = settings.providers.iter().filter_map(|provider| provider.identity.as_ref());
        self.credentials.keep_only(identities);
        let keys = ConfiguredKeys { proxy_key, access, exports: Vec::new() };
        self.live.store(LiveConfig::new(settings.clone(), keys, Some(&before)));
        let stopped = |_| "the supervisor has stopped; restart the gateway".to_owned();
        self.supervisor.send(Reconfigure(settings)).await.map_err(stopped)?;
        self.close_idle_connections(&obsolete);
        self.config_in_use.replace(files);
        Ok(())
    }

    /// Called once, before the first request.
    pub(crate) fn listens(&self, listener: Listener) {
        self.listener.get_or_init(|| listener);
        self.last_hour.watch(&self.registry);
    }

    /// The reloads that are ordered over HTTP from now on. Called once.
    pub(crate) fn take_reloads(&self) -> mpsc::Receiver<ReloadReply> {
        let (sender, receiver) = mpsc::channel(RELOADS);
        self.reloads.get_or_init(|| sender);
        receiver
    }

    /// Orders a reload; `None` if too many wait already, or if another process accepts connections.
    pub(crate) fn order_reload(&self) -> Option<oneshot::Receiver<Result<Reloaded, Vec<String>>>> {
        if !self.accepts_connections() {
            return None;
        }
        let (reply, reloaded) = oneshot::channel();
        self.reloads.get()?.try_send(reply).ok()?;
        Some(reloaded)
    }

    /// `None` for a gateway without a listener, as commands use it.
    pub(crate) fn listener(&self) -> Option<&Listener> {
        self.listener.get()
    }

    /// The configuration that holds now. Load it once for values that belong together.
    pub(crate) fn live_config(&self) -> Arc<LiveConfig> {
        self.live.load()
    }

    /// The certificate of the listener; `None` for plain HTTP.
    pub(crate) fn tls(&self) -> Arc<Option<ListenerTls>> {
        self.tls.load()
    }

    /// Replaces the certificate of the listener, read from these files, for connections that are accepted from now on.
    pub(crate) fn set_tls(&self, tls: ListenerTls, files: &SavedFiles) {
        self.tls.store(Some(tls));
        self.config_in_use.update(files);
    }

    /// How many requests are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// A place among the requests in flight; `None` if there are too many.
    pub(crate) fn admit(&self) -> Option<Admission> {
        let limit = self.live_config().settings.limits.in_flight;
        Admission::among(&self.in_flight, limit)
    }

    /// A place among the clients that watch the running requests; `None` if there are too many.
    pub(crate) fn watch(&self) -> Option<Admission> {
        Admission::among(&self.watchers, WATCHERS)
    }

    /// A place among the replies whose judge is awaited after their clients have them; `None` if there are too many.
    pub(crate) fn judge_in_shadow(&self) -> Option<Admission> {
        Admission::among(&self.judged_in_shadow, JUDGED_IN_SHADOW)
    }

    /// Whether the gateway accepts requests. It does not while it drains.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn leave_rotation(&self) {
        self.ready.store(false, Ordering::Release);
        self.draining.notify_waiters();
        self.leaving.notify_waiters();
    }

    /// Resolves when the gateway accepts no more requests.
    pub(crate) async fn drains(&self) {
        let draining = self.draining.notified();
        if self.is_ready() {
            draining.await;
        }
    }

    /// Whether this process accepts new connections. Streams that never end do so once it does not, so that their clients
    /// connect to the process that does.
    pub(crate) fn accepts_connections(&self) -> bool {
        self.is_ready() && !self.retired.load(Ordering::Acquire)
    }

    /// Resolves when this process does not accept new connections.
    pub(crate) async fn stops_accepting(&self) {
        let leaving = self.leaving.notified();
        if self.accepts_connections() {
            leaving.await;
        }
    }

    /// Another worker accepts new connections; requests on open ones are still served.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.leaving.notify_waiters();
    }

    /// Resolves when running replies must end.
    pub(crate) async fn must_end_replies(&self) {
        if self.drain.subscribe().wait_for(|&drained| drained).await.is_err() {
            // Unreachable: the gateway owns the sender.
            std::future::pending().await
        }
    }

    /// Called once by each worker thread as it starts.
    pub(crate) fn enlist(&self, worker: ArbiterHandle) {
        let mut workers = self.workers.load().as_ref().clone();
        workers.push(worker);
        self.workers.store(workers);
    }

    /// The threads that have called [`Gateway::enlist`].
    pub(crate) fn threads(&self) -> Arc<Vec<ArbiterHandle>> {
        self.workers.load()
    }

    /// Closes the idle connections to these providers.
    pub(crate) fn close_idle_connections(&self, providers: &[Arc<str>]) {
        for worker in self.workers.load().iter() {
            let providers = providers.to_vec();
            worker.spawn_fn(move || vandamme_actors::upstream::forget_here(&providers));
        }
    }

    /// Ends all running replies, each with an error event.
    pub(crate) fn end_replies(&self) {
        self.drain.send_replace(true);
        for worker in self.workers.load().iter() {
            worker.spawn_fn(vandamme_actors::converter::end_replies_here);
        }
    }
}

/// Adds the demo provider to the settings, and starts it unless it is running.
fn with_demo(running: Option<Demo>, settings: &mut Settings) -> Result<Demo, String> {
    let demo = match running {
        Some(demo) => demo,
        None => demo::start().map_err(|error| format!("the demo provider cannot be started: {error}"))?,
    };
    demo::embed(settings, &demo.base_url);
    Ok(demo)
}

/// Providers that are gone, or have another base URL or other certificates.
fn obsolete_addresses(before: &Settings, after: &Settings) -> Vec<Arc<str>> {
    let is_obsolete = |provider: &&Arc<ProviderSettings>| {
        let now = after.providers.iter().find(|now| now.name == provider.name);
        now.is_none_or(|now| now.base_url != provider.base_url || now.tls != provider.tls)
    };
    before.providers.iter().filter(is_obsolete).map(|provider| provider.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use actix_rt::System;
    use vandamme_actors::ledger::LedgerView;
    use vandamme_actors::observe::Observe;
    use vandamme_actors::provider::ProviderView;
    use vandamme_actors::recorder::RequestRecorder;
    use vandamme_actors::settings::Metrics;

    use super::*;
    use crate::config::Overrides;

    fn gateway() -> Gateway {
        let variables = [("OPENAI_API_KEY", "sk-one sk-two")];
        let environment = variables.iter().map(|&(name, text)| (name.into(), text.into())).collect();
        let overrides = Overrides { environment, ..Overrides::default() };
        Gateway::start(Config::load(&overrides).expect("a valid configuration")).expect("it starts")
    }

    async fn requests(gateway: &Gateway) -> u64 {
        let ledger = gateway.registry.load().ledger.clone();
        let view = ledger.send(Observe::<LedgerView>::new()).await.unwrap();
        view.rows.iter().map(|(_, _, totals)| totals.whole.requests).sum()
    }

    /// Requirement (issue 15, 6): the exported state of one gateway is imported by the next, and other bytes have no
    /// effect.
    #[test]
    fn a_new_gateway_imports_the_state_of_the_old_one_and_ignores_other_bytes() {
        System::new().block_on(async {
            let (old, new) = (gateway(), gateway());
            drop(RequestRecorder::open("id".into(), old.registry.clone(), Metrics::Kept));
            let state = old.export_state().await;
            assert!(!String::from_utf8_lossy(&state).contains("sk-"));

            for damaged in [&[][..], b"vandamme-state 9 x\n{}", &state[..state.len() - 1]] {
                new.import_state(damaged).await;
            }
            assert_eq!(requests(&new).await, 0);
            new.import_state(&state).await;
            assert_eq!(requests(&new).await, 1);
            let registry = new.registry.load();
            let view =
                registry.provider("openai").unwrap().send(Observe::<ProviderView>::new()).await.unwrap();
            assert_eq!(view.keys.len(), 2);
        });
    }
}
