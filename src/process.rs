//! What the process owes the system it runs on: signals.

use actix_web::rt::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, which both mean: finish and go.
pub(crate) struct Termination {
    term: Signal,
    int: Signal,
}

impl Termination {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next of them.
    pub(crate) async fn received(&mut self) {
        let (term, int) = (Box::pin(self.term.recv()), Box::pin(self.int.recv()));
        futures_util::future::select(term, int).await;
    }
}
