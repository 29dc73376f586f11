//! Middleware that follows a reply, and the memory of what it learns.

use bytes::Bytes;
use vandamme_protocol::middleware::Listeners;

use crate::signatures::ScopedSignatures;

/// Of one reply. What is learnt is on its way to the memory before the client has what it was learnt of, and so before
/// the client can ask anything that needs it.
pub struct Audience {
    pub listeners: Listeners,
    pub memory: ScopedSignatures,
}

impl Audience {
    /// A block of complete events on its way.
    pub fn pass(&mut self, block: Bytes) -> Bytes {
        let block = self.listeners.pass(block);
        self.memory.keep(self.listeners.learnt());
        block
    }

    /// The body of a reply that is no stream.
    pub fn whole(&mut self, body: Bytes) -> Bytes {
        let body = self.listeners.whole(body);
        self.memory.keep(self.listeners.learnt());
        body
    }
}
