//! A reply of the client's own API in the other form: a whole reply as a stream, or a stream put together. It comes
//! from upstreams that do not heed `stream`, so that nothing here has to be fast.

mod completion;
mod message;

pub use completion::{chunks_as_completion, completion_as_chunks};
pub use message::{events_as_message, message_as_events};

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{fault::Fault, json::Literal};

/// The members of a JSON object: names, and values as JSON.
type JsonMembers = BTreeMap<String, String>;

/// A body on one line, as data of an event must be. No string of JSON has a line end in it.
fn one_line(body: &[u8]) -> Option<String> {
    std::str::from_utf8(body).ok().map(|text| text.replace(['\n', '\r'], " "))
}

/// `None` for what is no object.
fn object(json: &str) -> Option<JsonMembers> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    Some(members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect())
}

/// The objects of a list; `None` for what is none.
fn objects(json: &str) -> Option<Vec<JsonMembers>> {
    let values: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    values.into_iter().map(|value| object(value.get())).collect()
}

fn written(object: &JsonMembers) -> String {
    let members = object.iter().map(|(name, value)| format!("{}:{value}", quoted(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text that a member is, if it is one.
fn text(object: &JsonMembers, name: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(object.get(name)?).ok()?;
    Literal::of(raw)?.decode().map(Into::into)
}

fn no_reply() -> Fault {
    Fault::bad_gateway("the upstream's reply has no content")
}
