//! Replies that are generated from a number: text, thinking and tool calls, whole and streamed, in both APIs.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::prose;
use crate::requests::Api;

/// What a model says.
pub(crate) struct Story {
    rng: Rng,
    thinking: Option<Vec<String>>,
    text: Vec<String>,
    calls: Vec<Call>,
}

struct Call {
    id: String,
    name: String,
    arguments: Vec<String>,
}

impl Story {
    pub(crate) fn new(number: u64) -> Self {
        let mut rng = Rng::with_seed(number);
        let tokens = |rng: &mut Rng, most: usize| -> Vec<String> {
            let count = rng.usize(1..most);
            (0..count).map(|_| prose::token(rng)).collect()
        };
        let thinking = (rng.u8(..10) < 3).then(|| tokens(&mut rng, 80));
        let text = tokens(&mut rng, 300);
        let calls = if rng.u8(..10) < 4 { rng.usize(1..3) } else { 0 };
        let calls = (0..calls).map(|_| Call::new(&mut rng)).collect();
        Self { rng, thinking, text, calls }
    }

    /// The reply as JSON.
    pub(crate) fn whole(&self, api: Api) -> String {
        match api {
            Api::Messages => self.message(),
            Api::Chat => self.completion(),
        }
    }

    /// The events of the reply.
    pub(crate) fn events(&mut self, api: Api) -> Vec<String> {
        match api {
            Api::Messages => self.message_events(),
            Api::Chat => self.chunks(),
        }
    }

    fn message(&self) -> String {
        let thinking = self.thinking.iter().map(|tokens| {
            json!({"type": "thinking", "thinking": tokens.concat(), "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk"})
        });
        let text = json!({"type": "text", "text": self.text.concat()});
        let calls = self
            .calls
            .iter()
            .map(|call| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.input()}));
        let content: Vec<Value> = thinking.chain([text]).chain(calls).collect();
        json!({"id": self.id("msg_"), "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "content": content,
            "stop_reason": self.stop("tool_use", "end_turn"), "stop_sequence": null, "usage": self.anthropic_usage(self.text.len())})
        .to_string()
    }

    fn completion(&self) -> String {
        let mut message =
            json!({"role": "assistant", "content": self.text.concat(), "refusal": null, "annotations": []});
        if let Some(thinking) = &self.thinking {
            message["reasoning_content"] = thinking.concat().into();
        }
        if !self.calls.is_empty() {
            message["tool_calls"] = self.calls.iter().map(|call| {
                json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments.concat()}})
            }).collect();
        }
        json!({"id": self.id("chatcmpl-"), "object": "chat.completion", "created": 1_796_000_000, "model": "gpt-6.1-sol-2026-08-01",
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": self.stop("tool_calls", "stop")}],
            "usage": self.openai_usage(), "service_tier": "default", "system_fingerprint": null})
        .to_string()
    }

    fn message_events(&mut self) -> Vec<String> {
        let mut events = vec![event(
            "message_start",
            &json!({"type": "message_start", "message": {
            "id": self.id("msg_"), "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": self.anthropic_usage(1)}}),
        )];
        let mut index = 0;
        if let Some(thinking) = &self.thinking {
            events.extend(block(index, &json!({"type": "thinking", "thinking": "", "signature": ""}), thinking.iter().map(|token| {
                json!({"type": "thinking_delta", "thinking": token})
            }).chain([json!({"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk"})])));
            index += 1;
        }
        events.extend(block(
            index,
            &json!({"type": "text", "text": ""}),
            self.text.iter().map(|token| json!({"type": "text_delta", "text": token})),
        ));
        for call in &self.calls {
            index += 1;
            let start = json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
            events.extend(block(
                index,
                &start,
                call.arguments.iter().map(|piece| json!({"type": "input_json_delta", "partial_json": piece})),
            ));
        }
        let pings = self.rng.usize(..3);
        for _ in 0..pings {
            events.insert(self.rng.usize(1..events.len()), event("ping", &json!({"type": "ping"})));
        }
        let stop = self.stop("tool_use", "end_turn");
        events.push(event("message_delta", &json!({"type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": self.text.len()}})));
        events.push(event("message_stop", &json!({"type": "message_stop"})));
        events
    }

    fn chunks(&self) -> Vec<String> {
        let (id, has_obfuscation) = (self.id("chatcmpl-"), self.text.len().is_multiple_of(2));
        let chunk = |delta: &Value, finish: &Value| {
            let mut chunk = json!({"id": id, "object": "chat.completion.chunk", "created": 1_796_000_000, "model": "gpt-6.1-sol-2026-08-01",
                "service_tier": "default", "system_fingerprint": null,
                "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]});
            // Some vendors send usage with every chunk, some add members of their own.
            if has_obfuscation {
                chunk["usage"] = Value::Null;
                chunk["obfuscation"] = "xY3aQ".into();
            }
            format!("data: {chunk}\n\n")
        };
        let delta = |delta: Value| chunk(&delta, &Value::Null);
        let mut events = vec![delta(json!({"role": "assistant", "content": "", "refusal": null}))];
        for token in self.thinking.iter().flatten() {
            events.push(delta(json!({"reasoning_content": token})));
        }
        events.extend(self.text.iter().map(|token| delta(json!({"content": token}))));
        for (index, call) in self.calls.iter().enumerate() {
            events.push(delta(json!({"tool_calls": [{"index": index, "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": ""}}]})));
            events.extend(call.arguments.iter().map(|piece| {
                delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
            }));
        }
        events.push(chunk(&json!({}), &self.stop("tool_calls", "stop").into()));
        events.push(format!(
            "data: {}\n\n",
            json!({"id": id, "object": "chat.completion.chunk", "created": 1_796_000_000,
            "model": "gpt-6.1-sol-2026-08-01", "choices": [], "usage": self.openai_usage()})
        ));
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    fn id(&self, prefix: &str) -> String {
        format!("{prefix}{:024x}", self.text.len() * 7_919 + self.calls.len())
    }

    fn stop(&self, with_calls: &'static str, without: &'static str) -> &'static str {
        if self.calls.is_empty() { without } else { with_calls }
    }

    fn anthropic_usage(&self, output: usize) -> Value {
        json!({"input_tokens": self.text.len() * 9, "cache_creation_input_tokens": 512, "cache_read_input_tokens": self.text.len() * 40,
            "cache_creation": {"ephemeral_5m_input_tokens": 512, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output, "service_tier": "standard"})
    }

    fn openai_usage(&self) -> Value {
        let (input, output) = (self.text.len() * 30, self.text.len());
        json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": input / 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.thinking.as_ref().map_or(0, Vec::len), "audio_tokens": 0}})
    }
}

impl Call {
    fn new(rng: &mut Rng) -> Self {
        let length = rng.usize(20..1_500);
        let content = prose::text(rng, length);
        let input = json!({"file_path": "/home/user/project/src/reader.rs", "content": content, "replace_all": false}).to_string();
        let mut arguments = Vec::new();
        let mut rest = input.as_str();
        while !rest.is_empty() {
            let mut end = rng.usize(1..40).min(rest.len());
            while !rest.is_char_boundary(end) {
                end += 1;
            }
            let (piece, others) = rest.split_at(end);
            arguments.push(piece.to_owned());
            rest = others;
        }
        Self { id: format!("toolu_{:022x}", rng.u64(..)), name: format!("tool_{}", rng.u8(..12)), arguments }
    }

    fn input(&self) -> Value {
        serde_json::from_str(&self.arguments.concat()).unwrap_or(Value::Null)
    }
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn block(index: usize, start: &Value, deltas: impl Iterator<Item = Value>) -> Vec<String> {
    let mut events = vec![event(
        "content_block_start",
        &json!({"type": "content_block_start", "index": index, "content_block": start}),
    )];
    events.extend(deltas.map(|delta| {
        event("content_block_delta", &json!({"type": "content_block_delta", "index": index, "delta": delta}))
    }));
    events.push(event("content_block_stop", &json!({"type": "content_block_stop", "index": index})));
    events
}
