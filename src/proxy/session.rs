//! The session and the agent that a client names, as the ledger records them.

use std::sync::Arc;

use actix_web::http::header::HeaderName;
use vandamme_actors::settings::Api;

use super::ProxyRequest;
use super::affinity::{self, CODEX_THREAD};
use crate::gateway::LiveConfig;

/// The sub-agent of Claude Code that sends the request; the main agent sends none.
const AGENT_ID: HeaderName = HeaderName::from_static("x-claude-code-agent-id");
/// The longest id, in bytes. Claude Code's have 36.
const LONGEST: usize = 128;

/// From the header of Claude Code or Codex, else from the body.
pub(super) fn session(request: &ProxyRequest, live: &LiveConfig) -> Option<Arc<str>> {
    match affinity::header(request.api, &request.headers) {
        Some(id) => checked(std::str::from_utf8(id).ok()?, request, live),
        None => checked(&request.head.session(&request.body)?, request, live),
    }
}

pub(super) fn agent(request: &ProxyRequest, live: &LiveConfig) -> Option<Arc<str>> {
    let codex = || {
        let thread = header(request, &CODEX_THREAD).filter(|_| request.api == Api::Responses)?;
        // The main agent's thread has the id of the session.
        (affinity::header(request.api, &request.headers) != Some(thread.as_bytes())).then_some(thread)
    };
    checked(header(request, &AGENT_ID).or_else(codex)?, request, live)
}

fn header<'r>(request: &'r ProxyRequest, name: &HeaderName) -> Option<&'r str> {
    let value = request.headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then_some(value)
}

/// The id, unless it contains a key.
fn checked(id: &str, request: &ProxyRequest, live: &LiveConfig) -> Option<Arc<str>> {
    let id = presentable(id)?;
    let is_key = live.secrets.found_plainly_in(id.as_bytes())
        || live.gateway_keys.are_in(id.as_bytes(), request.caller.as_ref());
    (!is_key).then(|| id.into())
}

/// An id is one short line. Anything else is not recorded: a shortened id could be another session's.
fn presentable(id: &str) -> Option<&str> {
    let id = id.trim();
    let is_id = !id.is_empty() && id.len() <= LONGEST && !id.chars().any(char::is_control);
    is_id.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_short_line() {
        assert_eq!(presentable(" 0af1-22 "), Some("0af1-22"));
        let long = "x".repeat(LONGEST + 1);
        for not_an_id in ["", "  ", "a\nb", "a\u{1b}[31m", &long] {
            assert_eq!(presentable(not_an_id), None, "{not_an_id:?}");
        }
    }
}
