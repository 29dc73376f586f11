//! How state leaves an actor: as the answer to [`Observe`]. Pages, supervision and tests use this one door.

use std::marker::PhantomData;

use actix::Message;

/// Asks an actor for its state as a `V`.
pub struct Observe<V>(PhantomData<fn() -> V>);

impl<V> Observe<V> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<V> Default for Observe<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: 'static> Message for Observe<V> {
    type Result = V;
}

/// Asks an actor whether it still handles messages.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Ping;
