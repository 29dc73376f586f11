//! Tools and the choice among them.

use super::*;

fn tools(tools: Value) -> Value {
    with(json!({ "tools": tools }))["tools"].take()
}

#[test]
fn a_function_keeps_its_schema() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let listed = json!([{"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": false}, {"type": "function", "name": "g", "parameters": null, "strict": null}]);
    assert_eq!(
        tools(listed),
        json!([{"name": "f", "description": "d", "input_schema": schema, "strict": false}, {"name": "g", "input_schema": {"type": "object", "properties": {}}}])
    );
}

#[test]
fn a_custom_tool_is_a_function_that_states_its_grammar() {
    let grammar = "start: \"a\"\n";
    let sent = tools(
        json!([{"type": "custom", "name": "apply_patch", "description": "d", "format": {"type": "grammar", "syntax": "lark", "definition": grammar}},
        {"type": "custom", "name": "free"}]),
    );
    let input = &sent[0]["input_schema"]["properties"]["input"];
    assert_eq!(
        input["description"],
        format!("The tool's input as plain text. It must match this Lark grammar:\n\n{grammar}")
    );
    assert_eq!(sent[1]["input_schema"]["required"], json!(["input"]));
    let reply = reply_of(json!({"tools": [{"type": "custom", "name": "free"}]}));
    assert!(reply.contains(r#"("free", Custom)"#), "{reply}");
}

#[test]
fn a_namespace_becomes_names() {
    let namespace = json!({"type": "namespace", "name": "mcp__docs", "description": "d", "tools": [function("ask"), {"type": "custom", "name": "run"}]});
    let fields = json!({"tools": [function("mcp__docs__ask"), namespace]});
    let sent = with(fields.clone());
    let names: Vec<_> =
        sent["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names[0], "mcp__docs__ask");
    assert!(names[1].starts_with("mcp__docs__ask_") && names[2] == "mcp__docs__run", "{names:?}");
    let reply = reply_of(fields);
    assert!(reply.contains(r#"Namespaced { namespace: "mcp__docs", name: "ask" }"#), "{reply}");
    assert!(
        reply.contains(r#"("mcp__docs__run", NamespacedCustom { namespace: "mcp__docs", name: "run" })"#),
        "{reply}"
    );
}

#[test]
fn built_in_tools_are_functions() {
    let fields = json!({"tools": [{"type": "local_shell"}, {"type": "shell"}, {"type": "apply_patch"}, {"type": "tool_search", "execution": "client"}, {"type": "shell", "environment": {"type": "container_auto"}}]});
    let sent = with(fields.clone());
    let names: Vec<_> =
        sent["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["local_shell", "shell", "apply_patch", "tool_search"]);
    let reply = reply_of(fields.clone());
    for kind in ["LocalShell", "Shell", "ApplyPatch", "ToolSearch"] {
        assert!(reply.contains(kind), "{reply}");
    }
    assert_eq!(dropped(fields), "tools.4 (shell)");
}

#[test]
fn tools_that_a_search_found_are_available() {
    let found = json!([function("g"), {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "h", "defer_loading": true}]}]);
    let search = json!({"type": "tool_search", "execution": "client", "description": "d", "parameters": {"type": "object", "properties": {"q": {}}}});
    let fields = json!({
        "tools": [{"type": "function", "name": "g", "defer_loading": true}, {"type": "function", "name": "later", "defer_loading": true}, search],
        "input": [said("user", "go"), {"type": "tool_search_call", "call_id": "call_1", "execution": "client", "arguments": {"q": 1}},
                  {"type": "tool_search_output", "call_id": "call_1", "execution": "client", "tools": found},
                  {"type": "additional_tools", "role": "developer", "tools": [function("more")]}],
    });
    let sent = with(fields);
    let names: Vec<_> =
        sent["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["g", "more", "tool_search", "n__h"]);
    assert_eq!(sent["tools"][2]["input_schema"]["properties"], json!({"q": {}}));
    // Without a search that the client runs, nothing could be loaded.
    let listed =
        tools(json!([{"type": "function", "name": "later", "defer_loading": true}, {"type": "tool_search"}]));
    assert_eq!(listed[0]["name"], "later");
}

#[test]
fn a_web_search_is_the_upstreams() {
    let search = json!({"type": "web_search", "external_web_access": true, "filters": {"allowed_domains": ["a.example"]}, "user_location": {"type": "approximate", "city": "Bern"}});
    let sent =
        with(json!({"tools": [search], "max_tool_calls": 3, "tool_choice": {"type": "web_search_preview"}}));
    assert_eq!(
        sent["tools"],
        json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "allowed_domains": ["a.example"], "user_location": {"type": "approximate", "city": "Bern"}}])
    );
    assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "web_search"}));
    let offline = json!({"tools": [function("f"), {"type": "web_search", "external_web_access": false}], "max_tool_calls": 3});
    assert_eq!(with(offline.clone())["tools"].as_array().unwrap().len(), 1);
    assert_eq!(dropped(offline), "tools.1 (web_search), max_tool_calls");
}

#[test]
fn tools_that_run_at_openai_are_left_out_by_name() {
    let listed = json!([{"type": "file_search", "vector_store_ids": ["v"]}, {"type": "code_interpreter", "container": "c"}, {"type": "mcp", "server_label": "s"}, function("f"), {"type": "image_generation"}]);
    assert_eq!(
        dropped(json!({"tools": listed})),
        "tools.0 (file_search), tools.1 (code_interpreter), tools.2 (mcp), tools.4 (image_generation)"
    );
    assert_eq!(tools(listed)[0]["name"], "f");
}

/// Requirement: types share names of members, but not what these hold.
#[test]
fn only_the_members_of_its_own_type_are_read_of_a_tool() {
    let odd = json!({"name": 7, "description": [], "parameters": "p", "strict": "yes", "format": "x", "tools": 5, "execution": {},
                     "defer_loading": "no", "external_web_access": "no", "user_location": 1, "filters": "f", "environment": "e"});
    let of = |kind: &str, own: Value| {
        let mut tool = odd.clone();
        tool["type"] = kind.into();
        own.as_object().unwrap().iter().for_each(|(name, value)| tool[name] = value.clone());
        tool
    };
    let listed = json!([
        {"type": "computer_use_preview", "display_width": 1, "display_height": 1, "environment": "browser"},
        of("mcp", json!({"server_label": "s"})),
        of("file_search", json!({"filters": {"type": "eq"}})),
        of("tool_of_the_future", json!({})),
        of("function", json!({"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": null})),
        of("custom", json!({"name": "c", "description": null, "format": {"type": "text"}})),
        of("apply_patch", json!({})),
        of("shell", json!({"environment": {"type": "local"}})),
        of("tool_search", json!({"execution": "client", "description": "s", "parameters": null})),
        of("namespace", json!({"name": "n", "description": 7, "tools": [of("function", json!({"name": "g", "description": "", "parameters": null, "strict": true})),
                                                       {"type": "computer_use_preview", "environment": "mac"}]})),
        of("web_search", json!({"external_web_access": true, "user_location": null, "filters": null})),
    ]);
    assert_eq!(
        dropped(json!({"tools": listed})),
        "tools.0 (computer_use_preview), tools.1 (mcp), tools.2 (file_search), tools.3 (tool_of_the_future), \
         tools.9.tools.1 (computer_use_preview)"
    );
    let sent = tools(listed);
    let names: Vec<&str> = sent.as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, ["f", "c", "apply_patch", "shell", "tool_search", "n__g", "web_search"]);
}

#[test]
fn the_choice_is_translated() {
    let namespace = json!({"type": "namespace", "name": "n", "tools": [function("a"), function("b")]});
    let listed = json!([function("f"), {"type": "custom", "name": "c"}, {"type": "apply_patch"}, namespace]);
    for (choice, expected, names) in [
        (json!("auto"), json!({"type": "auto"}), 5),
        (json!("none"), json!({"type": "none"}), 5),
        (json!("required"), json!({"type": "any"}), 5),
        (json!({"type": "function", "name": "f"}), json!({"type": "tool", "name": "f"}), 5),
        (
            json!({"type": "function", "namespace": "n", "name": "a"}),
            json!({"type": "tool", "name": "n__a"}),
            5,
        ),
        (json!({"type": "custom", "name": "c"}), json!({"type": "tool", "name": "c"}), 5),
        (json!({"type": "apply_patch"}), json!({"type": "tool", "name": "apply_patch"}), 5),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "mcp", "server_label": "s"}]}),
            json!({"type": "auto"}),
            1,
        ),
        (
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "n"}, {"type": "custom", "name": "c"}]}),
            json!({"type": "any"}),
            3,
        ),
    ] {
        let sent = with(json!({"tools": listed, "tool_choice": choice}));
        assert_eq!(
            (&sent["tool_choice"], sent["tools"].as_array().unwrap().len()),
            (&expected, names),
            "{choice}"
        );
    }
    let alone = with(json!({"tools": listed, "parallel_tool_calls": false}));
    assert_eq!(alone["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
}

#[test]
fn a_history_with_calls_has_tools() {
    let sent =
        with(json!({"input": [said("user", "go"), called("call_1", "{}"), output("call_1", json!("1"))]}));
    assert_eq!(sent["tools"], json!([{"name": "f", "input_schema": {"type": "object", "properties": {}}}]));
    assert_eq!(sent["tool_choice"], json!({"type": "none"}));
}
