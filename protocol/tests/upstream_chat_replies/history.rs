//! Thoughts, signatures and names that come back with the next request.

use super::*;

/// The reply to a request with these fields through an upstream of these ways.
fn reply(fields: &Value, dialect: &Dialect, chunks: &[Value]) -> Vec<Value> {
    reply_of(fields, &ChatUpstream { dialect, ..TARGET }, chunks)
}

fn reply_of(fields: &Value, target: &ChatUpstream<'_>, chunks: &[Value]) -> Vec<Value> {
    let mut body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": true});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let context = request(body.to_string().as_bytes(), target).unwrap().reply;
    let mut collector = transcoder(context).collector();
    for chunk in chunks {
        assert_eq!(collector.push(json!({"choices": [chunk]}).to_string().as_bytes()), CodecStep::More);
    }
    let whole: Value = serde_json::from_slice(&collector.finish().unwrap().body).unwrap();
    whole["content"].as_array().unwrap().clone()
}

#[test]
fn thinking_between_tags_is_thinking_where_the_upstream_is_known_for_it() {
    let chunks = [
        json!({"delta": {"content": "<thi"}}),
        json!({"delta": {"content": "nk>Hm.</th"}}),
        json!({"delta": {"content": "ink>\n\nYes."}, "finish_reason": "stop"}),
    ];
    let tagged = Dialect { think_tags: true, ..Dialect::default() };
    let asked = json!({"thinking": {"type": "adaptive"}});
    let told = reply(&asked, &tagged, &chunks);
    assert_eq!((&told[0]["thinking"], &told[1]["text"]), (&json!("Hm."), &json!("Yes.")));
    assert_eq!(reply(&json!({}), &tagged, &chunks), [json!({"type": "text", "text": "Yes."})]);
    assert_eq!(reply(&asked, &PLAIN, &chunks)[0]["text"], "<think>Hm.</think>\n\nYes.");
    let open = [json!({"delta": {"content": "<thi"}, "finish_reason": "stop"})];
    assert_eq!(reply(&asked, &tagged, &open), [json!({"type": "text", "text": "<thi"})]);
}

#[test]
fn geminis_thoughts_are_thinking_in_its_own_tags() {
    let chunks = [
        json!({"delta": {"content": "<thought>Hm", "extra_content": {"google": {"thought": true}}}}),
        json!({"delta": {"content": ".</thought>Yes."}, "finish_reason": "stop"}),
    ];
    let asked = json!({"thinking": {"type": "adaptive"}});
    let gemini = ChatUpstream { model: "google/Gemini-3-flash", ..TARGET };
    let told = reply_of(&asked, &gemini, &chunks);
    assert_eq!((&told[0]["thinking"], &told[1]["text"]), (&json!("Hm."), &json!("Yes.")));
    assert_eq!(reply_of(&json!({}), &gemini, &chunks), [json!({"type": "text", "text": "Yes."})]);
    assert_eq!(reply(&asked, &PLAIN, &chunks)[0]["text"], "<thought>Hm.</thought>Yes.");
}

/// What goes back to the upstream of a reply, and what the client has of it.
fn there_and_back(target: &ChatUpstream<'_>, chunks: &[Value]) -> (Value, Vec<Value>) {
    let asked = json!({"thinking": {"type": "enabled", "budget_tokens": 5000}});
    let content = reply_of(&asked, target, chunks);
    let body = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": content}, {"role": "user", "content": "more"}]});
    let sent: Value =
        serde_json::from_slice(&request(body.to_string().as_bytes(), target).unwrap().body).unwrap();
    (sent["messages"][1].clone(), content)
}

#[test]
fn encrypted_reasoning_comes_back_though_nobody_can_read_it() {
    let details = Dialect { replay: Replay::Details, ..Dialect::default() };
    let target = ChatUpstream { dialect: &details, ..TARGET };
    let secret =
        json!({"type": "reasoning.encrypted", "data": "x", "id": "rs_1", "format": "openai-responses-v1"});
    let call =
        json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    for chunks in [
        vec![
            json!({"delta": {"reasoning_details": [secret]}}),
            json!({"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}),
        ],
        vec![
            json!({"delta": {"reasoning_details": [secret], "tool_calls": [call]}, "finish_reason": "tool_calls"}),
        ],
        // What comes behind the thought has one to travel in, too.
        vec![
            json!({"delta": {"content": "Working."}}),
            json!({"delta": {"reasoning_details": [secret]}}),
            json!({"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}),
        ],
    ] {
        let (message, content) = there_and_back(&target, &chunks);
        assert_eq!(message["reasoning_details"], json!([secret]), "{content:?}");
        assert_eq!(message["tool_calls"][0]["id"], "c");
        let carriers: Vec<_> = content.iter().filter(|block| block["type"] == "thinking").collect();
        assert_eq!((carriers.len(), &carriers[0]["thinking"]), (1, &json!("")));
        // Nothing of it for a client that does not think.
        let kinds = reply(&json!({}), &details, &chunks);
        assert!(kinds.iter().all(|block| block["type"] != "thinking"), "{kinds:?}");
    }
}

#[test]
fn geminis_signatures_come_back_though_openrouter_sends_them_behind_the_calls() {
    let details = Dialect { replay: Replay::Details, ..Dialect::default() };
    let target = ChatUpstream { model: "google/gemini-3-pro", dialect: &details, ..TARGET };
    let call = |index: u32, id: &str| {
        json!({"delta": {"tool_calls": [
        {"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]}})
    };
    let secret = json!({"type": "reasoning.encrypted", "data": "SIG", "id": "c0", "format": "google-gemini-v1", "index": 0});
    let chunks = [
        json!({"delta": {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}]}}),
        call(0, "c0"),
        call(1, "c1"),
        json!({"delta": {"reasoning_details": [secret]}, "finish_reason": "tool_calls"}),
    ];
    let (message, content) = there_and_back(&target, &chunks);
    let sent = message["reasoning_details"].as_array().unwrap();
    assert_eq!((sent.len(), sent.last()), (2, Some(&secret)), "{content:?}");
    let kinds: Vec<_> = content.iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["thinking", "tool_use", "tool_use"]);
    assert_eq!(content[2]["input"], json!({"a": 1}));
}

/// Complaint of gateway users: tool references and long tool names are refused.
#[test]
fn a_shortened_tool_name_is_the_clients_own_again() {
    let long = format!("mcp__server__{}", "x".repeat(70));
    let tools = json!({"tools": [{"name": long, "input_schema": {"type": "object"}}]});
    let mut body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(tools.as_object().unwrap().clone());
    let sent: Value =
        serde_json::from_slice(&request(body.to_string().as_bytes(), &TARGET).unwrap().body).unwrap();
    let name = sent["tools"][0]["function"]["name"].as_str().unwrap();
    let call = json!({"delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": name, "arguments": "{}"}}]},
        "finish_reason": "tool_calls"});
    assert_eq!(reply(&tools, &PLAIN, &[call])[0]["name"], json!(long));
}

/// Complaint of gateway users: reasoning is not passed back, or contradicts itself.
#[test]
fn reasoning_details_come_back_as_they_were() {
    let details = Dialect { replay: Replay::Details, ..Dialect::default() };
    let asked = json!({"thinking": {"type": "enabled", "budget_tokens": 5000}});
    let chunks = [
        json!({"delta": {"reasoning": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}]}}),
        json!({"delta": {"reasoning": ".", "reasoning_details": [{"type": "reasoning.text", "text": ".", "index": 0, "signature": "sig"}]}}),
        json!({"delta": {"content": "Yes."}, "finish_reason": "stop"}),
    ];
    let content = reply(&asked, &details, &chunks);
    assert_eq!(content[0]["thinking"], "Hm.");
    let body = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": content}, {"role": "user", "content": "more"}]});
    let sent = |target: &ChatUpstream<'_>| -> Value {
        serde_json::from_slice(&request(body.to_string().as_bytes(), target).unwrap().body).unwrap()
    };
    let turn = &sent(&ChatUpstream { dialect: &details, ..TARGET })["messages"][1];
    assert_eq!(
        turn["reasoning_details"],
        json!([{"type": "reasoning.text", "text": "Hm.", "index": 0, "signature": "sig"}])
    );
    assert!(turn["reasoning_content"].is_null());
    assert_eq!(sent(&TARGET)["messages"][1]["reasoning_content"], "Hm.");
    let elsewhere = &sent(&ChatUpstream { provider: "q", dialect: &details, ..TARGET })["messages"][1];
    assert_eq!(elsewhere, &json!({"role": "assistant", "content": "Yes."}));
    let nothing = Dialect { replay: Replay::Nothing, ..Dialect::default() };
    assert_eq!(&sent(&ChatUpstream { dialect: &nothing, ..TARGET })["messages"][1], elsewhere);
}
