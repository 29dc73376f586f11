//! What the running gateway must do, by signals and over its control socket, one order at a time.

use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use actix_web::rt::time::sleep;
use actix_web::web;
use futures_util::future::{Either, select};
use tokio::sync::mpsc;

use super::reload::Reloader;
use crate::config::ListenerTls;
use crate::gateway::{Gateway, ReloadReply};
use crate::process::control::listener::{self, Control, Observed, Order};
use crate::process::control::{self, ControlCommand, ControlReply, Reloaded, State, Status};
use crate::process::sessions::Sessions;
use crate::process::{self, Notice, Signals};

/// The longest log of a gateway for sessions, bytes.
const LOG: u64 = 8 << 20;
/// How often a gateway for sessions looks whether they are still there.
const LOOK: Duration = Duration::from_millis(500);

/// The orders that arrive over the control socket, if there is one.
pub(super) struct Orders {
    waiting: Option<mpsc::Receiver<Order>>,
    /// Reloads that were ordered over HTTP.
    reloads: mpsc::Receiver<ReloadReply>,
    sessions: Option<Sessions>,
    address: SocketAddr,
}

/// What ends the wait for the next order.
enum Event {
    Order(Order),
    /// `POST /admin/reload`
    HttpReload(ReloadReply),
    /// The last session has exited.
    SessionsOver,
}

/// How the gateway shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    Stop,
    /// Without waiting for requests in flight.
    StopNow,
    Restart,
}

/// Opens the control socket. A gateway without one serves requests, unless it is for sessions, which could not join it.
pub(super) fn open(
    gateway: &web::Data<Gateway>,
    address: SocketAddr,
    sessions: Option<&str>,
) -> Result<(Option<Control>, Orders), String> {
    let (gateway, started, since) = (gateway.clone(), SystemTime::now(), Instant::now());
    let site = Rc::new(Site { gateway, address, started, since, wrapped: sessions.is_some() });
    let name = sessions.map_or_else(|| control::name(address), control::name_for_sessions);
    let sessions = sessions.map(|_| Sessions::new(Instant::now()));
    let reloads = site.gateway.take_reloads();
    match listener::open(&name, site) {
        Ok((control, waiting)) => {
            Ok((Some(control), Orders { waiting: Some(waiting), reloads, sessions, address }))
        }
        Err(error) if sessions.is_some() => Err(format!("there is no control socket: {error}")),
        Err(error) => {
            log::warn!(
                "without a control socket `vdm server` finds this gateway only by its signals: {error}"
            );
            Ok((None, Orders { waiting: None, reloads, sessions, address }))
        }
    }
}

impl Orders {
    /// Executes orders until one of them shuts the gateway down.
    pub(super) async fn until_shutdown(
        &mut self,
        gateway: &Gateway,
        reloader: &mut Reloader,
        signals: &mut Signals,
    ) -> Shutdown {
        loop {
            let (signal, event) = (Box::pin(signals.next()), Box::pin(self.next()));
            let Order { ask, process, reply } = match select(signal, event).await {
                Either::Left((Notice::Stop, _)) | Either::Right((Event::SessionsOver, _)) => {
                    return Shutdown::Stop;
                }
                Either::Right((Event::HttpReload(reply), _)) => {
                    let reloaded = reloader.reload(gateway).await;
                    log_reload(&reloaded);
                    // The client may have disconnected.
                    drop(reply.send(reloaded));
                    continue;
                }
                Either::Left((Notice::Reload, _)) => {
                    log_reload(&reloader.reload(gateway).await);
                    continue;
                }
                Either::Right((Event::Order(order), _)) => order,
            };
            let stopping = ControlReply::Stopping { in_flight: gateway.in_flight() };
            let (said, shutdown) = match ask {
                ControlCommand::Stop => (stopping, Some(Shutdown::Stop)),
                ControlCommand::StopNow => (stopping, Some(Shutdown::StopNow)),
                ControlCommand::Restart if self.sessions.is_some() => {
                    let refusal = "a gateway that `vdm wrap` has started goes with its sessions, and is started by them";
                    (ControlReply::Refused(vec![refusal.to_owned()]), None)
                }
                ControlCommand::Restart => match reloader.check().await {
                    Ok(()) => (stopping, Some(Shutdown::Restart)),
                    Err(mistakes) => (ControlReply::Refused(mistakes), None),
                },
                ControlCommand::Reload => {
                    let reloaded = reloader.reload(gateway).await;
                    log_reload(&reloaded);
                    (reloaded.map_or_else(ControlReply::Refused, ControlReply::Reloaded), None)
                }
                ControlCommand::ResetHealth(target) => {
                    let reset = gateway.reset_health(&target).await;
                    let refused = |text| ControlReply::Refused(vec![text]);
                    (reset.map_or_else(refused, ControlReply::HealthReset), None)
                }
                ControlCommand::Join => (self.join(process), None),
                // Answered before it becomes an order.
                ControlCommand::Status => continue,
            };
            // The sender may have exited.
            drop(reply.send(said));
            if let Some(shutdown) = shutdown {
                return shutdown;
            }
        }
    }

    /// While the gateway stops: resolves when an order stops it at once.
    pub(super) async fn hurry(&mut self, gateway: &Gateway) {
        self.sessions = None;
        loop {
            let Event::Order(Order { ask, reply, .. }) = self.next().await else { continue };
            let is_now = ask == ControlCommand::StopNow;
            let said = match ask {
                ControlCommand::Stop | ControlCommand::StopNow => {
                    ControlReply::Stopping { in_flight: gateway.in_flight() }
                }
                ControlCommand::Status
                | ControlCommand::Join
                | ControlCommand::ResetHealth(_)
                | ControlCommand::Reload
                | ControlCommand::Restart => {
                    ControlReply::Refused(vec!["the gateway is stopping".to_owned()])
                }
            };
            drop(reply.send(said));
            if is_now {
                return;
            }
        }
    }

    /// A gateway that was started by hand does not depend on sessions.
    fn join(&mut self, process: Option<i32>) -> ControlReply {
        let joined = match (&mut self.sessions, process) {
            (Some(sessions), Some(process)) => sessions.join(process),
            (Some(_), None) => Err("the system does not tell which process joins"),
            (None, _) => Ok(()),
        };
        match joined {
            Ok(()) => ControlReply::Joined { address: self.address },
            Err(refusal) => ControlReply::Refused(vec![refusal.to_owned()]),
        }
    }

    async fn next(&mut self) -> Event {
        let Self { waiting, reloads, sessions, .. } = self;
        let order = Box::pin(async {
            match waiting {
                Some(waiting) => waiting.recv().await,
                None => None,
            }
        });
        let over = Box::pin(async {
            let Some(sessions) = sessions else { return pending().await };
            while !sessions.are_over(Instant::now()) {
                // If the file cannot be emptied, it grows.
                let _ = process::bound_output(LOG);
                sleep(LOOK).await;
            }
        });
        let reload = Box::pin(async {
            match reloads.recv().await {
                Some(reply) => reply,
                None => pending().await,
            }
        });
        match select(reload, select(order, over)).await {
            Either::Left((reply, _)) => Event::HttpReload(reply),
            Either::Right((Either::Left((Some(order), _)), _)) => Event::Order(order),
            // No order can arrive any more.
            Either::Right((Either::Left((None, over)), _)) => {
                over.await;
                Event::SessionsOver
            }
            Either::Right((Either::Right(((), _)), _)) => Event::SessionsOver,
        }
    }
}

fn log_reload(reloaded: &Result<Reloaded, Vec<String>>) {
    match reloaded {
        Ok(Reloaded { changed, needs_restart, warnings }) => {
            if changed.is_empty() && needs_restart.is_empty() {
                log::info!("reloaded: nothing has changed");
            }
            changed.iter().for_each(|line| log::info!("reloaded: {line}"));
            needs_restart.iter().for_each(|line| log::warn!("not reloaded, needs a restart: {line}"));
            warnings.iter().for_each(|line| log::warn!("{line}"));
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|line| log::error!("not reloaded, nothing has changed: {line}"));
        }
    }
}

/// The running gateway as the control socket shows it.
struct Site {
    gateway: web::Data<Gateway>,
    address: SocketAddr,
    started: SystemTime,
    since: Instant,
    wrapped: bool,
}

impl Observed for Site {
    fn status(&self) -> Status {
        let live = self.gateway.live_config();
        let settings = &live.settings;
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Status {
            pid: std::process::id(),
            address: self.address,
            certificate: self.gateway.tls().as_ref().as_ref().map(ListenerTls::fingerprint),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: u64::try_from(started.as_millis()).unwrap_or_default(),
            uptime_seconds: self.since.elapsed().as_secs(),
            state: if self.gateway.is_ready() { State::Running } else { State::Stopping },
            in_flight: self.gateway.in_flight(),
            providers: settings.providers.iter().map(|provider| provider.name.to_string()).collect(),
            default_provider: settings.default_provider.as_ref().map(ToString::to_string),
            wrapped: self.wrapped,
        }
    }
}
