//! Resets a provider's health on an operator's order. Its learned rules stay.

use actix::{Handler, Message, MessageResult};

use super::{Provider, ResetScope};
use crate::clock;
use crate::secret::KeyId;

/// Resets the health of one key, or of all keys with models and host. Answers with the keys that were reset.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<KeyId>")]
pub struct ResetHealth(pub ResetScope);

impl Handler<ResetHealth> for Provider {
    type Result = MessageResult<ResetHealth>;

    fn handle(&mut self, ResetHealth(scope): ResetHealth, context: &mut Self::Context) -> Self::Result {
        self.catch_up();
        let keys = self.known.health.reset(scope, clock::boot());
        if self.permits.is_current(self.incarnation) {
            self.saved.store(self.known.clone());
        }
        self.set_fast_path();
        // Requests that wait for a session's key may be served now.
        self.serve_waiting(context);
        MessageResult(keys)
    }
}
