//! Auto mode of Claude Code (`safeguards` of the Messages API): the client asks the server for a verdict on each tool call, and this
//! module reads the calls of a reply, makes the request to a judge, reads its answer, and writes the verdicts.
//!
//! The shapes are those of Claude Code 2.1.332, with the beta `dangerous-tool-use-2026-09-03`.

mod answer;
mod request;
mod shown;
mod stream;
mod whole;

use bytes::Bytes;
use serde_json::{Value, json};

pub use self::answer::{Judgement, judgement};
pub use self::request::{JudgeContext, JudgeRequest};
pub use self::stream::JudgedStream;
pub use self::whole::{calls_of_message, message_with_results};
use crate::request::{Unwanted, trimmed};

/// The type of verdict that clients request.
const KIND: &str = "dangerous_tool_use";
/// The member of a request that asks for verdicts.
const REQUEST_MEMBER: &str = "safeguards";
/// The member of a reply that contains the verdicts.
const REPLY_MEMBER: &str = "safeguard_results";

/// A tool call of a reply, as the client gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// JSON.
    pub input: String,
    /// The input was longer than the limit and has been cut.
    pub is_cut: bool,
    /// What the reply has before the call.
    before: Vec<Value>,
}

/// The verdict on a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    NotFlagged,
    /// The client does not run the call, and the model reads why.
    Flagged {
        explanation: String,
    },
    /// The call has no verdict.
    Unavailable(Missing),
}

/// Why a call has no verdict, in words that Claude Code knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Timeout,
    Error,
    Refused,
    InputTooLong,
    InputUnparsed,
    Truncated,
}

impl Missing {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::InputTooLong => "input_too_long",
            Self::InputUnparsed => "input_unparsed",
            Self::Truncated => "truncated",
        }
    }
}

impl Verdict {
    fn to_json(&self) -> Value {
        match self {
            Self::NotFlagged => json!({"type": "evaluated", "outcome": "not_flagged"}),
            Self::Flagged { explanation } => {
                json!({"type": "evaluated", "outcome": "flagged", "explanation": explanation})
            }
            Self::Unavailable(missing) => json!({"type": "unavailable", "reason": missing.name()}),
        }
    }
}

/// The value of `safeguard_results` with these verdicts by the ids of the calls.
#[must_use]
pub fn results<'v>(verdicts: impl Iterator<Item = (&'v str, &'v Verdict)>) -> String {
    let calls: serde_json::Map<_, _> =
        verdicts.map(|(id, verdict)| (id.to_owned(), verdict.to_json())).collect();
    json!([{"type": KIND, "status": {"type": "available", "tool_uses": calls}}]).to_string()
}

/// The value of `safeguard_results` of a server that does not judge.
#[must_use]
pub fn unsupported() -> String {
    json!([{"type": KIND, "status": {"type": "unsupported"}}]).to_string()
}

/// Whether a value of `safeguards` asks for verdicts on tool calls.
#[must_use]
pub fn asks_for_verdicts(safeguards: &[u8]) -> bool {
    let list: Option<Vec<Value>> = serde_json::from_slice(safeguards).ok();
    list.is_some_and(|list| list.iter().any(|safeguard| safeguard["type"] == KIND))
}

/// The request without `safeguards`, for an upstream that does not know them. Every other byte is preserved.
#[must_use]
pub fn without_safeguards(body: &Bytes) -> Bytes {
    trimmed(body, &Unwanted { members: vec![vec![REQUEST_MEMBER]], keywords: vec![] })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: verdicts have the shapes that Claude Code reads.
    #[test]
    fn verdicts_have_the_shapes_of_the_api() {
        let flagged = Verdict::Flagged { explanation: "It \"deletes\" files.".to_owned() };
        let verdicts =
            [("a", Verdict::NotFlagged), ("b", flagged), ("c", Verdict::Unavailable(Missing::InputTooLong))];
        let written: Value =
            serde_json::from_str(&results(verdicts.iter().map(|(id, verdict)| (*id, verdict)))).unwrap();
        let expected = json!([{"type": "dangerous_tool_use", "status": {"type": "available", "tool_uses": {
            "a": {"type": "evaluated", "outcome": "not_flagged"},
            "b": {"type": "evaluated", "outcome": "flagged", "explanation": "It \"deletes\" files."},
            "c": {"type": "unavailable", "reason": "input_too_long"},
        }}}]);
        assert_eq!(written, expected);
        let none: Value = serde_json::from_str(&results(std::iter::empty())).unwrap();
        assert_eq!(none[0]["status"], json!({"type": "available", "tool_uses": {}}));
    }

    #[test]
    fn a_request_for_verdicts_is_known_by_its_type() {
        assert!(asks_for_verdicts(br#"[{"type":"other"},{"type":"dangerous_tool_use"}]"#));
        for other in
            [&b"null"[..], b"[]", b"[7]", b"{\"type\":\"dangerous_tool_use\"}", b"[{\"type\":1}]", b"["]
        {
            assert!(!asks_for_verdicts(other));
        }
    }

    /// Requirement: an upstream that does not serve Claude gets the request without `safeguards`; other bytes are the same.
    #[test]
    fn only_safeguards_are_removed() {
        let body =
            Bytes::from_static(br#"{"model" : "m","safeguards":[{"a":1}], "messages":[{"safeguards":1}]}"#);
        let expected = br#"{"model" : "m","messages":[{"safeguards":1}]}"#;
        assert_eq!(without_safeguards(&body), &expected[..]);
    }
}
