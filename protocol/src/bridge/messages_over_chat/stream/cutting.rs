//! The end of a reply at a stop sequence that the upstream does not know of.

use super::Machine;
use crate::{anthropic::stream::Sink, bridge::Step, bridge::messages_over_chat::thinking::Prose};

impl Machine {
    /// Whether nothing more of the reply counts. A call that began before is still completed.
    pub(super) fn is_cut_off(&mut self) -> bool {
        self.cut.met().is_some() && self.calls.sent() == 0 && self.calls.next().is_none()
    }

    /// What follows a piece of the reply: the end, if a stop sequence was met, so that the upstream is closed.
    pub(super) fn after_cut(&mut self) -> Step {
        if !self.is_cut_off() {
            return Step::More;
        }
        self.is_done = true;
        Step::End
    }

    /// Lets go what was held because it could have been the beginning of a stop sequence.
    pub(super) fn release<S: Sink>(&mut self, sink: &mut S) {
        if self.cut.is_needed() {
            let rest = self.cut.rest();
            self.settled(Prose::Text, &rest, sink);
        }
    }
}
