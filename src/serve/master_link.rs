//! A worker's end of the channel to its master: the master's orders, and the worker's answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::rt;
use actix_web::rt::time::sleep;
use futures_util::future::{Either, join_all, select};
use tokio::sync::{mpsc, oneshot};

use super::Shutdown;
use super::file_changes::FileChanges;
use super::orders::{StatusSource, dashboard_link, next_reload};
use super::reload::{Reloader, log_reload};
use crate::api::connection::ConnectionLimiter;
use crate::gateway::{Gateway, ReloadReply};
use crate::process::Signals;
use crate::process::channel::Channel;
use crate::process::channel::messages::{WorkerMessage, WorkerOrder};
use crate::process::control::{ControlReply, ResetTarget};

/// Orders that wait while one is carried out.
const WAITING: usize = 16;
/// Messages that wait while the master does not read.
const MESSAGES: usize = 64;
/// How often a draining worker compares what it serves with what it last reported.
const PROGRESS: Duration = Duration::from_millis(100);
/// How often the state is sent for the next worker in case this one ends unexpectedly.
const STATE_INTERVAL: Duration = Duration::from_secs(30);
/// Upper bound on the delay before the acceptor pauses. Connections that it has accepted reach their threads meanwhile.
const PAUSE: Duration = Duration::from_millis(150);

/// The channel to the master, with a thread for each direction.
pub(super) struct MasterLink {
    orders: mpsc::Receiver<WorkerOrder>,
    changes: FileChanges,
    /// Reloads that were ordered over HTTP.
    reloads: mpsc::Receiver<ReloadReply>,
    messages: Messages,
    status_source: Arc<StatusSource>,
    gateway: Arc<Gateway>,
    /// Its signals mean nothing to a worker: the system sends those of a terminal to all processes, and the master decides.
    _signals: Signals,
    /// One check of the threads at a time.
    checking: Arc<AtomicBool>,
}

/// Sends messages to the master. One that cannot be sent in time is dropped: the master sends its request again, or has exited.
#[derive(Clone)]
struct Messages(SyncSender<(WorkerMessage, Vec<u8>)>);

impl Messages {
    fn send(&self, message: WorkerMessage) {
        self.send_with(message, vec![]);
    }

    fn send_with(&self, message: WorkerMessage, attachment: Vec<u8>) {
        let _ = self.0.try_send((message, attachment));
    }
}

impl MasterLink {
    pub(super) fn open(
        channel: Channel,
        status_source: &Arc<StatusSource>,
        gateway: Arc<Gateway>,
        changes: FileChanges,
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("the channel to the master cannot be used: {error}");
        let signals = Signals::listen().map_err(|error| format!("signals cannot be handled: {error}"))?;
        let (messages, outgoing) = sync_channel::<(WorkerMessage, Vec<u8>)>(MESSAGES);
        let writing = channel.try_clone().map_err(failed)?;
        let writer = thread::Builder::new().name("to-master".to_owned()).spawn(move || {
            for (message, attachment) in outgoing {
                // After an error nothing can be sent any more; that the master is gone is noticed by reading.
                if writing.send(&message, &attachment, &[]).is_err() {
                    return;
                }
            }
        });
        let (incoming, orders) = mpsc::channel(WAITING);
        let reader = thread::Builder::new().name("from-master".to_owned()).spawn(move || {
            while let Ok(Some(packet)) = channel.receive::<WorkerOrder>() {
                let Some(order) = packet.message else { continue };
                if incoming.blocking_send(order).is_err() {
                    return;
                }
            }
        });
        writer.and(reader).map_err(failed)?;
        let (status_source, checking, messages) = (status_source.clone(), Arc::default(), Messages(messages));
        let reloads = gateway.take_reloads();
        Ok(Self { orders, changes, reloads, messages, status_source, gateway, _signals: signals, checking })
    }

    /// Reports that requests can be served, and waits until the master orders it. From then on, sends the state from time to
    /// time.
    pub(super) async fn ready(&mut self) -> Result<(), String> {
        self.messages.send(WorkerMessage::Ready(Box::new(self.status_source.status())));
        loop {
            match self.orders.recv().await {
                Some(WorkerOrder::Serve) => break,
                Some(WorkerOrder::Stop | WorkerOrder::StopNow | WorkerOrder::Retire) | None => {
                    return Err("the master has ended this worker before it served".to_owned());
                }
                Some(order) => self.answer(&order),
            }
        }
        let (gateway, messages) = (self.gateway.clone(), self.messages.clone());
        rt::spawn(async move {
            let mut last = Vec::new();
            loop {
                sleep(STATE_INTERVAL).await;
                let state = gateway.export_state().await;
                if state != last {
                    last.clone_from(&state);
                    messages.send_with(WorkerMessage::State, state);
                }
            }
        });
        Ok(())
    }

    /// Executes orders until one of them ends this worker.
    pub(super) async fn until_shutdown(&mut self, reloader: &mut Reloader) -> Shutdown {
        loop {
            let reloads = select(Box::pin(self.changes.next()), Box::pin(next_reload(&mut self.reloads)));
            let order = match select(Box::pin(self.orders.recv()), reloads).await {
                Either::Left((order, _)) => order,
                Either::Right((Either::Left(_), _)) => {
                    log_reload(&reloader.reload(&self.gateway).await);
                    continue;
                }
                Either::Right((Either::Right((reply, _)), _)) => {
                    reloader.reload_for(&self.gateway, reply).await;
                    continue;
                }
            };
            let Some(order) = order else {
                log::warn!("the master process is gone: this worker finishes its requests and exits");
                return Shutdown::Stop;
            };
            match order {
                WorkerOrder::Reload => {
                    let reloaded = reloader.reload(&self.gateway).await;
                    log_reload(&reloaded);
                    let reply = reloaded.map_or_else(ControlReply::Refused, ControlReply::Reloaded);
                    self.messages.send(WorkerMessage::Reloaded(reply));
                }
                WorkerOrder::ResetHealth(target) => self.reset_health(&target).await,
                WorkerOrder::DashboardLink => {
                    self.messages.send(WorkerMessage::DashboardLink(dashboard_link(&self.gateway)));
                }
                WorkerOrder::Retire => return Shutdown::Retire,
                WorkerOrder::Stop => return Shutdown::Stop,
                WorkerOrder::StopNow => return Shutdown::StopNow,
                order @ (WorkerOrder::Start(_)
                | WorkerOrder::Serve
                | WorkerOrder::Ping
                | WorkerOrder::Status
                | WorkerOrder::ExportState) => self.answer(&order),
            }
        }
    }

    async fn reset_health(&self, target: &ResetTarget) {
        let reset = self.gateway.reset_health(target).await;
        let reply = reset.map_or_else(|text| ControlReply::Refused(vec![text]), ControlReply::HealthReset);
        self.messages.send(WorkerMessage::HealthReset(reply));
    }

    /// Serves the open connections until all are closed, or until `limits.drain` has passed since the master set that limit. Until
    /// then no connection is closed whose client has not been notified, since it may be sending a request.
    pub(super) async fn until_unused(&mut self, limiter: &ConnectionLimiter) -> Shutdown {
        sleep(PAUSE).await;
        let mut deadline = None;
        loop {
            if limiter.open() == 0 {
                return Shutdown::Stop;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Shutdown::StopNow;
            }
            let order = match select(Box::pin(self.orders.recv()), Box::pin(sleep(PROGRESS))).await {
                Either::Left((order, _)) => order,
                Either::Right(_) => continue,
            };
            match order {
                None | Some(WorkerOrder::Stop) => return Shutdown::Stop,
                Some(WorkerOrder::StopNow) => return Shutdown::StopNow,
                Some(WorkerOrder::Retire) => {
                    let drain = self.gateway.live_config().settings.limits.drain;
                    deadline.get_or_insert(Instant::now() + drain);
                }
                Some(order) => self.answer(&order),
            }
        }
    }

    /// While this worker drains within its limit: resolves when the master ends it at once.
    pub(super) async fn until_stop_now(&mut self) {
        loop {
            match self.orders.recv().await {
                Some(WorkerOrder::StopNow) => return,
                Some(order) => self.answer(&order),
                // The limit of the drain ends it.
                None => std::future::pending().await,
            }
        }
    }

    /// Reports from now on what is still served.
    pub(super) fn report_progress(&self, limiter: Arc<ConnectionLimiter>) {
        let (gateway, messages) = (self.gateway.clone(), self.messages.clone());
        rt::spawn(async move {
            let mut last = None;
            loop {
                let now = (gateway.in_flight(), limiter.open());
                if last != Some(now) {
                    last = Some(now);
                    let (in_flight, connections) = now;
                    messages.send(WorkerMessage::Draining { in_flight, connections });
                }
                sleep(PROGRESS).await;
            }
        });
    }

    /// Answers orders that do not change state.
    fn answer(&self, order: &WorkerOrder) {
        match order {
            WorkerOrder::Ping => self.check_threads(),
            WorkerOrder::Status => {
                self.messages.send(WorkerMessage::Status(Box::new(self.status_source.status())));
            }
            WorkerOrder::ExportState => {
                let (gateway, messages) = (self.gateway.clone(), self.messages.clone());
                rt::spawn(async move {
                    messages.send_with(WorkerMessage::State, gateway.export_state().await);
                });
            }
            WorkerOrder::Reload => {
                self.messages.send(WorkerMessage::Reloaded(finishing()));
            }
            WorkerOrder::ResetHealth(_) => self.messages.send(WorkerMessage::HealthReset(finishing())),
            WorkerOrder::DashboardLink => self.messages.send(WorkerMessage::DashboardLink(finishing())),
            WorkerOrder::Start(_)
            | WorkerOrder::Serve
            | WorkerOrder::Retire
            | WorkerOrder::Stop
            | WorkerOrder::StopNow => {}
        }
    }

    /// Answers a ping once every thread that serves requests has run.
    fn check_threads(&self) {
        if self.checking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (messages, checking) = (self.messages.clone(), self.checking.clone());
        let workers = self.gateway.threads();
        let alive = workers.iter().filter_map(|worker| {
            let (answer, alive) = oneshot::channel::<()>();
            // A thread that has ended has been replaced.
            worker.spawn_fn(move || answer.send(()).unwrap_or_default()).then_some(alive)
        });
        let alive = join_all(alive.collect::<Vec<_>>());
        rt::spawn(async move {
            drop(alive.await);
            checking.store(false, Ordering::Release);
            messages.send(WorkerMessage::Pong);
        });
    }
}

/// The answer to an order that has no effect while this worker drains.
fn finishing() -> ControlReply {
    ControlReply::Refused(vec!["this worker is finishing its requests; try again".to_owned()])
}
