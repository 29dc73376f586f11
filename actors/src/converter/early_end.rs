//! Ends replies before their upstreams do: one that an operator cancels, and all of them when the gateway shuts down. The
//! client gets an error event, and the health of the provider does not change.

use actix::{ActorContext as _, Handler, Message};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::vocabulary::ErrorKind;

use super::{Converter, ConverterPhase, HERE};
use crate::ledger::CANCELLED_MESSAGE;
use crate::outcome::Outcome;

/// Ends a reply at once, with an error event, because the gateway shuts down.
#[derive(Message)]
#[rtype(result = "()")]
struct EndReply;

/// Ends the replies of this thread, each with an error event.
pub fn end_replies_here() {
    let addresses: Vec<_> = HERE.with_borrow(|(_, here)| here.values().cloned().collect());
    addresses.iter().for_each(|converter| converter.do_send(EndReply));
}

impl Converter {
    /// Ends the reply with an error event, on an operator's order.
    pub(super) fn cancel(&mut self) {
        let fault = Fault { kind: ErrorKind::Api, status: 499, message: CANCELLED_MESSAGE.to_owned() };
        self.fail(fault, Outcome::Cancelled);
    }
}

impl Handler<EndReply> for Converter {
    type Result = ();

    fn handle(&mut self, _: EndReply, context: &mut Self::Context) {
        if self.phase == ConverterPhase::Streaming {
            let message = "the gateway is shutting down";
            let fault = Fault { kind: ErrorKind::Api, status: 503, message: message.to_owned() };
            self.fail(fault, Outcome::Cancelled);
        }
        context.stop();
    }
}
