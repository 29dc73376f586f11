//! What a request loses on its way is named, and what it says stays apart.

use super::*;
use vandamme_protocol::convert::Dropped;

/// The conversion of a Chat Completions request for a model.
fn from_chat(model: &str, members: &Value) -> (Value, Dropped) {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    merge(&mut body, members);
    let target = chat::MessagesUpstream { provider: "p", model, requested_model: "p:m" };
    let converted = chat::request(body.to_string().as_bytes(), &target).unwrap();
    (serde_json::from_slice(&converted.body).unwrap(), converted.dropped)
}

/// The conversion of a Responses request for a model.
fn from_responses(model: &str, upstream: UpstreamKind, members: &Value) -> (Value, Dropped) {
    let mut body = json!({"input": "hi"});
    merge(&mut body, members);
    let target = responses::MessagesTarget { provider: "p", model, requested_model: "p:m", upstream };
    let converted = responses::request(body.to_string().as_bytes(), &target).unwrap();
    (serde_json::from_slice(&converted.body).unwrap(), converted.dropped)
}

fn merge(body: &mut Value, members: &Value) {
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
}

fn names(dropped: &Dropped) -> String {
    dropped.header().unwrap_or_default()
}

const CLAUDE: &str = "claude-sonnet-4-5";

/// Complaint: settings vanish on the way to Claude and nothing says so.
#[test]
fn settings_that_claude_does_not_get_are_named() {
    let function = json!({"type": "function", "function": {"name": "f"}});
    let image =
        json!({"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}});
    for (members, expected) in [
        (json!({"temperature": 0.5, "top_p": 0.5}), "top_p"),
        (json!({"temperature": 0.5, "top_p": 1}), ""),
        (json!({"temperature": 1.5}), "temperature (sent as 1)"),
        (json!({"reasoning_effort": "high", "temperature": 0.5}), "temperature"),
        (json!({"reasoning_effort": "high", "temperature": 1}), ""),
        (
            json!({"reasoning_effort": "high", "tools": [function], "tool_choice": "required"}),
            "reasoning_effort",
        ),
        (json!({"reasoning_effort": "none"}), ""),
        (json!({"response_format": {"type": "json_object"}}), "response_format (json_object)"),
        (json!({"response_format": {"type": "text"}}), ""),
        (json!({"messages": [{"role": "user", "content": [image]}]}), "messages (image detail)"),
        (json!({"messages": [{"role": "user", "name": "Ann", "content": "hi"}]}), "messages (name)"),
        (
            json!({"messages": [{"role": "user", "content": "a"},
                {"role": "assistant", "content": "b", "reasoning_content": "r"}, {"role": "user", "content": "c"}]}),
            "messages (reasoning)",
        ),
    ] {
        assert_eq!(names(&from_chat(CLAUDE, &members).1), expected, "{members}");
    }
}

#[test]
fn settings_of_responses_that_claude_does_not_get_are_named() {
    let function = json!({"type": "function", "name": "f", "parameters": {"type": "object"}});
    let image = json!({"type": "input_image", "image_url": "https://x.example/a.png", "detail": "high"});
    let sealed = json!({"type": "reasoning", "summary": [], "encrypted_content": "from elsewhere"});
    for (members, expected) in [
        (json!({"temperature": 0.5, "top_p": 0.5}), "top_p"),
        (
            json!({"reasoning": {"effort": "low"}, "tools": [function], "tool_choice": "required"}),
            "reasoning.effort",
        ),
        (
            json!({"reasoning": {"summary": "auto"}, "tools": [function], "tool_choice": "required"}),
            "reasoning.summary",
        ),
        (json!({"text": {"format": {"type": "json_object"}}}), "text.format (json_object)"),
        (json!({"input": [{"role": "user", "content": [image]}]}), "input (image detail)"),
        (
            json!({"input": [{"role": "user", "content": "a"}, sealed, {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"}]}),
            "input (reasoning of another model)",
        ),
    ] {
        let (_, dropped) = from_responses(CLAUDE, UpstreamKind::Messages, &members);
        assert_eq!(names(&dropped), expected, "{members}");
    }
}

/// What another step keeps is not named, with what was said of its value.
#[test]
fn members_that_reach_an_upstream_of_openai_are_not_named() {
    let members = json!({"temperature": 1.5, "top_p": 0.5, "response_format": {"type": "json_object"},
        "reasoning_effort": "high", "logprobs": true});
    let (_, dropped) = from_chat(CLAUDE, &members);
    assert_ne!(names(&dropped), "");
    let left = dropped.without_members(vandamme_protocol::openai::members::OpenAiMembers::reads_of_chat);
    assert_eq!(names(&left), "");
}

fn texts_of(body: &Value) -> String {
    let all = body["messages"].as_array().unwrap().iter();
    let assistant = all.filter(|message| message["role"] == "assistant");
    let blocks = assistant.flat_map(|message| message["content"].as_array().unwrap());
    blocks.filter_map(|block| block["text"].as_str()).collect()
}

/// Complaint: the texts of two messages of the assistant become one word.
#[test]
fn messages_in_a_row_stay_apart() {
    let said = |text: &str| json!({"role": "assistant", "content": text});
    let turns =
        json!([{"role": "user", "content": "q"}, said("A"), said("B"), {"role": "user", "content": "r"}]);
    let (chat, _) = from_chat(CLAUDE, &json!({"messages": turns}));
    assert_eq!(texts_of(&chat), "A\n\nB");
    for upstream in [UpstreamKind::Messages, UpstreamKind::ChatCompletions] {
        let (hub, _) = from_responses(CLAUDE, upstream, &json!({"input": turns}));
        assert_eq!(texts_of(&hub), "A\n\nB");
        // Parts of one message are one text.
        let parts = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": [
            {"type": "output_text", "text": "A"}, {"type": "output_text", "text": "B"}]}]);
        assert_eq!(texts_of(&from_responses(CLAUDE, upstream, &json!({"input": parts})).0), "AB");
        // A refusal of an earlier turn survives.
        let refused = json!([{"role": "user", "content": "q"}, said("A"), {"role": "assistant", "content": [
            {"type": "refusal", "refusal": "No."}]}, {"role": "user", "content": "r"}]);
        assert_eq!(texts_of(&from_responses(CLAUDE, upstream, &json!({"input": refused})).0), "A\n\nNo.");
    }
    let refused = json!([{"role": "user", "content": "q"},
        {"role": "assistant", "content": "A", "refusal": "No."}, {"role": "user", "content": "r"}]);
    assert_eq!(texts_of(&from_chat(CLAUDE, &json!({"messages": refused})).0), "A\n\nNo.");
}

fn to_chat(body: &Value) -> Value {
    let (provider, model) = ("p", "m");
    let target = ChatUpstream {
        provider,
        model,
        requested_model: "p:m",
        dialect: &PLAIN,
        session: None,
        members: None,
    };
    let body = body.to_string();
    let sent = vandamme_protocol::convert::upstream::chat::request(body.as_bytes(), &target).unwrap();
    serde_json::from_slice(&sent.body).unwrap()
}

/// Texts around a call are two texts; blocks of one text are one.
#[test]
fn texts_around_a_call_stay_apart() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    for (content, expected) in [
        (json!([text("A"), call, text("B")]), "A\n\nB"),
        (json!([text("A"), text("B")]), "AB"),
        (json!([{"type": "thinking", "thinking": "t", "signature": "s"}, text("A")]), "A"),
    ] {
        let body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "q"},
            {"role": "assistant", "content": content}, {"role": "user", "content": "r"}]});
        assert_eq!(to_chat(&body)["messages"][1]["content"], expected);
    }
}

/// Clients may send the blocks of one reply as messages of their own.
#[test]
fn reasoning_goes_with_the_next_turn_unless_something_is_between_them() {
    let mut signature = vandamme_protocol::signature::mint("p", "m");
    vandamme_protocol::signature::carry(&mut signature, br#"{"id":"rs_1","encrypted_content":"x"}"#);
    let thought = json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": "t", "signature": signature}]});
    let call = json!({"role": "assistant", "content": [
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}}]});
    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "r"}]});
    let (question, said) =
        (json!({"role": "user", "content": "q"}), json!({"role": "assistant", "content": "A"}));
    let between = json!({"role": "user", "content": "wait"});
    for (turns, kinds, dropped) in [
        (
            json!([question, thought, call, result]),
            vec!["message", "reasoning", "function_call", "function_call_output"],
            "",
        ),
        (json!([question, thought, said, question]), vec!["message", "reasoning", "message", "message"], ""),
        (
            json!([question, thought, between, call, result]),
            vec!["message", "message", "function_call", "function_call_output"],
            "messages (reasoning that led to nothing)",
        ),
        (json!([question, thought]), vec!["message"], "messages (reasoning that led to nothing)"),
    ] {
        let body = json!({"max_tokens": 9, "messages": turns}).to_string();
        let target = ResponsesUpstream {
            provider: "p",
            model: "m",
            requested_model: "p:m",
            dialect: &PLAIN,
            session: None,
            members: None,
        };
        let sent =
            vandamme_protocol::convert::upstream::responses::request(body.as_bytes(), &target).unwrap();
        let items: Value = serde_json::from_slice(&sent.body).unwrap();
        let items = items["input"].as_array().unwrap();
        assert_eq!(items.iter().map(|item| item["type"].as_str().unwrap()).collect::<Vec<_>>(), kinds);
        assert_eq!(names(&sent.dropped), dropped);
    }
}
