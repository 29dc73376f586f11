//! Web searches.

use super::*;

fn searching() -> Dialect {
    Dialect { web_search: Some(r#""plugins":[{"id":"web"}]"#.into()), ..Dialect::default() }
}

fn search_tool() -> Value {
    json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 8})
}

#[test]
fn a_search_is_asked_of_those_who_can_and_refused_by_all_others() {
    let dialect = searching();
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let alone = json!({"tools": [search_tool()], "tool_choice": {"type": "auto"}});
    let chat = sent(&target, alone.clone());
    assert_eq!((&chat["plugins"], chat.get("tools")), (&json!([{"id": "web"}]), None));
    assert_eq!(translated(&target, alone.clone()).dropped.header().as_deref(), Some("tools.0.max_uses"));
    let client = json!({"name": "f", "input_schema": {}});
    let fetch = json!({"type": "web_fetch_20250910", "name": "web_fetch"});
    for tools in [json!([search_tool()]), json!([search_tool(), fetch])] {
        let message = refusal(&TARGET, json!({"tools": tools}));
        assert!(
            message.contains("provider 'p' cannot search the web; choose") && !message.contains('\n'),
            "{message}"
        );
    }
    assert!(refusal(&target, json!({"tools": [fetch]})).contains("cannot fetch web pages"));
    let chosen =
        json!({"tools": [client, search_tool()], "tool_choice": {"type": "tool", "name": "web_search"}});
    assert!(refusal(&TARGET, chosen).contains("cannot search the web"));
    let beside = translated(&TARGET, json!({"tools": [client, search_tool(), fetch]}));
    assert_eq!(
        beside.dropped.header().as_deref(),
        Some("tools.1 (web_search_20250305), tools.2 (web_fetch_20250910)")
    );
}

#[test]
fn what_a_search_has_found_arrives_with_its_links() {
    let dialect = searching();
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let context = reply(&target, json!({"tools": [search_tool()]}));
    let found = |url: &str| json!({"type": "url_citation", "url_citation": {"url": url, "title": "T", "content": "said", "start_index": 0, "end_index": 1}});
    let annotations = json!([found("https://a"), found("https://b"), found("https://a")]);
    let chunks = [
        chunk(json!({"content": "It "})),
        chunk(json!({"content": "is.", "annotations": [found("https://a")]})),
        chunk(json!({"content": "", "annotations": annotations})),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).to_string(),
        json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "server_tool_use": {"web_search_requests": 2}}}).to_string(),
        "[DONE]".to_owned(),
    ];
    let (message, _) = streamed(context.clone(), &chunks);
    let page = |url: &str| json!({"type": "web_search_result", "url": url, "title": "T", "encrypted_content": "", "page_age": null});
    let pages = json!([page("https://a"), page("https://b")]);
    assert_eq!(
        (&message["content"][0]["text"], &message["content"][2]["content"]),
        (&json!("It is."), &pages)
    );
    assert_eq!(message["content"][0]["citations"].as_array().map(Vec::len), Some(2));
    assert_eq!(message["content"][1]["id"], message["content"][2]["tool_use_id"]);
    let [wholly, as_events, collected] =
        in_every_form(&context, json!({"content": "It is.", "annotations": annotations}), "stop");
    for message in [&wholly, &as_events] {
        let kinds: Vec<_> =
            message["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
        assert_eq!(kinds, ["server_tool_use", "web_search_tool_result", "text"]);
        assert_eq!(
            (&message["content"][1]["content"], &message["content"][2]["text"]),
            (&pages, &json!("It is."))
        );
        assert_eq!(message["content"][2]["citations"][1]["url"], "https://b");
    }
    assert_eq!(collected["content"][2]["content"], pages);
    assert_eq!(wholly["usage"]["server_tool_use"]["web_search_requests"], 1);
    // Nothing found is nothing told.
    for message in in_every_form(&context, json!({"content": "I know that."}), "stop") {
        assert_eq!(message["content"], json!([{"type": "text", "text": "I know that."}]));
    }
    let unasked = reply(&target, json!({}));
    for message in in_every_form(&unasked, json!({"content": "x", "annotations": annotations}), "stop") {
        assert_eq!(message["content"], json!([{"type": "text", "text": "x"}]));
        assert!(message["usage"].get("server_tool_use").is_none());
    }
}
