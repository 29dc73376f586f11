//! Many clients at once, on a thread of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Trouble;
use crate::client::{self, Outcome};
use crate::history::{History, Suspect};
use crate::order::{Endpoint, Mix, Order};
use crate::upstream::Upstream;

/// What all clients know.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) history: Arc<History>,
}

#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) mix: Mix,
    pub(crate) clients: u64,
    pub(crate) seed: u64,
    /// Between two requests of a client, at most.
    pub(crate) pause: Duration,
    /// Requests of each client.
    pub(crate) requests: usize,
}

/// The clients at work.
pub(crate) struct Crowd {
    stop: watch::Sender<()>,
    thread: JoinHandle<Result<(), Trouble>>,
}

impl Load {
    pub(crate) fn start(self, world: &World) -> Crowd {
        let (stop, stopped) = watch::channel(());
        let world = world.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut clients = JoinSet::new();
                for number in 0..self.clients {
                    let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(number);
                    clients.spawn(self.client(world.clone(), Rng::with_seed(seed), stopped.clone()));
                }
                while let Some(done) = clients.join_next().await {
                    done?;
                }
                Ok(())
            })
        });
        Crowd { stop, thread }
    }

    async fn client(self, world: World, mut rng: Rng, stopped: watch::Receiver<()>) {
        let mut kept = None;
        for _ in 0..self.requests {
            if stopped.has_changed().unwrap_or(true) {
                return;
            }
            let order = Order::draw(&mut rng, world.history.next_id(), self.mix);
            // A third of the requests use a new connection.
            let reused = kept.take().filter(|_| rng.u8(..3) != 0);
            kept = send(&world, order, reused).await;
            let pause = self.pause.mul_f64(rng.f64());
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn send(world: &World, order: Order, kept: Option<client::Kept>) -> Option<client::Kept> {
    let (history, applied) = (&world.history, world.history.applied());
    let worker = history.counted("restarts");
    let kept = kept.filter(|kept| !kept.is_closed());
    let is_current = kept.as_ref().is_none_or(|kept| kept.worker == worker);
    let opened = kept.as_ref().map(|kept| kept.opened);
    let started = Instant::now();
    let (outcome, kept) = client::perform((world.address, worker), &order, kept).await;
    let generations = world.upstream.take_calls(order.id);
    if is_current && generations.iter().any(|generation| *generation < applied) {
        history.violate(format!("{order:?}: keys {generations:?}, but {applied} was applied before"));
    }
    let is_served = outcome == Outcome::Complete;
    // A count without a call is an estimate, which the client has checked.
    let is_called = order.endpoint.reaches_upstream() && order.endpoint != Endpoint::CountTokens;
    if is_served && is_called && generations.is_empty() {
        history.violate(format!("{order:?} was answered without a call"));
    }
    let calls = generations.len();
    history.record(Suspect { order, outcome, calls, opened, started, ended: Instant::now() });
    kept
}

impl Crowd {
    /// Lets every client finish its request.
    pub(crate) fn stop(self) -> Result<(), Trouble> {
        self.stop.send_replace(());
        self.wait()
    }

    /// Waits until every client has sent its requests.
    pub(crate) fn wait(self) -> Result<(), Trouble> {
        self.thread.join().map_err(|_| "a load thread panicked")?
    }
}
