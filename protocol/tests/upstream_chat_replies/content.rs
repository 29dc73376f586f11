//! Text, thinking and usage.

use super::*;

#[test]
fn text_is_forwarded_unchanged() {
    let data = [
        delta(json!({"role": "assistant", "content": ""})),
        r#"{"choices":[{"index":0,"delta":{"content":"h\u00e9 \"x\"\n"}}]}"#.to_owned(),
        delta(json!({"content": "ü\u{1F600}\u{0}"})),
        finish("stop"),
        json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 4}}})
        .to_string(),
        done(),
    ];
    let (wire, outcome) = stream(thinking(), &data);
    let reply = grammar::check(&wire);
    assert_eq!(reply.message["content"], json!([{"type": "text", "text": "hé \"x\"\nü\u{1F600}\u{0}"}]));
    assert_eq!(reply.message["model"], "p:m");
    let usage = Usage { input: 6, output: 3, cache_read: 4, cache_creation: 0, ..Usage::default() };
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
    assert_eq!(reply.message["usage"]["cache_read_input_tokens"], 4);
    assert!(
        String::from_utf8(wire).unwrap().contains(r#""text":"h\u00e9 \"x\"\n""#),
        "the literal is not rewritten"
    );
}

#[test]
fn usage_is_read_at_any_position() {
    let counts = json!({"prompt_tokens": 7, "completion_tokens": 2});
    for finish in [
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": counts}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": counts}], "usage": null}),
    ] {
        let message = message(&[delta(json!({"content": "x"})), finish.to_string(), done()]);
        assert_eq!(
            (&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]),
            (&json!(7), &json!(2))
        );
    }
}

#[test]
fn reasoning_becomes_a_signed_block_only_if_thinking_was_requested() {
    let data = [
        delta(json!({"reasoning_content": "let me"})),
        delta(json!({"reasoning": " see"})),
        delta(json!({"reasoning_details": [{"type": "reasoning.text", "text": "!"}]})),
        delta(json!({"content": "42"})),
        finish("stop"),
        done(),
    ];
    let content = message(&data)["content"].clone();
    assert_eq!(
        content[0],
        json!({"type": "thinking", "thinking": "let me see!", "signature": "vdm1.p~up%2Fm"})
    );
    assert_eq!(content[1], json!({"type": "text", "text": "42"}));
    for fields in [json!({}), json!({"thinking": {"type": "disabled"}})] {
        let (wire, _) = stream(context(fields), &data);
        assert_eq!(grammar::check(&wire).message["content"], json!([{"type": "text", "text": "42"}]));
    }
}
