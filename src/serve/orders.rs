//! What the running gateway is told to do, by signals and over its control socket: one thing after the other.

use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use actix::Addr;
use actix_web::web;
use futures_util::future::{Either, select};
use tokio::sync::mpsc;
use vandamme_actors::supervisor::Supervisor;

use super::reload::Reloader;
use crate::gateway::Gateway;
use crate::process::control::listener::{self, Control, Observed, Order};
use crate::process::control::{Ask, Reloaded, Said, State, Status};
use crate::process::{Notice, Signals};

/// Those that come over the control socket, if there is one.
pub(super) struct Orders(Option<mpsc::Receiver<Order>>);

/// What an order ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Stop,
    /// Without waiting for what is in flight.
    StopNow,
    Restart,
}

/// Opens the control socket. A gateway without one serves all the same.
pub(super) fn open(gateway: &web::Data<Gateway>, address: SocketAddr) -> (Option<Control>, Orders) {
    let (gateway, started, since) = (gateway.clone(), SystemTime::now(), Instant::now());
    match listener::open(address, Rc::new(Site { gateway, address, started, since })) {
        Ok((control, orders)) => (Some(control), Orders(Some(orders))),
        Err(error) => {
            log::warn!(
                "without a control socket `vdm server` finds this gateway only by its signals: {error}"
            );
            (None, Orders(None))
        }
    }
}

impl Orders {
    /// Does what it is told until that is to end.
    pub(super) async fn until_told(
        &mut self,
        (gateway, supervisor): (&Gateway, &Addr<Supervisor>),
        reloader: &mut Reloader,
        signals: &mut Signals,
    ) -> Told {
        loop {
            let (signal, order) = (Box::pin(signals.next()), Box::pin(self.next()));
            let Order { ask, reply } = match select(signal, order).await {
                Either::Left((Notice::Stop, _)) => return Told::Stop,
                Either::Left((Notice::Reload, _)) => {
                    log_reload(&reloader.reload(gateway, supervisor).await);
                    continue;
                }
                Either::Right((order, _)) => order,
            };
            let stopping = Said::Stopping { in_flight: gateway.in_flight() };
            let (said, told) = match ask {
                Ask::Stop => (stopping, Some(Told::Stop)),
                Ask::StopNow => (stopping, Some(Told::StopNow)),
                Ask::Restart => match reloader.check().await {
                    Ok(()) => (stopping, Some(Told::Restart)),
                    Err(mistakes) => (Said::Refused(mistakes), None),
                },
                Ask::Reload => {
                    let reloaded = reloader.reload(gateway, supervisor).await;
                    log_reload(&reloaded);
                    (reloaded.map_or_else(Said::Refused, Said::Reloaded), None)
                }
                // Answered before it becomes an order.
                Ask::Status => continue,
            };
            // Who asked may have gone.
            drop(reply.send(said));
            if let Some(told) = told {
                return told;
            }
        }
    }

    /// While the gateway stops: waits until it is told to hurry.
    pub(super) async fn hurry(&mut self, gateway: &Gateway) {
        loop {
            let Order { ask, reply } = self.next().await;
            let said = match ask {
                Ask::Stop | Ask::StopNow => Said::Stopping { in_flight: gateway.in_flight() },
                Ask::Status | Ask::Reload | Ask::Restart => {
                    Said::Refused(vec!["the gateway is stopping".to_owned()])
                }
            };
            drop(reply.send(said));
            if ask == Ask::StopNow {
                return;
            }
        }
    }

    async fn next(&mut self) -> Order {
        if let Some(orders) = &mut self.0
            && let Some(order) = orders.recv().await
        {
            return order;
        }
        pending().await
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
}

impl Observed for Site {
    fn status(&self) -> Status {
        let terms = self.gateway.terms();
        let settings = &terms.settings;
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Status {
            pid: std::process::id(),
            address: self.address,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: u64::try_from(started.as_millis()).unwrap_or_default(),
            uptime_seconds: self.since.elapsed().as_secs(),
            state: if self.gateway.is_ready() { State::Running } else { State::Stopping },
            in_flight: self.gateway.in_flight(),
            providers: settings.providers.iter().map(|provider| provider.name.to_string()).collect(),
            default_provider: settings.default_provider.as_ref().map(ToString::to_string),
        }
    }
}
