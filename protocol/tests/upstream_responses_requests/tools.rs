//! Tools and the choice among them.

use super::*;

/// Requirement: the API takes a function without `strict` for a strict one, so it is always set.
#[test]
fn tools_become_functions_that_are_strict_only_if_the_client_asks() {
    let open = json!({"$schema": "x", "type": "object", "properties": {"p": {"type": "string"}}});
    let closed = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
    let sent = with(json!({"tools": [
        {"name": "Read", "description": "reads", "input_schema": open, "cache_control": {"type": "ephemeral"}},
        {"type": "custom", "name": "Web", "input_schema": closed, "strict": true},
        {"name": "Open", "input_schema": open, "strict": true},
        {"name": "Gap", "input_schema": {"type": "object"}},
        {"name": " ", "input_schema": {}},
    ]}));
    assert_eq!(
        sent["tools"],
        json!([
            {"type": "function", "name": "Read", "description": "reads", "parameters": open, "strict": false},
            {"type": "function", "name": "Web", "description": "", "parameters": closed, "strict": true},
            {"type": "function", "name": "Open", "description": "", "parameters": open, "strict": false},
            {"type": "function", "name": "Gap", "description": "", "parameters": {"type": "object", "properties": {}}, "strict": false},
        ])
    );
    assert!(sent.get("tool_choice").is_none() && sent.get("parallel_tool_calls").is_none());
}

#[test]
fn a_tool_choice_is_dropped_with_its_tools() {
    let f = json!({"name": "f", "input_schema": {}});
    let run = json!({"type": "code_execution_20250825", "name": "code_execution"});
    for (tools, choice, expected) in [
        (json!([f]), json!({"type": "auto"}), json!("auto")),
        (json!([f]), json!({"type": "any"}), json!("required")),
        (json!([f]), json!({"type": "none"}), json!("none")),
        (json!([f]), json!({}), json!(null)),
        (json!([f]), json!({"type": "tool", "name": "f"}), json!({"type": "function", "name": "f"})),
        (json!([f, run]), json!({"type": "tool", "name": "code_execution"}), json!(null)),
        (json!([run]), json!({"type": "any", "disable_parallel_tool_use": true}), json!(null)),
        (json!([]), json!({"type": "auto"}), json!(null)),
    ] {
        let sent = with(json!({"tools": tools, "tool_choice": choice}));
        assert_eq!(sent["tool_choice"], expected);
        let has_tools = tools.as_array().unwrap().contains(&f);
        assert_eq!(sent.get("tools").is_some(), has_tools);
        assert!(has_tools || sent.get("parallel_tool_calls").is_none());
    }
    let sent =
        with(json!({"tools": [f], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}));
    assert_eq!(sent["parallel_tool_calls"], false);
    assert_eq!(dropped(&TARGET, json!({"tools": [f, run]})), "tools.1 (code_execution_20250825)");
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
    let short = sent["tools"][0]["name"].as_str().unwrap().to_owned();
    assert!(short.len() == 64 && short.starts_with("mcp__server__xxx"), "{short}");
    assert_eq!((&sent["tool_choice"]["name"], &sent["input"][1]["name"]), (&json!(short), &json!(short)));
    assert_eq!((&sent["input"][2]["name"], &sent["tools"][2]["name"]), (&json!("gone_tool"), &json!("a_b")));
    assert!(sent["tools"][1]["name"].as_str().unwrap().starts_with("a_b_"));
    let plain = Dialect { plain_tool_names: true, ..Dialect::default() };
    let sent = through(&plain, json!({"tools": [{"name": "get-weather", "input_schema": {}}]}));
    assert_eq!(sent["tools"][0]["name"], "get_weather");
}

#[test]
fn tools_defined_by_anthropic_that_the_client_runs_get_a_schema() {
    let sent = with(json!({"tools": [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 800, "display_height_px": 600}],
        "tool_choice": {"type": "tool", "name": "bash"}}));
    assert_eq!((&sent["tools"][0]["name"], &sent["tools"][0]["strict"]), (&json!("bash"), &json!(false)));
    assert_eq!(sent["tools"][0]["parameters"]["type"], "object");
    assert!(sent["tools"][1]["description"].as_str().unwrap().contains("800 x 600"));
    assert_eq!(sent["tool_choice"], json!({"type": "function", "name": "bash"}));
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
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&with(json!({"tools": tools, "messages": turns}))), ["Search", "found", "called"]);
    assert_eq!(names(&with(json!({"tools": tools}))), ["Search"]);
    let forced = json!({"tools": tools, "tool_choice": {"type": "tool", "name": "hidden"}});
    assert_eq!(names(&with(forced)), ["Search", "hidden"]);
    let changed = json!({"tools": tools, "messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": [
        {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "hidden"}},
        {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "Search"}}]}]});
    assert_eq!(names(&with(changed)), ["hidden"]);
}
