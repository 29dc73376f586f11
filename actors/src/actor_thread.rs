//! Defines the thread that an actor runs on: an arbiter, or a simulated thread in tests.

use actix_rt::{Arbiter, ArbiterHandle};

/// A thread that runs actors.
pub(crate) trait ActorThread {
    /// Runs `start` on the thread.
    fn run(&self, start: Box<dyn FnOnce() + Send>);

    /// Ends the thread, with all its actors, when its current work ends.
    fn stop(&self);
}

/// Starts the threads of a supervisor's actors.
pub(crate) type StartThread = Box<dyn Fn() -> Box<dyn ActorThread>>;

impl ActorThread for ArbiterHandle {
    fn run(&self, start: Box<dyn FnOnce() + Send>) {
        self.spawn_fn(start);
    }

    fn stop(&self) {
        Self::stop(self);
    }
}

impl ActorThread for Arbiter {
    fn run(&self, start: Box<dyn FnOnce() + Send>) {
        self.spawn_fn(start);
    }

    fn stop(&self) {
        Self::stop(self);
    }
}
