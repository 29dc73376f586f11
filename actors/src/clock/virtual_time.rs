//! Replaces both clocks on one thread by the virtual time of its paused runtime.

use std::cell::Cell;
use std::marker::PhantomData;

use tokio::time::Instant;

use super::Millis;

/// The boot clock when a simulation starts.
const BOOT: Millis = 36_000_000;

thread_local! {
    static START: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// While this exists, the clocks of its thread show virtual time.
pub(crate) struct VirtualTime(PhantomData<*const ()>);

impl VirtualTime {
    /// Starts virtual time. The current runtime must be paused.
    pub(crate) fn start() -> Self {
        START.set(Some(Instant::now()));
        Self(PhantomData)
    }
}

impl Drop for VirtualTime {
    fn drop(&mut self) {
        START.set(None);
    }
}

/// The virtual time on both clocks; `None` outside of a simulation.
pub(crate) fn now() -> Option<Millis> {
    START.get().map(|start| BOOT + super::millis(start.elapsed()))
}
