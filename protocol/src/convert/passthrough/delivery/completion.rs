//! Converts a completion of Chat Completions between its whole form and chunks.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{JsonMembers, no_reply, object, objects, one_line, written};
use crate::fault::Fault;
use crate::openai::stream::Chunk;
use crate::request::UsageAsked;
use crate::sse;

/// Converts a whole completion to the chunks of a stream, with the usage if the client requested it.
///
/// # Errors
/// If the body is not a completion.
pub fn completion_as_chunks(body: &[u8], asked: UsageAsked) -> Result<Bytes, Fault> {
    let mut completion = one_line(body).and_then(|body| object(&body)).ok_or_else(no_reply)?;
    let choices = completion.remove("choices").and_then(|choices| objects(&choices)).ok_or_else(no_reply)?;
    if choices.is_empty() {
        return Err(no_reply());
    }
    let usage = completion.remove("usage").filter(|usage| usage != "null");
    completion.insert("object".to_owned(), "\"chat.completion.chunk\"".to_owned());
    let mut out = String::with_capacity(body.len() * 2);
    let mut write_chunk = |choices: &str, usage: Option<String>| {
        completion.insert("choices".to_owned(), format!("[{choices}]"));
        match (usage, asked) {
            (Some(usage), _) => completion.insert("usage".to_owned(), usage),
            (None, UsageAsked::ByClient) => completion.insert("usage".to_owned(), "null".to_owned()),
            (None, UsageAsked::ByGateway) => completion.remove("usage"),
        };
        out.push_str(&format!("data: {}\n\n", written(&completion)));
    };
    for (at, mut choice) in choices.into_iter().enumerate() {
        let message = choice.remove("message").and_then(|message| object(&message)).ok_or_else(no_reply)?;
        choice.entry("index".to_owned()).or_insert_with(|| at.to_string());
        choice.insert("delta".to_owned(), written(&numbered(message)));
        let reason = choice.insert("finish_reason".to_owned(), "null".to_owned());
        write_chunk(&written(&choice), None);
        let reason = reason.filter(|reason| reason != "null").unwrap_or_else(|| "\"stop\"".to_owned());
        choice.insert("finish_reason".to_owned(), reason);
        choice.insert("delta".to_owned(), "{}".to_owned());
        choice.remove("logprobs");
        write_chunk(&written(&choice), None);
    }
    if let Some(usage) = usage.filter(|_| asked == UsageAsked::ByClient) {
        write_chunk("", Some(usage));
    }
    out.push_str("data: [DONE]\n\n");
    Ok(out.into())
}

/// The lists whose entries have an index in a stream but not in a whole message.
const NUMBERED: [&str; 2] = ["tool_calls", "annotations"];

/// Adds the index to the entries of these lists: clients of a stream join lists by it. Other lists have no index in the API.
fn numbered(mut message: JsonMembers) -> JsonMembers {
    for (name, list) in message.iter_mut().filter(|(name, _)| NUMBERED.contains(&name.as_str())) {
        let Some(entries) = objects(list).filter(|entries| !entries.is_empty()) else { continue };
        let entries = entries.into_iter().enumerate().map(|(at, mut entry)| {
            let index = at.to_string();
            if name == "tool_calls" {
                entry.insert("index".to_owned(), index);
            } else {
                // An index of the vendor can mark entries that belong together.
                entry.entry("index".to_owned()).or_insert(index);
            }
            written(&entry)
        });
        *list = format!("[{}]", entries.collect::<Vec<_>>().join(","));
    }
    message
}

/// Joins the chunks of a stream to the completion that a client would build from them.
///
/// # Errors
/// If the chunks are not a completion, report an error, or end before the completion is complete.
pub fn chunks_as_completion(stream: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut completion = Map::new();
    let mut choices: Vec<Map<String, Value>> = Vec::new();
    for data in sse::events(stream).filter_map(|event| event.data()) {
        let data = data.trim_ascii();
        if data.is_empty() {
            continue;
        }
        if data == b"[DONE]" {
            break;
        }
        let chunk = Chunk::read(data).ok().flatten();
        if let Some(fault) = chunk.and_then(|chunk| chunk.fault(data)) {
            return Err(fault);
        }
        let Ok(Value::Object(mut chunk)) = serde_json::from_slice(data) else {
            return Err(Fault::bad_gateway("invalid JSON in upstream stream"));
        };
        if let Some(Value::Array(said)) = chunk.remove("choices") {
            said.into_iter().for_each(|choice| take(choice, &mut choices));
        }
        completion.extend(chunk.into_iter().filter(|(_, value)| !value.is_null()));
    }
    let is_over = |choice: &Map<String, Value>| choice.get("finish_reason").is_some_and(Value::is_string);
    if choices.is_empty() || !choices.iter().all(is_over) {
        return Err(Fault::cut());
    }
    choices.iter_mut().for_each(plain);
    completion.insert("object".to_owned(), "chat.completion".into());
    completion.insert("choices".to_owned(), choices.into_iter().map(Value::Object).collect());
    Ok(Value::Object(completion).to_string().into_bytes())
}

fn take(choice: Value, choices: &mut Vec<Map<String, Value>>) {
    let Value::Object(mut choice) = choice else { return };
    let (delta, message) = (choice.remove("delta"), choice.remove("message"));
    let index = choice.get("index").cloned().unwrap_or_else(|| 0.into());
    let at = choices.iter().position(|known| known.get("index") == Some(&index)).unwrap_or_else(|| {
        let begun = [("index".to_owned(), index), ("message".to_owned(), Value::Object(Map::new()))];
        choices.push(begun.into_iter().collect());
        choices.len() - 1
    });
    let known = &mut choices[at];
    let is_last = choice.get("finish_reason").is_some_and(Value::is_string);
    let has_spoken = known.get("message").is_some_and(says_something);
    // A `message` in addition to deltas repeats their content, if they have any.
    let message = match (delta.filter(Value::is_object), message.filter(Value::is_object)) {
        (Some(delta), Some(message)) if is_last && !has_spoken && !says_something(&delta) => message,
        (Some(said), _) | (None, Some(said)) => said,
        (None, None) => Value::Null,
    };
    if let Some(whole) = known.get_mut("message") {
        grow(whole, message);
    }
    choice.remove("index");
    for (name, value) in choice {
        match name.as_str() {
            "logprobs" => member(known, name, value),
            // For members outside of the message, the last value counts.
            _ if known.contains_key(&name) && value.is_null() => {}
            _ => drop(known.insert(name, value)),
        }
    }
}

/// Whether a message has content other than its role.
fn says_something(message: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    let members = message.as_object().into_iter().flatten();
    members.filter(|(name, _)| *name != "role").any(|(_, value)| !is_empty(value))
}

/// Members that occur once; some vendors repeat them.
const ONCE: [&str; 5] = ["role", "id", "type", "name", "index"];

fn grow(known: &mut Value, more: Value) {
    match (known, more) {
        (_, Value::Null) => {}
        (Value::String(known), Value::String(more)) => known.push_str(&more),
        (Value::Object(known), Value::Object(more)) => {
            more.into_iter().for_each(|(name, value)| member(known, name, value));
        }
        (Value::Array(known), Value::Array(more)) => known.extend(more),
        (known, more) => *known = more,
    }
}

fn member(object: &mut Map<String, Value>, name: String, value: Value) {
    match object.get_mut(&name) {
        Some(Value::Array(calls)) if name == "tool_calls" => {
            let more = value.as_array().cloned().unwrap_or_default();
            more.into_iter().for_each(|piece| call(calls, piece));
        }
        Some(known) if ONCE.contains(&name.as_str()) => {
            if !value.is_null() && value != "" {
                *known = value;
            }
        }
        Some(known) => grow(known, value),
        None if name == "tool_calls" => {
            let mut calls = vec![];
            value
                .as_array()
                .cloned()
                .unwrap_or_default()
                .into_iter()
                .for_each(|piece| call(&mut calls, piece));
            object.insert(name, Value::Array(calls));
        }
        None => {
            object.insert(name, value);
        }
    }
}

/// Adds a piece of a call. It belongs to the call with its index, unless it has another id.
fn call(calls: &mut Vec<Value>, piece: Value) {
    let id = |call: &Value| call["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    let found = calls.iter().rposition(|known| {
        let is_it = piece["index"].is_null() || known["index"] == piece["index"];
        is_it && (id(&piece).is_none() || id(known).is_none() || id(known) == id(&piece))
    });
    let is_same = |known: &Value| id(known).is_some() && id(known) == id(&piece);
    match found.filter(|&at| is_same(&calls[at]) || !is_followed(&calls[at], &piece)) {
        Some(at) => grow(&mut calls[at], piece),
        None => calls.push(piece),
    }
}

/// Whether a piece starts a new call after this complete one: some vendors give no other sign. A repetition of the whole object
/// does not start a new call.
fn is_followed(known: &Value, piece: &Value) -> bool {
    let (name, arguments) = (said_of(piece, "name"), said_of(piece, "arguments"));
    let (known_name, known) = (said_of(known, "name"), said_of(known, "arguments"));
    let is_other = name != known_name;
    // Text that cannot be two objects is not parsed: it can be long, and the piece is one of many.
    let may_be = known.ends_with('}') && (is_other || arguments.starts_with('{'));
    if name.is_empty() || known_name.is_empty() || !may_be {
        return false;
    }
    match first_object(known) {
        // An empty object can be a placeholder.
        Some(object) if object.is_empty() => is_other,
        Some(object) => is_other || serde_json::from_str(arguments).ok() != Some(object),
        None => false,
    }
}

fn said_of<'v>(call: &'v Value, member: &str) -> &'v str {
    call["function"][member].as_str().unwrap_or_default().trim()
}

/// The first object in a text that is not empty, otherwise the first object.
fn first_object(arguments: &str) -> Option<Map<String, Value>> {
    let mut objects = serde_json::Deserializer::from_str(arguments).into_iter().map_while(Result::ok);
    let first: Map<String, Value> = objects.next()?;
    if first.is_empty() {
        Some(objects.find(|object| !object.is_empty()).unwrap_or(first))
    } else {
        Some(first)
    }
}

/// Keeps one of several equal objects, or the one after a placeholder: some vendors send these. Different objects stay
/// unchanged, because their meaning is unknown, and one of them alone would be another call.
fn one_object(arguments: &mut String) {
    let mut objects = serde_json::Deserializer::from_str(arguments).into_iter::<Map<String, Value>>();
    let mut kept: Option<(Map<String, Value>, &str)> = None;
    let mut start = 0;
    while let Some(Ok(object)) = objects.next() {
        let end = objects.byte_offset();
        match &kept {
            Some((known, _)) if !known.is_empty() && !object.is_empty() && *known != object => return,
            Some((known, _)) if !known.is_empty() => {}
            Some(_) | None => kept = Some((object, arguments[start..end].trim())),
        }
        start = end;
    }
    let Some((object, text)) = kept else { return };
    // A truncated second object is not a repetition either. After a placeholder, the text stays unchanged.
    let rest = arguments[start..].trim();
    let is_other = rest.starts_with('{') && !text.starts_with(rest);
    if !is_other && (!object.is_empty() || rest.is_empty()) {
        *arguments = text.to_owned();
    }
}

/// Converts a message to its whole form: calls and annotations have no index.
fn plain(choice: &mut Map<String, Value>) {
    let Some(Value::Object(message)) = choice.get_mut("message") else { return };
    for list in NUMBERED {
        let entries = message.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        entries.filter_map(Value::as_object_mut).for_each(|entry| {
            entry.remove("index");
            if let Some(Value::String(arguments)) =
                entry.get_mut("function").and_then(|called| called.get_mut("arguments"))
            {
                one_object(arguments);
            }
        });
    }
    message.entry("content").or_insert(Value::Null);
    message.entry("role").or_insert_with(|| "assistant".into());
}
