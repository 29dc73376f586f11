//! Common complaints of gateway users that no other test covers. The doc comment of each test names its
//! complaint.

use serde_json::{Value, json};
use vandamme_protocol::convert::upstream::chat::{
    ChatUpstream, Dialect, PLAIN, ReasoningModels, ReasoningParameter, request,
};

use crate::reply::{Asked, context, message, streamed};

fn data(delta: Value) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]}))
}

/// The message of a stream with these deltas.
fn said(deltas: &[String]) -> Value {
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    let stream = format!("{}data: {end}\n\ndata: [DONE]\n\n", deltas.concat());
    message(&streamed(&[stream.as_bytes()], &context(Asked::ForThinking, &PLAIN)).0).expect("complete")
}

/// Complaint of gateway users: tool calls arrive with empty input.
#[test]
fn a_call_that_begins_in_the_last_chunk_of_a_text_keeps_its_arguments_in_any_pieces() {
    const ARGUMENTS: &str = r#"{"path":"a.rs","lines":[1,{"text":"}\"{"}]}"#;
    let input: Value = serde_json::from_str(ARGUMENTS).expect("JSON");
    for length in 1..=ARGUMENTS.len() {
        let mut pieces = ARGUMENTS.as_bytes().chunks(length).map(String::from_utf8_lossy);
        let head = json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": pieces.next()}});
        let mut deltas = vec![
            data(json!({"role": "assistant", "content": "I wri"})),
            data(json!({"content": "te.", "tool_calls": [head]})),
        ];
        let more = |piece| data(json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}));
        deltas.extend(pieces.map(more));
        let content = said(&deltas)["content"].clone();
        assert_eq!(content[0], json!({"type": "text", "text": "I write."}));
        assert_eq!(content[1]["input"], input, "in pieces of {length}");
    }
}

/// Complaint of gateway users: empty thinking blocks poison a session.
#[test]
fn thinking_without_text_is_no_block() {
    for nothing in [json!(""), json!(null), json!([]), json!({})] {
        for field in ["reasoning_content", "reasoning", "reasoning_details", "thinking"] {
            let deltas = [data(json!({field: nothing, "content": null})), data(json!({"content": "x"}))];
            assert_eq!(
                said(&deltas)["content"],
                json!([{"type": "text", "text": "x"}]),
                "{field}: {nothing}"
            );
        }
    }
}

/// Complaint of gateway users: reasoning is not passed back, or contradicts itself.
#[test]
fn no_request_has_contradicting_members_about_reasoning() {
    let wishes = [
        json!({}),
        json!({"thinking": {"type": "disabled"}}),
        json!({"thinking": {"type": "adaptive"}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}),
    ];
    for reasoning in [ReasoningParameter::Effort, ReasoningParameter::Nested, ReasoningParameter::Switch] {
        let dialect = Dialect {
            reasoning,
            reasoning_models: ReasoningModels::Listed(vec!["*".into()]),
            ..Dialect::default()
        };
        for wish in &wishes {
            for effort in [json!(null), json!({"effort": "low"})] {
                let mut body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
                body.as_object_mut().expect("an object").extend(wish.as_object().expect("an object").clone());
                if effort.is_object() {
                    body["output_config"] = effort;
                }
                check_reasoning(&body, &dialect);
            }
        }
    }
}

fn check_reasoning(body: &Value, dialect: &Dialect) {
    let target = ChatUpstream {
        provider: "p",
        model: "m",
        requested_model: "p:m",
        dialect,
        session: None,
        members: None,
    };
    let sent = request(body.to_string().as_bytes(), &target).expect("a request").body;
    let sent: Value = serde_json::from_slice(&sent).expect("JSON");
    let told =
        ["reasoning", "reasoning_effort", "thinking"].into_iter().filter(|field| sent.get(field).is_some());
    assert!(told.count() <= 1, "{body} became {sent}");
    assert!(
        sent["reasoning"].as_object().is_none_or(|reasoning| reasoning.len() == 1),
        "{body} became {sent}"
    );
}
