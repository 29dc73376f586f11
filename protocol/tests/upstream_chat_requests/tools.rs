//! Tools and the choice among them.

use super::*;

/// Requirement: Tools → functions with `description` "" by default and unchanged schema; blank names skipped.
#[test]
fn tools_become_functions_with_their_schema_unchanged() {
    let schema = json!({"$schema": "x", "type": "object", "properties": {"p": {"type": "string"}}});
    let chat = with(json!({"tools": [
        {"name": "Read", "description": "reads", "input_schema": schema, "cache_control": {"type": "ephemeral"}},
        {"type": "custom", "name": "Web", "input_schema": {}, "eager_input_streaming": true, "strict": true},
        {"name": " ", "input_schema": {}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ]}));
    assert_eq!(
        chat["tools"],
        json!([
            {"type": "function", "function": {"name": "Read", "description": "reads", "parameters": schema}},
            {"type": "function", "function": {"name": "Web", "description": "", "parameters": {}, "strict": false}},
        ])
    );
    assert!(chat["tool_choice"].is_null());
}

#[test]
fn schemas_of_tools_get_only_the_changes_that_openai_requires() {
    let schema =
        json!({"type": "object", "properties": {"list": {"type": "array"}, "map": {"type": "object"}}});
    let chat = with(json!({"tools": [
        {"name": "a", "input_schema": {"type": "object"}},
        {"name": "b", "input_schema": schema},
    ]}));
    let schemas: Vec<_> = (0..2).map(|at| &chat["tools"][at]["function"]["parameters"]).collect();
    assert_eq!(schemas[0], &json!({"type": "object", "properties": {}}));
    let inside = json!({"list": {"type": "array", "items": {}}, "map": {"type": "object", "properties": {}}});
    assert_eq!(schemas[1], &json!({"type": "object", "properties": inside}));
}

/// Complaint of gateway users: server tools break the request.
#[test]
fn a_tool_choice_is_dropped_with_its_tools() {
    let f = json!({"name": "f", "input_schema": {}});
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    for (tools, choice, expected) in [
        (json!([f]), json!({"type": "auto"}), json!("auto")),
        (json!([f]), json!({"type": "any"}), json!("required")),
        (json!([f]), json!({"type": "none"}), json!("none")),
        (json!([f]), json!({}), json!(null)),
        (
            json!([f]),
            json!({"type": "tool", "name": "f"}),
            json!({"type": "function", "function": {"name": "f"}}),
        ),
        (json!([f, search]), json!({"type": "auto"}), json!("auto")),
        (json!([search]), json!({"type": "none", "disable_parallel_tool_use": true}), json!(null)),
        (json!([]), json!({"type": "auto"}), json!(null)),
    ] {
        let chat = with(json!({"tools": tools, "tool_choice": choice}));
        assert_eq!(chat["tool_choice"], expected);
        let has_tools = tools.as_array().unwrap().contains(&f);
        assert_eq!(chat.get("tools").is_some(), has_tools, "an empty list is refused by OpenAI");
        assert!(has_tools || chat.get("parallel_tool_calls").is_none());
    }
    let chat =
        with(json!({"tools": [f], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}));
    assert_eq!(chat["parallel_tool_calls"], false);
}

/// Complaint of gateway users: tool references and long tool names are refused.
#[test]
fn tool_names_are_the_same_at_every_position() {
    let long = format!("mcp__server__{}", "x".repeat(70));
    let sent = with(json!({
        "tools": [{"name": long, "input_schema": {}}, {"name": "a.b", "input_schema": {}}, {"name": "a_b", "input_schema": {}}],
        "tool_choice": {"type": "tool", "name": long},
        "messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": long, "input": {}},
                {"type": "tool_use", "id": "d", "name": "gone tool", "input": {}}]},
            {"role": "user", "content": "go on"}]}));
    let name = |value: &Value| value["function"]["name"].as_str().unwrap().to_owned();
    let short = name(&sent["tools"][0]);
    assert!(short.len() == 64 && short.starts_with("mcp__server__xxx"), "{short}");
    assert_eq!(name(&sent["tool_choice"]), short);
    assert_eq!(name(&sent["messages"][1]["tool_calls"][0]), short);
    assert_eq!(name(&sent["messages"][1]["tool_calls"][1]), "gone_tool");
    assert_eq!(name(&sent["tools"][2]), "a_b");
    assert!(name(&sent["tools"][1]).starts_with("a_b_"));
    let plain = Dialect { plain_tool_names: true, ..Dialect::default() };
    let sent = through(&plain, json!({"tools": [{"name": "get-weather", "input_schema": {}}]}));
    assert_eq!(name(&sent["tools"][0]), "get_weather");
}

#[test]
fn tools_defined_by_anthropic_that_the_client_runs_get_a_schema() {
    let sent = with(json!({"tools": [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "memory_20250818", "name": "memory"},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 800, "display_height_px": 600},
        {"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "tool", "name": "bash"}}));
    let tools = sent["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bash", "str_replace_based_edit_tool", "memory", "computer"]);
    assert!(tools.iter().all(|tool| tool["function"]["parameters"]["type"] == "object"));
    assert!(tools[3]["function"]["description"].as_str().unwrap().contains("800 x 600"));
    assert_eq!(sent["tool_choice"]["function"]["name"], "bash");
}

/// Complaint of gateway users: tool references and long tool names are refused.
#[test]
fn a_deferred_tool_is_sent_once_it_was_found_called_or_forced() {
    let tools = json!([
        {"name": "Search", "input_schema": {}},
        {"name": "found", "input_schema": {}, "defer_loading": true},
        {"name": "called", "input_schema": {}, "defer_loading": true},
        {"name": "hidden", "input_schema": {}, "defer_loading": true}]);
    let turns = json!([{"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "s", "name": "Search", "input": {}},
            {"type": "tool_use", "id": "c", "name": "called", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "s",
            "content": [{"type": "tool_reference", "tool_name": "found"}]},
            {"type": "tool_result", "tool_use_id": "c", "content": "ok"}]}]);
    let names = |sent: &Value| -> Vec<String> {
        let tools = sent["tools"].as_array().unwrap().iter();
        tools.map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&with(json!({"tools": tools, "messages": turns}))), ["Search", "found", "called"]);
    assert_eq!(names(&with(json!({"tools": tools}))), ["Search"]);
    let forced = json!({"tools": tools, "tool_choice": {"type": "tool", "name": "hidden"}});
    assert_eq!(names(&with(forced)), ["Search", "hidden"]);
    let mut searched = tools.as_array().unwrap().clone();
    searched.push(json!({"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}));
    assert_eq!(names(&with(json!({"tools": searched}))).len(), 4, "nobody else could find them");
}

/// Complaint of gateway users: a history with calls, but no tools.
#[test]
fn calls_of_unlisted_tools_get_stubs_that_must_not_be_called() {
    let turns = json!([{"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "T", "input": {}},
            {"type": "tool_use", "id": "b", "name": "T", "input": {}}]},
        {"role": "user", "content": "sum up"}]);
    for tools in
        [json!(null), json!([]), json!([{"type": "code_execution_20250825", "name": "code_execution"}])]
    {
        let sent = with(json!({"messages": turns, "tools": tools}));
        assert_eq!(sent["tools"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&sent["tools"][0]["function"]["name"], &sent["tool_choice"]),
            (&json!("T"), &json!("none"))
        );
    }
}
