//! Checks the grammar of Anthropic's event stream, like a client. Panics with the broken rule.

use serde_json::{Value, json};

/// The content of a valid stream.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The message that a client accumulates, with tool inputs as their accumulated text.
    pub(crate) message: Value,
    /// The `error` object that ended it, if one did.
    pub(crate) error: Option<Value>,
    pub(crate) has_stopped: bool,
}

/// The (name, data) pairs of a text that consists of whole events only.
pub(crate) fn events(wire: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(wire).expect("the stream is UTF-8");
    let mut events = Vec::new();
    for event in text.split_inclusive("\n\n") {
        let event = event.strip_suffix("\n\n").expect("an event ends with a blank line");
        let (name, data) = event.split_once('\n').expect("an event has two lines");
        let name = name.strip_prefix("event: ").expect("the first line names the event");
        let data = data.strip_prefix("data: ").expect("the second line is data");
        assert!(!data.contains(['\n', '\r']), "data is one line");
        let data: Value = serde_json::from_str(data).expect("data is JSON");
        assert_eq!(data["type"], name, "type repeats the event's name");
        events.push((name.to_owned(), data));
    }
    events
}

/// Checks a stream from its first event to its last.
pub(crate) fn check(wire: &[u8]) -> Reply {
    let mut reply = Reply::default();
    let mut open: Option<usize> = None;
    let mut is_delta_seen = false;
    for (name, data) in events(wire) {
        assert!(!reply.has_stopped && reply.error.is_none(), "nothing follows the end, but {name} did");
        if name != "message_start" && name != "error" && name != "ping" {
            assert!(reply.message.is_object(), "message_start comes first, not {name}");
        }
        match name.as_str() {
            "ping" => {}
            "message_start" => reply.message = start(&reply, &data),
            "content_block_start" => {
                assert!(open.is_none() && !is_delta_seen, "one block at a time, none behind message_delta");
                open = Some(open_block(&mut reply, &data));
            }
            "content_block_delta" => delta(&mut reply, open, &data),
            "content_block_stop" => {
                assert_eq!(data["index"].as_u64(), open.map(|index| index as u64), "the open block stops");
                let block = &reply.message["content"][open.unwrap()];
                let is_signed = block["signature"].as_str() != Some("");
                assert!(block["type"] != "thinking" || is_signed, "thinking is signed before it stops");
                open = None;
            }
            "message_delta" => {
                assert!(open.is_none() && !is_delta_seen, "message_delta once, behind all blocks");
                is_delta_seen = true;
                end(&mut reply, &data);
            }
            "message_stop" => {
                assert!(is_delta_seen, "message_delta precedes message_stop");
                reply.has_stopped = true;
            }
            "error" => {
                assert!(data["error"]["type"].is_string() && data["error"]["message"].is_string());
                reply.error = Some(data["error"].clone());
            }
            other => panic!("unknown event {other}"),
        }
    }
    assert!(reply.has_stopped || reply.error.is_some(), "the stream ends");
    reply
}

fn start(reply: &Reply, data: &Value) -> Value {
    assert!(reply.message.is_null(), "one message_start");
    let message = data["message"].clone();
    assert_eq!((&message["type"], &message["role"]), (&json!("message"), &json!("assistant")));
    let id = message["id"].as_str().unwrap().strip_prefix("msg_").unwrap();
    assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(message["content"], json!([]));
    assert!(message["stop_reason"].is_null() && message["stop_sequence"].is_null());
    check_usage(&message["usage"]);
    message
}

fn check_usage(usage: &Value) {
    for field in ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"] {
        assert!(usage[field].is_u64(), "{field} is a number");
    }
}

fn open_block(reply: &mut Reply, data: &Value) -> usize {
    let content = reply.message["content"].as_array_mut().unwrap();
    assert_eq!(data["index"].as_u64(), Some(content.len() as u64), "indexes grow by one");
    let mut block = data["content_block"].clone();
    match block["type"].as_str().unwrap() {
        "text" => assert_eq!(block["text"], ""),
        "thinking" => assert_eq!((&block["thinking"], &block["signature"]), (&json!(""), &json!(""))),
        "tool_use" => {
            assert_eq!(block["input"], json!({}));
            assert!(!block["id"].as_str().unwrap().is_empty() && !block["name"].as_str().unwrap().is_empty());
            block["input"] = json!("");
        }
        "server_tool_use" => {
            assert_eq!((&block["name"], &block["input"]), (&json!("web_search"), &json!({})))
        }
        "web_search_tool_result" => check_results(content, &block),
        other => panic!("unknown block {other}"),
    }
    content.push(block);
    content.len() - 1
}

/// The results of a search follow it.
fn check_results(before: &[Value], block: &Value) {
    let search = before.last().expect("a search");
    assert_eq!((&search["type"], &search["id"]), (&json!("server_tool_use"), &block["tool_use_id"]));
    for page in block["content"].as_array().expect("a list of pages") {
        assert!(page["type"] == "web_search_result" && page["url"].is_string() && page["title"].is_string());
    }
}

fn delta(reply: &mut Reply, open: Option<usize>, data: &Value) {
    assert_eq!(data["index"].as_u64(), open.map(|index| index as u64), "deltas belong to the open block");
    let block = &mut reply.message["content"][open.expect("a block is open")];
    let delta = &data["delta"];
    if delta["type"] == "citations_delta" {
        assert_eq!(block["type"], "text", "a text has sources");
        let mut citations = block["citations"].as_array().cloned().unwrap_or_default();
        citations.push(delta["citation"].clone());
        block["citations"] = json!(citations);
        return;
    }
    let (kind, from, to) = match delta["type"].as_str().unwrap() {
        "text_delta" => ("text", "text", "text"),
        "thinking_delta" => ("thinking", "thinking", "thinking"),
        "signature_delta" => ("thinking", "signature", "signature"),
        "input_json_delta" => ("tool_use", "partial_json", "input"),
        other => panic!("unknown delta {other}"),
    };
    assert_eq!(block["type"], kind, "a delta matches its block");
    let is_signed = kind == "thinking" && block["signature"] != "";
    assert!(!is_signed, "the signature is the last delta, and the only one");
    let piece = delta[from].as_str().unwrap();
    assert!(!piece.is_empty(), "a delta brings something");
    let text = format!("{}{piece}", block[to].as_str().unwrap());
    block[to] = json!(text);
}

fn end(reply: &mut Reply, data: &Value) {
    const REASONS: [&str; 7] = [
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    ];
    let reason = data["delta"]["stop_reason"].as_str().expect("stop_reason is a string");
    assert!(REASONS.contains(&reason));
    let content = reply.message["content"].as_array().unwrap();
    assert!(!content.is_empty(), "there is a block");
    let is_blank = |block: &&Value| block["text"].as_str().is_some_and(|text| text.trim().is_empty());
    assert!(content.len() == 1 || !content.iter().any(|block| is_blank(&block)), "no block is blank");
    assert!(reason != "tool_use" || content.iter().any(|block| block["type"] == "tool_use"));
    check_usage(&data["usage"]);
    for field in ["stop_reason", "stop_sequence"] {
        reply.message[field] = data["delta"][field].clone();
    }
    if let Some(details) = data["delta"].get("stop_details") {
        reply.message["stop_details"] = details.clone();
    }
    reply.message["usage"] = data["usage"].clone();
}
