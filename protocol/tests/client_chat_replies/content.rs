//! Text, thinking, usage and sources.

use super::*;

#[test]
fn text_is_forwarded_unchanged() {
    let mut data = reply(&[text(0, &["ü\u{1F600}\u{0}", ""])], "end_turn");
    data.insert(
        2,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"h\u00e9 \"x\"\n"}}"#
            .to_owned(),
    );
    let (wire, outcome) = stream(curious(), &data);
    let reply = grammar::check(&wire);
    assert_eq!(reply.text, "hé \"x\"\nü\u{1F600}\u{0}");
    assert_eq!((reply.model.as_str(), reply.finish_reason.as_deref()), ("p:m", Some("stop")));
    assert_eq!(reply.id, "chatcmpl-0123456789abcdef0123456789abcdef");
    let usage = Usage { input: 11, output: 9, cache_read: 7, cache_creation: 3, ..Usage::default() };
    assert_eq!(
        outcome,
        ReplySummary {
            reported: Default::default(),
            stop_reason: Some(StopReason::EndTurn),
            usage: Some(usage),
            tool_calls: 0,
            fault: None
        }
    );
    assert!(
        String::from_utf8(wire).unwrap().contains(r#""content":"h\u00e9 \"x\"\n""#),
        "the literal is not rewritten"
    );
}

#[test]
fn the_chunks_of_a_small_reply_are_these() {
    let (wire, _) = stream(context(json!({})), &reply(&[text(0, &["hi"])], "max_tokens"));
    let head = r#"data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1760000000,"model":"p:m","choices":[{"index":0,"delta":"#;
    let expected = [
        r#"{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"content":"hi"},"finish_reason":null}]}"#,
        r#"{},"finish_reason":"length"}]}"#,
    ];
    let expected: String = expected.iter().map(|tail| format!("{head}{tail}\n\n")).collect();
    assert_eq!(String::from_utf8(wire).unwrap(), format!("{expected}data: [DONE]\n\n"));
}

#[test]
fn usage_includes_cached_tokens_and_is_sent_only_on_request() {
    let data = reply(&[text(0, &["x"])], "end_turn");
    let usage = json!({"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30,
                       "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 3}});
    assert_eq!(complete(&data).usage, Some(usage.clone()));
    for options in
        [json!({}), json!({"stream_options": null}), json!({"stream_options": {"include_usage": false}})]
    {
        let (wire, outcome) = stream(context(options), &data);
        assert!(!String::from_utf8_lossy(&wire).contains("usage"));
        assert_eq!(outcome.usage.unwrap().prompt_total(), 21);
    }
}

#[test]
fn later_counts_replace_only_the_members_that_they_have() {
    let data = [
        r#"{"type":"message_start","message":{"usage":{"input_tokens":0,"cache_read_input_tokens":5}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":9.0,"output_tokens":1}}"#,
        r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":2,"cache_read_input_tokens":null}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .map(str::to_owned);
    let (_, outcome) = stream(curious(), &data);
    let usage = Usage { input: 9, output: 2, cache_read: 5, cache_creation: 0, ..Usage::default() };
    assert_eq!((outcome.usage, outcome.stop_reason), (Some(usage), Some(StopReason::EndTurn)));
}

#[test]
fn reasoning_is_sent_only_on_request() {
    let data = reply(&[thinking(0, "hm"), text(1, &["42"])], "end_turn");
    for (fields, expected) in [
        (json!({"reasoning_effort": "high"}), "hm"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}), "hm"),
        (json!({}), ""),
        (json!({"reasoning_effort": "none"}), ""),
        (json!({"thinking": {"type": "disabled"}}), ""),
    ] {
        let (wire, _) = stream(context(fields), &data);
        let reply = grammar::check(&wire);
        assert_eq!((reply.reasoning.as_str(), reply.text.as_str()), (expected, "42"));
    }
}

#[test]
fn the_sources_of_all_blocks_arrive_together_and_are_numbered() {
    let cited = |url: &str| json!({"type": "citations_delta", "citation": {"type": "web_search_result_location", "url": url, "title": "T"}});
    let block = |index: i64, said: &str, urls: &[&str]| {
        let mut data = text(index, &[said]);
        let citations = urls.iter().map(|url| delta(index, cited(url)));
        data.splice(2..2, citations);
        data
    };
    let blocks = [
        block(0, "one ", &["https://a.example/", "https://b.example/"]),
        tool(1, ["toolu_a", "f"], &["{}"]),
        block(2, "two", &["https://c.example/"]),
    ];
    let told = complete(&reply(&blocks, "end_turn"));
    let expected = [("https://a.example/", 0, 4), ("https://b.example/", 0, 4), ("https://c.example/", 4, 7)];
    assert_eq!(told.sources, expected.map(|(url, start, end)| (url.to_owned(), start, end)));

    // A block without an end ends at the next one.
    let mut open = blocks[0].clone();
    open.pop();
    let told = complete(&reply(&[open, block(1, "two", &[])], "end_turn"));
    assert_eq!(told.sources.iter().map(|source| source.2).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn the_sources_of_a_text_follow_it() {
    let cited = |url: Value| json!({"type": "citations_delta", "citation": {"type": "web_search_result_location", "url": url, "title": "T \"q\"", "cited_text": "c", "encrypted_index": "e"}});
    let mut block = text(1, &["é\n", "bc"]);
    block.insert(2, delta(1, cited(json!("https://a.example/x"))));
    block.insert(
        1,
        delta(
            1,
            json!({"type": "citations_delta", "citation": {"type": "char_location", "document_index": 0}}),
        ),
    );
    block.insert(3, delta(1, cited(json!("https://b.example/"))));
    let data = reply(&[text(0, &["See: "]), block, text(2, &["!"])], "end_turn");
    let told = complete(&data);
    assert_eq!(told.text, "See: é\nbc!");
    let expected = [("https://b.example/".to_owned(), 5, 9), ("https://a.example/x".to_owned(), 5, 9)];
    assert_eq!(told.sources, expected);

    let upstream = json!({"type": "message", "stop_reason": "end_turn", "content": [
        {"type": "text", "text": "See: ", "citations": null},
        {"type": "text", "text": "é\nbc", "citations": [cited(json!("https://a.example/x"))["citation"], cited(json!(7))["citation"], 3]}]});
    let whole = transcoder(curious()).whole(upstream.to_string().as_bytes()).unwrap();
    let message = serde_json::from_slice::<Value>(&whole.body).unwrap()["choices"][0]["message"].clone();
    assert_eq!(
        message["annotations"],
        json!([{"type": "url_citation",
        "url_citation": {"start_index": 5, "end_index": 9, "title": "T \"q\"", "url": "https://a.example/x"}}])
    );
}
