//! A reply in the other API: which bridge it crosses, and how, whichever form it comes and leaves in.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use vandamme_protocol::convert::client;
use vandamme_protocol::convert::upstream;
use vandamme_protocol::convert::{Bridge, Outcome, Step, Whole};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::{compat, sse};

/// What the way back must know of the request.
#[derive(Clone)]
pub(super) enum Translation {
    /// Into the Messages API.
    Messages(upstream::chat::ReplyContext),
    /// Into Chat Completions.
    Chat(client::chat::ReplyContext),
}

impl Translation {
    /// Takes notice of what an edit has removed from the request that was translated.
    pub(super) fn follow(&mut self, translated: &Bytes, edited: &Bytes) {
        match self {
            Self::Messages(context) if compat::has(translated, "stop") && !compat::has(edited, "stop") => {
                context.cut_at_stop_sequences();
            }
            Self::Messages(_) | Self::Chat(_) => {}
        }
    }

    /// For a stream that is to stay one.
    pub(super) fn bridge(self) -> Box<dyn Bridge> {
        match self {
            Self::Messages(context) => Box::new(upstream::chat::Machine::new(context, fastrand::u128(..))),
            Self::Chat(context) => Box::new(client::chat::Machine::new(context, birth())),
        }
    }

    pub(super) fn whole(self, body: &[u8]) -> Result<Whole, Fault> {
        match self {
            Self::Messages(context) => upstream::chat::whole(body, context, fastrand::u128(..)),
            Self::Chat(context) => client::chat::whole(body, context, birth()),
        }
    }

    /// A whole reply for a client that wants a stream.
    pub(super) fn whole_as_events(self, body: &[u8], out: &mut BytesMut) -> Result<Outcome, Fault> {
        match self {
            Self::Messages(context) => {
                upstream::chat::whole_as_events(body, context, fastrand::u128(..), out)
            }
            Self::Chat(context) => client::chat::whole_as_events(body, context, birth(), out),
        }
    }

    /// A stream for a client that wants a whole reply.
    pub(super) fn collected(self, body: &[u8]) -> Result<Whole, Fault> {
        match self {
            Self::Messages(context) => {
                let mut collector = upstream::chat::Collector::new(context, fastrand::u128(..));
                pushed(body, |data| collector.push(data))?;
                collector.finish()
            }
            Self::Chat(context) => {
                let mut collector = client::chat::Collector::new(context, birth());
                pushed(body, |data| collector.push(data))?;
                collector.finish()
            }
        }
    }
}

fn pushed(body: &[u8], mut push: impl FnMut(&[u8]) -> Step) -> Result<(), Fault> {
    for data in sse::events(body).filter_map(|event| event.data()) {
        match push(&data) {
            Step::More => {}
            Step::End => break,
            Step::Fault(fault) => return Err(fault),
        }
    }
    Ok(())
}

fn birth() -> client::chat::Birth {
    client::chat::Birth { seed: fastrand::u128(..), created: now() }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    // A clock that stands before 1970 is not worth a failure.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
