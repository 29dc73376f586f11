//! Web searches of the upstream.

use super::*;

fn searching() -> ResponsesReplyContext {
    plain().with_search()
}

fn cites(url: &str, start: u64, end: u64) -> Value {
    json!({"type": "url_citation", "url": url, "title": "T", "start_index": start, "end_index": end})
}

fn cited(index: u64, text: &str, annotations: Value) -> Value {
    json!({"type": "message", "id": format!("msg_{index}"), "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": annotations}]})
}

fn search_call(index: u64, sources: Value) -> Value {
    json!({"type": "web_search_call", "id": format!("ws_{index}"), "status": "completed",
        "action": {"type": "search", "query": "q", "sources": sources}})
}

fn kinds(message: &Value) -> Vec<&str> {
    message["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect()
}

fn urls(block: &Value) -> Vec<&str> {
    let citations = block["citations"].as_array().into_iter().flatten();
    citations.map(|citation| citation["url"].as_str().unwrap()).collect()
}

#[test]
fn known_pages_come_before_the_text_and_citations_with_it() {
    let annotation = json!({"type": "response.output_text.annotation.added", "output_index": 1, "content_index": 0,
        "item_id": "msg_1", "annotation_index": 0, "annotation": cites("https://a", 0, 3)});
    let events = [
        added(0, json!({"type": "web_search_call", "id": "ws_0", "status": "in_progress"})),
        json!({"type": "response.web_search_call.searching", "output_index": 0}),
        done(
            0,
            search_call(0, json!([{"type": "url", "url": "https://a"}, {"type": "url", "url": "https://b"}])),
        ),
        added(1, said(1, &[])),
        text_delta(1, 0, "one"),
        annotation,
        text_delta(1, 0, " two"),
        done(1, cited(1, "one two", json!([cites("https://a", 0, 3), cites("https://c", 4, 7)]))),
        completed(json!([search_call(0, json!([])), cited(1, "one two", json!([]))])),
    ];
    let (message, summary) = ended(searching(), &events);
    assert_eq!(
        kinds(&message),
        [
            "server_tool_use",
            "web_search_tool_result",
            "text",
            "text",
            "server_tool_use",
            "web_search_tool_result"
        ]
    );
    assert_eq!(
        (urls(&message["content"][2]), urls(&message["content"][3])),
        (vec!["https://a"], vec!["https://c"])
    );
    assert_eq!(message["usage"]["server_tool_use"]["web_search_requests"], 1);
    assert_eq!(summary.reported.web_searches, 1);
    assert_eq!(kinds(&ended(plain(), &events).0), ["text"], "nobody asked for a search");
}

#[test]
fn a_whole_reply_is_divided_where_its_citations_are() {
    let items = json!([
        search_call(0, json!([{"url": "https://a"}])),
        cited(1, "one two", json!([cites("https://a", 0, 3)])),
        cited(2, "three four", json!([cites("https://b", 6, 10), cites("https://x", 40, 50)])),
    ]);
    let content = json!({"content": content_of(searching(), items)});
    assert_eq!(
        kinds(&content),
        [
            "server_tool_use",
            "web_search_tool_result",
            "text",
            "text",
            "text",
            "text",
            "server_tool_use",
            "web_search_tool_result"
        ]
    );
    let texts: Vec<(&str, Vec<&str>)> = content["content"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|block| Some((block["text"].as_str()?, urls(block))))
        .collect();
    assert_eq!(
        texts,
        [
            ("one", vec!["https://a"]),
            (" two", vec![]),
            ("three ", vec![]),
            ("four", vec!["https://b", "https://x"])
        ]
    );
}

#[test]
fn the_text_cites_found_pages_by_their_numbers() {
    let found = json!({"type": "search_results", "results": [{"id": 1, "url": "https://a", "title": "A", "snippet": "s"},
        {"id": 2, "url": "https://b", "title": "B"}]});
    let events = [done(0, found), done(1, said(1, &["So it is[2]."])), completed(json!([]))];
    let (message, summary) = ended(searching(), &events);
    assert_eq!(urls(&message["content"][2]), ["https://b"]);
    assert_eq!(summary.reported.web_searches, 1);
}
