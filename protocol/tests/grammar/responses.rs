//! Checks the grammar of a Responses event stream, like a client. Panics with the broken rule.

use serde_json::{Value, json};

/// The content of a valid stream.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The response object of the last event.
    pub(crate) response: Value,
    pub(crate) items: Vec<Item>,
    /// The names of the events.
    pub(crate) events: Vec<String>,
    /// The response object of the first event.
    created: Value,
}

/// One item of the output, as a client accumulates it.
#[derive(Debug, Default)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) kind: String,
    /// The parts of a message or of a summary.
    parts: Vec<Part>,
    /// The arguments of a function, or the input of a custom tool.
    arguments: Part,
    /// The steps of a search.
    steps: Vec<String>,
    /// The item as it is done.
    pub(crate) done: Option<Value>,
}

/// A text that streams.
#[derive(Debug, Default)]
struct Part {
    kind: String,
    text: String,
    annotations: Vec<Value>,
    is_text_done: bool,
    done: Option<Value>,
}

impl Reply {
    /// The `status` of the response.
    pub(crate) fn status(&self) -> &str {
        self.response["status"].as_str().unwrap_or_default()
    }

    /// The error that ended it, if one did.
    pub(crate) fn error(&self) -> Option<&Value> {
        Some(&self.response["error"]).filter(|error| !error.is_null())
    }

    /// All text for the user.
    pub(crate) fn text(&self) -> String {
        self.texts("message", "output_text")
    }

    /// All refusals.
    pub(crate) fn refusal(&self) -> String {
        self.texts("message", "refusal")
    }

    /// All summaries of the reasoning.
    pub(crate) fn reasoning(&self) -> String {
        self.texts("reasoning", "summary_text")
    }

    fn texts(&self, item: &str, part: &str) -> String {
        let parts = self.items.iter().filter(|known| known.kind == item).flat_map(|item| &item.parts);
        parts.filter(|known| known.kind == part).map(|part| part.text.as_str()).collect()
    }

    /// Call id, name, and arguments or input of every call of a function or a custom tool.
    pub(crate) fn calls(&self) -> Vec<[String; 3]> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let output = self.response["output"].as_array().into_iter().flatten();
        let calls = output.filter(|item| item.get("call_id").is_some() && item.get("name").is_some());
        calls
            .map(|call| {
                let text = call.get("arguments").unwrap_or(&call["input"]);
                [word(&call["call_id"]), word(&call["name"]), word(text)]
            })
            .collect()
    }
}

/// The (name, data) pairs of a text that consists of whole events and comments only.
pub(crate) fn events(wire: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(wire).expect("the stream is UTF-8");
    let mut events = Vec::new();
    for event in text.split_inclusive("\n\n") {
        let event = event.strip_suffix("\n\n").expect("an event ends with a blank line");
        if event.starts_with(':') {
            assert!(!event.contains(['\n', '\r']), "a comment is one line");
            continue;
        }
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
    for (number, (name, data)) in events(wire).into_iter().enumerate() {
        assert!(reply.response.is_null(), "nothing follows the end, but {name} did");
        assert_eq!(data["sequence_number"], number, "events are numbered: {data}");
        let event = name.strip_prefix("response.").expect("an event of the API");
        let is_lone_failure = number == 0 && event == "failed";
        match number {
            0 => assert!(event == "created" || is_lone_failure, "{event} is no beginning"),
            1 => assert_eq!(event, "in_progress"),
            _ => assert!(!matches!(event, "created" | "in_progress"), "the reply begins once"),
        }
        take(&mut reply, event, &data);
        reply.events.push(event.to_owned());
    }
    assert!(!reply.response.is_null(), "the stream ends");
    reply
}

fn take(reply: &mut Reply, event: &str, data: &Value) {
    match event {
        "created" => {
            reply.created = data["response"].clone();
            snapshot(reply, &data["response"], "in_progress");
            assert_eq!(data["response"]["output"], json!([]));
        }
        "in_progress" => assert_eq!(data["response"], reply.created, "nothing has happened"),
        "completed" | "incomplete" | "failed" => {
            end(reply, event, data);
            reply.response = data["response"].clone();
        }
        "output_item.added" => added(reply, data),
        "output_item.done" => item_done(reply, data),
        _ => {
            let index = output_index(data);
            let item = reply.items.get_mut(index).expect("the item was added");
            assert_eq!(data["item_id"], *item.id, "the id belongs to the index");
            assert!(item.done.is_none(), "an item that is done stays as it is: {data}");
            progress(item, event, data);
        }
    }
}

/// What every response object has, and what does not change.
fn snapshot(reply: &Reply, response: &Value, status: &str) {
    assert_eq!((&response["object"], &response["status"]), (&json!("response"), &json!(status)));
    assert!(response["id"].as_str().is_some_and(|id| id.starts_with("resp_")), "{response}");
    assert!(response["created_at"].is_u64() && response["model"].is_string());
    assert_eq!(response["error"].is_null(), status != "failed");
    assert_eq!(response["incomplete_details"].is_null(), status != "incomplete");
    if !reply.created.is_null() {
        for (member, value) in reply.created.as_object().expect("an object") {
            let may_change = ["status", "error", "incomplete_details", "output", "usage"];
            assert!(may_change.contains(&member.as_str()) || response[member] == *value, "{member} changes");
        }
    }
}

fn added(reply: &mut Reply, data: &Value) {
    assert_eq!(data["output_index"], reply.items.len(), "indexes grow by one");
    let item = &data["item"];
    let word = |member: &str| item[member].as_str().expect("a text").to_owned();
    let (id, kind) = (word("id"), word("type"));
    assert!(reply.items.iter().all(|known| known.id != id), "ids are unique");
    let prefix = match kind.as_str() {
        "message" => {
            assert_eq!((&item["role"], &item["content"]), (&json!("assistant"), &json!([])));
            "msg_"
        }
        "reasoning" => {
            assert_eq!(item["summary"], json!([]));
            "rs_"
        }
        "function_call" => {
            assert_eq!(item["arguments"], "");
            "fc_"
        }
        "custom_tool_call" => {
            assert_eq!(item["input"], "");
            "ctc_"
        }
        "web_search_call" => "ws_",
        "tool_search_call" => {
            assert_eq!((&item["execution"], &item["arguments"]), (&json!("client"), &json!({})));
            "tsc_"
        }
        "local_shell_call" => "lsh_",
        "shell_call" => "sh_",
        "apply_patch_call" => "apc_",
        other => panic!("unknown item {other}"),
    };
    assert!(id.starts_with(prefix) && id.len() >= prefix.len() + 24, "{id}");
    assert!(kind == "reasoning" || item["status"] == "in_progress", "{item}");
    if kind.ends_with("_call") && kind != "web_search_call" {
        let call_id = word("call_id");
        assert!(!call_id.is_empty());
        let is_other = |known: &Item| known.done.as_ref().is_none_or(|done| done["call_id"] != *call_id);
        assert!(reply.items.iter().all(is_other), "call ids are unique");
    }
    reply.items.push(Item { id, kind, ..Item::default() });
}

fn progress(item: &mut Item, event: &str, data: &Value) {
    let kind = item.kind.as_str();
    let piece = || data["delta"].as_str().filter(|piece| !piece.is_empty()).expect("a delta brings text");
    match event {
        "content_part.added" | "reasoning_summary_part.added" => part_added(item, event, data),
        "content_part.done" | "reasoning_summary_part.done" => part_done(item, data),
        "output_text.delta" | "refusal.delta" | "reasoning_summary_text.delta" => {
            let part = open_part(item, event, data);
            assert!(!part.is_text_done);
            part.text.push_str(piece());
        }
        "output_text.done" | "refusal.done" | "reasoning_summary_text.done" => {
            let member = if event == "refusal.done" { "refusal" } else { "text" };
            let part = open_part(item, event, data);
            assert_eq!(data[member], *part.text, "the deltas are the text");
            part.is_text_done = true;
        }
        "output_text.annotation.added" => annotated(open_part(item, event, data), data),
        "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
            assert_eq!(kind, if event.starts_with('f') { "function_call" } else { "custom_tool_call" });
            assert!(!item.arguments.is_text_done);
            item.arguments.text.push_str(piece());
        }
        "function_call_arguments.done" | "custom_tool_call_input.done" => {
            assert_eq!(kind, if event.starts_with('f') { "function_call" } else { "custom_tool_call" });
            let member = if event.starts_with('f') { "arguments" } else { "input" };
            assert!(event.starts_with('c') || data["name"].as_str().is_some_and(|name| !name.is_empty()));
            assert_eq!(data[member], *item.arguments.text, "the deltas are the text");
            item.arguments.is_text_done = true;
        }
        _ => {
            let step = event.strip_prefix("web_search_call.").unwrap_or_else(|| panic!("unknown {event}"));
            assert_eq!(kind, "web_search_call");
            item.steps.push(step.to_owned());
        }
    }
}

fn output_index(data: &Value) -> usize {
    number(&data["output_index"])
}

fn number(index: &Value) -> usize {
    index.as_u64().and_then(|index| usize::try_from(index).ok()).expect("an index")
}

/// The number of the part that an event is about.
fn part_index(event: &str, data: &Value) -> usize {
    let (member, other) = if event.starts_with("reasoning") {
        ("summary_index", "content_index")
    } else {
        ("content_index", "summary_index")
    };
    assert!(data.get(other).is_none(), "{data}");
    number(&data[member])
}

fn part_added(item: &mut Item, event: &str, data: &Value) {
    assert_eq!(part_index(event, data), item.parts.len(), "indexes grow by one");
    assert!(item.parts.iter().all(|part| part.done.is_some()), "one part at a time");
    let part = &data["part"];
    let kind = part["type"].as_str().unwrap_or_default();
    match (item.kind.as_str(), kind) {
        ("message", "output_text") => {
            assert_eq!((&part["text"], &part["annotations"]), (&json!(""), &json!([])));
        }
        ("message", "refusal") => assert_eq!(part["refusal"], ""),
        ("reasoning", "summary_text") => assert_eq!(part["text"], ""),
        pair => panic!("unknown part {pair:?}"),
    }
    item.parts.push(Part { kind: kind.to_owned(), ..Part::default() });
}

fn open_part<'i>(item: &'i mut Item, event: &str, data: &Value) -> &'i mut Part {
    let part = item.parts.get_mut(part_index(event, data)).expect("the part was added");
    let kind = match event.split_once('.') {
        Some(("output_text", _)) => "output_text",
        Some(("refusal", _)) => "refusal",
        Some(_) | None => "summary_text",
    };
    assert_eq!(part.kind, kind, "an event matches its part");
    assert!(part.done.is_none(), "a part that is done stays as it is");
    let has_logprobs = data.get("logprobs").is_some();
    assert_eq!(has_logprobs, kind == "output_text" && !event.contains("annotation"), "{data}");
    part
}

fn annotated(part: &mut Part, data: &Value) {
    assert_eq!(data["annotation_index"], part.annotations.len(), "indexes grow by one");
    let annotation = &data["annotation"];
    let place = |name: &str| annotation[name].as_u64().expect("a place in the text");
    let (start, end) = (place("start_index"), place("end_index"));
    assert!(start <= end && end <= part.text.chars().count() as u64, "{annotation}");
    assert!(annotation["type"] == "url_citation" && annotation["title"].is_string());
    assert!(annotation["url"].as_str().is_some_and(|url| !url.is_empty()));
    part.annotations.push(annotation.clone());
}

fn part_done(item: &mut Item, data: &Value) {
    let index = number(data.get("summary_index").unwrap_or(&data["content_index"]));
    let part = item.parts.get_mut(index).expect("the part was added");
    assert!(part.is_text_done && part.done.is_none(), "its text is done first, and it is done once");
    assert_eq!(data["part"], whole_part(part));
    part.done = Some(data["part"].clone());
}

fn whole_part(part: &Part) -> Value {
    match part.kind.as_str() {
        "output_text" => json!({"type": "output_text", "text": part.text, "annotations": part.annotations,
                                "logprobs": []}),
        "refusal" => json!({"type": "refusal", "refusal": part.text}),
        _ => json!({"type": "summary_text", "text": part.text}),
    }
}

fn item_done(reply: &mut Reply, data: &Value) {
    let index = output_index(data);
    let known = reply.items.get_mut(index).expect("the item was added");
    let item = &data["item"];
    assert!(known.done.is_none(), "it is done once");
    assert_eq!((&item["id"], &item["type"]), (&json!(known.id), &json!(known.kind)));
    let parts: Vec<&Value> = known.parts.iter().map(|part| part.done.as_ref().expect("done first")).collect();
    match known.kind.as_str() {
        "message" => assert_eq!(item["content"], json!(parts)),
        "reasoning" => assert_eq!(item["summary"], json!(parts)),
        "function_call" | "custom_tool_call" => {
            assert!(known.arguments.is_text_done, "its text is done first");
            let text = item.get("arguments").unwrap_or(&item["input"]);
            assert_eq!(*text, known.arguments.text);
        }
        "web_search_call" => assert_eq!(known.steps, ["in_progress", "searching", "completed"]),
        _ => assert!(known.arguments.text.is_empty()),
    }
    // The API has no word for an incomplete patch.
    assert!(known.kind == "apply_patch_call" || item["status"] != "in_progress", "{item}");
    known.done = Some(item.clone());
}

fn end(reply: &Reply, status: &str, data: &Value) {
    let response = &data["response"];
    snapshot(reply, response, status);
    let output = response["output"].as_array().expect("a list");
    assert_eq!(output.len(), reply.items.len(), "every item is in the output");
    for (item, known) in output.iter().zip(&reply.items) {
        match &known.done {
            Some(done) => assert_eq!(item, done),
            None => {
                assert_eq!((status, &item["id"]), ("failed", &json!(known.id)), "all items are done");
                assert_ne!(item["status"], "completed", "it is not complete");
            }
        }
    }
    match status {
        "failed" => {
            let error = &response["error"];
            assert!(error["code"].is_string() && error["message"].is_string(), "{error}");
            // OpenAI's SDKs raise this one.
            assert_eq!(
                (&data["error"]["code"], &data["error"]["message"]),
                (&error["code"], &error["message"])
            );
        }
        "incomplete" => {
            let reason = &response["incomplete_details"]["reason"];
            let reasons = ["max_output_tokens", "content_filter", "pause_turn"];
            assert!(reason.as_str().is_some_and(|reason| reasons.contains(&reason)), "{reason}");
            assert!(data.get("error").is_none());
        }
        _ => {
            let is_complete = |item: &Value| item["status"].is_null() || item["status"] == "completed";
            assert!(output.iter().all(is_complete) && data.get("error").is_none());
        }
    }
    if status != "failed" || !response["usage"].is_null() {
        check_usage(&response["usage"]);
    }
}

/// Checks the sums of a response's usage.
pub(crate) fn check_usage(usage: &Value) {
    let count = |value: &Value| value.as_u64().expect("a count");
    let (input, output) = (count(&usage["input_tokens"]), count(&usage["output_tokens"]));
    assert_eq!(input.saturating_add(output), count(&usage["total_tokens"]));
    let details = &usage["input_tokens_details"];
    assert!(count(&details["cached_tokens"]).saturating_add(count(&details["cache_write_tokens"])) <= input);
    assert!(count(&usage["output_tokens_details"]["reasoning_tokens"]) <= output);
}
