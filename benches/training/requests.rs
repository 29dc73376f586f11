//! The requests of clients: of other sizes and contents than those of the benchmark.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::prose;
use crate::script::Script;

/// An API for model replies.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Api {
    Messages,
    Chat,
}

/// The form of a reply.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Stream,
}

/// What a client sends.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The API that the client uses.
    pub(crate) client: Api,
    /// The API of the provider.
    pub(crate) upstream: Api,
    pub(crate) form: Form,
    pub(crate) script: Script,
    pub(crate) model: &'static str,
    /// A Messages client counts the tokens of the request instead.
    pub(crate) counts: bool,
}

/// Stories that several requests use. Each is written once and kept.
const STORIES: u64 = 80;
const MESSAGES_MODELS: [&str; 6] = [
    "anthropic:claude-sonnet-5-5",
    "anthropic:claude-opus-5-5",
    "claude-haiku-5-5",
    "kimi:kimi-for-coding",
    "zai:glm-5.3",
    "opus",
];
const CHAT_MODELS: [&str; 7] = [
    "openai:gpt-6.1-sol",
    "deepseek:deepseek-v4-pro",
    "openrouter:anthropic/claude-sonnet-5.5",
    "gemini:gemini-3.8-flash",
    "groq:sonnet",
    "work:haiku",
    "mistral:mistral-medium-latest",
];

impl Request {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let client = if rng.u8(..10) < 7 { Api::Messages } else { Api::Chat };
        let upstream = if rng.bool() { Api::Messages } else { Api::Chat };
        let models: &[&str] = match upstream {
            Api::Messages => &MESSAGES_MODELS,
            Api::Chat => &CHAT_MODELS,
        };
        let model = models[rng.usize(..models.len())];
        let form = if rng.u8(..10) < 7 { Form::Stream } else { Form::Whole };
        let (number, kind) = (rng.u64(..STORIES), rng.u8(..40));
        // Calls that fail have providers of their own, so that the others stay healthy.
        let (script, model) = match (kind, upstream) {
            (0, Api::Messages) => (Script::Fails(number), "failing-messages:any"),
            (0, Api::Chat) => (Script::Fails(number), "failing-chat:any"),
            (1, Api::Messages) => (Script::Limits(number), "limited-messages:any"),
            (1, Api::Chat) => (Script::Limits(number), "limited-chat:any"),
            _ => (Script::Story(number), model),
        };
        Self { client, upstream, form, script, model, counts: client == Api::Messages && kind == 2 }
    }

    /// A request for a recorded reply, with the client API that is not the provider's if `translated`.
    pub(crate) fn recorded(number: usize, (client, upstream): (Api, Api), form: Form) -> Self {
        let model = match upstream {
            Api::Messages => "recorded-messages:any",
            Api::Chat => "recorded-chat:any",
        };
        Self { client, upstream, form, script: Script::Recorded(number), model, counts: false }
    }

    /// The request on the wire.
    pub(crate) fn bytes(&self, rng: &mut Rng) -> Vec<u8> {
        let (path, headers) = match (self.client, self.counts) {
            (Api::Messages, false) => ("/v1/messages?beta=true", MESSAGES_HEADERS),
            (Api::Messages, true) => ("/v1/messages/count_tokens", MESSAGES_HEADERS),
            (Api::Chat, _) => ("/v1/chat/completions", CHAT_HEADERS),
        };
        let body = self.body(rng);
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body.as_bytes());
        bytes
    }

    fn body(&self, rng: &mut Rng) -> String {
        let size = match rng.u8(..20) {
            0..9 => rng.usize(40..3_000),
            9..16 => rng.usize(3_000..25_000),
            _ => rng.usize(25_000..160_000),
        };
        let mut body = match self.client {
            Api::Messages => messages_body(rng, size),
            Api::Chat => chat_body(rng, size),
        };
        body["model"] = self.model.into();
        if !self.counts {
            body["stream"] = (self.form == Form::Stream).into();
        }
        let last =
            json!({"role": "user", "content": format!("{} {}", prose::text(rng, 60), self.script.marker())});
        if let Some(messages) = body["messages"].as_array_mut() {
            messages.push(last);
        }
        // Some clients write their bodies with white space.
        if rng.u8(..10) == 0 {
            serde_json::to_string_pretty(&body).unwrap_or_default()
        } else {
            body.to_string()
        }
    }
}

const MESSAGES_HEADERS: &str = "accept: application/json\r\nanthropic-version: 2023-06-01\r\n\
    anthropic-beta: interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14\r\n\
    user-agent: anthropic-sdk-typescript/0.92\r\nx-api-key: sk-ant-client\r\nx-stainless-lang: js\r\nx-stainless-retry-count: 0\r\n";
const CHAT_HEADERS: &str = "accept: */*\r\nauthorization: Bearer sk-client\r\nuser-agent: OpenAI/Python 3.2.0\r\n\
    accept-encoding: gzip, deflate\r\nx-stainless-async: false\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

/// A conversation of about this size.
fn messages_body(rng: &mut Rng, size: usize) -> Value {
    let mut body = json!({"max_tokens": 4096, "messages": []});
    if size > 2_000 {
        let system = prose::text(rng, size / 8);
        body["system"] = json!([{"type": "text", "text": "You help with code."}, {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]);
        body["tools"] = (0..12).map(|number| {
            json!({"name": format!("tool_{number}"), "description": prose::text(rng, size / 60), "input_schema": schema(rng)})
        }).collect();
        body["metadata"] =
            json!({"user_id": "user_42_account__session_0b9c1e52-1d0f-4a8e-9b1c-2f3e4d5c6b7a"});
    }
    if rng.u8(..4) == 0 {
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 2048});
    } else {
        body["temperature"] = json!(0.7);
    }
    body["messages"] =
        turns(size).map(|turn| messages_turn(rng, turn, size)).collect::<Vec<_>>().concat().into();
    body
}

/// The turns of a conversation of this size.
fn turns(size: usize) -> std::ops::Range<usize> {
    0..(size / 2_500).min(40)
}

fn messages_turn(rng: &mut Rng, turn: usize, size: usize) -> Vec<Value> {
    let length = size / turns(size).len().max(1) / 3;
    let id = format!("toolu_{turn:022x}");
    let asked = match rng.u8(..12) {
        0 => {
            json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture(rng)}},
            {"type": "text", "text": prose::text(rng, 80)}])
        }
        1..6 => {
            json!([{"type": "text", "text": prose::text(rng, length), "cache_control": {"type": "ephemeral"}}])
        }
        _ => prose::text(rng, length).into(),
    };
    let mut answer = Vec::new();
    if rng.u8(..3) == 0 {
        answer.push(json!({"type": "thinking", "thinking": prose::text(rng, length / 4), "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk"}));
    }
    answer.push(json!({"type": "text", "text": prose::text(rng, length / 4)}));
    answer.push(json!({"type": "tool_use", "id": id, "name": format!("tool_{}", turn % 12),
        "input": {"path": "src/reader.rs", "lines": [turn, turn + 40], "text": prose::text(rng, 60)}}));
    let result = if rng.bool() {
        json!(prose::text(rng, length))
    } else {
        json!([{"type": "text", "text": prose::text(rng, length)}])
    };
    vec![
        json!({"role": "user", "content": asked}),
        json!({"role": "assistant", "content": answer}),
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": result, "is_error": turn % 9 == 8}]}),
        json!({"role": "assistant", "content": prose::text(rng, length / 4)}),
    ]
}

fn chat_body(rng: &mut Rng, size: usize) -> Value {
    let mut body = json!({"messages": [{"role": "system", "content": prose::text(rng, size / 8)}]});
    if size > 2_000 {
        body["tools"] = (0..10)
            .map(|number| {
                json!({"type": "function", "function": {"name": format!("tool_{number}"),
                "description": prose::text(rng, size / 60), "parameters": schema(rng), "strict": false}})
            })
            .collect();
        body["tool_choice"] = "auto".into();
    }
    match rng.u8(..3) {
        0 => body["max_completion_tokens"] = json!(2048),
        1 => body["stream_options"] = json!({"include_usage": true}),
        _ => body["temperature"] = json!(0.2),
    }
    let turns: Vec<Value> = turns(size).map(|turn| chat_turn(rng, turn, size)).collect::<Vec<_>>().concat();
    if let Some(messages) = body["messages"].as_array_mut() {
        messages.extend(turns);
    }
    body
}

fn chat_turn(rng: &mut Rng, turn: usize, size: usize) -> Vec<Value> {
    let length = size / turns(size).len().max(1) / 3;
    let id = format!("call_{turn:020x}");
    let asked = match rng.u8(..12) {
        0 => json!([{"type": "text", "text": prose::text(rng, 80)},
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", picture(rng))}}]),
        _ => prose::text(rng, length).into(),
    };
    let arguments =
        json!({"path": "src/reader.rs", "lines": [turn, turn + 40], "text": prose::text(rng, 60)})
            .to_string();
    vec![
        json!({"role": "user", "content": asked}),
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function",
            "function": {"name": format!("tool_{}", turn % 10), "arguments": arguments}}]}),
        json!({"role": "tool", "tool_call_id": id, "content": prose::text(rng, length)}),
        json!({"role": "assistant", "content": prose::text(rng, length / 2)}),
    ]
}

fn schema(rng: &mut Rng) -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": prose::text(rng, 60)},
            "lines": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 2},
            "text": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null},
            "mode": {"enum": ["read", "write"], "description": prose::text(rng, 30)},
        },
        "required": ["path"],
        "additionalProperties": false,
    })
}

/// What base64 of a picture looks like to the gateway.
fn picture(rng: &mut Rng) -> String {
    let length = rng.usize(2_000..40_000) / 4 * 4;
    (0..length).map(|_| rng.alphanumeric()).collect()
}
