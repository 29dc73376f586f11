//! A provider's middleware in an exchange: what it wants to know is fetched, what it makes of the request is sent, and
//! whoever follows the reply goes along with it.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use vandamme_actors::converter::ReplyHooks;
use vandamme_actors::provider::Lease;
use vandamme_actors::signatures::{CallerId, Keeping, Scope};
use vandamme_protocol::middleware::Memory;

use super::upstream_request::{Outgoing, Way};
use super::{Exchange, Question};

/// A memory that does not answer within this is starting anew, and knows nothing then.
const PATIENCE: Duration = Duration::from_millis(250);

/// The headers in which clients show a key.
pub(super) const CREDENTIALS: [&str; 3] = ["authorization", "x-api-key", "x-vdm-proxy-key"];

impl Exchange<'_> {
    /// The request after the middleware for this model, if there is any.
    pub(super) async fn through_middleware(&self, lease: &Lease, mut outgoing: Outgoing) -> Outgoing {
        if let Way::Messages = outgoing.way {
            return outgoing;
        }
        let Some(applying) = lease.provider.middleware.for_model(&lease.model) else { return outgoing };
        let scope = Scope { caller: caller(self.question), provider: lease.provider.name.clone() };
        let memory = Keeping { roster: self.gateway.roster.clone(), scope };
        let body = outgoing.body.joined();
        let wanted = applying.wants(&body);
        let known = if wanted.is_empty() { Memory::new() } else { memory.recall(wanted, PATIENCE).await };
        let body = applying.apply(body, &known);
        let listeners = applying.listen(&body);
        outgoing.body = body.into();
        outgoing.audience = listeners.map(|listeners| ReplyHooks { listeners, memory });
        outgoing
    }
}

/// A reply that has been read whole.
pub(super) fn heard(audience: Option<ReplyHooks>, body: Bytes) -> Bytes {
    match audience {
        Some(mut audience) => audience.whole(body),
        None => body,
    }
}

/// Who shows the same keys is the same; without any, who comes from the same address.
fn caller(question: &Question) -> CallerId {
    let mut digest = Sha256::new();
    let shown = CREDENTIALS.iter().filter_map(|name| Some((name, question.headers.get(*name)?)));
    let mut is_anonymous = true;
    for (name, value) in shown {
        is_anonymous = false;
        digest.update(name);
        digest.update([0]);
        digest.update(value.as_bytes());
        digest.update([0]);
    }
    if is_anonymous && let Some(peer) = question.peer {
        digest.update(peer.to_string());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&digest.finalize()[..16]);
    CallerId(id)
}
