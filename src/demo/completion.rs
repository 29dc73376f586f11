//! An answer in Chat Completions' words: whole, or as the chunks of a stream.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};

use super::MODEL;
use super::answer::DemoAnswer;

/// One completion, ready to be sent either way.
pub(super) struct Completion {
    /// Never the same twice, over restarts either: a client's conversation may outlive this process.
    id: String,
    created: u64,
    answer: DemoAnswer,
    finish_reason: &'static str,
    prompt_tokens: usize,
    include_usage: bool,
}

impl Completion {
    pub(super) fn new(answer: DemoAnswer, request: &Value) -> Self {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let (answer, finish_reason) = bounded(answer, request);
        Self {
            id: format!("{:016x}", fastrand::u64(..)),
            created: since_1970.as_secs(),
            answer,
            finish_reason,
            prompt_tokens: tokens(&request["messages"].to_string()),
            include_usage: request["stream_options"]["include_usage"] == true,
        }
    }

    /// The `chat.completion` object.
    pub(super) fn whole(&self) -> Value {
        let message = match &self.answer {
            DemoAnswer::Text(text) => json!({"role": "assistant", "content": text, "refusal": null}),
            DemoAnswer::Call { name, arguments } => {
                let call = json!({"id": self.call_id(), "type": "function",
                                  "function": {"name": name, "arguments": arguments.to_string()}});
                json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]})
            }
        };
        let choice =
            json!({"index": 0, "message": message, "logprobs": null, "finish_reason": self.finish_reason});
        self.object("chat.completion", &json!([choice]), self.usage())
    }

    /// The events, a few milliseconds apart, as a model would speak.
    pub(super) fn stream(&self) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        let events = self.events().into_iter().enumerate();
        stream::unfold(events, |mut events| async move {
            let (place, event) = events.next()?;
            if place > 0 {
                actix_rt::time::sleep(PAUSE).await;
            }
            Some((Ok(Bytes::from(event)), events))
        })
    }

    fn events(&self) -> Vec<String> {
        let mut events: Vec<Value> = self.deltas().iter().map(|delta| self.chunk(delta, None)).collect();
        events.push(self.chunk(&json!({}), Some(self.finish_reason)));
        if self.include_usage {
            events.push(self.object("chat.completion.chunk", &json!([]), self.usage()));
        }
        let data = events.iter().map(|event| format!("data: {event}\n\n"));
        data.chain(["data: [DONE]\n\n".to_owned()]).collect()
    }

    fn deltas(&self) -> Vec<Value> {
        match &self.answer {
            DemoAnswer::Text(text) => {
                let words = text.split_inclusive(' ').map(|word| json!({"content": word}));
                [json!({"role": "assistant", "content": "", "refusal": null})]
                    .into_iter()
                    .chain(words)
                    .collect()
            }
            DemoAnswer::Call { name, arguments } => {
                let call = json!({"index": 0, "id": self.call_id(), "type": "function",
                                  "function": {"name": name, "arguments": ""}});
                let start = json!({"role": "assistant", "content": null, "tool_calls": [call]});
                let arguments = arguments.to_string();
                let rest = fragments(&arguments).into_iter().map(
                    |fragment| json!({"tool_calls": [{"index": 0, "function": {"arguments": fragment}}]}),
                );
                [start].into_iter().chain(rest).collect()
            }
        }
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> Value {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        self.object("chat.completion.chunk", &json!([choice]), Value::Null)
    }

    /// OpenAI leaves `usage` out of a stream's chunks unless it was asked for; then all but the last are null.
    fn object(&self, kind: &str, choices: &Value, usage: Value) -> Value {
        let mut object = json!({"id": format!("chatcmpl-demo-{}", self.id), "object": kind,
                                "created": self.created, "model": MODEL, "choices": choices});
        if self.include_usage || !usage.is_null() {
            object["usage"] = usage;
        }
        object
    }

    fn usage(&self) -> Value {
        let reply = match &self.answer {
            DemoAnswer::Text(text) => tokens(text),
            DemoAnswer::Call { name, arguments } => tokens(name) + tokens(&arguments.to_string()),
        };
        json!({"prompt_tokens": self.prompt_tokens, "completion_tokens": reply,
               "total_tokens": self.prompt_tokens + reply, "prompt_tokens_details": {"cached_tokens": 0}})
    }

    fn call_id(&self) -> String {
        format!("call_demo_{}", self.id)
    }
}

/// Holds a text to the request's limit; a call is given whole, since half of one is of no use.
fn bounded(answer: DemoAnswer, request: &Value) -> (DemoAnswer, &'static str) {
    let limit = request["max_completion_tokens"].as_u64().or_else(|| request["max_tokens"].as_u64());
    let text = match answer {
        DemoAnswer::Text(text) => text,
        call @ DemoAnswer::Call { .. } => return (call, "tool_calls"),
    };
    let chars =
        limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(CHARS_PER_TOKEN));
    match chars.and_then(|chars| text.char_indices().nth(chars)) {
        Some((end, _)) => (DemoAnswer::Text(text[..end].to_owned()), "length"),
        None => (DemoAnswer::Text(text), "stop"),
    }
}

fn tokens(text: &str) -> usize {
    text.chars().count().div_ceil(CHARS_PER_TOKEN)
}

/// Pieces as small as a model's: they cut through words and escapes.
fn fragments(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(FRAGMENT).map(|part| part.iter().collect()).collect()
}

const CHARS_PER_TOKEN: usize = 4;
const FRAGMENT: usize = 12;
const PAUSE: Duration = Duration::from_millis(4);

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> DemoAnswer {
        DemoAnswer::Call {
            name: "Write".to_owned(),
            arguments: json!({"content": "\"ä\"", "file_path": "/tmp/a"}),
        }
    }

    fn chunks(completion: &Completion) -> Vec<Value> {
        let events = completion.events();
        let data = events.iter().map(|event| event.strip_prefix("data: ").unwrap().trim());
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    #[test]
    fn a_streamed_call_adds_up_to_the_whole_one() {
        let completion = Completion::new(call(), &json!({"messages": []}));

        let chunks = chunks(&completion);
        let calls: Vec<&Value> = chunks
            .iter()
            .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
            .filter(|call| !call.is_null())
            .collect();
        let streamed: String =
            calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();

        let whole = completion.whole();
        let message = &whole["choices"][0]["message"];
        assert_eq!(message["tool_calls"][0]["function"]["arguments"], streamed);
        assert_eq!(message["tool_calls"][0]["id"], calls[0]["id"]);
        assert!(calls.len() > 3, "{calls:?}");
        assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
    }

    #[test]
    fn usage_comes_in_a_stream_only_when_asked_for() {
        let asked = Completion::new(call(), &json!({"stream_options": {"include_usage": true}}));
        let silent = Completion::new(call(), &json!({}));

        assert!(chunks(&asked).last().unwrap()["usage"]["total_tokens"].is_u64());
        assert!(chunks(&asked)[0]["usage"].is_null());
        assert!(chunks(&silent).iter().all(|chunk| chunk.get("usage").is_none()));
        assert!(silent.whole()["usage"]["total_tokens"].is_u64());
    }

    #[test]
    fn a_text_stops_at_the_limit_of_the_request() {
        let text = || DemoAnswer::Text("one two three four".to_owned());

        let short = Completion::new(text(), &json!({"max_tokens": 2}));
        let enough = Completion::new(text(), &json!({"max_completion_tokens": 5, "max_tokens": 1}));

        assert_eq!(short.whole()["choices"][0]["message"]["content"], "one two ");
        assert_eq!(short.whole()["choices"][0]["finish_reason"], "length");
        assert_eq!(enough.whole()["choices"][0]["finish_reason"], "stop");
    }
}
