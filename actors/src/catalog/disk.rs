//! Runs the one thread that accesses the models cache on disk. A request waits for it only for a limited time, so that
//! a disk that hangs delays nothing else.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tokio::sync::oneshot;

use super::Listing;
use super::store::ModelListStore;
use crate::settings::ProviderSettings;

/// The most jobs that wait for the disk; further reads and writes are skipped.
const MAX_JOBS: usize = 64;

/// A handle to the thread; the thread ends with its last handle.
#[derive(Clone)]
pub(crate) struct Disk(Option<SyncSender<Job>>);

enum Job {
    Read(Arc<ProviderSettings>, oneshot::Sender<Option<Listing>>),
    Write(Arc<ProviderSettings>, Listing),
    Clear(oneshot::Sender<usize>),
}

impl Disk {
    /// Starts the thread. Without a cache directory there is none.
    pub(crate) fn start(cache: Option<&Path>) -> Self {
        Self(cache.and_then(|cache| {
            let (jobs, queue) = sync_channel(MAX_JOBS);
            let store = ModelListStore::new(cache);
            let started =
                thread::Builder::new().name("vdm-models-cache".to_owned()).spawn(move || run(&store, &queue));
            match started {
                Ok(_runs_by_itself) => Some(jobs),
                Err(error) => {
                    log::warn!(
                        "cannot start the models cache thread; model lists are not stored on disk: {error}"
                    );
                    None
                }
            }
        }))
    }

    /// The stored listing; `None` if there is none or the disk is too busy.
    pub(crate) async fn read(self, provider: Arc<ProviderSettings>) -> Option<Listing> {
        let (reply, answer) = oneshot::channel();
        self.0?.try_send(Job::Read(provider, reply)).ok()?;
        answer.await.ok().flatten()
    }

    /// Removes all lists; returns the number of files. `None` if the disk is too busy.
    pub(crate) async fn clear(self) -> Option<usize> {
        let Some(jobs) = self.0 else { return Some(0) };
        let (reply, answer) = oneshot::channel();
        jobs.try_send(Job::Clear(reply)).ok()?;
        answer.await.ok()
    }

    pub(crate) fn write(&self, provider: Arc<ProviderSettings>, listing: Listing) {
        if let Some(disk) = &self.0 {
            // A disk that is too slow misses this write.
            drop(disk.try_send(Job::Write(provider, listing)));
        }
    }
}

fn run(store: &ModelListStore, queue: &Receiver<Job>) {
    let mut warned = false;
    for job in queue {
        match job {
            Job::Read(provider, reply) => drop(reply.send(store.read(&provider))),
            Job::Clear(reply) => drop(reply.send(store.clear())),
            Job::Write(provider, listing) => match store.write(&provider, &listing) {
                Ok(()) => warned = false,
                // Warn once, until a write succeeds again.
                Err(error) if !warned => {
                    warned = true;
                    let directory = store.directory().display();
                    log::warn!(
                        "cannot store model lists in {directory}: {error}; set CACHE_DIR, or MODELS_CACHE_ENABLED=false"
                    );
                }
                Err(_already_warned) => {}
            },
        }
    }
}
