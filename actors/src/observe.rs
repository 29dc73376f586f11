//! Defines [`Observe`], the one message that reads an actor's state. Pages, supervision and tests all use it.

use std::marker::PhantomData;

use actix::Message;

/// Requests an actor's state as a `V`.
pub struct Observe<V>(PhantomData<fn() -> V>);

impl<V> Observe<V> {
    /// A request for the state.
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

/// Checks whether an actor still handles messages.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ping;
