//! Single flight: requests that need the same value at the same time share one call.
//!
//! The call runs in its own task, so that it outlives the request that started it. It is cancelled when no request waits for
//! it any more. The keys bound the number of calls; the requests in flight bound the number of waiters.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A call that panics or whose thread ends has no outcome. It is repeated once.
const CALLS: usize = 2;

type ResultSender<V> = Arc<watch::Sender<Option<V>>>;

/// The calls that run now, by key. A call's value goes to its waiters only; nothing is kept.
pub(crate) struct SingleFlight<K, V>(Arc<Mutex<HashMap<K, ResultSender<V>>>>);

/// Every repetition of the call panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoOutcome;

/// One running call. Its drop removes it from [`SingleFlight`].
struct Flight<K: Eq + Hash, V> {
    running: SingleFlight<K, V>,
    key: K,
    sender: ResultSender<V>,
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + 'static,
    V: Clone + 'static,
{
    /// Waits for the running call of this key, or starts one.
    ///
    /// # Errors
    /// If the call has no outcome.
    pub(crate) async fn share<F>(&self, key: &K, call: impl Fn() -> F) -> Result<V, NoOutcome>
    where
        F: Future<Output = V> + 'static,
    {
        for _ in 0..CALLS {
            let mut outcome = self.join(key, &call);
            if let Ok(outcome) = outcome.wait_for(Option::is_some).await
                && let Some(outcome) = &*outcome
            {
                return Ok(outcome.clone());
            }
        }
        Err(NoOutcome)
    }

    /// The end of the running call of this key, if there is one.
    pub(crate) fn running(&self, key: &K) -> Option<impl Future<Output = ()> + use<K, V>> {
        let mut outcome = self.0.lock().get(key)?.subscribe();
        Some(async move {
            // A call without an outcome has ended, too.
            let _ended = outcome.wait_for(Option::is_some).await;
        })
    }

    fn join<F>(&self, key: &K, call: impl Fn() -> F) -> watch::Receiver<Option<V>>
    where
        F: Future<Output = V> + 'static,
    {
        let mut running = self.0.lock();
        if let Some(sender) = running.get(key) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        running.insert(key.clone(), sender.clone());
        drop(running);
        let flight = Flight { running: self.clone(), key: key.clone(), sender };
        actix_web::rt::spawn(flight.run(call()));
        receiver
    }
}

impl<K: Eq + Hash, V> Flight<K, V> {
    async fn run(self, call: impl Future<Output = V>) {
        let mut call = pin!(call);
        loop {
            let left = pin!(self.sender.closed());
            match select(call.as_mut(), left).await {
                Either::Left((outcome, _)) => {
                    // Requests that arrive from now on start a new call.
                    self.remove();
                    self.sender.send_replace(Some(outcome));
                    return;
                }
                Either::Right(((), _)) if self.is_abandoned() => return,
                // A request joined after the last one had left.
                Either::Right(((), _)) => {}
            }
        }
    }

    /// Removes the call if no request waits for it. The lock keeps others from joining meanwhile.
    fn is_abandoned(&self) -> bool {
        let mut running = self.running.0.lock();
        let abandoned = self.sender.receiver_count() == 0;
        if abandoned {
            running.remove(&self.key);
        }
        abandoned
    }

    fn remove(&self) {
        let mut running = self.running.0.lock();
        if running.get(&self.key).is_some_and(|sender| Arc::ptr_eq(sender, &self.sender)) {
            running.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash, V> Drop for Flight<K, V> {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use actix_web::rt::time::{sleep, timeout};
    use futures_util::future::join_all;

    use super::*;

    fn calls_by_name() -> SingleFlight<&'static str, u8> {
        SingleFlight::default()
    }

    #[actix_web::test]
    async fn all_who_wait_get_the_outcome_of_one_call() {
        let (flights, key, calls) = (calls_by_name(), "k", Rc::new(Cell::new(0)));
        let call = || {
            calls.set(calls.get() + 1);
            async {
                sleep(Duration::from_millis(20)).await;
                7
            }
        };
        let all = join_all((0..50).map(|_| flights.share(&key, call))).await;
        assert!(all.iter().all(|outcome| *outcome == Ok(7)));
        assert_eq!((calls.get(), flights.0.lock().len()), (1, 0));
    }

    #[actix_web::test]
    async fn a_call_ends_only_when_no_request_waits_for_it() {
        let (flights, ended) = (calls_by_name(), Rc::new(Cell::new(false)));
        struct Ends(Rc<Cell<bool>>);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let call = || {
            let ends = Ends(ended.clone());
            async move {
                let _ends = ends;
                sleep(Duration::from_secs(60)).await;
                7
            }
        };
        let key = "k";
        let mut first = Box::pin(flights.share(&key, call));
        let mut second = Box::pin(flights.share(&key, call));
        let short = Duration::from_millis(20);
        assert!(timeout(short, &mut first).await.is_err() && timeout(short, &mut second).await.is_err());
        drop(first);
        sleep(short).await;
        assert!(!ended.get());
        drop(second);
        sleep(short).await;
        assert!(ended.get());
        assert_eq!(flights.0.lock().len(), 0);
    }

    #[actix_web::test]
    async fn a_call_that_panics_is_repeated_once_for_all() {
        let (flights, key, calls) = (calls_by_name(), "k", Rc::new(Cell::new(0)));
        let call = || {
            calls.set(calls.get() + 1);
            async { panic!("on purpose") }
        };
        let all = join_all((0..10).map(|_| flights.share(&key, call))).await;
        assert!(all.iter().all(|outcome| *outcome == Err(NoOutcome)));
        assert_eq!((calls.get(), flights.0.lock().len()), (2, 0));
    }
}
