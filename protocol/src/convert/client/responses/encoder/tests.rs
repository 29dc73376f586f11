//! Calls of every kind of tool, reasoning, searches and sources, as events and in the response object.

use serde_json::{Value, json};

use super::*;
use crate::{
    anthropic::event::{Citation, WebSource},
    json,
    signature::SealedReasoning,
    sse,
    vocabulary::ErrorKind,
};

const IDENTITY: ReplyIdentity = ReplyIdentity { seed: 7, created: 1_760_000_000 };

fn context() -> ResponsesClientContext {
    let namespaced = ToolKind::Namespaced { namespace: "crm".into(), name: "find".into() };
    let tools = [
        ("patch", ToolKind::Custom),
        ("crm__find", namespaced),
        ("crm__run", ToolKind::NamespacedCustom { namespace: "crm".into(), name: "run".into() }),
        ("tool_search", ToolKind::ToolSearch),
        ("local_shell", ToolKind::LocalShell),
        ("shell", ToolKind::Shell),
        ("apply_patch", ToolKind::ApplyPatch),
    ];
    ResponsesClientContext {
        tools: tools.map(|(name, kind)| (name.to_owned(), kind)).to_vec(),
        echo: r#""tools":[],"metadata":{"a":"b"}"#.to_owned(),
        ..ResponsesClientContext::without_tools("p:m", "p", "claude-opus-4-8")
    }
}

fn started(index: u64, block: ContentBlockStart<'_>) -> MessagesEvent<'_> {
    MessagesEvent::BlockStart { index: Some(index), block }
}

fn delta(index: u64, delta: BlockDelta<'_>) -> MessagesEvent<'_> {
    MessagesEvent::Delta { index: Some(index), delta }
}

fn stopped(index: u64) -> MessagesEvent<'static> {
    MessagesEvent::BlockStop { index: Some(index) }
}

fn ended(reason: StopReason) -> [MessagesEvent<'static>; 2] {
    let counts = ReportedUsage {
        input: Some(10),
        output: Some(6),
        cache_read: Some(4),
        cache_creation: Some(3),
        thinking: Some(2),
        ..ReportedUsage::default()
    };
    let ending = ReplyEnding { reason: Some(reason), ..ReplyEnding::default() };
    [MessagesEvent::MessageDelta { ending, counts: Some(counts) }, MessagesEvent::MessageStop]
}

/// The data of the events, and the whole reply, which the last event repeats.
fn encoded(context: &ResponsesClientContext, events: &[MessagesEvent<'_>]) -> (Vec<Value>, Value) {
    let mut encoder = ResponsesEncoder::new(context.clone(), IDENTITY);
    let mut whole = ResponsesEncoder::new(context.clone(), IDENTITY);
    let mut out = BytesMut::new();
    for event in events {
        encoder.stream(*event, &mut out);
        whole.collect(*event);
    }
    let data = sse::events(&out).filter_map(|event| event.data());
    let data: Vec<Value> = data.map(|data| serde_json::from_slice(&data).unwrap()).collect();
    let whole: Value = serde_json::from_slice(&whole.into_body()).unwrap();
    assert_eq!(data.last().unwrap()["response"], whole);
    (data, whole)
}

/// The only item that a call becomes, when it begins and when it is done.
fn called(name: &str, pieces: &[&str]) -> (Value, Value, Vec<Value>) {
    let block = ContentBlockStart::ToolUse { id: "toolu_1", name, input: None };
    let pieces: Vec<String> = pieces.iter().map(|piece| json::escape_text(piece)).collect();
    let mut events = vec![started(0, block)];
    events.extend(pieces.iter().map(|piece| delta(0, BlockDelta::Arguments(piece))));
    events.push(stopped(0));
    events.extend(ended(StopReason::ToolUse));
    let (data, whole) = encoded(&context(), &events);
    let of = |kind: &str| data.iter().find(|event| event["type"] == kind).unwrap()["item"].clone();
    let done = of("response.output_item.done");
    assert_eq!(whole["output"], json!([done]));
    let deltas = data.iter().filter(|event| event["type"].as_str().unwrap().contains("call_")).cloned();
    (of("response.output_item.added"), done, deltas.collect())
}

#[test]
fn a_function_is_called_with_its_arguments() {
    let (added, done, events) = called("f", &["{\"a\":", "\"é\\n\"}"]);
    assert_eq!(added["arguments"], "");
    let id = added["id"].as_str().unwrap();
    assert!(id.starts_with("fc_"));
    let expected = json!({"id": id, "type": "function_call", "status": "completed", "call_id": "toolu_1",
                          "name": "f", "arguments": "{\"a\":\"é\\n\"}"});
    assert_eq!(done, expected);
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let name = "response.function_call_arguments";
    assert_eq!(types, [format!("{name}.delta"), format!("{name}.delta"), format!("{name}.done")]);
    assert_eq!((&events[2]["arguments"], &events[2]["name"]), (&done["arguments"], &json!("f")));
    assert_eq!(called("f", &[]).1["arguments"], "{}");
}

#[test]
fn a_call_is_of_the_kind_that_its_tool_has() {
    let (added, done, events) = called("patch", &["{\"input\":\"*** Begin\\n", "*** End\"}"]);
    assert_eq!((&added["type"], &added["input"]), (&json!("custom_tool_call"), &json!("")));
    assert_eq!(done["input"], "*** Begin\n*** End");
    assert_eq!(events[0]["type"], "response.custom_tool_call_input.delta");
    assert_eq!(events.last().unwrap()["input"], done["input"]);

    let done = called("crm__find", &["{}"]).1;
    assert_eq!(
        (&done["type"], &done["name"], &done["namespace"]),
        (&json!("function_call"), &json!("find"), &json!("crm"))
    );

    let done = called("crm__run", &["{\"input\":\"x\"}"]).1;
    assert_eq!((&done["type"], &done["name"]), (&json!("custom_tool_call"), &json!("run")));
    assert_eq!((&done["namespace"], &done["input"]), (&json!("crm"), &json!("x")));

    let (added, done, events) = called("tool_search", &["{\"query\":\"x\"}"]);
    assert_eq!((&added["execution"], &added["arguments"]), (&json!("client"), &json!({})));
    assert_eq!((&done["arguments"], events.len()), (&json!({"query": "x"}), 0));

    let action = json!({"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5});
    let done = called("local_shell", &["{\"command\":[\"ls\"],\"timeout_ms\":5}"]).1;
    assert_eq!((&done["type"], &done["action"]), (&json!("local_shell_call"), &action));
    let done = called("shell", &["{\"commands\":[\"ls\"]}"]).1;
    assert_eq!((&done["type"], &done["action"]), (&json!("shell_call"), &json!({"commands": ["ls"]})));
    let operation = json!({"type": "delete_file", "path": "a"});
    let added = called("apply_patch", &[]).0;
    assert_eq!(added["operation"], json!({"type": "update_file", "path": "", "diff": ""}));
    let done = called("apply_patch", &["{\"type\":\"delete_file\",\"path\":\"a\"}"]).1;
    assert_eq!((&done["type"], &done["operation"]), (&json!("apply_patch_call"), &operation));
}

#[test]
fn an_action_whose_arguments_are_no_object_has_the_members_that_clients_require() {
    let done = called("local_shell", &["{\"command\":[\"ls"]).1;
    assert_eq!((&done["action"]["type"], &done["action"]["command"]), (&json!("exec"), &json!([])));
    assert_eq!(done["action"]["raw_arguments"], "{\"command\":[\"ls");
    assert_eq!(called("shell", &["{\"commands\":\"ls\"}"]).1["action"], json!({"commands": []}));
}

#[test]
fn reasoning_is_sealed_for_its_provider_and_model() {
    let thinking = [
        started(0, ContentBlockStart::Thinking),
        delta(0, BlockDelta::Thinking("because\\n")),
        delta(0, BlockDelta::Thinking("so")),
        delta(0, BlockDelta::Signature("Eq\\/B")),
        stopped(0),
        started(1, ContentBlockStart::RedactedThinking { data: "hidden" }),
        stopped(1),
    ];
    let events = [&thinking[..], &ended(StopReason::EndTurn)].concat();
    let sealed = |signature: &str, is_redacted| SealedReasoning {
        provider: "p".into(),
        model: "claude-opus-4-8".into(),
        signature: signature.into(),
        is_redacted,
    };
    let opened = |item: &Value| SealedReasoning::open_with_text(item["encrypted_content"].as_str().unwrap());

    let output = encoded(&context(), &events).1["output"].clone();
    assert_eq!(output[0]["summary"], json!([{"type": "summary_text", "text": "because\nso"}]));
    assert_eq!(opened(&output[0]), Some((sealed("Eq/B", false), String::new())));
    assert_eq!(output[1]["summary"], json!([]));
    assert_eq!(opened(&output[1]), Some((sealed("hidden", true), String::new())));

    let unshown = ResponsesClientContext { shows_summary: false, ..context() };
    let output = encoded(&unshown, &events).1["output"].clone();
    assert_eq!(output[0]["summary"], json!([]));
    assert_eq!(opened(&output[0]), Some((sealed("Eq/B", false), "because\nso".to_owned())));

    let unsealed = ResponsesClientContext { includes_reasoning: false, ..context() };
    let output = encoded(&unsealed, &events).1["output"].clone();
    assert!(output[0].get("encrypted_content").is_none() && output[1].get("encrypted_content").is_none());
}

#[test]
fn a_search_is_done_when_its_pages_come() {
    let page = WebSource { url: "https://a".into(), title: "A".into(), ..WebSource::default() };
    let sources = [page];
    let events = [
        &[
            started(0, ContentBlockStart::ServerToolUse { id: "s1" }),
            stopped(0),
            started(1, ContentBlockStart::SearchResult { id: "s1", sources: &sources }),
            stopped(1),
            started(2, ContentBlockStart::Text),
            delta(2, BlockDelta::Text("é \\n")),
            stopped(2),
            started(3, ContentBlockStart::Text),
            delta(3, BlockDelta::Text("cited\\t")),
            delta(3, BlockDelta::Citation(Citation { url: "https://a", title: "A", quote: "", index: "" })),
            delta(3, BlockDelta::Citation(Citation { url: "", title: "B", quote: "", index: "" })),
            stopped(3),
        ][..],
        &ended(StopReason::EndTurn),
    ]
    .concat();
    let (data, whole) = encoded(&context(), &events);
    let output = &whole["output"];
    assert_eq!(output[0]["action"]["sources"], json!([{"type": "url", "url": "https://a"}]));
    let annotation =
        json!({"type": "url_citation", "start_index": 3, "end_index": 9, "title": "A", "url": "https://a"});
    assert_eq!(output[1]["content"][0]["annotations"], json!([annotation]));
    assert_eq!(output[1]["content"][0]["text"], "é \ncited\t");
    let added = data.iter().find(|event| event["type"] == "response.output_text.annotation.added").unwrap();
    assert_eq!((&added["annotation"], &added["annotation_index"]), (&annotation, &json!(0)));
}

#[test]
fn the_response_repeats_members_of_the_request_and_counts_all_tokens() {
    let (data, whole) = encoded(&context(), &ended(StopReason::EndTurn));
    assert_eq!((&whole["metadata"], &whole["tools"]), (&json!({"a": "b"}), &json!([])));
    assert_eq!((&whole["model"], &whole["created_at"]), (&json!("p:m"), &json!(1_760_000_000)));
    assert_eq!(data[0]["response"]["usage"], Value::Null);
    assert_eq!(
        whole["usage"],
        json!({"input_tokens": 17, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
               "output_tokens": 6, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 23})
    );
}

#[test]
fn a_failure_keeps_what_came_and_nothing_follows_it() {
    let fault = Fault::reported(ErrorKind::Overloaded, "busy".to_owned());
    let call = ContentBlockStart::ToolUse { id: "a", name: "f", input: None };
    let events = [
        started(0, ContentBlockStart::Text),
        delta(0, BlockDelta::Text("so")),
        stopped(0),
        started(1, call),
        delta(1, BlockDelta::Arguments("{")),
        MessagesEvent::Error(&fault),
        delta(1, BlockDelta::Arguments("}")),
        MessagesEvent::MessageStop,
    ];
    let (data, whole) = encoded(&context(), &events);
    assert_eq!(whole["status"], "failed");
    assert_eq!(whole["error"], json!({"code": "server_error", "message": "busy"}));
    let output = &whole["output"];
    assert_eq!((&output[0]["status"], &output[1]["status"]), (&json!("completed"), &json!("incomplete")));
    let done = data.iter().filter(|event| event["type"] == "response.output_item.done");
    assert_eq!(done.count(), 1);
}
