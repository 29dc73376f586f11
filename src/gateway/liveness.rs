//! Whether all parts of the gateway answer: the supervisor, the actors that every request needs, and the threads that serve.

use std::time::Duration;

use actix_rt::time::timeout;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use vandamme_actors::observe::Ping;

use super::Gateway;

impl Gateway {
    /// The parts that do not answer within `patience`, in words; empty if the gateway works.
    ///
    /// A provider's actor that hangs is not among them: the supervisor replaces it, and other providers work meanwhile.
    pub(crate) async fn unresponsive(&self, patience: Duration) -> Vec<String> {
        let registry = self.registry.load();
        let supervisor = self.supervisor.send(Ping).timeout(patience);
        let ledger = registry.ledger.send(Ping).timeout(patience);
        let workers = self.threads();
        let workers = workers.iter().enumerate().map(|(number, worker)| async move {
            let (answer, answered) = oneshot::channel();
            // A thread that has ended drops the function, and with it the channel.
            worker.spawn_fn(move || {
                // The check may be over by now.
                let _ = answer.send(());
            });
            let answers = matches!(timeout(patience, answered).await, Ok(Ok(())));
            (!answers).then(|| format!("worker thread {number}"))
        });
        let (supervisor, ledger, workers) =
            futures_util::future::join3(supervisor, ledger, join_all(workers)).await;
        let supervisor = supervisor.is_err().then(|| "the supervisor".to_owned());
        let ledger = ledger.is_err().then(|| "the ledger".to_owned());
        supervisor.into_iter().chain(ledger).chain(workers.into_iter().flatten()).collect()
    }
}
