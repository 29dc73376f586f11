//! Whole replies.

use super::*;

#[test]
fn a_whole_reply_becomes_one_message() {
    let upstream = json!({"id": "c", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "thinking", "text": "x"}, {"type": "text", "text": "b"}],
        "reasoning_content": "r", "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{\"a\": [1,\n2]}"}},
            {"id": "y", "function": {"name": "f", "arguments": ""}},
            {"function": {"name": "f", "arguments": "{\"cut"}}]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    .to_string();
    let whole = transcoder(thinking()).whole(upstream.as_bytes()).unwrap();
    let message: Value = serde_json::from_slice(&whole.body).unwrap();
    let made_up = message["content"][4]["id"].as_str().unwrap().to_owned();
    assert!(made_up.strip_prefix("toolu_").is_some_and(|hex| hex.len() == 24));
    assert_eq!(
        message,
        json!({"id": "msg_89abcdef0123456789abcdef", "type": "message", "role": "assistant", "model": "p:m",
            "content": [
                {"type": "thinking", "thinking": "r", "signature": "vdm1.p~up%2Fm"},
                {"type": "text", "text": "ab"},
                {"type": "tool_use", "id": "x", "name": "f", "input": {"a": [1, 2]}},
                {"type": "tool_use", "id": "y", "name": "f", "input": {}},
                {"type": "tool_use", "id": made_up, "name": "f", "input": {"raw_arguments": "{\"cut"}}],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0}})
    );
    assert_eq!(whole.summary.tool_calls, 3);
}

#[test]
fn the_choices_of_one_answer_become_one_message_and_other_answers_are_ignored() {
    let call = json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}});
    let choice = |index: u8, said: &str, text: Value, calls: Value, reason: Value| json!({"index": index, said: {"content": text, "tool_calls": calls}, "finish_reason": reason});
    let told = |choices: &[Value]| -> (String, usize) {
        let choices = |said: &str| -> Vec<Value> {
            let renamed = choices.iter().map(|choice| choice.to_string().replace("said", said));
            renamed.map(|choice| serde_json::from_str(&choice).unwrap()).collect()
        };
        let body = json!({"choices": choices("message")}).to_string();
        let reply: Value =
            serde_json::from_slice(&transcoder(thinking()).whole(body.as_bytes()).unwrap().body).unwrap();
        let split = choices("delta")
            .iter()
            .map(|choice| json!({"choices": [choice]}).to_string())
            .collect::<Vec<_>>();
        for data in
            [vec![json!({"choices": choices("delta")}).to_string(), done()], [split, vec![done()]].concat()]
        {
            let streamed = message(&data);
            assert_eq!(joined(&streamed, "text"), joined(&reply, "text"), "{data:?}");
            assert_eq!(streamed["stop_reason"], reply["stop_reason"], "{data:?}");
        }
        let calls = reply["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
        (joined(&reply, "text"), calls.count())
    };
    let nothing = || json!(null);
    let calls = || json!([call]);
    let (stop, called) = (|| json!("stop"), || json!("tool_calls"));
    let expect = |choices: &[Value], text: &str, calls: usize| {
        assert_eq!(told(choices), (text.to_owned(), calls), "{choices:?}");
    };
    let first = || choice(0, "said", json!("a"), nothing(), called());
    expect(&[first(), choice(1, "said", nothing(), calls(), called())], "a", 1);
    expect(&[first(), choice(1, "said", json!("b"), nothing(), called())], "ab", 0);
    expect(
        &[
            first(),
            choice(1, "said", nothing(), calls(), called()),
            choice(2, "said", nothing(), calls(), called()),
        ],
        "a",
        2,
    );
    expect(
        &[
            choice(0, "said", nothing(), calls(), called()),
            choice(1, "said", json!("b"), nothing(), called()),
        ],
        "b",
        1,
    );
    expect(
        &[choice(1, "said", json!("b"), nothing(), stop()), choice(0, "said", json!("a"), nothing(), stop())],
        "a",
        0,
    );
    expect(
        &[choice(0, "said", json!("a"), nothing(), stop()), choice(1, "said", nothing(), calls(), stop())],
        "a",
        1,
    );
}

#[test]
fn invalid_whole_replies_are_faults() {
    for (upstream, status) in [
        ("", 502),
        ("<html>", 502),
        ("[]", 502),
        ("{}", 502),
        (r#"{"choices":[]}"#, 502),
        (r#"{"choices":[{"message":null}],"msg":"ok"}"#, 502),
        (r#"{"error":{"message":"slow","code":429}}"#, 429),
        (r#"{"code":503,"msg":"busy"}"#, 503),
    ] {
        let fault: Fault = transcoder(thinking()).whole(upstream.as_bytes()).unwrap_err();
        assert_eq!(fault.status, status, "{upstream}");
        let mut out = BytesMut::new();
        assert!(
            transcoder(thinking()).whole_as_stream(upstream.as_bytes(), &mut out).is_err() && out.is_empty()
        );
    }
}
