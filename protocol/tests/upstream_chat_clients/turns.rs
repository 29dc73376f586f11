//! Efforts and notes of single turns, and blocks of the history.

use super::*;

#[test]
fn the_last_effort_of_a_turn_counts_and_an_empty_message_is_none() {
    let dialect =
        Dialect { reasoning_models: ReasoningModels::Listed(vec!["*".into()]), ..Dialect::default() };
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let turn = |effort: Value, content: Value| json!({"role": "system", "content": content, "output_config": effort});
    for (turns, expected) in [
        (vec![], "low"),
        (vec![turn(json!({"effort": "high"}), json!([]))], "high"),
        (
            vec![turn(json!({"effort": "high"}), json!("")), turn(json!({"effort": "medium"}), json!([]))],
            "medium",
        ),
        (vec![turn(json!({"effort": "high"}), json!([])), turn(json!({}), json!("note"))], "high"),
        (vec![json!({"role": "system", "output_config": {"effort": "high"}})], "high"),
    ] {
        let mut messages = vec![json!({"role": "user", "content": "hi"})];
        messages.extend(turns);
        messages.push(json!({"role": "user", "content": "go", "output_config": {"effort": "max"}}));
        let chat = sent(
            &target,
            json!({"messages": messages, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        );
        assert_eq!(chat["reasoning_effort"], expected);
        let texts: Vec<_> = chat["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["content"].as_str().unwrap())
            .collect();
        assert!(texts.iter().all(|text| !text.is_empty()) && texts.contains(&"go"), "{texts:?}");
        assert!(!chat.to_string().contains("output_config"));
    }
}

#[test]
fn a_note_for_one_turn_is_gone_in_the_next() {
    let note = |clear: &str, text: &str| json!({"role": "system", "content": text, "clear_at": clear});
    let chat = sent(
        &TARGET,
        json!({"messages": [
            {"role": "user", "content": "one"},
            note("next_user_message", "first"),
            note("never", "stays"),
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": "two"},
            note("next_user_message", "second"),
            {"role": "assistant", "content": "prefill"},
        ]}),
    )
    .to_string();
    assert!(!chat.contains("first") && chat.contains("stays") && chat.contains("second"), "{chat}");
    assert!(!chat.contains("clear_at"));
}

#[test]
fn a_history_of_anthropics_servers_is_readable() {
    let chat = sent(
        &TARGET,
        json!({"messages": [
            {"role": "assistant", "content": [{"type": "compaction", "content": "We fixed \"it\".", "signature": "s"},
                {"type": "text", "text": "Going on."},
                {"type": "tool_use", "id": "c", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I ask."},
                {"type": "mcp_tool_use", "id": "m", "name": "ask", "server_name": "wiki", "input": {"q": 1}},
                {"type": "mcp_tool_result", "tool_use_id": "m", "content": [{"type": "text", "text": "42"}]},
                {"type": "text", "text": "It is "}, {"type": "text", "text": "42."}]},
            {"role": "user", "content": [{"type": "compaction", "content": "more"}, {"type": "text", "text": "and?"}]},
        ]}),
    );
    check_order(&chat["messages"]);
    assert_eq!(
        chat["messages"][0],
        json!({"role": "user", "content": "[Summary of the conversation so far]\nWe fixed \"it\"."})
    );
    assert_eq!(
        (&chat["messages"][1]["role"], &chat["messages"][1]["content"]),
        (&json!("assistant"), &json!("Going on."))
    );
    assert_eq!(
        chat["messages"][3]["content"],
        "I ask.\n\n[Used ask of the MCP server wiki: {\"q\":1}]\n\n[Result of mcp]\n42\n\nIt is 42."
    );
    assert_eq!(chat["messages"][4]["content"][0]["text"], "[Summary of the conversation so far]\nmore");
}

#[test]
fn a_document_of_an_assistant_is_shown_by_the_user() {
    let chat = sent(
        &TARGET,
        json!({"messages": [
            {"role": "user", "content": "write"},
            {"role": "assistant", "content": [
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "page"}, "title": "T"},
                {"type": "text", "text": "there", "citations": [{"type": "char_location", "cited_text": "x"}]},
                {"type": "document", "source": {"type": "file", "file_id": "f"}},
                {"type": "tool_use", "id": "c", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
        ]}),
    );
    check_order(&chat["messages"]);
    assert_eq!(chat["messages"][1]["role"], "user");
    assert_eq!(chat["messages"][1]["content"][0]["text"], "<title>T</title>\npage");
    assert!(chat["messages"][1]["content"][1]["text"].as_str().unwrap().starts_with("[document left out"));
    assert_eq!(chat["messages"][2]["content"], "there");
    assert!(!chat.to_string().contains("citations"));
}

#[test]
fn thoughts_are_required_with_calls_while_the_model_thinks() {
    let dialect = Dialect {
        reasoning: ReasoningParameter::Switch,
        reasoning_models: ReasoningModels::Listed(vec!["*".into()]),
        replay: Replay::Required,
        ..Dialect::default()
    };
    let messages = json!([{"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "of another", "signature": "EqQBCk"},
            {"type": "tool_use", "id": "c", "name": "Bash", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
        {"role": "assistant", "content": "done"}, {"role": "user", "content": "more"}]);
    for (model, thinking, expected) in [
        ("deepseek-v4-pro", json!(null), json!("")),
        ("deepseek-v4-pro", json!({"type": "adaptive"}), json!("")),
        ("deepseek-v4-pro", json!({"type": "disabled"}), json!(null)),
        ("kimi-k2-thinking", json!({"type": "disabled"}), json!("")),
        ("kimi-k2.6", json!({"type": "disabled"}), json!(null)),
    ] {
        let target = ChatUpstream { model, dialect: &dialect, ..TARGET };
        let chat = sent(&target, json!({"messages": messages, "thinking": thinking}));
        assert_eq!(
            chat["messages"][1].get("reasoning_content").cloned().unwrap_or_default(),
            expected,
            "{model} {thinking}"
        );
        assert!(chat["messages"][3].get("reasoning_content").is_none(), "without calls nobody asks");
    }
    let plain = sent(&TARGET, json!({"messages": messages}));
    assert!(plain["messages"][1].get("reasoning_content").is_none());
}

#[test]
fn marks_become_breakpoints_where_the_model_takes_them() {
    let dialect = Dialect { prompt_cache: true, ..Dialect::default() };
    let mark = |ttl: Option<&str>| match ttl {
        Some(ttl) => json!({"type": "ephemeral", "ttl": ttl}),
        None => json!({"type": "ephemeral"}),
    };
    let text = |text: &str, ttl| json!({"type": "text", "text": text, "cache_control": mark(ttl)});
    let session = "0b5b6c3e-5c0f-4d1a-9d2b-111111111111";
    let fields = json!({"system": [text("s", Some("1h"))], "metadata": {"user_id": format!("user_x_account__session_{session}")},
        "messages": [{"role": "user", "content": [text("a", Some("5m"))]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "T", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r", "cache_control": mark(None)},
                text("b", None), text("one too many", None)]}]});
    let at = |model| ChatUpstream { model, dialect: &dialect, ..TARGET };
    let chat = sent(&at("gpt-5.6-sol"), fields.clone());
    let part = |text: &str, breakpoint: Value| json!({"type": "text", "text": text, "prompt_cache_breakpoint": breakpoint});
    assert_eq!(chat["messages"][0]["content"], json!([part("s", json!({"mode": "explicit", "ttl": "12h"}))]));
    assert_eq!(chat["messages"][1]["content"], json!([part("a", json!({"mode": "explicit"}))]));
    assert_eq!(chat["messages"][3]["content"], json!([part("r", json!({"mode": "explicit"}))]));
    assert_eq!(chat.to_string().matches("prompt_cache_breakpoint").count(), 4);
    assert_eq!(chat["prompt_cache_key"], session);
    assert!(!chat.to_string().contains("cache_control"));
    let older = sent(&at("gpt-5.1"), fields.clone());
    assert_eq!(
        (&older["prompt_cache_key"], &older["messages"][0]["content"]),
        (&json!(session), &json!("s"))
    );
    let beside = ChatUpstream { session: Some("somebody@example.com"), ..at("gpt-4o") };
    let key = sent(&beside, fields.clone())["prompt_cache_key"].as_str().unwrap().to_owned();
    assert!(key.len() == 64 && !key.contains('@'), "{key}");
    let off = sent(&ChatUpstream { model: "gpt-5.6-sol", ..TARGET }, fields).to_string();
    assert!(!off.contains("prompt_cache"), "{off}");
}
