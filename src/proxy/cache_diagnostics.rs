//! Asks a provider why a prompt was not found in its cache, if the user has turned this on for the provider.

use std::time::Duration;

use vandamme_actors::ledger::PreviousMessage;
use vandamme_actors::provider::Lease;
use vandamme_protocol::request::{self, Pieces};

use super::{ProxyRequest, UpstreamCall};
use crate::gateway::Gateway;

/// The longest wait for the id of the previous reply. Without it, the provider only notes the prompt.
const PATIENCE: Duration = Duration::from_millis(250);

/// Adds the question to the body of a request with a session.
pub(super) async fn ask(gateway: &Gateway, request: &ProxyRequest, lease: &Lease, body: &mut Pieces) {
    if !lease.provider.cache_diagnostics || request.upstream_call != UpstreamCall::Reply {
        return;
    }
    let summary = request.summary(&gateway.live_config());
    // The prompt has no hashes if the request has no session or metrics are off. The ledger would ignore the reason.
    if summary.prefix.is_none() {
        return;
    }
    let ledger = gateway.registry.load().ledger.clone();
    let previous = ledger.send(PreviousMessage(summary)).timeout(PATIENCE).await.ok().flatten();
    if let Some(asking) = request::with_diagnostics(&body.clone().joined(), previous.as_deref()) {
        *body = asking;
    }
}
