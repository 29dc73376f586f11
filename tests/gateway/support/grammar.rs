//! The grammar of a Messages stream, as the official SDKs and Claude Code require it.

use std::collections::HashMap;

use serde_json::Value;

use super::reply::Event;

const STOP_REASONS: [&str; 7] = [
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
];

macro_rules! demand {
    ($holds:expr, $($otherwise:tt)+) => {
        if !$holds {
            return Err(format!($($otherwise)+));
        }
    };
}

/// Checks these events as a whole reply. `Ok` says whether it ended with an error event.
pub(crate) fn check(events: &[Event]) -> Result<Ended, String> {
    let mut machine = Machine::default();
    for (position, event) in events.iter().enumerate() {
        machine.event(event).map_err(|wrong| format!("event {position} ({}): {wrong}", event.name))?;
    }
    machine.ended.ok_or_else(|| "the stream ends without message_stop or error".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Properly,
    WithError,
}

#[derive(Default)]
struct Machine {
    started: bool,
    open: Option<(u64, String)>,
    next_index: u64,
    tools: usize,
    arguments: HashMap<u64, String>,
    stop_reason: Option<String>,
    ended: Option<Ended>,
}

impl Machine {
    fn event(&mut self, event: &Event) -> Result<(), String> {
        demand!(self.ended.is_none(), "something follows the end");
        demand!(event.data["type"] == event.name.as_str(), "`type` is not the event's name");
        match event.name.as_str() {
            "ping" => Ok(()),
            "error" => self.error(&event.data),
            "message_start" => self.start(&event.data),
            _ if !self.started => Err("message_start is missing".to_owned()),
            "content_block_start" => self.block_start(&event.data),
            "content_block_delta" => self.delta(&event.data),
            "content_block_stop" => self.block_stop(&event.data),
            "message_delta" => self.message_delta(&event.data),
            "message_stop" => self.stop(),
            other => Err(format!("no such event: {other}")),
        }
    }

    fn error(&mut self, data: &Value) -> Result<(), String> {
        demand!(data["error"]["type"].is_string(), "error.type is missing");
        demand!(data["error"]["message"].is_string(), "error.message is missing");
        self.ended = Some(Ended::WithError);
        Ok(())
    }

    fn start(&mut self, data: &Value) -> Result<(), String> {
        demand!(!self.started, "a second message_start");
        self.started = true;
        let message = &data["message"];
        demand!(message["id"].as_str().is_some_and(|id| id.starts_with("msg_")), "message.id is not msg_…");
        demand!(message["role"] == "assistant" && message["type"] == "message", "role or type is wrong");
        demand!(message["content"].as_array().is_some_and(Vec::is_empty), "message.content is not []");
        demand!(message["usage"]["input_tokens"].is_u64(), "usage.input_tokens is no number");
        demand!(message["usage"]["output_tokens"].is_u64(), "usage.output_tokens is no number");
        Ok(())
    }

    fn block_start(&mut self, data: &Value) -> Result<(), String> {
        let index = index(data)?;
        demand!(self.open.is_none(), "the previous block is still open");
        demand!(index == self.next_index, "index {index}, expected {}", self.next_index);
        let block = &data["content_block"];
        let kind = block["type"].as_str().ok_or("content_block.type is missing")?.to_owned();
        match kind.as_str() {
            "text" => demand!(block["text"].is_string(), "a text block without `text`"),
            "thinking" => demand!(block["thinking"].is_string(), "a thinking block without `thinking`"),
            "tool_use" => {
                self.tools += 1;
                let named = |key: &str| block[key].as_str().is_some_and(|value| !value.is_empty());
                demand!(named("id") && named("name"), "a tool_use block without id or name");
                demand!(block["input"].is_object(), "tool_use.input is no object");
            }
            _ => {}
        }
        self.open = Some((index, kind));
        self.next_index += 1;
        Ok(())
    }

    fn delta(&mut self, data: &Value) -> Result<(), String> {
        let index = index(data)?;
        let (open, kind) = self.open.as_ref().ok_or("no block is open")?;
        demand!(index == *open, "index {index}, but block {open} is open");
        let delta = data["delta"]["type"].as_str().ok_or("delta.type is missing")?;
        let fits = match delta {
            "text_delta" | "citations_delta" => kind == "text",
            "thinking_delta" | "signature_delta" => kind == "thinking",
            "input_json_delta" => matches!(kind.as_str(), "tool_use" | "server_tool_use"),
            _ => false,
        };
        demand!(fits, "{delta} in a {kind} block");
        if delta == "input_json_delta" {
            let part = data["delta"]["partial_json"].as_str().ok_or("partial_json is no string")?;
            self.arguments.entry(index).or_default().push_str(part);
        }
        Ok(())
    }

    fn block_stop(&mut self, data: &Value) -> Result<(), String> {
        let index = index(data)?;
        let (open, _) = self.open.take().ok_or("no block is open")?;
        demand!(index == open, "index {index}, but block {open} is open");
        Ok(())
    }

    fn message_delta(&mut self, data: &Value) -> Result<(), String> {
        demand!(self.open.is_none(), "a block is still open");
        demand!(self.stop_reason.is_none(), "a second message_delta");
        let reason = data["delta"]["stop_reason"].as_str().ok_or("stop_reason is no string")?;
        demand!(STOP_REASONS.contains(&reason), "unknown stop_reason {reason}");
        demand!(reason != "tool_use" || self.tools > 0, "stop_reason tool_use without a tool_use block");
        demand!(data["usage"]["output_tokens"].is_u64(), "usage.output_tokens is no number");
        self.stop_reason = Some(reason.to_owned());
        Ok(())
    }

    fn stop(&mut self) -> Result<(), String> {
        let reason = self.stop_reason.as_deref().ok_or("message_stop without message_delta")?;
        demand!(self.next_index > 0, "a message without any content block");
        // Only truncated arguments may reach a client although they do not parse.
        let whole = reason == "max_tokens"
            || self.arguments.values().all(|json| serde_json::from_str::<Value>(json).is_ok());
        demand!(whole, "tool arguments that are no JSON");
        self.ended = Some(Ended::Properly);
        Ok(())
    }
}

fn index(data: &Value) -> Result<u64, String> {
    data["index"].as_u64().ok_or_else(|| format!("index is no integer: {}", data["index"]))
}
