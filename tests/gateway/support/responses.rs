//! Reads replies of the Responses API like its clients, and fails if they could not.

use serde_json::{Value, json};

use super::reply::Reply;

/// The body of a minimal streamed request.
pub(crate) fn prompt(model: &str, text: &str) -> Value {
    let mut body = whole_prompt(model, text);
    body["stream"] = json!(true);
    body
}

/// The same without streaming.
pub(crate) fn whole_prompt(model: &str, text: &str) -> Value {
    let part = json!({"type": "input_text", "text": text});
    json!({"model": model, "input": [{"type": "message", "role": "user", "content": [part]}]})
}

/// The response object of a reply. Panics unless a client can read the reply.
pub(crate) fn response(reply: &Reply) -> Value {
    assert_eq!(reply.status(), 200, "{reply}");
    if !reply.is_stream() {
        return reply.json();
    }
    let events = events(reply);
    let last = events.last().unwrap_or_else(|| panic!("no events: {reply}"));
    let kind = last["type"].as_str().unwrap_or_default();
    assert!(["response.completed", "response.incomplete", "response.failed"].contains(&kind), "{reply}");
    last["response"].clone()
}

/// The events of a stream. Panics unless they are numbered, begin with `response.created`, and have one end.
pub(crate) fn events(reply: &Reply) -> Vec<Value> {
    assert!(reply.is_stream() && reply.complete, "no complete stream: {reply}");
    let mut events: Vec<Value> = Vec::new();
    for event in reply.all_events().into_iter().filter(|event| !event.raw.starts_with(':')) {
        assert_eq!(event.data["type"], event.name.as_str(), "the event's name is not its type: {reply}");
        let number = event.data["sequence_number"].as_u64();
        assert!(number.is_some(), "no sequence_number in {}: {reply}", event.raw);
        let before = events.last().and_then(|event: &Value| event["sequence_number"].as_u64());
        assert!(number > before, "the numbers do not rise: {reply}");
        assert!(!events.last().is_some_and(is_end), "something follows the end: {reply}");
        events.push(event.data);
    }
    let first = events.first().map(|event| &event["type"]);
    assert_eq!(first, Some(&json!("response.created")), "{reply}");
    assert!(events.last().is_some_and(is_end), "no end: {reply}");
    events
}

fn is_end(event: &Value) -> bool {
    let ends = ["response.completed", "response.incomplete", "response.failed", "error"];
    ends.iter().any(|end| event["type"] == *end)
}

/// The text of the answer, from the response object; in a stream, also from its deltas, which must agree.
pub(crate) fn text(reply: &Reply) -> String {
    let response = response(reply);
    assert_eq!(response["status"], "completed", "{reply}");
    let parts = response["output"].as_array().into_iter().flatten().filter(|item| item["type"] == "message");
    let parts = parts.flat_map(|item| item["content"].as_array().cloned().unwrap_or_default());
    let text: String = parts.filter_map(|part| part["text"].as_str().map(str::to_owned)).collect();
    if reply.is_stream() {
        let events = events(reply);
        let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
        let deltas: String = deltas.filter_map(|event| event["delta"].as_str()).collect();
        assert_eq!(deltas, text, "{reply}");
    }
    text
}

/// Message and code of an error, in the body or in the last event of a stream.
pub(crate) fn error(reply: &Reply) -> (String, Option<String>) {
    let error = match reply.is_stream() {
        false => reply.json()["error"].clone(),
        true => {
            let last = events(reply).pop().unwrap_or_default();
            assert_eq!(last["type"], "response.failed", "{reply}");
            last["response"]["error"].clone()
        }
    };
    let message = error["message"].as_str().unwrap_or_else(|| panic!("no error message: {reply}"));
    (message.to_owned(), error["code"].as_str().map(str::to_owned))
}
