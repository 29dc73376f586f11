//! Whole replies: an upstream's completion taken apart and pushed through the machine, or a machine's events
//! collected into one message.

use bytes::BytesMut;

use super::{Machine, ReplyContext};
use crate::{
    anthropic::stream::{Collected, Sink},
    convert::{Outcome, Step, Whole},
    fault::Fault,
};

/// Translates a whole upstream reply into a whole Messages reply.
///
/// # Errors
/// The upstream's body is not JSON, reports an error, or has no message.
pub fn whole(upstream: &[u8], context: ReplyContext, seed: u128) -> Result<Whole, Fault> {
    let mut collected = Collected::default();
    let outcome = completion(upstream, Machine::new(context, seed), &mut collected)?;
    Ok(Whole { body: collected.into_body(), outcome })
}

/// Translates a whole upstream reply into the events of a stream, appended to `out`, for an upstream that answered
/// with JSON although a stream was asked for.
///
/// # Errors
/// As [`whole`]; then nothing was appended.
pub fn whole_as_events(
    upstream: &[u8],
    context: ReplyContext,
    seed: u128,
    out: &mut BytesMut,
) -> Result<Outcome, Fault> {
    completion(upstream, Machine::new(context, seed), out)
}

fn completion<S: Sink>(upstream: &[u8], mut machine: Machine, sink: &mut S) -> Result<Outcome, Fault> {
    machine.take_whole(upstream, sink)?;
    Ok(machine.end(sink))
}

/// Collects a streamed upstream reply into a whole one, for an upstream that answered with a stream although a whole
/// reply was asked for.
pub struct Collector {
    machine: Machine,
    collected: Collected,
}

impl Collector {
    /// See [`Machine::new`].
    pub fn new(context: ReplyContext, seed: u128) -> Self {
        Self { machine: Machine::new(context, seed), collected: Collected::default() }
    }

    /// Takes one upstream event's data.
    pub fn push(&mut self, data: &[u8]) -> Step {
        self.machine.take(data, &mut self.collected)
    }

    /// The upstream's body has ended.
    ///
    /// # Errors
    /// The upstream reported an error or never finished.
    pub fn finish(mut self) -> Result<Whole, Fault> {
        let outcome = self.machine.end(&mut self.collected);
        match outcome.fault {
            Some(fault) => Err(fault),
            None => Ok(Whole { body: self.collected.into_body(), outcome }),
        }
    }
}
