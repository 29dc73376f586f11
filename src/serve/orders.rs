//! The commands of users to a gateway without a master: by signals and over its control socket, one at a time.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix_web::rt::time::sleep;
use actix_web::web;
use futures_util::future::{Either, select};
use tokio::sync::mpsc;

use super::Shutdown;
use super::file_changes::FileChanges;
use super::reload::{Reloader, log_reload};
use crate::config::ListenerTls;
use crate::gateway::{Gateway, ReloadReply};
use crate::process::control::listener::{self, Caller, Control, ControlOperator, Order, Submission};
use crate::process::control::{self, ControlCommand, ControlReply, State, Status};
use crate::process::{SignalRequest, Signals};

/// Orders that wait while one is carried out.
const WAITING: usize = 16;
/// How often callers that wait for the end get the number of requests in flight.
const PROGRESS: Duration = Duration::from_millis(100);

/// The orders that arrive over the control socket, if there is one, and by signals.
pub(super) struct Orders {
    waiting: Option<mpsc::Receiver<Order>>,
    signals: Signals,
    changes: FileChanges,
    /// Reloads that were ordered over HTTP.
    reloads: mpsc::Receiver<ReloadReply>,
    address: SocketAddr,
    /// They wait for the end.
    callers: Vec<Caller>,
    _control: Option<Control>,
}

/// What ends the wait for the next order.
enum OrderEvent {
    Order(Order),
    Signal(SignalRequest),
    FilesChanged,
    /// `POST /admin/reload`
    HttpReload(ReloadReply),
}

impl Orders {
    /// Opens the control socket. A gateway without one serves requests.
    pub(super) fn open(status_source: &Arc<StatusSource>, changes: FileChanges) -> Result<Self, String> {
        let signals = Signals::listen().map_err(|error| format!("signals cannot be handled: {error}"))?;
        let (orders, waiting) = mpsc::channel(WAITING);
        let address = status_source.address;
        let users = Arc::new(StandaloneOperator { status_source: status_source.clone(), orders });
        let (control, waiting) = match listener::open(&control::name(address), users) {
            Ok(control) => (Some(control), Some(waiting)),
            Err(error) => {
                log::warn!(
                    "without a control socket `vdm server` finds this gateway only by its signals: {error}"
                );
                (None, None)
            }
        };
        let reloads = status_source.gateway.take_reloads();
        Ok(Self { waiting, signals, changes, reloads, address, callers: vec![], _control: control })
    }

    /// Executes orders until one of them shuts the gateway down.
    pub(super) async fn until_shutdown(&mut self, gateway: &Gateway, reloader: &mut Reloader) -> Shutdown {
        loop {
            let Order { ask, reply, .. } = match self.next().await {
                OrderEvent::Signal(SignalRequest::Stop) => return Shutdown::Stop,
                OrderEvent::HttpReload(reply) => {
                    reloader.reload_for(gateway, reply).await;
                    continue;
                }
                OrderEvent::Signal(SignalRequest::Reload) | OrderEvent::FilesChanged => {
                    log_reload(&reloader.reload(gateway).await);
                    continue;
                }
                OrderEvent::Signal(SignalRequest::Restart) => match reloader.check().await {
                    Ok(()) => return Shutdown::Restart,
                    Err(mistakes) => {
                        mistakes.iter().for_each(|line| log::error!("not restarted: {line}"));
                        continue;
                    }
                },
                OrderEvent::Order(order) => order,
            };
            let shutdown = match ask {
                ControlCommand::Stop => Shutdown::Stop,
                ControlCommand::StopNow => Shutdown::StopNow,
                ControlCommand::Restart => match reloader.check().await {
                    Ok(()) => Shutdown::Restart,
                    Err(mistakes) => {
                        reply.send(ControlReply::Refused(mistakes));
                        continue;
                    }
                },
                ControlCommand::Reload => {
                    let reloaded = reloader.reload(gateway).await;
                    log_reload(&reloaded);
                    reply.send(reloaded.map_or_else(ControlReply::Refused, ControlReply::Reloaded));
                    continue;
                }
                // A gateway that `vdm wrap` did not start accepts a join but does not track it.
                ControlCommand::Join => {
                    reply.send(ControlReply::Joined { address: self.address });
                    continue;
                }
                ControlCommand::ResetHealth(target) => {
                    let reset = gateway.reset_health(&target).await;
                    let refused = |text| ControlReply::Refused(vec![text]);
                    reply.send(reset.map_or_else(refused, ControlReply::HealthReset));
                    continue;
                }
                ControlCommand::DashboardLink => {
                    reply.send(dashboard_link(gateway));
                    continue;
                }
                // Answered before it becomes an order.
                ControlCommand::Status => continue,
            };
            reply.send(ControlReply::Stopping { in_flight: gateway.in_flight() });
            self.callers.push(reply);
            return shutdown;
        }
    }

    /// While the gateway stops: resolves when a signal or an order stops it at once.
    pub(super) async fn until_stop_now(&mut self, gateway: &Gateway) {
        let mut told = gateway.in_flight();
        loop {
            let event = match select(Box::pin(self.next()), Box::pin(sleep(PROGRESS))).await {
                Either::Left((event, _)) => Some(event),
                Either::Right(_) => None,
            };
            let Order { ask, reply, .. } = match event {
                Some(OrderEvent::Order(order)) => order,
                Some(OrderEvent::Signal(SignalRequest::Stop)) => return,
                // The client of a dropped reload gets 503.
                Some(
                    OrderEvent::Signal(SignalRequest::Reload | SignalRequest::Restart)
                    | OrderEvent::FilesChanged
                    | OrderEvent::HttpReload(_),
                ) => continue,
                None => {
                    let in_flight = gateway.in_flight();
                    if in_flight != told {
                        told = in_flight;
                        self.callers
                            .iter()
                            .for_each(|caller| caller.send(ControlReply::Stopping { in_flight }));
                    }
                    continue;
                }
            };
            let is_now = ask == ControlCommand::StopNow;
            match ask {
                ControlCommand::Stop | ControlCommand::StopNow => {
                    reply.send(ControlReply::Stopping { in_flight: gateway.in_flight() });
                    self.callers.push(reply);
                }
                ControlCommand::Status
                | ControlCommand::Join
                | ControlCommand::ResetHealth(_)
                | ControlCommand::DashboardLink
                | ControlCommand::Reload
                | ControlCommand::Restart => {
                    reply.send(ControlReply::Refused(vec!["the gateway is stopping".to_owned()]));
                }
            }
            if is_now {
                return;
            }
        }
    }

    async fn next(&mut self) -> OrderEvent {
        let Self { waiting, signals, changes, reloads, callers, .. } = self;
        callers.retain(Caller::waits);
        let order = Box::pin(async {
            let Some(waiting) = waiting else { return pending().await };
            match waiting.recv().await {
                Some(order) => order,
                // No order can arrive any more.
                None => pending().await,
            }
        });
        let reload = Box::pin(next_reload(reloads));
        let files = select(Box::pin(changes.next()), reload);
        match select(Box::pin(signals.next()), select(order, files)).await {
            Either::Left((request, _)) => OrderEvent::Signal(request),
            Either::Right((Either::Left((order, _)), _)) => OrderEvent::Order(order),
            Either::Right((Either::Right((Either::Left(_), _)), _)) => OrderEvent::FilesChanged,
            Either::Right((Either::Right((Either::Right((reply, _)), _)), _)) => {
                OrderEvent::HttpReload(reply)
            }
        }
    }
}

/// The answer to a request for a one-time link to the dashboard.
pub(super) fn dashboard_link(gateway: &Gateway) -> ControlReply {
    match gateway.logins.new_link() {
        Ok(token) => ControlReply::DashboardLink { token: token.expose().to_owned() },
        Err(_) => ControlReply::Refused(vec!["the system provides no random numbers".to_owned()]),
    }
}

/// The next reload that is ordered over HTTP.
pub(super) async fn next_reload(reloads: &mut mpsc::Receiver<ReloadReply>) -> ReloadReply {
    match reloads.recv().await {
        Some(reply) => reply,
        // The gateway owns the sender.
        None => pending().await,
    }
}

/// Passes commands from the control socket to a gateway without a master.
struct StandaloneOperator {
    status_source: Arc<StatusSource>,
    orders: mpsc::Sender<Order>,
}

impl ControlOperator for StandaloneOperator {
    fn status(&self) -> Option<Status> {
        Some(self.status_source.status())
    }

    fn submit(&self, order: Order) -> Submission {
        self.orders.try_send(order).map_or(Submission::Refused, |()| Submission::Taken)
    }
}

/// The source of the status that `vdm server status` prints.
pub(super) struct StatusSource {
    gateway: web::Data<Gateway>,
    address: SocketAddr,
    started: SystemTime,
    since: Instant,
}

impl StatusSource {
    pub(super) fn new(gateway: &web::Data<Gateway>, address: SocketAddr) -> Arc<Self> {
        let (started, since) = (SystemTime::now(), Instant::now());
        Arc::new(Self { gateway: gateway.clone(), address, started, since })
    }

    pub(super) fn status(&self) -> Status {
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
            wrapped: false,
            worker: None,
        }
    }
}
