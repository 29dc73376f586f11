//! How long an upstream may take for its first byte, or for a reply that is not streamed.

use std::time::Duration;

use vandamme_actors::provider::{Alternatives, Lease};
use vandamme_protocol::request::Streaming;

use super::{ProxyRequest, UpstreamCall};
use crate::gateway::Gateway;

/// The longest wait for a streamed reply's first byte while another target is left.
const WITH_ALTERNATIVE: Duration = Duration::from_secs(60);
/// The longest wait for a list of models.
const LISTING_TIME: Duration = Duration::from_secs(30);

pub(super) fn patience(
    gateway: &Gateway,
    request: &ProxyRequest,
    lease: &Lease,
    alternatives: Alternatives,
) -> Option<Duration> {
    let live = gateway.live_config();
    let limits = &live.settings.limits;
    let patience = lease.timeout().or(match request.head.delivery {
        Streaming::Yes => limits.first_byte_timeout,
        Streaming::No => limits.whole_timeout,
    });
    let patience = match (alternatives, request.head.delivery) {
        (Alternatives::Left, Streaming::Yes) => {
            Some(patience.map_or(WITH_ALTERNATIVE, |own| own.min(WITH_ALTERNATIVE)))
        }
        (Alternatives::Left, Streaming::No) | (Alternatives::None, _) => patience,
    };
    match request.upstream_call {
        UpstreamCall::Models => Some(patience.map_or(LISTING_TIME, |patience| patience.min(LISTING_TIME))),
        UpstreamCall::Reply | UpstreamCall::Count | UpstreamCall::Endpoint(_) => patience,
    }
}
