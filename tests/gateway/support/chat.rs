//! Reads replies of the Chat Completions API like its clients, and fails if they could not.

use serde_json::{Value, json};

use super::reply::Reply;

/// The body of a minimal streamed request.
pub(crate) fn prompt(model: &str, text: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": text}]})
}

/// The same without streaming.
pub(crate) fn whole_prompt(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// A streamed request with usage, so that the gateway removes nothing from its reply.
pub(crate) fn prompt_with_usage(model: &str, text: &str) -> Value {
    let mut body = prompt(model, text);
    body["stream_options"] = json!({"include_usage": true});
    body
}

/// A stream that has ended: chunks, and then either `[DONE]` or, if it failed, an error.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) chunks: Vec<Value>,
    error: Option<Value>,
}

impl Chat {
    /// Panics unless a client can read the whole stream: comments and data only, every data line JSON, nothing after
    /// an error, and the end once, at the end.
    pub(crate) fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status(), 200, "{reply}");
        assert!(reply.is_stream() && reply.complete, "no complete stream: {reply}");
        let mut said: Vec<Value> = Vec::new();
        for event in reply.all_events() {
            if !event.raw.starts_with(':') {
                assert_eq!(event.name, "message", "no client knows this event: {reply}");
                said.push(event.data);
            }
        }
        let error = said.pop_if(|last| !last["error"].is_null());
        if error.is_none() {
            assert_eq!(said.pop(), Some(json!("[DONE]")), "the end is missing: {reply}");
        }
        for chunk in &said {
            assert!(chunk.is_object() && chunk["error"].is_null(), "no chunk: {chunk} in {reply}");
        }
        Self { chunks: said, error }
    }

    /// The first choice's text.
    pub(crate) fn text(&self) -> String {
        let deltas = self.chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["content"]);
        deltas.filter_map(Value::as_str).collect()
    }
}

/// The text of an answer, streamed or whole. Panics if it is invalid.
pub(crate) fn text(reply: &Reply) -> String {
    assert_eq!(reply.status(), 200, "{reply}");
    if reply.is_stream() {
        let chat = Chat::of(reply);
        assert!(chat.error.is_none(), "{reply}");
        return chat.text();
    }
    let message = &reply.json()["choices"][0]["message"];
    message["content"].as_str().unwrap_or_else(|| panic!("no content in {reply}")).to_owned()
}

/// Message, type and code of an error, in the body or at the end of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) message: String,
    pub(crate) kind: String,
    pub(crate) code: Option<String>,
}

impl Error {
    pub(crate) fn of(reply: &Reply) -> Self {
        let object = if reply.is_stream() { Chat::of(reply).error.unwrap_or_default() } else { reply.json() };
        let error = &object["error"];
        let word = |key: &str| error[key].as_str().map(str::to_owned);
        assert!(error.get("param").is_some(), "an SDK reads `param` too: {reply}");
        Self {
            message: word("message").unwrap_or_else(|| panic!("no message: {reply}")),
            kind: word("type").unwrap_or_else(|| panic!("no type: {reply}")),
            code: word("code"),
        }
    }

    /// Type and code.
    pub(crate) fn words(&self) -> (&str, Option<&str>) {
        (&self.kind, self.code.as_deref())
    }
}

/// The number of comments.
pub(crate) fn keep_alives(reply: &Reply) -> usize {
    reply.all_events().iter().filter(|event| event.raw == ": keep-alive\n\n").count()
}
