//! Hooks of middleware on a reply, and the memory of what they learn.

use bytes::Bytes;
use vandamme_protocol::middleware::Listeners;

use crate::registry::ScopedSignatures;

/// The hooks of one reply. What they learn is sent to the memory before the client gets the piece that taught it, and so
/// before the client can send a request that needs it.
pub struct ReplyHooks {
    pub listeners: Listeners,
    pub memory: ScopedSignatures,
}

impl ReplyHooks {
    /// Passes a block of complete events.
    pub fn pass(&mut self, block: Bytes) -> Bytes {
        let block = self.listeners.pass(block);
        self.memory.keep(self.listeners.take_facts());
        block
    }

    /// Passes the body of a whole reply.
    pub fn whole(&mut self, body: Bytes) -> Bytes {
        let body = self.listeners.whole(body);
        self.memory.keep(self.listeners.take_facts());
        body
    }
}
