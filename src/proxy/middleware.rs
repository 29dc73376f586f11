//! A provider's middleware: it gets the facts that it requires, changes the request, and follows the reply.

use std::time::Duration;

use actix_web::http::header::{self, HeaderName};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use vandamme_actors::converter::ReplyHooks;
use vandamme_actors::provider::Lease;
use vandamme_actors::registry::ScopedSignatures;
use vandamme_actors::signatures::{CallerId, SignatureScope};
use vandamme_protocol::middleware::{Applying, Memory};
use vandamme_protocol::request::Pieces;

use super::ProxyRequest;
use crate::gateway::Gateway;

/// A signature store that does not answer within this time is restarting and has no facts.
const PATIENCE: Duration = Duration::from_millis(250);

/// The headers in which clients send a key.
pub(super) const CREDENTIALS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-vdm-proxy-key"),
    HeaderName::from_static("api-key"),
];

/// The middleware that has changed a request.
pub(super) struct AppliedMiddleware {
    chain: Applying,
    memory: ScopedSignatures,
    /// The request without it.
    pub(super) before: Bytes,
    after: Bytes,
}

impl AppliedMiddleware {
    /// Applies the provider's middleware for this model, if there is any.
    pub(super) async fn apply(
        gateway: &Gateway,
        request: &ProxyRequest,
        lease: &Lease,
        body: &mut Pieces,
    ) -> Option<Self> {
        let chain = lease.provider.middleware.for_model(&lease.model)?;
        let scope = SignatureScope { caller: caller_id(request), provider: lease.provider.name.clone() };
        let memory = ScopedSignatures { registry: gateway.registry.clone(), scope };
        let before = body.clone().joined();
        let wanted = chain.memory_keys(&before);
        let known = if wanted.is_empty() { Memory::new() } else { memory.recall(wanted, PATIENCE).await };
        let after = chain.apply(before.clone(), &known);
        *body = after.clone().into();
        Some(Self { chain, memory, before, after })
    }

    /// The middleware that follows the reply of one call.
    pub(super) fn reply_hooks(&self) -> Option<ReplyHooks> {
        let listeners = self.chain.reply_listener(&self.after)?;
        Some(ReplyHooks { listeners, memory: self.memory.clone() })
    }
}

/// A whole reply after the middleware.
pub(super) fn heard(reply_hooks: Option<ReplyHooks>, body: Bytes) -> Bytes {
    match reply_hooks {
        Some(mut reply_hooks) => reply_hooks.whole(body),
        None => body,
    }
}

/// Requests with the same keys come from the same caller. Without keys, the client's address identifies it.
fn caller_id(request: &ProxyRequest) -> CallerId {
    let mut digest = Sha256::new();
    let shown = CREDENTIALS.into_iter().filter_map(|name| Some((request.headers.get(&name)?, name)));
    let mut is_anonymous = true;
    for (value, name) in shown {
        is_anonymous = false;
        digest.update(name.as_str());
        digest.update([0]);
        digest.update(value.as_bytes());
        digest.update([0]);
    }
    if is_anonymous && let Some(peer) = request.peer {
        digest.update(peer.to_string());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&digest.finalize()[..16]);
    CallerId(id)
}
