//! Tests of the one reply that is made of several rounds.

use super::super::SearchError;
use super::*;
use crate::sse;

fn round(reply: &mut SearchReply, pages: &[Page], events: &[Value], out: &mut BytesMut) -> Progress {
    let mut progress = Progress::More;
    for event in events {
        assert_eq!(progress, Progress::More);
        progress = reply.take(event.to_string().as_bytes(), pages, out);
    }
    progress
}

fn begin(id: &str, input: u64) -> Value {
    json!({"type": "message_start", "message": {"id": id, "type": "message", "role": "assistant", "content": [],
        "model": "m", "usage": {"input_tokens": input, "output_tokens": 1, "cache_read_input_tokens": 2}}})
}

fn end(reason: &str, output: u64) -> [Value; 2] {
    let delta = json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": output}});
    [delta, json!({"type": "message_stop"})]
}

fn call(index: u64, id: &str, name: &str, input: &str) -> [Value; 3] {
    [
        json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": id, "name": name, "input": {}}}),
        json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": input}}),
        json!({"type": "content_block_stop", "index": index}),
    ]
}

fn said(index: u64, text: &str) -> [Value; 3] {
    [
        json!({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": index}),
    ]
}

fn events(out: &[u8]) -> Vec<Value> {
    sse::events(out).map(|event| serde_json::from_slice(&event.data().unwrap()).unwrap()).collect()
}

fn found() -> Page {
    Page {
        url: "https://rust-lang.org".into(),
        title: "Rust".into(),
        age: Some("May 1".into()),
        text: "fast".repeat(60),
    }
}

/// Requirement: one message_start, continuous indices, one message_delta with summed usage and the number of searches; marks become
/// citations of their own blocks.
#[test]
fn two_rounds_are_one_reply() {
    let (mut reply, mut out) = (SearchReply::new(7), BytesMut::new());
    let first = [
        vec![begin("one", 10)],
        said(0, "I look.").into(),
        call(1, "call_1", "web_search", "{\"query\":\"rust\"}").into(),
        end("tool_use", 5).into(),
    ]
    .concat();
    assert_eq!(round(&mut reply, &[], &first, &mut out), Progress::Searches);
    let calls = reply.calls().to_vec();
    assert_eq!(
        (calls.len(), calls[0].query().as_deref(), &*calls[0].upstream_id),
        (1, Some("rust"), "call_1")
    );
    assert!(calls[0].id.starts_with("srvtoolu_"));
    reply.show(&[(calls[0].clone(), Ok(vec![found()]))], &mut out);
    let second = [
        vec![begin("two", 100)],
        said(0, "Fast \u{3010}1\u{3011}. Safe.").into(),
        end("end_turn", 50).into(),
    ]
    .concat();
    assert_eq!(round(&mut reply, &[found()], &second, &mut out), Progress::Complete);

    let events = events(&out);
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("message_start").len(), 1);
    let starts = of("content_block_start");
    let kinds: Vec<_> = starts
        .iter()
        .map(|event| (event["index"].as_u64().unwrap(), event["content_block"]["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        kinds,
        [(0, "text"), (1, "server_tool_use"), (2, "web_search_tool_result"), (3, "text"), (4, "text")]
    );
    let result = &starts[2]["content_block"]["content"][0];
    assert_eq!(
        (&result["type"], &result["url"], &result["page_age"]),
        (&json!("web_search_result"), &json!("https://rust-lang.org"), &json!("May 1"))
    );
    assert_eq!(
        sealed::text_of(result["encrypted_content"].as_str().unwrap(), "https://rust-lang.org"),
        Some(found().text)
    );
    let deltas = of("content_block_delta");
    assert_eq!(deltas[2]["delta"], json!({"type": "text_delta", "text": "Fast "}));
    let citation = &deltas[3]["delta"]["citation"];
    assert_eq!(
        (&deltas[3]["index"], &citation["type"], &citation["title"]),
        (&json!(3), &json!("web_search_result_location"), &json!("Rust"))
    );
    assert_eq!(citation["cited_text"].as_str().map(str::len), Some(150));
    assert_eq!(deltas[4]["delta"]["text"], ". Safe.");
    let [ending] = of("message_delta")[..] else { panic!("one: {events:?}") };
    assert_eq!(ending["delta"]["stop_reason"], "end_turn");
    assert_eq!(
        ending["usage"],
        json!({"input_tokens": 110, "output_tokens": 55, "cache_read_input_tokens": 4, "server_tool_use": {"web_search_requests": 1}})
    );
}

/// Requirement: a call of a client's tool in the same turn ends the reply; the search stays without a result.
#[test]
fn a_call_of_the_client_ends_the_reply() {
    let (mut reply, mut out) = (SearchReply::new(7), BytesMut::new());
    let both = [
        vec![begin("one", 1)],
        call(0, "a", "web_search", "{\"query\":\"x\"}").into(),
        call(1, "b", "Read", "{}").into(),
        end("tool_use", 1).into(),
    ]
    .concat();
    assert_eq!(round(&mut reply, &[], &both, &mut out), Progress::Complete);
    let events = events(&out);
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");
    assert!(!events.iter().any(|event| event["content_block"]["type"] == "web_search_tool_result"));
}

/// Requirement: a failed search is an error block with the API's code and does not count; the upstream's error ends the reply.
#[test]
fn failures_are_shown() {
    let (mut reply, mut out) = (SearchReply::new(7), BytesMut::new());
    let one =
        [vec![begin("one", 1)], call(0, "a", "web_search", "not json").into(), end("tool_use", 1).into()]
            .concat();
    assert_eq!(round(&mut reply, &[], &one, &mut out), Progress::Searches);
    let call = reply.calls()[0].clone();
    assert_eq!(call.query(), None);
    out.clear();
    reply.show(&[(call, Err(SearchError::InvalidInput))], &mut out);
    assert_eq!(
        events(&out)[0]["content_block"]["content"],
        json!({"type": "web_search_tool_result_error", "error_code": "invalid_input"})
    );
    assert_eq!(reply.searches(), 0);
    let error = json!({"type": "error", "error": {"type": "api_error", "message": "cut"}});
    assert_eq!(round(&mut reply, &[], &[begin("two", 1), error], &mut out), Progress::Failed);
}
