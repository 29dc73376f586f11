//! Whole replies: an upstream's message taken apart and pushed through the machine, or a machine's chunks collected
//! into one completion.

use bytes::BytesMut;

use super::{Birth, Machine, ReplyContext};
use crate::{
    convert::{Outcome, Step, Whole},
    fault::Fault,
    openai::chunk::{Collected, Sink},
};

/// Translates a whole upstream reply into a whole completion.
///
/// # Errors
/// The upstream's body is not JSON, reports an error, or has no content.
pub fn whole(upstream: &[u8], context: ReplyContext, birth: Birth) -> Result<Whole, Fault> {
    let mut collected = Collected::default();
    let outcome = message(upstream, Machine::new(context, birth), &mut collected)?;
    Ok(Whole { body: collected.into_body(), outcome })
}

/// Translates a whole upstream reply into the chunks of a stream, appended to `out`, for an upstream that answered
/// with JSON although a stream was asked for.
///
/// # Errors
/// As [`whole`]; then nothing was appended.
pub fn whole_as_events(
    upstream: &[u8],
    context: ReplyContext,
    birth: Birth,
    out: &mut BytesMut,
) -> Result<Outcome, Fault> {
    message(upstream, Machine::new(context, birth), out)
}

fn message<S: Sink>(upstream: &[u8], mut machine: Machine, sink: &mut S) -> Result<Outcome, Fault> {
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
    pub fn new(context: ReplyContext, birth: Birth) -> Self {
        Self { machine: Machine::new(context, birth), collected: Collected::default() }
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
