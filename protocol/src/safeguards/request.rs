//! The request to a judge: the rules of the session, the recent turns, and one tool call, all as data and bounded.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{ToolCall, shown};

/// The system prompt of the judge.
const PROMPT: &str = include_str!("prompt.md");
/// Enough for a model that thinks first.
const MAX_TOKENS: u32 = 8192;
/// The members of `classifier_context` that a verdict needs. The user's identity is not among them.
const MEMBERS: [&str; 10] = [
    "permission_mode",
    "platform",
    "live_cwd",
    "home_dir",
    "trusted_directories",
    "rule_roots",
    "rules",
    "auto_mode",
    "git_state",
    "refused_calls",
];
/// The most bytes of all these members.
const CONTEXT: usize = 128 << 10;
/// The most turns; the last text of the user is always shown.
const TURNS: usize = 12;
/// The most bytes of a text of the user.
const USER_TEXT: usize = 4 << 10;
/// The most bytes of any other text of a turn.
const OTHER_TEXT: usize = 2 << 10;
/// The most blocks of one turn.
const BLOCKS: usize = 16;
/// The most bytes of the input of the call that is judged.
pub(super) const INPUT: usize = 64 << 10;

/// What all calls of one reply have in common.
#[derive(Debug)]
pub struct JudgeContext {
    session: Map<String, Value>,
    turns: Vec<Value>,
    /// A rule or a directory may be missing, so that an approval is worth nothing.
    is_cut: bool,
}

/// A Messages request to a judge, without a model.
#[derive(Debug)]
pub struct JudgeRequest {
    pub body: Map<String, Value>,
    /// A part of the call or of the rules is missing. Then only a refusal counts.
    pub is_cut: bool,
}

#[derive(Deserialize)]
struct ClientRequest<'a> {
    #[serde(borrow, default)]
    messages: Vec<&'a RawValue>,
    #[serde(default)]
    safeguards: Vec<Value>,
}

impl JudgeContext {
    /// Reads the client's request.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let request = serde_json::from_slice(body);
        let request = request.unwrap_or(ClientRequest { messages: vec![], safeguards: vec![] });
        let safeguard = request.safeguards.iter().find(|safeguard| safeguard["type"] == super::KIND);
        let given = safeguard.map(|safeguard| &safeguard["classifier_context"]);
        let mut session = Map::new();
        let (mut room, mut is_cut) = (CONTEXT, false);
        for name in MEMBERS {
            let Some(value) = given.and_then(|given| given.get(name)) else { continue };
            let written = value.to_string();
            let (shown, cut) = shown::json(&written, room);
            room = room.saturating_sub(written.len());
            is_cut |= cut;
            session.insert(name.to_owned(), shown);
        }
        Self { session, turns: recent(&request.messages), is_cut }
    }

    /// The request for one call. `check` is a word that nobody can know: the answer must have it.
    #[must_use]
    pub fn request(&self, call: &ToolCall, check: &str) -> JudgeRequest {
        let (input, is_long) = shown::json(&call.input, INPUT);
        let is_cut = call.is_cut || is_long;
        let data = json!({
            "session": self.session,
            "recent_turns": self.turns,
            "reply_so_far": call.before,
            "call": {"tool": call.name, "input": input, "input_is_cut": is_cut},
        });
        let form = format!(
            "Judge `call`. Answer with this JSON object only: \
             {{\"check\":\"{check}\",\"verdict\":\"allow\" or \"block\",\"reason\":\"one sentence\"}}"
        );
        let content = [data.to_string(), form].map(|text| json!({"type": "text", "text": text}));
        let members = [
            ("max_tokens", json!(MAX_TOKENS)),
            ("system", json!(PROMPT)),
            ("messages", json!([{"role": "user", "content": content}])),
        ];
        let body = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        JudgeRequest { body, is_cut: is_cut || self.is_cut }
    }
}

/// The last turns, and before them the last text of the user if it is older.
fn recent(messages: &[&RawValue]) -> Vec<Value> {
    let read = |message: &&RawValue| serde_json::from_str::<Value>(message.get()).ok();
    let start = messages.len().saturating_sub(TURNS);
    let turns: Vec<_> =
        messages[start..].iter().filter_map(read).flat_map(|message| blocks(&message)).collect();
    let is_users = |block: &Value| block.get("user").is_some();
    if turns.iter().any(is_users) {
        return turns;
    }
    let asked = messages[..start].iter().rev().filter_map(read).find_map(|message| {
        let asked: Vec<_> = blocks(&message).into_iter().filter(is_users).collect();
        (!asked.is_empty()).then_some(asked)
    });
    asked.into_iter().flatten().chain(turns).collect()
}

/// The blocks of a message as the judge sees them.
fn blocks(message: &Value) -> Vec<Value> {
    let is_user = message["role"] == "user";
    let said = |text: &str| match is_user {
        true => json!({"user": shown::text(text, USER_TEXT)}),
        false => json!({"assistant": shown::text(text, OTHER_TEXT)}),
    };
    match &message["content"] {
        Value::String(text) => vec![said(text)],
        Value::Array(blocks) => {
            let first = blocks.len().saturating_sub(BLOCKS);
            blocks[first..].iter().filter_map(|block| block_shown(block, &said)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![],
    }
}

fn block_shown(block: &Value, said: &dyn Fn(&str) -> Value) -> Option<Value> {
    match block["type"].as_str()? {
        "text" => block["text"].as_str().map(said),
        "tool_use" => {
            Some(call_shown(block["name"].as_str().unwrap_or_default(), &block["input"].to_string()))
        }
        "tool_result" => {
            let content = &block["content"];
            let text = content.as_str().map_or_else(|| result_text(content), str::to_owned);
            Some(json!({"tool_result": shown::text(&text, OTHER_TEXT)}))
        }
        _ => None,
    }
}

/// The texts of a tool's result; other blocks, such as images, are not shown.
fn result_text(content: &Value) -> String {
    let texts = content.as_array().into_iter().flatten().filter_map(|block| block["text"].as_str());
    texts.take(BLOCKS).collect::<Vec<_>>().join("\n")
}

/// A call before the one that is judged.
pub(super) fn call_shown(name: &str, input: &str) -> Value {
    json!({"tool_call": name, "input": shown::text(input, OTHER_TEXT)})
}

/// What the reply says before the call.
pub(super) fn text_shown(text: &str) -> Value {
    json!({"assistant": shown::text(text, OTHER_TEXT)})
}
