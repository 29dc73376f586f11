//! Disables a key, or enables it again, on an operator's order.

use actix::{Handler, Message, MessageResult};

use super::{KeySwitch, Provider};
use crate::secret::KeyId;

/// Enables or disables a key. Calls that run with it continue.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "KeySwitched")]
pub struct SwitchKey {
    pub key: KeyId,
    pub to: KeySwitch,
}

/// The answer to [`SwitchKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySwitched {
    Done,
    UnknownKey,
    /// Another incarnation lends the keys by now. It must be asked instead.
    Replaced,
}

impl Handler<SwitchKey> for Provider {
    type Result = MessageResult<SwitchKey>;

    fn handle(&mut self, SwitchKey { key, to }: SwitchKey, context: &mut Self::Context) -> Self::Result {
        self.catch_up();
        if !self.permits.is_current(self.incarnation) {
            return MessageResult(KeySwitched::Replaced);
        }
        if !self.known.health.switch_key(key, to) {
            return MessageResult(KeySwitched::UnknownKey);
        }
        self.saved.store(self.known.clone());
        self.set_fast_path();
        // Requests that wait for a session's key may be served now.
        self.serve_waiting(context);
        MessageResult(KeySwitched::Done)
    }
}
