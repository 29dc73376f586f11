//! A request of a client of Chat Completions that comes back as a request of Chat Completions: in between it was one of
//! Messages, so that the gateway could run its web searches. The members that Messages does not have must not be lost on the way.

use crate::json::{RawMembers, Write};

/// What the conversion decides. Everything else is the client's.
const CONVERTED: [&str; 10] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "stream",
    "stream_options",
    "web_search_options",
    "n",
];

/// The converted request with the members of the client's own one, in their notation, and without settings that the client has
/// not sent. The converted request, if one of both is not an object.
pub fn with_members_of(client: &[u8], converted: Vec<u8>) -> Vec<u8> {
    let (Ok(own), Ok(made)) = (serde_json::from_slice(client), serde_json::from_slice(&converted)) else {
        return converted;
    };
    let (own, made): (RawMembers<'_>, RawMembers<'_>) = (own, made);
    let made = made.unique().filter(|(name, _)| CONVERTED.contains(name));
    let own = own.unique().filter(|(name, _)| !CONVERTED.contains(name));
    let mut out = Vec::with_capacity(converted.len() + 256);
    for (name, value) in made.chain(own) {
        out.put(if out.is_empty() { b"{" } else { b"," });
        out.string(name);
        out.put(b":");
        out.raw(value.get());
    }
    out.put(if out.is_empty() { b"{}" } else { b"}" });
    out
}

/// Whether such a request keeps this member of the client ([`with_members_of`]).
pub fn is_kept(name: &str) -> bool {
    !CONVERTED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: members of the client's request that Messages does not have survive a search, in their notation, and nothing
    /// is set that the client left open.
    #[test]
    fn the_clients_members_replace_those_of_the_conversion() {
        let client = br#"{"model":"openai:m","messages":[],"seed":1e0,"reasoning_effort":"low","web_search_options":{},"x":{"a":1}}"#;
        let converted = br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":4096,"tools":[]}"#;
        let merged = with_members_of(client, converted.to_vec());
        assert_eq!(
            String::from_utf8(merged).unwrap(),
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[],"seed":1e0,"reasoning_effort":"low","x":{"a":1}}"#
        );
        assert_eq!(with_members_of(b"[]", b"{}".to_vec()), b"{}");
        assert_eq!(with_members_of(b"{}", b"{}".to_vec()), b"{}");
    }
}
