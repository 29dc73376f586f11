//! The one thread that touches the models cache on disk. Whoever asks it waits for a while and goes on without: a disk
//! that hangs costs nobody else.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tokio::sync::oneshot;

use super::Listing;
use super::store::Store;
use crate::settings::ProviderSettings;

/// What may wait for the disk; beyond it nothing is read and nothing is written.
const WAITING: usize = 64;

/// A line to the thread; it ends with the last of them.
#[derive(Clone)]
pub(crate) struct Disk(Option<SyncSender<Errand>>);

enum Errand {
    Read(Arc<ProviderSettings>, oneshot::Sender<Option<Listing>>),
    Write(Arc<ProviderSettings>, Listing),
}

impl Disk {
    /// Without a directory there is no disk.
    pub(crate) fn start(cache: Option<&Path>) -> Self {
        Self(cache.and_then(|cache| {
            let (errands, waiting) = sync_channel(WAITING);
            let store = Store::new(cache);
            let started = thread::Builder::new()
                .name("vdm-models-cache".to_owned())
                .spawn(move || run(&store, &waiting));
            match started {
                Ok(_runs_by_itself) => Some(errands),
                Err(error) => {
                    log::warn!("lists of models are not kept on disk: no thread: {error}");
                    None
                }
            }
        }))
    }

    /// `None` when there is nothing, or no disk that has time.
    pub(crate) async fn read(self, provider: Arc<ProviderSettings>) -> Option<Listing> {
        let (reply, answer) = oneshot::channel();
        self.0?.try_send(Errand::Read(provider, reply)).ok()?;
        answer.await.ok().flatten()
    }

    pub(crate) fn write(&self, provider: Arc<ProviderSettings>, listing: Listing) {
        if let Some(disk) = &self.0 {
            // A disk that does not keep up misses one.
            drop(disk.try_send(Errand::Write(provider, listing)));
        }
    }
}

fn run(store: &Store, waiting: &Receiver<Errand>) {
    let mut warned = false;
    for errand in waiting {
        match errand {
            Errand::Read(provider, reply) => drop(reply.send(store.read(&provider))),
            Errand::Write(provider, listing) => match store.write(&provider, &listing) {
                Ok(()) => warned = false,
                // Once, until it works again.
                Err(error) if !warned => {
                    warned = true;
                    let directory = store.directory().display();
                    log::warn!(
                        "lists of models are not kept in {directory}: {error}; set CACHE_DIR, or MODELS_CACHE_ENABLED=false"
                    );
                }
                Err(_told) => {}
            },
        }
    }
}
