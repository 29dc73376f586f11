//! The judge of Claude Code's auto mode, and stop sequences.

use super::*;

const JUDGE: &str = r#"{"thinking":{"type":"disabled"},"stop_sequences":["</block>"],"max_tokens":64}"#;

#[test]
fn the_judge_of_auto_mode_gets_room_and_its_end() {
    let fields: Value = serde_json::from_str(JUDGE).unwrap();
    for (model, effort, limit) in
        [("gpt-5", "minimal", 2112), ("o4-mini", "low", 2112), ("gpt-5.4-mini", "none", 64)]
    {
        let target = ChatUpstream { model, ..TARGET };
        let chat = sent(&target, fields.clone());
        assert_eq!(
            (&chat["reasoning_effort"], &chat["max_completion_tokens"]),
            (&json!(effort), &json!(limit)),
            "{model}"
        );
        assert!(chat.get("stop").is_none(), "{model} refuses it");
        let context = reply(&target, fields.clone());
        for message in in_every_form(
            &context,
            json!({"role": "assistant", "content": "<block>no</block> since"}),
            "stop",
        ) {
            assert_eq!(message["content"], json!([{"type": "text", "text": "<block>no"}]));
            assert_eq!(
                (&message["stop_reason"], &message["stop_sequence"]),
                (&json!("stop_sequence"), &json!("</block>"))
            );
        }
        let chunks =
            ["<blo", "ck>n", "o</bl", "ock", "> since", " it"].map(|text| chunk(json!({"content": text})));
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 47_000, "completion_tokens": 9}});
        let chunks = [&chunks[..], &[usage.to_string(), chunk(json!({"content": "late"}))]].concat();
        let (message, taken) = streamed(context, &chunks);
        assert_eq!(message["usage"]["input_tokens"], 47_000);
        assert_eq!(
            (&message["content"][0]["text"], taken),
            (&json!("<block>no"), 7),
            "the upstream is closed when it has told its usage"
        );
        assert_eq!(
            (&message["stop_reason"], &message["stop_sequence"]),
            (&json!("stop_sequence"), &json!("</block>"))
        );
    }
    let chat = sent(&TARGET, fields);
    assert_eq!((&chat["stop"], &chat["max_tokens"]), (&json!(["</block>"]), &json!(64)));
}

#[test]
fn a_stop_sequence_beyond_those_that_can_be_sent_is_met_all_the_same() {
    let fields = json!({"stop_sequences": ["a", "b", "c", "d", "E"], "thinking": {"type": "adaptive"}});
    assert_eq!(sent(&TARGET, fields.clone())["stop"], json!(["a", "b", "c", "d"]));
    let context = reply(&TARGET, fields);
    let call = json!([{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]);
    let message = json!({"content": "xEy", "reasoning_content": "E", "tool_calls": call});
    for message in in_every_form(&context, message, "tool_calls") {
        let kinds: Vec<_> = message["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["thinking", "text"], "a thought is no text, and nothing follows the end");
        assert_eq!((&message["content"][1]["text"], &message["stop_sequence"]), (&json!("x"), &json!("E")));
    }
    // What only looks like a beginning goes out, before a call and at the end.
    let fields = json!({"stop_sequences": ["1", "2", "3", "4", "</end>"]});
    let chunks = [
        chunk(json!({"content": "a</"})),
        chunk(json!({"tool_calls": call})),
        json!({"choices": [{"index": 0, "delta": {"content": "</e"}, "finish_reason": "tool_calls"}]})
            .to_string(),
        "[DONE]".into(),
    ];
    let (message, _) = streamed(reply(&TARGET, fields), &chunks);
    let texts: String =
        message["content"].as_array().unwrap().iter().filter_map(|block| block["text"].as_str()).collect();
    assert_eq!((texts.as_str(), &message["stop_reason"]), ("a</</e", &json!("tool_use")));
}

#[test]
fn who_asks_for_a_judgement_hears_that_there_is_none() {
    let safeguards =
        json!([{"type": "dangerous_tool_use", "classifier_context": {"live_cwd": "/home/secret"}}]);
    let asked = translated(&TARGET, json!({"safeguards": safeguards}));
    assert!(!String::from_utf8_lossy(&asked.body).contains("secret"));
    let expected = json!([{"type": "dangerous_tool_use", "status": {"type": "unsupported"}}]);
    let done =
        json!({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}).to_string();
    for message in in_every_form(&asked.reply, json!({"content": "x"}), "stop") {
        assert!(message["safeguard_results"] == expected || message.get("safeguard_results").is_none());
    }
    let completion = done.replace("delta", "message");
    let wholly: Value =
        serde_json::from_slice(&transcoder(asked.reply.clone()).whole(completion.as_bytes()).unwrap().body)
            .unwrap();
    assert_eq!(wholly["safeguard_results"], expected);
    let mut machine = transcoder(asked.reply);
    let mut out = BytesMut::new();
    machine.push_data(done.as_bytes(), &mut out);
    machine.finish(&mut out);
    let events = grammar::events(&out);
    let with: Vec<_> =
        events.iter().filter(|(_, data)| data.to_string().contains("safeguard_results")).collect();
    assert!(
        with.len() == 1
            && with[0].0 == "message_delta"
            && with[0].1["delta"]["safeguard_results"] == expected
    );
    for other in [
        json!(null),
        json!([]),
        json!([{"type": "other", "note": "dangerous_tool_use"}]),
        json!("dangerous_tool_use"),
    ] {
        let context = reply(&TARGET, json!({"safeguards": other}));
        let body = transcoder(context).whole(completion.as_bytes()).unwrap().body;
        assert!(!String::from_utf8(body).unwrap().contains("safeguard_results"), "{other}");
    }
}
