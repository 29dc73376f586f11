//! The session of a request. Requests of one session get the same key, so that the upstream's prompt cache works.

use actix_web::http::header::{HeaderMap, HeaderName};
use vandamme_actors::provider::AffinityHash;
use vandamme_actors::settings::Api;

use super::ProxyRequest;
use super::middleware::CREDENTIALS;

/// Claude Code sends it with every request.
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("x-claude-code-session-id");

/// Codex sends the first of these with every request (captured from 0.171.0); `thread-id` is that of the agent. Its first versions
/// wrote `session_id`.
const CODEX_SESSIONS: [HeaderName; 3] =
    [HeaderName::from_static("session-id"), HeaderName::from_static("session_id"), CODEX_THREAD];
pub(super) const CODEX_THREAD: HeaderName = HeaderName::from_static("thread-id");

/// FNV-1a: the same on every machine and in every version, and cheap.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// The session of a request together with its caller, since ids are the caller's to choose.
pub(super) fn session(request: &ProxyRequest) -> Option<AffinityHash> {
    let session = match header(request.api, &request.headers) {
        Some(id) => hashed(OFFSET, id),
        None => hashed(OFFSET, request.head.session(&request.body)?.as_bytes()),
    };
    let shown = CREDENTIALS.into_iter().filter_map(|name| request.headers.get(name));
    Some(AffinityHash(shown.fold(session, |hash, value| hashed(hash, value.as_bytes()))))
}

/// The id that the client sends in a header. Other clients than Codex may mean something else by its names.
pub(super) fn header(api: Api, headers: &HeaderMap) -> Option<&[u8]> {
    let codex = match api {
        Api::Responses => &CODEX_SESSIONS[..],
        Api::Messages | Api::ChatCompletions => &[],
    };
    let first = headers.get(&SESSION_ID).into_iter();
    let values = first.chain(codex.iter().filter_map(|name| headers.get(name)));
    values.map(|value| value.as_bytes().trim_ascii()).find(|id| !id.is_empty())
}

fn hashed(hash: u64, bytes: &[u8]) -> u64 {
    // 0 separates the parts; no part contains it.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    step(bytes.iter().copied().fold(hash, step), 0)
}
