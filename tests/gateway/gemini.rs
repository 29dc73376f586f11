//! Gemini's OpenAI-compatible API: thought signatures are returned to it and sent to no other provider, and it receives
//! only schemas that it supports.

mod memory;
mod schemas;
mod signatures;

use serde_json::{Value, json};

use crate::support::canned::openai;
use crate::support::client::Call;
use crate::support::gateway::{Gateway, Setup};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

/// A Gemini version that accepts calls without a signature, so that no placeholder is sent.
const MODEL: &str = "google/Gemini-2.5-pro";

/// The members that the upstream adds to a call or a text.
fn signed(text: &str) -> Value {
    json!({"google": {"thought_signature": text}})
}

fn call(id: &str, extra: Option<&str>) -> Value {
    let mut call = json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    if let Some(extra) = extra {
        call["extra_content"] = signed(extra);
    }
    call
}

/// Two parallel calls, of which the first is signed, as Gemini sends them: each in one piece, with the same index.
fn two_calls() -> [Value; 2] {
    [call("call_a", Some("SIG-A")), call("call_b", None)]
}

fn streamed(calls: &[Value]) -> Answer {
    let piece = |call: &Value| {
        let mut call = call.clone();
        call["index"] = json!(0);
        openai::tool(&call)
    };
    Answer::events(openai::stream(calls.iter().map(piece).collect(), "STOP"))
}

fn whole(calls: &[Value]) -> Answer {
    let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
    Answer::json(200, openai::completion(&message, "STOP"))
}

/// Answers streamed or whole, as the request asks.
fn upstream(calls: &[Value]) -> Upstream {
    let (streamed, whole) = (streamed(calls), whole(calls));
    Upstream::openai().ruled_by(move |seen| {
        let body = seen.json();
        let first = body["messages"].as_array().is_some_and(|messages| messages.len() == 1);
        first.then(|| if body["stream"] == true { streamed.clone() } else { whole.clone() })
    })
}

/// How the client requests its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Streamed,
    Whole,
}

const BOTH: [Delivery; 2] = [Delivery::Streamed, Delivery::Whole];

/// A client in a conversation of several turns.
#[derive(Clone)]
struct Talk {
    model: String,
    delivery: Delivery,
    thinking: Option<Value>,
    key: Option<String>,
}

impl Talk {
    fn new(delivery: Delivery) -> Self {
        Self { model: MODEL.to_owned(), delivery, thinking: None, key: None }
    }

    fn with(self, model: &str) -> Self {
        Self { model: model.to_owned(), ..self }
    }

    fn thinking(self) -> Self {
        Self { thinking: Some(json!({"type": "adaptive"})), ..self }
    }

    fn showing(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    fn authorized(&self, call: Call) -> Call {
        match &self.key {
            Some(key) => call.header("x-api-key", key),
            None => call,
        }
    }

    /// Sends this turn to the Messages endpoint.
    fn say(&self, gateway: &Gateway, turns: &[Value]) -> Reply {
        let mut messages = vec![json!({"role": "user", "content": "hi"})];
        messages.extend(turns.iter().cloned());
        let stream = self.delivery == Delivery::Streamed;
        let mut body = json!({"model": self.model, "max_tokens": 64, "stream": stream, "messages": messages});
        if let Some(thinking) = &self.thinking {
            body["thinking"] = thinking.clone();
        }
        let reply = self.authorized(gateway.messages(&body)).reply();
        assert_eq!(reply.status(), 200, "{reply}");
        reply
    }

    /// Sends this turn to the Chat Completions endpoint.
    fn say_in_chat(&self, gateway: &Gateway, turns: &[Value]) -> Reply {
        let mut messages = vec![json!({"role": "user", "content": "hi"})];
        messages.extend(turns.iter().cloned());
        let stream = self.delivery == Delivery::Streamed;
        let body = json!({"model": self.model, "stream": stream, "messages": messages});
        let call = gateway.call("POST", "/v1/chat/completions").json(&body);
        let reply = self.authorized(call).reply();
        assert_eq!(reply.status(), 200, "{reply}");
        reply
    }

    /// The second turn of a conversation: all calls have been answered.
    fn answer(&self, gateway: &Gateway, content: &[Value]) {
        let calls = content.iter().filter(|block| block["type"] == "tool_use");
        let results: Vec<Value> = calls
            .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "ok"}))
            .collect();
        let turns =
            [json!({"role": "assistant", "content": content}), json!({"role": "user", "content": results})];
        self.say(gateway, &turns);
    }

    fn answer_in_chat(&self, gateway: &Gateway, calls: &[Value]) {
        let mut turns = vec![json!({"role": "assistant", "content": null, "tool_calls": calls})];
        turns.extend(
            calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "ok"})),
        );
        self.say_in_chat(gateway, &turns);
    }
}

/// The signatures in request number `index`, by the ids of the calls.
fn signatures(upstream: &Upstream, index: usize) -> Vec<(String, Option<Value>)> {
    let body = upstream.request(index).json();
    let messages = body["messages"].as_array().expect("messages");
    let calls = messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten();
    let signature =
        |call: &Value| call.get("extra_content").map(|extra| extra["google"]["thought_signature"].clone());
    calls.map(|call| (call["id"].as_str().expect("an id").to_owned(), signature(call))).collect()
}

fn expected(first: Option<&str>) -> Vec<(String, Option<Value>)> {
    vec![("call_a".to_owned(), first.map(Value::from)), ("call_b".to_owned(), None)]
}

fn before(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("MAX_RETRIES", "0")
}
