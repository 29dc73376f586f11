//! Many clients at once, on threads of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Trouble;
use crate::connection::{Connection, Expected, Timing};

const THREADS: usize = 2;
/// The longest wait for a reply. A slower reply counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// The task of every client.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) request: Bytes,
    pub(crate) expected: Expected,
    pub(crate) clients: usize,
    /// The interval between the first requests of two clients.
    pub(crate) stagger: Duration,
    pub(crate) habit: Habit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Repeats the request until it is stopped.
    Repeats,
    /// Sends this many requests.
    Asks(usize),
    /// Sends one request, and keeps the open stream until it is stopped.
    Holds,
}

/// The running clients.
pub(crate) struct Crowd {
    seen: Arc<AtomicU64>,
    stop: watch::Sender<()>,
    threads: Vec<JoinHandle<Result<Vec<Timing>, Trouble>>>,
}

impl Load {
    pub(crate) fn start(&self) -> Crowd {
        let seen = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = watch::channel(());
        let threads = (0..THREADS).map(|thread| {
            let (load, seen, stopped) = (self.clone(), Arc::clone(&seen), stopped.clone());
            thread::spawn(move || load.share_of(thread, (seen, stopped)))
        });
        Crowd { threads: threads.collect(), seen, stop }
    }

    fn share_of(
        self,
        thread: usize,
        (seen, stopped): (Arc<AtomicU64>, watch::Receiver<()>),
    ) -> Result<Vec<Timing>, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut clients = JoinSet::new();
            for number in (thread..self.clients).step_by(THREADS) {
                clients.spawn(client(self.clone(), number, (Arc::clone(&seen), stopped.clone())));
            }
            let mut timings = Vec::new();
            while let Some(done) = clients.join_next().await {
                timings.extend(done??);
            }
            Ok(timings)
        })
    }
}

async fn client(
    load: Load,
    number: usize,
    (seen, mut stopped): (Arc<AtomicU64>, watch::Receiver<()>),
) -> Result<Vec<Timing>, Trouble> {
    sleep(load.stagger * u32::try_from(number)?).await;
    let mut connection = Connection::open(load.address).await?;
    let mut timings = Vec::new();
    let asked = (load.expected, &*seen);
    if load.habit == Habit::Holds {
        timeout(PATIENCE, connection.ask_for_first(&load.request, asked)).await??;
        // An error also ends the other clients.
        let _told = stopped.changed().await;
        return Ok(timings);
    }
    loop {
        timings.push(timeout(PATIENCE, connection.ask(&load.request, asked)).await??);
        if load.habit == Habit::Asks(timings.len()) || stopped.has_changed().unwrap_or(true) {
            return Ok(timings);
        }
    }
}

impl Crowd {
    /// The number of marks that all clients have received so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Waits until the clients have received this many marks.
    pub(crate) fn await_seen(self, marks: u64) -> Result<Self, Trouble> {
        let until = Instant::now() + PATIENCE;
        while self.seen() < marks {
            let failed = self.threads.iter().any(JoinHandle::is_finished);
            if failed || Instant::now() > until {
                let seen = self.seen();
                self.stop()?;
                return Err(format!("only {seen} of {marks} streams opened").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(self)
    }

    /// Stops the clients after their current request.
    pub(crate) fn stop(self) -> Result<Vec<Timing>, Trouble> {
        // They may have ended already.
        let _told = self.stop.send(());
        self.wait()
    }

    /// Waits until all clients have ended.
    pub(crate) fn wait(self) -> Result<Vec<Timing>, Trouble> {
        let mut timings = Vec::new();
        for thread in self.threads {
            timings.extend(thread.join().map_err(|_| "a load thread panicked")??);
        }
        Ok(timings)
    }
}
