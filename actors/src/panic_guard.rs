//! Starts an actor on a given arbiter and keeps it alive when it panics.
//!
//! actix's `Supervisor` restarts an actor that *stopped*, but loses one that *panicked* (measured). [`PanicGuard`]
//! polls the actor's context under `catch_unwind`. After a panic the same actor continues with the same address and the
//! messages still queued; only the message that panicked is lost. `Supervised::restarting` must reset the actor's state
//! to its last consistent snapshot. After repeated panics the guard gives the actor up: the actor's address closes,
//! which the supervisor detects.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use actix::dev::ContextFut;
use actix::dev::channel::channel;
use actix::{Actor, Addr, Context, Supervised};
use tokio::time::Instant;

use crate::actor_thread::ActorThread;

/// The guard gives an actor up after more than this many panics within [`PANIC_WINDOW`].
const PANIC_LIMIT: usize = 5;
const PANIC_WINDOW: Duration = Duration::from_secs(10);

/// Starts `build()` on `thread` behind a mailbox of `capacity` messages and keeps it alive when it panics. `name`
/// identifies the actor in the log.
pub(crate) fn start<A, F>(
    thread: &(impl ActorThread + ?Sized),
    name: impl Into<Box<str>>,
    capacity: usize,
    build: F,
) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Supervised + Unpin,
    F: FnOnce() -> A + Send + 'static,
{
    let (sender, receiver) = channel(capacity);
    let name = name.into();
    thread.run(Box::new(move || {
        let context = Context::with_receiver(receiver);
        actix_rt::spawn(PanicGuard {
            name,
            actor: Box::pin(context.into_future(build())),
            panics: VecDeque::new(),
        });
    }));
    Addr::new(sender)
}

struct PanicGuard<A>
where
    A: Actor<Context = Context<A>> + Supervised,
{
    name: Box<str>,
    actor: Pin<Box<ContextFut<A, Context<A>>>>,
    panics: VecDeque<Instant>,
}

impl<A> PanicGuard<A>
where
    A: Actor<Context = Context<A>> + Supervised,
{
    /// Records a panic at `now` and returns whether the actor may continue.
    fn tolerates(&mut self, now: Instant) -> bool {
        self.panics.push_back(now);
        while self.panics.front().is_some_and(|&first| now.duration_since(first) > PANIC_WINDOW) {
            self.panics.pop_front();
        }
        self.panics.len() <= PANIC_LIMIT
    }
}

impl<A> Future for PanicGuard<A>
where
    A: Actor<Context = Context<A>> + Supervised + Unpin,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let polled = catch_unwind(AssertUnwindSafe(|| this.actor.as_mut().poll(task)));
            let Err(_panic) = polled else { return polled.unwrap_or(Poll::Pending) };
            if !this.tolerates(Instant::now()) || !this.actor.restart() {
                log::error!("actor {} panicked repeatedly; giving up", this.name);
                return Poll::Ready(());
            }
            log::error!(
                "actor {} panicked while handling a message; continuing from its last consistent state",
                this.name
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use actix::{Handler, Message};
    use actix_rt::Arbiter;

    use super::*;

    struct Fragile {
        restarts: Arc<AtomicUsize>,
    }

    #[derive(Message)]
    #[rtype(result = "usize")]
    struct Echo(usize);

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Break;

    impl Actor for Fragile {
        type Context = Context<Self>;
    }

    impl Supervised for Fragile {
        fn restarting(&mut self, _: &mut Self::Context) {
            self.restarts.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Handler<Echo> for Fragile {
        type Result = usize;

        fn handle(&mut self, message: Echo, _: &mut Self::Context) -> usize {
            message.0
        }
    }

    impl Handler<Break> for Fragile {
        type Result = ();

        fn handle(&mut self, _: Break, _: &mut Self::Context) {
            panic!("broken on purpose");
        }
    }

    fn fragile() -> (Addr<Fragile>, Arc<AtomicUsize>) {
        let restarts = Arc::new(AtomicUsize::new(0));
        let counter = restarts.clone();
        let arbiter = Arbiter::new();
        (start(&arbiter.handle(), "fragile", 16, move || Fragile { restarts: counter }), restarts)
    }

    #[actix_rt::test]
    async fn a_panic_loses_only_the_message_that_panicked() {
        let (addr, restarts) = fragile();

        let broken = addr.send(Break);
        let queued = addr.send(Echo(7));

        assert!(broken.await.is_err());
        assert_eq!(queued.await.unwrap(), 7);
        assert_eq!(restarts.load(Ordering::SeqCst), 1);
    }

    #[actix_rt::test]
    async fn an_actor_that_panics_repeatedly_is_given_up() {
        let (addr, _) = fragile();

        for _ in 0..=PANIC_LIMIT {
            assert!(addr.send(Break).await.is_err());
        }

        assert!(addr.send(Echo(1)).await.is_err());
        assert!(!addr.connected());
    }
}
