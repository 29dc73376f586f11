//! Messages events written as a Responses reply.

use bytes::BytesMut;

use super::ResponsesClientContext;
use crate::{
    anthropic::event::MessagesEvent,
    convert::{ReplyEncoder, client::chat::ReplyIdentity},
};

/// Writes one reply for a Responses client.
#[derive(Debug)]
pub struct ResponsesEncoder {
    _context: ResponsesClientContext,
}

impl ResponsesEncoder {
    /// For one reply to the request that `context` is from.
    pub fn new(context: ResponsesClientContext, _identity: ReplyIdentity) -> Self {
        Self { _context: context }
    }
}

impl ReplyEncoder for ResponsesEncoder {
    fn stream(&mut self, _event: MessagesEvent<'_>, _out: &mut BytesMut) {}

    fn collect(&mut self, _event: MessagesEvent<'_>) {}

    fn into_body(self) -> Vec<u8> {
        Vec::new()
    }
}
