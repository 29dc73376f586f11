//! Scripts for the upstream, in both APIs, streamed or whole as the request asks. Most of them call a tool once and answer
//! its result with a text.

use serde_json::{Value, json};

use crate::support::canned::{anthropic, openai};
use crate::support::upstream::{Answer, Dialect, Ending, Seen, Upstream};

/// The conversation: one call of a tool, then a text.
#[derive(Clone)]
pub(crate) struct Conversation {
    pub(crate) tool: &'static str,
    pub(crate) input: Value,
    pub(crate) last_words: &'static str,
}

/// The id of the call, which the client must return with the result.
pub(crate) const CALL_ID: &str = "toolu_01ScriptedCall";
pub(crate) const THOUGHT: &str = "A tool is needed here.";
/// A thinking signature of Anthropic, which the client must return unchanged.
pub(crate) const SIGNATURE: &str = "EqQBCgIYAhIMscripted";

impl Conversation {
    /// Plays the conversation for every request with the tool. Other requests, such as titles, get the canned answer.
    pub(crate) fn played_by(self, upstream: Upstream) -> Upstream {
        let dialect = upstream.dialect();
        upstream.ruled_by(move |seen| self.answer(dialect, &body(seen)))
    }

    fn answer(&self, dialect: Dialect, request: &Value) -> Option<Answer> {
        if !offers(request, self.tool) {
            return None;
        }
        let streamed = request["stream"] == true;
        let answer = match (dialect, result(request), streamed) {
            (Dialect::Anthropic, None, true) => Answer::events(self.messages_call_events()),
            (Dialect::Anthropic, None, false) => Answer::json(200, self.messages_call().to_string()),
            (Dialect::Anthropic, Some(_), true) => Answer::events(self.messages_text_events()),
            (Dialect::Anthropic, Some(_), false) => Answer::json(200, anthropic::whole(self.last_words)),
            (Dialect::OpenAi, None, true) => Answer::events(self.chat_call_chunks()),
            (Dialect::OpenAi, None, false) => Answer::json(200, self.chat_call()),
            (Dialect::OpenAi, Some(_), true) => Answer::events(openai::text(&words(self.last_words))),
            (Dialect::OpenAi, Some(_), false) => Answer::json(200, openai::whole(self.last_words)),
        };
        Some(answer)
    }

    fn messages_call(&self) -> Value {
        let thinking = json!({"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE});
        let call = json!({"type": "tool_use", "id": CALL_ID, "name": self.tool, "input": self.input});
        json!({"id": "msg_01ScriptedCall", "type": "message", "role": "assistant",
               "model": "claude-sonnet-4-5-20250929", "content": [thinking, call],
               "stop_reason": "tool_use", "stop_sequence": null,
               "usage": {"input_tokens": 11, "output_tokens": 9}})
    }

    fn messages_call_events(&self) -> Vec<Vec<u8>> {
        let thinking = json!({"type": "thinking", "thinking": "", "signature": ""});
        let call = json!({"type": "tool_use", "id": CALL_ID, "name": self.tool, "input": {}});
        let mut events = vec![
            message_start("msg_01ScriptedCall"),
            anthropic::block_start(0, &thinking),
            anthropic::delta(0, &json!({"type": "thinking_delta", "thinking": THOUGHT})),
            anthropic::delta(0, &json!({"type": "signature_delta", "signature": SIGNATURE})),
            anthropic::block_stop(0),
            anthropic::block_start(1, &call),
        ];
        events.extend(fragments(&self.input).iter().map(|fragment| {
            anthropic::delta(1, &json!({"type": "input_json_delta", "partial_json": fragment}))
        }));
        events.push(anthropic::block_stop(1));
        events.extend(anthropic::end("tool_use"));
        events
    }

    /// The call, with the result of the server's check of its calls.
    pub(crate) fn judged_call_events(&self, judgement: &Value) -> Vec<Vec<u8>> {
        self.checked_call_events(&json!({"type": "available", "tool_uses": {CALL_ID: judgement}}))
    }

    /// The call, without a check of the server.
    pub(crate) fn call_events(&self) -> Vec<Vec<u8>> {
        self.messages_call_events()
    }

    /// The call, with this status of the server's check.
    pub(crate) fn checked_call_events(&self, status: &Value) -> Vec<Vec<u8>> {
        let mut events = self.messages_call_events();
        let results = json!([{"type": "dangerous_tool_use", "status": status}]);
        let delta = json!({"stop_reason": "tool_use", "stop_sequence": null, "safeguard_results": results});
        let last = events.len() - 2;
        events[last] = anthropic::event(
            &json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}}),
        );
        events
    }

    fn messages_text_events(&self) -> Vec<Vec<u8>> {
        let mut events = anthropic::text(&words(self.last_words));
        events[0] = message_start("msg_01ScriptedText");
        events
    }

    fn chat_call(&self) -> String {
        let function = json!({"name": self.tool, "arguments": self.input.to_string()});
        let call = json!({"id": CALL_ID, "type": "function", "function": function});
        let message = json!({"role": "assistant", "content": null, "reasoning_content": THOUGHT,
                             "tool_calls": [call]});
        openai::completion(&message, "tool_calls")
    }

    fn chat_call_chunks(&self) -> Vec<Vec<u8>> {
        let function = json!({"name": self.tool, "arguments": ""});
        let mut chunks = vec![
            openai::delta(&json!({"reasoning_content": THOUGHT})),
            openai::tool(&json!({"index": 0, "id": CALL_ID, "type": "function", "function": function})),
        ];
        chunks.extend(
            fragments(&self.input)
                .iter()
                .map(|fragment| openai::tool(&json!({"index": 0, "function": {"arguments": fragment}}))),
        );
        openai::stream(chunks, "tool_calls")
    }
}

/// Truncates every answer: a stream after the first of two words, as `ending` selects, and a whole reply in its middle.
pub(crate) fn breaking_off(upstream: Upstream, ending: Ending) -> Upstream {
    const WORDS: [&str; 2] = ["Hello ", "there!"];
    let (events, kept, whole) = match upstream.dialect() {
        Dialect::Anthropic => (anthropic::text(&WORDS), 4, anthropic::whole("Hello there!")),
        Dialect::OpenAi => (openai::text(&WORDS), 2, openai::whole("Hello there!")),
    };
    let begun = events[..kept].concat().len();
    let streamed = Answer::events(events).broken_after(begun, ending);
    let half = whole.len() / 2;
    by_delivery(upstream, streamed, Answer::json(200, whole).broken_after(half, Ending::Cut))
}

/// One answer for streamed requests, another for the others.
pub(crate) fn by_delivery(upstream: Upstream, streamed: Answer, whole: Answer) -> Upstream {
    upstream.ruled_by(move |seen| {
        let answer = if body(seen)["stream"] == true { &streamed } else { &whole };
        Some(answer.clone())
    })
}

/// The body of a request, or `null` without one.
pub(crate) fn body(seen: &Seen) -> Value {
    serde_json::from_slice(&seen.body).unwrap_or_default()
}

/// Whether a request of either API has this tool.
pub(crate) fn offers(request: &Value, tool: &str) -> bool {
    list(&request["tools"])
        .iter()
        .any(|offered| offered["name"] == tool || offered["function"]["name"] == tool)
}

/// The result of [`CALL_ID`] in a request of either API: a `tool_result` block or a `tool` message.
pub(crate) fn result(request: &Value) -> Option<&Value> {
    let messages = list(&request["messages"]);
    let blocks = messages.iter().flat_map(|message| list(&message["content"]));
    blocks.chain(messages).find(|part| part["tool_use_id"] == CALL_ID || part["tool_call_id"] == CALL_ID)
}

/// A unique id for each message: Claude Code joins messages with the same id.
fn message_start(id: &str) -> Vec<u8> {
    anthropic::event(&json!({"type": "message_start", "message": {
        "id": id, "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929", "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7,
                  "output_tokens": 1}}}))
}

pub(crate) fn words(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

/// The input as JSON, in pieces that split words and escapes.
pub(crate) fn fragments(input: &Value) -> Vec<String> {
    let chars: Vec<char> = input.to_string().chars().collect();
    chars.chunks(7).map(|piece| piece.iter().collect()).collect()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
