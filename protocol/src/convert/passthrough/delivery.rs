//! Converts a reply of the client's own API between its forms: a whole reply to a stream, or a stream to a whole reply. Only
//! upstreams that ignore `stream` need this, so the code is not optimised.

mod completion;
mod message;
mod response;

pub use completion::{chunks_as_completion, completion_as_chunks};
pub use message::{events_as_message, message_as_events};
pub use response::{events_as_response, response_as_events};

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{fault::Fault, json::Literal};

/// The members of a JSON object: names, and values as JSON.
type JsonMembers = BTreeMap<String, String>;

/// Writes a body on one line, as the data of an event requires. Strings in JSON contain no line ends.
fn one_line(body: &[u8]) -> Option<String> {
    std::str::from_utf8(body).ok().map(|text| text.replace(['\n', '\r'], " "))
}

/// Parses the members of an object; `None` if the value is not an object.
fn object(json: &str) -> Option<JsonMembers> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    Some(members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect())
}

/// Parses the objects of a list; `None` if the value is not a list.
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

/// The text of a member, if its value is a string.
fn text(object: &JsonMembers, name: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(object.get(name)?).ok()?;
    Literal::of(raw)?.decode().map(Into::into)
}

fn no_reply() -> Fault {
    Fault::bad_gateway("the upstream's reply has no content")
}
