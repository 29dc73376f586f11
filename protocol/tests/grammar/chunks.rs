//! Checks the grammar of a Chat Completions stream, like a client. Panics with the broken rule.

use serde_json::{Value, json};

/// The content of a valid stream.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) text: String,
    pub(crate) refusal: String,
    pub(crate) reasoning: String,
    /// Id, name and arguments of each call.
    pub(crate) calls: Vec<[String; 3]>,
    /// Which of the calls are of custom tools.
    pub(crate) custom: Vec<bool>,
    /// Name and arguments of the only call that a client of the older API receives.
    pub(crate) function: Option<[String; 2]>,
    /// The URL, and the range of the text.
    pub(crate) sources: Vec<(String, u64, u64)>,
    /// Only a complete reply has one.
    pub(crate) finish_reason: Option<String>,
    pub(crate) usage: Option<Value>,
    /// The `error` object that ended it, if one did.
    pub(crate) error: Option<Value>,
    chunks: usize,
}

/// The data lines of a text that consists of whole events only.
pub(crate) fn data(wire: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(wire).expect("the stream is UTF-8");
    let events = text.split_inclusive("\n\n").map(|event| {
        let event = event.strip_suffix("\n\n").expect("an event ends with a blank line");
        let data = event.strip_prefix("data: ").expect("an event is one line of data");
        assert!(!data.contains(['\n', '\r']), "data is one line");
        if data == "[DONE]" { json!(data) } else { serde_json::from_str(data).expect("data is JSON") }
    });
    events.collect()
}

/// Checks a stream from its first chunk to its last.
pub(crate) fn check(wire: &[u8]) -> Reply {
    let mut chunks = data(wire);
    let is_done = chunks.pop_if(|last| *last == json!("[DONE]")).is_some();
    let mut reply = Reply::default();
    for chunk in &chunks {
        assert!(reply.error.is_none() && reply.usage.is_none(), "nothing follows the end: {chunk}");
        if chunk.get("error").is_some() {
            assert!(reply.finish_reason.is_none(), "what has failed was never finished");
            error(&mut reply, chunk);
        } else {
            take(&mut reply, chunk);
        }
    }
    assert!(reply.finish_reason.is_some() != reply.error.is_some(), "it ends in one of two ways");
    assert_eq!(is_done, reply.error.is_none(), "what is complete is done, and what has failed is not");
    reply
}

fn error(reply: &mut Reply, chunk: &Value) {
    let error = &chunk["error"];
    assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
    assert!(error.get("param").is_some() && error.get("code").is_some(), "{error}");
    reply.error = Some(error.clone());
}

fn take(reply: &mut Reply, chunk: &Value) {
    head(reply, chunk);
    let choices = chunk["choices"].as_array().expect("choices is a list");
    if choices.is_empty() {
        assert!(reply.finish_reason.is_some(), "the usage comes last");
        check_usage(&chunk["usage"]);
        reply.usage = Some(chunk["usage"].clone());
        return;
    }
    assert!(reply.finish_reason.is_none(), "nothing but the usage follows the finish: {chunk}");
    assert!(chunk["usage"].is_null() && choices.len() == 1);
    let choice = &choices[0];
    assert_eq!(choice["index"], 0);
    let delta = choice["delta"].as_object().expect("delta is an object");
    if reply.chunks == 0 {
        assert_eq!(choice["delta"], json!({"role": "assistant", "content": ""}));
    } else if let Some(reason) = choice["finish_reason"].as_str() {
        let reasons = ["stop", "length", "tool_calls", "function_call", "content_filter"];
        assert!(delta.is_empty() && reasons.contains(&reason));
        assert!(reason != "tool_calls" || !reply.calls.is_empty());
        assert!(reason != "function_call" || reply.function.is_some());
        reply.finish_reason = Some(reason.to_owned());
    } else {
        assert!(delta.len() == 1 && choice["finish_reason"].is_null(), "a chunk brings one thing: {chunk}");
        grow(reply, &choice["delta"]);
    }
    reply.chunks += 1;
}

fn head(reply: &mut Reply, chunk: &Value) {
    let word = |key: &str| chunk[key].as_str().expect("a string").to_owned();
    let (id, model) = (word("id"), word("model"));
    assert!(id.strip_prefix("chatcmpl-").is_some_and(|rest| rest.len() >= 24), "{id}");
    assert_eq!((word("object").as_str(), chunk["created"].is_u64()), ("chat.completion.chunk", true));
    if reply.chunks > 0 {
        assert_eq!((&reply.id, &reply.model), (&id, &model), "all chunks repeat them");
    }
    (reply.id, reply.model) = (id, model);
}

pub(crate) fn check_usage(usage: &Value) {
    let count = |key: &str| usage[key].as_u64().expect("a count");
    assert_eq!(count("prompt_tokens").saturating_add(count("completion_tokens")), count("total_tokens"));
    let cached = ["cached_tokens", "cache_write_tokens"]
        .map(|key| usage["prompt_tokens_details"][key].as_u64().expect("a count"));
    assert!(cached[0].saturating_add(cached[1]) <= count("prompt_tokens"));
}

fn grow(reply: &mut Reply, delta: &Value) {
    let piece = |key: &str| delta[key].as_str().filter(|piece| !piece.is_empty());
    if let Some(text) = piece("content") {
        reply.text.push_str(text);
    } else if let Some(text) = piece("refusal") {
        reply.refusal.push_str(text);
    } else if let Some(text) = piece("reasoning_content") {
        reply.reasoning.push_str(text);
    } else if delta.get("annotations").is_some() {
        sources(reply, &delta["annotations"]);
    } else if let Some(piece) = delta.get("function_call") {
        let [_, arguments] = reply.function.get_or_insert_with(|| {
            [
                piece["name"].as_str().filter(|name| !name.is_empty()).expect("a name").to_owned(),
                String::new(),
            ]
        });
        arguments.push_str(piece["arguments"].as_str().expect("arguments are there, however empty"));
    } else {
        let calls = delta["tool_calls"].as_array().expect("a delta that is known, and not empty");
        assert_eq!(calls.len(), 1);
        call(reply, &calls[0]);
    }
}

fn sources(reply: &mut Reply, annotations: &Value) {
    assert!(reply.sources.is_empty(), "all sources come at once");
    for (at, annotation) in annotations.as_array().expect("a list").iter().enumerate() {
        assert_eq!(annotation["index"], at, "OpenAI's Python library puts lists together by it");
        assert_eq!(annotation["type"], "url_citation");
        let source = &annotation["url_citation"];
        let place = |name: &str| source[name].as_u64().expect("a place in the text");
        let (start, end) = (place("start_index"), place("end_index"));
        assert!(start <= end && end <= reply.text.chars().count() as u64 && source["title"].is_string());
        reply.sources.push((source["url"].as_str().expect("an address").to_owned(), start, end));
    }
}

fn call(reply: &mut Reply, call: &Value) {
    let index = usize::try_from(call["index"].as_u64().expect("an index")).unwrap();
    let (kind, member) =
        if call.get("custom").is_some() { ("custom", "input") } else { ("function", "arguments") };
    let arguments = call[kind][member].as_str().expect("arguments are there, however empty");
    if index == reply.calls.len() {
        let word = |value: &Value| value.as_str().filter(|word| !word.is_empty()).unwrap().to_owned();
        assert_eq!((&call["type"], arguments), (&json!(kind), ""));
        let id = word(&call["id"]);
        assert!(reply.calls.iter().all(|call| call[0] != id), "ids are unique");
        reply.calls.push([id, word(&call[kind]["name"]), String::new()]);
        reply.custom.push(kind == "custom");
        return;
    }
    assert!(index < reply.calls.len(), "indexes grow by one");
    assert_eq!(reply.custom[index], kind == "custom", "a call stays of one kind: {call}");
    assert!(call.get("id").is_none() && call.get("type").is_none(), "said once: {call}");
    assert!(call[kind].get("name").is_none() && !arguments.is_empty(), "{call}");
    reply.calls[index][2].push_str(arguments);
}
