//! Scripts of several turns for an upstream, in all three APIs, streamed or whole as the request asks: calls one after the other,
//! then a text.

use serde_json::{Value, json};

use crate::script::{self, fragments, list, words};
use crate::support::canned::{anthropic, openai, responses};
use crate::support::upstream::{Answer, Seen, Upstream};

/// The API of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Messages,
    ChatCompletions,
    Responses,
}

impl Api {
    pub(crate) const ALL: [Self; 3] = [Self::Messages, Self::ChatCompletions, Self::Responses];

    pub(crate) fn of(seen: &Seen) -> Self {
        if seen.is_of_responses() {
            Self::Responses
        } else if seen.target().contains("/messages") {
            Self::Messages
        } else {
            Self::ChatCompletions
        }
    }

    /// An upstream of this API.
    pub(crate) fn upstream(self) -> Upstream {
        match self {
            Self::Messages => Upstream::anthropic(),
            Self::ChatCompletions | Self::Responses => Upstream::openai(),
        }
    }

    /// The value of `{PROVIDER}_API_FORMAT`.
    pub(crate) fn format(self) -> &'static str {
        match self {
            Self::Messages => "anthropic",
            Self::ChatCompletions => "openai",
            Self::Responses => "responses",
        }
    }

    /// The prefix of the variables of the built-in provider of this API.
    pub(crate) fn provider(self) -> &'static str {
        match self {
            Self::Messages => "ANTHROPIC",
            Self::ChatCompletions | Self::Responses => "OPENAI",
        }
    }

    /// The configuration of a user who has only this provider.
    pub(crate) fn variables(self, upstream: &Upstream) -> [(String, String); 3] {
        let name = |suffix: &str| format!("{}_{suffix}", self.provider());
        [
            (name("API_KEY"), "sk-test".to_owned()),
            (name("BASE_URL"), upstream.base_url()),
            (name("API_FORMAT"), self.format().to_owned()),
        ]
    }
}

/// The conversation.
#[derive(Clone)]
pub(crate) struct Steps {
    pub(crate) calls: Vec<StepCall>,
    pub(crate) last_words: &'static str,
}

#[derive(Clone)]
pub(crate) struct StepCall {
    pub(crate) tool: &'static str,
    pub(crate) input: CallInput,
}

/// What a tool is called with.
#[derive(Clone)]
pub(crate) enum CallInput {
    Arguments(Value),
    /// For a custom tool. In other APIs than Responses it is a function with the property `input`.
    Text(String),
}

impl CallInput {
    fn arguments(&self) -> Value {
        match self {
            Self::Arguments(arguments) => arguments.clone(),
            Self::Text(text) => json!({ "input": text }),
        }
    }
}

/// The id of a call, which the client must return with the result.
pub(crate) fn call_id(step: usize) -> String {
    format!("call_scripted{step}")
}

pub(crate) fn thought(step: usize) -> String {
    format!("Step {step} is next.")
}

/// What the client must return of the reasoning before a call: the signature of the Messages API, or encrypted content.
pub(crate) fn seal(step: usize) -> String {
    format!("EqQBCgIYAhIMsealed{step}")
}

/// The id of the reasoning item before a call.
pub(crate) fn reasoning_id(step: usize) -> String {
    format!("rs_upstream{step}")
}

impl Steps {
    /// Plays the conversation for every request that offers the first tool. Other requests get the canned answer.
    pub(crate) fn played_by(self, upstream: Upstream) -> Upstream {
        upstream.ruled_by(move |seen| self.answer(seen))
    }

    fn answer(&self, seen: &Seen) -> Option<Answer> {
        let request = script::body(seen);
        let first = self.calls.first()?;
        if !offers(&request, first.tool) {
            return None;
        }
        let step = results(&request).len();
        let streamed = request["stream"] == true;
        Some(match (Api::of(seen), self.calls.get(step)) {
            (Api::Messages, Some(call)) if streamed => Answer::events(messages_events(step, call)),
            (Api::Messages, Some(call)) => Answer::json(200, messages_whole(step, call)),
            (Api::Messages, None) if streamed => Answer::events(anthropic::text(&words(self.last_words))),
            (Api::Messages, None) => Answer::json(200, anthropic::whole(self.last_words)),
            (Api::ChatCompletions, Some(call)) if streamed => Answer::events(chat_chunks(step, call)),
            (Api::ChatCompletions, Some(call)) => Answer::json(200, chat_whole(step, call)),
            (Api::ChatCompletions, None) if streamed => Answer::events(openai::text(&words(self.last_words))),
            (Api::ChatCompletions, None) => Answer::json(200, openai::whole(self.last_words)),
            (Api::Responses, Some(call)) => of_responses(&request, &responses_items(step, call)),
            (Api::Responses, None) => of_responses(&request, &[responses::message(self.last_words)]),
        })
    }
}

/// These items, streamed or whole.
pub(crate) fn of_responses(request: &Value, items: &[Value]) -> Answer {
    if request["stream"] == true {
        Answer::events(responses::stream(items))
    } else {
        Answer::json(200, responses::whole(items))
    }
}

fn responses_items(step: usize, call: &StepCall) -> [Value; 2] {
    let reasoning = reasoning_item(&reasoning_id(step), &thought(step), &seal(step));
    let call = match &call.input {
        CallInput::Arguments(arguments) => responses::function_call(&call_id(step), call.tool, arguments),
        CallInput::Text(text) => custom_call(&call_id(step), call.tool, text),
    };
    [reasoning, call]
}

/// Reasoning with a summary, and with the content that the client must return.
fn reasoning_item(id: &str, summary: &str, encrypted: &str) -> Value {
    json!({"type": "reasoning", "id": id, "summary": [{"type": "summary_text", "text": summary}],
           "encrypted_content": encrypted})
}

/// A call of a tool whose input is text.
fn custom_call(call_id: &str, name: &str, input: &str) -> Value {
    json!({"type": "custom_tool_call", "id": format!("ctc_{call_id}"), "call_id": call_id, "name": name,
           "input": input, "status": "completed"})
}

fn messages_whole(step: usize, call: &StepCall) -> String {
    let thinking = json!({"type": "thinking", "thinking": thought(step), "signature": seal(step)});
    let call =
        json!({"type": "tool_use", "id": call_id(step), "name": call.tool, "input": call.input.arguments()});
    json!({"id": format!("msg_01Step{step}"), "type": "message", "role": "assistant",
           "model": "claude-sonnet-5-5", "content": [thinking, call], "stop_reason": "tool_use",
           "stop_sequence": null, "usage": {"input_tokens": 11, "output_tokens": 9}})
    .to_string()
}

fn messages_events(step: usize, call: &StepCall) -> Vec<Vec<u8>> {
    let use_ = json!({"type": "tool_use", "id": call_id(step), "name": call.tool, "input": {}});
    let mut events = vec![
        anthropic::start(),
        anthropic::block_start(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        anthropic::delta(0, &json!({"type": "thinking_delta", "thinking": thought(step)})),
        anthropic::delta(0, &json!({"type": "signature_delta", "signature": seal(step)})),
        anthropic::block_stop(0),
        anthropic::block_start(1, &use_),
    ];
    let pieces = fragments(&call.input.arguments());
    let deltas = pieces.iter().map(|piece| json!({"type": "input_json_delta", "partial_json": piece}));
    events.extend(deltas.map(|delta| anthropic::delta(1, &delta)));
    events.push(anthropic::block_stop(1));
    events.extend(anthropic::end("tool_use"));
    events
}

fn chat_whole(step: usize, call: &StepCall) -> String {
    let function = json!({"name": call.tool, "arguments": call.input.arguments().to_string()});
    let call = json!({"id": call_id(step), "type": "function", "function": function});
    let message = json!({"role": "assistant", "content": null, "reasoning_content": thought(step),
                         "tool_calls": [call]});
    openai::completion(&message, "tool_calls")
}

fn chat_chunks(step: usize, call: &StepCall) -> Vec<Vec<u8>> {
    let function = json!({"name": call.tool, "arguments": ""});
    let mut chunks = vec![
        openai::delta(&json!({"reasoning_content": thought(step)})),
        openai::tool(&json!({"index": 0, "id": call_id(step), "type": "function", "function": function})),
    ];
    let pieces = fragments(&call.input.arguments());
    let calls = pieces.iter().map(|piece| json!({"index": 0, "function": {"arguments": piece}}));
    chunks.extend(calls.map(|call| openai::tool(&call)));
    openai::stream(chunks, "tool_calls")
}

/// Whether a request of any API has this tool.
pub(crate) fn offers(request: &Value, tool: &str) -> bool {
    script::offers(request, tool)
        || list(&request["tools"]).iter().any(|offered| offered["custom"]["name"] == tool)
}

/// The results in a request of any API, in their order: `tool_result` blocks, `tool` messages or output items.
pub(crate) fn results(request: &Value) -> Vec<&Value> {
    let messages = list(&request["messages"]);
    let blocks = messages.iter().flat_map(|message| list(&message["content"]));
    let blocks = blocks.filter(|block| block["type"] == "tool_result");
    let tools = messages.iter().filter(|message| message["role"] == "tool");
    let is_output = |item: &&Value| item["type"].as_str().is_some_and(|kind| kind.ends_with("_output"));
    blocks.chain(tools).chain(list(&request["input"]).iter().filter(is_output)).collect()
}

/// The requests that belong to a conversation with this tool.
pub(crate) fn turns(upstream: &Upstream, tool: &str) -> Vec<Value> {
    upstream.requests().iter().map(script::body).filter(|body| offers(body, tool)).collect()
}
