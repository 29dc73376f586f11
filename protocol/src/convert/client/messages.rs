//! Clients of the Messages API: events are written as they are.

use bytes::BytesMut;

use crate::{
    anthropic::{
        event::{EventSink as _, MessagesEvent},
        writer::WholeMessage,
    },
    convert::ReplyEncoder,
};

/// Writes Messages events.
#[derive(Debug, Default)]
pub struct MessagesEncoder {
    whole: WholeMessage,
}

impl MessagesEncoder {
    /// For one reply.
    pub fn new() -> Self {
        Self::default()
    }
}

impl ReplyEncoder for MessagesEncoder {
    fn stream(&mut self, event: MessagesEvent<'_>, out: &mut BytesMut) {
        out.emit(event);
    }

    fn collect(&mut self, event: MessagesEvent<'_>) {
        self.whole.emit(event);
    }

    fn into_body(self) -> Vec<u8> {
        self.whole.into_body()
    }
}
