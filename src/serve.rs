//! The gateway as a server, from start to shutdown.

mod certificate;
mod exhaustion;
mod file_changes;
mod left_listeners;
mod master_link;
mod orders;
mod reload;
mod server;
mod watchdog;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::rt::time::{sleep, timeout};
use actix_web::web;
use futures_util::future::select;
use vandamme_actors::ledger::LedgerView;
use vandamme_actors::observe::Observe;
use vandamme_actors::settings::Limits;

use self::file_changes::FileChanges;
use self::left_listeners::HttpParts;
use self::master_link::MasterLink;
use self::orders::{Orders, StatusSource};
use self::reload::Reloader;
use crate::api::connection::{self, ConnectionLimiter};
use crate::config::{Config, Overrides};
use crate::gateway::{Gateway, Listener};
use crate::otlp;
use crate::process::channel::Channel;
use crate::process::descriptors::Descriptors;
use crate::process::systemd;

/// The pause after the error events, so that they reach the clients.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Upper bound on the delay before the acceptor pauses. Connections that it has accepted reach their threads meanwhile.
const PAUSE: Duration = Duration::from_millis(150);

/// How the gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Stopped,
    /// It must be started again with the same arguments.
    Restart,
}

/// How the gateway shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    Stop,
    /// Without waiting for requests in flight.
    StopNow,
    /// The same process starts the gateway again.
    Restart,
    /// Another worker accepts new connections; this one serves those that are open.
    Retire(Listeners),
}

/// Where the other worker accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listeners {
    /// On the same listeners.
    Shared,
    /// At another address.
    Left,
}

/// How the gateway was started.
pub(crate) struct Origin {
    /// The sources of its configuration.
    pub(crate) overrides: Overrides,
    pub(crate) supervision: Supervision,
    pub(crate) reload: ReloadOn,
    /// The errors of the configuration on disk, if the gateway starts with the last good one.
    pub(crate) config_errors: Vec<String>,
}

/// When the configuration is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReloadOn {
    Command,
    /// Also when one of its files changes.
    FileChange,
}

/// Who commands this process.
pub(crate) enum Supervision {
    /// Its users, by signals and the control socket.
    Users,
    /// A master process; the gateway begins with the state of an earlier worker.
    Master { channel: Channel, state: Vec<u8> },
}

/// Where the commands come from.
enum Commands {
    Users(Orders),
    Master(MasterLink),
}

/// Serves on `listeners`, which must not be empty, until a command ends it, then drains: requests in flight may finish within
/// `limits.drain`; a second command ends them at once.
///
/// # Errors
/// One line for the user who started it.
pub(crate) fn serve(listeners: Vec<TcpListener>, config: Config, origin: Origin) -> Result<Ending, String> {
    System::new().block_on(run(listeners, config, origin))
}

async fn run(listeners: Vec<TcpListener>, config: Config, origin: Origin) -> Result<Ending, String> {
    let changes = match origin.reload {
        ReloadOn::Command => FileChanges::none(),
        ReloadOn::FileChange => FileChanges::watch(origin.overrides.files())
            .map_err(|error| format!("files cannot be watched: {error}"))?,
    };
    let mut reloader = Reloader::new(&config, origin.overrides);
    let (host, limits, otlp) = (config.host.clone(), config.settings.limits.clone(), config.otlp.clone());
    let gateway = web::Data::new(Gateway::start(config)?);
    gateway.config_in_use.fell_back(origin.config_errors);
    let first = listeners.first().ok_or("there is no listener")?;
    let address = first.local_addr().map_err(|error| format!("the listener has no address: {error}"))?;
    gateway.listens(Listener { address, host });
    gateway.start_history();
    let exporter = otlp.map(|config| otlp::start(config, gateway.clone().into_inner()));
    let limiter = connection_limiter(&gateway, &limits);
    let mut commands = Commands::open(origin.supervision, &gateway, address, changes).await?;
    commands.ready().await?;
    let cannot_start = |error| format!("the server cannot start: {error}");
    let kept = copies(&listeners).map_err(cannot_start)?;
    let (server, draining) = server::server(listeners, &gateway, &limiter).map_err(cannot_start)?;
    actix_web::rt::spawn(exhaustion::watch(gateway.clone().into_inner(), limiter.clone()));
    actix_web::rt::spawn(certificate::watch(gateway.clone().into_inner()));
    let handle = server.handle();
    let serving = actix_web::rt::spawn(server);
    actix_web::rt::spawn(watchdog::watch(gateway.clone().into_inner()));
    systemd::ready(&systemd::serving(address));
    let mut shutdown = commands.until_shutdown(&gateway, &mut reloader).await;
    commands.report_progress(&limiter);
    let ending = if shutdown == Shutdown::Restart { Ending::Restart } else { Ending::Stopped };
    if let Shutdown::Retire(listeners) = shutdown {
        retire(&gateway, &handle).await;
        let (gateway, limiter) = (gateway.clone(), limiter.clone());
        if listeners == Listeners::Left {
            left_listeners::close(kept, &HttpParts { gateway, limiter: limiter.clone(), draining }).await;
        }
        shutdown = commands.until_unused(&limiter).await;
    } else {
        // New connections are refused once the server has closed its own ones.
        drop(kept);
    }
    match shutdown {
        Shutdown::Restart => systemd::reloading(&systemd::draining(gateway.in_flight())),
        Shutdown::Stop | Shutdown::StopNow | Shutdown::Retire(_) => {
            systemd::stopping(&systemd::draining(gateway.in_flight()));
        }
    }
    log::info!(
        "shutting down; waiting up to {} s for {} requests",
        gateway.live_config().settings.limits.drain.as_secs_f64(),
        gateway.in_flight(),
    );
    drain(&gateway, &handle, &mut commands, shutdown).await;
    // A server that is already stopping ignores a second order: the process ends without it.
    drop(timeout(LAST_WORDS, serving).await);
    // Once the ledger answers, the last requests are in the log.
    drop(timeout(LAST_WORDS, gateway.registry.load().ledger.send(Observe::<LedgerView>::new())).await);
    flush(&gateway, exporter, &mut commands).await;
    Ok(ending)
}

/// Writes what is still to be written: the history, exports, and answers to the master.
async fn flush(gateway: &Gateway, exporter: Option<otlp::Exporter>, commands: &mut Commands) {
    gateway.end_history().await;
    if let Some(exporter) = exporter {
        exporter.flush().await;
    }
    commands.flush().await;
}

fn connection_limiter(gateway: &Gateway, limits: &Limits) -> Arc<ConnectionLimiter> {
    let limiter = Arc::new(ConnectionLimiter::new(Descriptors::raise(limits).connections()));
    let counted = limiter.clone();
    gateway.counts_connections(move || counted.open());
    limiter
}

fn copies(listeners: &[TcpListener]) -> std::io::Result<Vec<TcpListener>> {
    listeners.iter().map(TcpListener::try_clone).collect()
}

/// Accepts no more connections. The open ones are served until all are closed or a command sets a limit. Replies close their
/// connections; an idle connection is closed when it has been idle for the usual time, so that no client that is just
/// sending a request loses it.
async fn retire(gateway: &Gateway, handle: &ServerHandle) {
    handle.pause().await;
    gateway.retire();
    for worker in gateway.threads().iter() {
        worker.spawn_fn(connection::retire_here);
    }
    log::info!("a new worker serves; this one finishes {} requests", gateway.in_flight());
}

/// Refuses new requests, waits for those in flight, then ends the rest.
async fn drain(gateway: &Gateway, handle: &ServerHandle, commands: &mut Commands, shutdown: Shutdown) {
    gateway.leave_rotation();
    let stopping = handle.stop(true);
    let impatient = async {
        let drain = gateway.live_config().settings.limits.drain;
        let patience = if shutdown == Shutdown::StopNow { Duration::ZERO } else { drain };
        select(Box::pin(commands.until_stop_now(gateway)), Box::pin(sleep(patience))).await;
        gateway.end_replies();
        sleep(LAST_WORDS).await;
    };
    let ending = select(Box::pin(stopping), Box::pin(impatient));
    select(ending, Box::pin(notify_of_drain(gateway))).await;
    // Drops what is left.
    drop(handle.stop(false));
}

/// Keeps the service manager from ending the drain. Does not return.
async fn notify_of_drain(gateway: &Gateway) {
    loop {
        systemd::extend_timeout(2 * systemd::DRAIN_NOTICE, &systemd::draining(gateway.in_flight()));
        sleep(systemd::DRAIN_NOTICE).await;
    }
}

impl Commands {
    async fn open(
        supervision: Supervision,
        gateway: &web::Data<Gateway>,
        address: SocketAddr,
        changes: FileChanges,
    ) -> Result<Self, String> {
        let status_source = StatusSource::new(gateway, address);
        match supervision {
            Supervision::Users => Orders::open(&status_source, changes).map(Self::Users),
            Supervision::Master { channel, state } => {
                if !state.is_empty() {
                    gateway.import_state(&state).await;
                }
                MasterLink::open(channel, &status_source, gateway.clone().into_inner(), changes)
                    .map(Self::Master)
            }
        }
    }

    /// Returns when connections may be accepted.
    async fn ready(&mut self) -> Result<(), String> {
        match self {
            Self::Users(_) => Ok(()),
            Self::Master(link) => link.ready().await,
        }
    }

    async fn until_shutdown(&mut self, gateway: &Gateway, reloader: &mut Reloader) -> Shutdown {
        match self {
            Self::Users(orders) => orders.until_shutdown(gateway, reloader).await,
            Self::Master(link) => link.until_shutdown(reloader).await,
        }
    }

    /// Resolves when no connection is open, or when a command ends them.
    async fn until_unused(&mut self, limiter: &ConnectionLimiter) -> Shutdown {
        match self {
            Self::Master(link) => link.until_unused(limiter).await,
            // Users do not replace a worker.
            Self::Users(_) => Shutdown::Stop,
        }
    }

    fn report_progress(&self, limiter: &Arc<ConnectionLimiter>) {
        match self {
            Self::Users(_) => {}
            Self::Master(link) => link.report_progress(limiter.clone()),
        }
    }

    /// Waits until callers have their answers.
    async fn flush(&self) {
        match self {
            Self::Users(orders) => orders.flush().await,
            // The master has the callers.
            Self::Master(_) => {}
        }
    }

    /// Resolves when a command ends what is in flight.
    async fn until_stop_now(&mut self, gateway: &Gateway) {
        match self {
            Self::Users(orders) => orders.until_stop_now(gateway).await,
            Self::Master(link) => link.until_stop_now().await,
        }
    }
}
