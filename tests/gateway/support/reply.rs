//! A client's reply, and the checks that tests make on it.

use serde_json::Value;

use super::grammar::{self, Ended};
use super::wire::Head;

/// One server-sent event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// `message` if there is no `event:` line.
    pub(crate) name: String,
    pub(crate) data: Value,
    /// Its bytes, with the blank line.
    pub(crate) raw: String,
}

impl Event {
    fn parse(raw: &str) -> Self {
        let field = |name: &str| {
            raw.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_start)
        };
        let data = field("data").unwrap_or_default();
        let data = serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()));
        Self { name: field("event").unwrap_or("message").to_owned(), data, raw: raw.to_owned() }
    }
}

/// The complete events at the start of `text`, and the rest.
pub(crate) fn events(text: &str) -> (Vec<Event>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find("\n\n") {
        let (event, after) = rest.split_at(end + 2);
        found.push(Event::parse(event));
        rest = after;
    }
    (found, rest)
}

/// A reply that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended properly.
    pub(crate) complete: bool,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.head.second_word().parse().unwrap_or_else(|_| panic!("no status in {:?}", self.head.first))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// A header that must exist and be an integer.
    pub(crate) fn integer(&self, name: &str) -> u64 {
        let value = self.header(name).unwrap_or_else(|| panic!("no {name} in {self}"));
        value.parse().unwrap_or_else(|_| panic!("{name}: {value} is no integer"))
    }

    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type").is_some_and(|value| value.starts_with("text/event-stream"))
    }

    /// The events without pings. Panics unless the stream is grammatical.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.ended();
        self.all_events().into_iter().filter(|event| event.name != "ping").collect()
    }

    /// Every event, pings too, unchecked.
    pub(crate) fn all_events(&self) -> Vec<Event> {
        let text = self.raw();
        let (found, rest) = events(&text);
        assert_eq!(rest, "", "the stream ends inside an event");
        found
    }

    /// How the stream ended. Panics unless the stream is grammatical.
    pub(crate) fn ended(&self) -> Ended {
        assert!(self.is_stream(), "no stream: {self}");
        assert!(self.complete, "the body's end is missing: {self}");
        grammar::check(&self.all_events()).unwrap_or_else(|wrong| panic!("{wrong}\n{self}"))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.events().into_iter().map(|event| event.name).collect()
    }

    /// The number of pings.
    pub(crate) fn pings(&self) -> usize {
        self.all_events().iter().filter(|event| event.name == "ping").count()
    }

    /// The answer's text, streamed or whole. Panics if it is invalid.
    pub(crate) fn text(&self) -> String {
        self.content().iter().filter_map(|block| block["text"].as_str()).collect()
    }

    pub(crate) fn thinking(&self) -> String {
        self.content().iter().filter_map(|block| block["thinking"].as_str()).collect()
    }

    /// The tool calls in order: name and input.
    pub(crate) fn tools(&self) -> Vec<(String, Value)> {
        let content = self.content();
        let calls = content.iter().filter(|block| block["type"] == "tool_use");
        calls
            .map(|block| (block["name"].as_str().unwrap_or_default().to_owned(), block["input"].clone()))
            .collect()
    }

    /// The content blocks of the answer as a client assembles them.
    pub(crate) fn content(&self) -> Vec<Value> {
        self.message()["content"].as_array().cloned().unwrap_or_else(|| panic!("no content in {self}"))
    }

    pub(crate) fn stop_reason(&self) -> String {
        self.message()["stop_reason"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn usage(&self) -> Value {
        self.message()["usage"].clone()
    }

    /// The message, assembled from its events if it was streamed.
    pub(crate) fn message(&self) -> Value {
        assert_eq!(self.status(), 200, "{self}");
        if !self.is_stream() {
            return self.json();
        }
        assert_eq!(self.ended(), Ended::Properly, "{self}");
        let mut message = Value::Null;
        for event in self.events() {
            assemble(&mut message, &event);
        }
        message
    }

    /// Type and message of the error, in the body or in the stream's last event.
    pub(crate) fn error(&self) -> (String, String) {
        let object = if self.is_stream() {
            assert_eq!(self.ended(), Ended::WithError, "{self}");
            self.events().pop().map(|event| event.data).unwrap_or_default()
        } else {
            self.json()
        };
        assert_eq!(object["type"], "error", "not Anthropic's error shape: {self}");
        let word =
            |key: &str| object["error"][key].as_str().unwrap_or_else(|| panic!("no error.{key}: {self}"));
        (word("type").to_owned(), word("message").to_owned())
    }

    pub(crate) fn error_type(&self) -> String {
        self.error().0
    }

    pub(crate) fn error_message(&self) -> String {
        self.error().1
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "{}", self.head.first)?;
        for (name, value) in &self.head.headers {
            writeln!(out, "{name}: {value}")?;
        }
        write!(out, "\n{}", self.raw())
    }
}

fn assemble(message: &mut Value, event: &Event) {
    let data = &event.data;
    let index = usize::try_from(data["index"].as_u64().unwrap_or_default()).unwrap_or_default();
    match event.name.as_str() {
        "message_start" => *message = data["message"].clone(),
        "content_block_start" => {
            let mut block = data["content_block"].clone();
            if block["type"] == "tool_use" {
                block["input"] = Value::String(String::new());
            }
            message["content"].as_array_mut().expect("grammatical").push(block);
        }
        "content_block_delta" => grow(&mut message["content"][index], &data["delta"]),
        "content_block_stop" => close(&mut message["content"][index]),
        "message_delta" => {
            message["stop_reason"] = data["delta"]["stop_reason"].clone();
            message["stop_sequence"] = data["delta"]["stop_sequence"].clone();
            for (key, value) in data["usage"].as_object().into_iter().flatten() {
                message["usage"][key] = value.clone();
            }
        }
        _ => {}
    }
}

fn grow(block: &mut Value, delta: &Value) {
    let (from, to) = match delta["type"].as_str().unwrap_or_default() {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("signature", "signature"),
        "input_json_delta" => ("partial_json", "input"),
        _ => return,
    };
    let grown =
        format!("{}{}", block[to].as_str().unwrap_or_default(), delta[from].as_str().unwrap_or_default());
    block[to] = Value::String(grown);
}

/// Parses arguments. Truncated ones stay text.
fn close(block: &mut Value) {
    if block["type"] == "tool_use" {
        let json = block["input"].as_str().unwrap_or_default();
        let parsed = serde_json::from_str(if json.is_empty() { "{}" } else { json });
        block["input"] = parsed.unwrap_or_else(|_| Value::String(json.to_owned()));
    }
}
