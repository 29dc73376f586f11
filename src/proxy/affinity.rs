//! The session of a request. Requests of one session get the same key, so that the upstream's prompt cache works.

use actix_web::http::header::HeaderName;
use vandamme_actors::provider::AffinityHash;

use super::ProxyRequest;
use super::middleware::CREDENTIALS;

/// Claude Code sends it with every request.
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("x-claude-code-session-id");

/// FNV-1a: the same on every machine and in every version, and cheap.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// The session of a request together with its caller, since ids are the caller's to choose.
pub(super) fn session(request: &ProxyRequest) -> Option<AffinityHash> {
    let header = request.headers.get(&SESSION_ID).map(|value| value.as_bytes().trim_ascii());
    let session = match header.filter(|id| !id.is_empty()) {
        Some(id) => hashed(OFFSET, id),
        None => hashed(OFFSET, request.head.session(&request.body)?.as_bytes()),
    };
    let shown = CREDENTIALS.into_iter().filter_map(|name| request.headers.get(name));
    Some(AffinityHash(shown.fold(session, |hash, value| hashed(hash, value.as_bytes()))))
}

fn hashed(hash: u64, bytes: &[u8]) -> u64 {
    // 0 separates the parts; no part contains it.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    step(bytes.iter().copied().fold(hash, step), 0)
}
