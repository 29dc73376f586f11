//! Single flight: requests that need a provider's list at the same time share one upstream call.
//!
//! The call runs in a task of its own, so that it does not end with the client that caused it. It is cancelled when no
//! request waits for it any more. The number of calls is bounded by the configuration, like the lists that are kept; the
//! number of those who wait is bounded by the requests in flight.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::watch;
use vandamme_actors::catalog::{Listing, ListingKey};

use super::Failure;

/// A call that panics or whose thread ends has no outcome; it is repeated once.
const CALLS: usize = 2;

/// What a call ended with, for all who waited. It is not kept for others.
type Fetched = Result<Listing, Failure>;
type Sender = watch::Sender<Option<Fetched>>;

/// The calls for lists that are under way, by what the catalog keeps lists under.
#[derive(Clone, Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<ListingKey, Arc<Sender>>>>);

/// One call under way; its drop removes it from [`Flights`].
struct Flight {
    flights: Flights,
    key: ListingKey,
    sender: Arc<Sender>,
}

impl Flights {
    /// Waits for the call that is under way for this list, else for one that begins now.
    ///
    /// # Errors
    /// Those of the call, and [`Failure::Panicked`] for a call without an outcome.
    pub(super) async fn share<F>(&self, key: &ListingKey, call: impl Fn() -> F) -> Fetched
    where
        F: Future<Output = Fetched> + 'static,
    {
        for _ in 0..CALLS {
            let mut outcome = self.join(key, &call);
            if let Ok(outcome) = outcome.wait_for(Option::is_some).await
                && let Some(outcome) = &*outcome
            {
                return outcome.clone();
            }
        }
        Err(Failure::Panicked)
    }

    fn join<F>(&self, key: &ListingKey, call: impl Fn() -> F) -> watch::Receiver<Option<Fetched>>
    where
        F: Future<Output = Fetched> + 'static,
    {
        let mut running = self.0.lock();
        if let Some(sender) = running.get(key) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        running.insert(key.clone(), sender.clone());
        drop(running);
        let flight = Flight { flights: self.clone(), key: key.clone(), sender };
        actix_web::rt::spawn(flight.run(call()));
        receiver
    }
}

impl Flight {
    async fn run(self, call: impl Future<Output = Fetched>) {
        let mut call = pin!(call);
        loop {
            let left = pin!(self.sender.closed());
            match select(call.as_mut(), left).await {
                Either::Left((outcome, _)) => {
                    // Whoever comes from now on gets no outcome of before.
                    self.remove();
                    self.sender.send_replace(Some(outcome));
                    return;
                }
                Either::Right(((), _)) if self.is_abandoned() => return,
                // Somebody came after the last one had left.
                Either::Right(((), _)) => {}
            }
        }
    }

    /// Nobody can join between this answer and the end of the call.
    fn is_abandoned(&self) -> bool {
        let mut running = self.flights.0.lock();
        let abandoned = self.sender.receiver_count() == 0;
        if abandoned {
            running.remove(&self.key);
        }
        abandoned
    }

    fn remove(&self) {
        let mut running = self.flights.0.lock();
        if running.get(&self.key).is_some_and(|sender| Arc::ptr_eq(sender, &self.sender)) {
            running.remove(&self.key);
        }
    }
}

impl Drop for Flight {
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
    use bytes::Bytes;
    use futures_util::future::join_all;

    use super::*;

    fn listing() -> Listing {
        Listing { provider: "p".into(), body: Bytes::new(), listed: 0 }
    }

    fn key() -> ListingKey {
        ListingKey { provider: "p".into(), fingerprint: "f".to_owned() }
    }

    #[actix_web::test]
    async fn all_who_wait_get_the_outcome_of_one_call() {
        let (flights, key, calls) = (Flights::default(), key(), Rc::new(Cell::new(0)));
        let call = || {
            calls.set(calls.get() + 1);
            async {
                sleep(Duration::from_millis(20)).await;
                Ok(listing())
            }
        };
        let all = join_all((0..50).map(|_| flights.share(&key, call))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!((calls.get(), flights.0.lock().len()), (1, 0));
    }

    #[actix_web::test]
    async fn a_call_ends_when_nobody_waits_and_not_before() {
        let (flights, ended) = (Flights::default(), Rc::new(Cell::new(false)));
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
                Ok(listing())
            }
        };
        let key = key();
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
        let (flights, key, calls) = (Flights::default(), key(), Rc::new(Cell::new(0)));
        let call = || {
            calls.set(calls.get() + 1);
            async { panic!("on purpose") }
        };
        let all = join_all((0..10).map(|_| flights.share(&key, call))).await;
        assert!(all.iter().all(|outcome| matches!(outcome, Err(Failure::Panicked))));
        assert_eq!((calls.get(), flights.0.lock().len()), (2, 0));
    }
}
