//! Simulates the threads of the actors on the thread of the test.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use fastrand::Rng;
use tokio::task::LocalSet;

use crate::actor_thread::{ActorThread, StartThread};

/// A set of tasks that ends as a whole, as the tasks of an arbiter do.
struct SimulatedThread {
    actors: RefCell<Vec<JoinHandle<()>>>,
    rng: RefCell<Rng>,
}

/// Starts simulated threads. `seed` decides how long each takes to stop.
pub(super) fn start_threads(seed: u64) -> StartThread {
    let seeds = Rc::new(RefCell::new(Rng::with_seed(seed)));
    Box::new(move || {
        let rng = RefCell::new(seeds.borrow_mut().fork());
        Box::new(SimulatedThread { actors: RefCell::default(), rng })
    })
}

impl ActorThread for SimulatedThread {
    fn run(&self, start: Box<dyn FnOnce() + Send>) {
        let actors = LocalSet::new();
        let running = actix_rt::spawn(async move {
            let never = std::future::pending::<()>();
            actors.run_until(async { (start(), never.await).1 }).await;
        });
        self.actors.borrow_mut().push(running);
    }

    /// A thread stops when its work ends. A hung thread continues for a while, beside its replacement.
    fn stop(&self) {
        let delay = [0, 0, 30, 700][self.rng.borrow_mut().usize(0..4)];
        let running = std::mem::take(&mut *self.actors.borrow_mut());
        actix_rt::spawn(async move {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            running.iter().for_each(JoinHandle::abort);
        });
    }
}
