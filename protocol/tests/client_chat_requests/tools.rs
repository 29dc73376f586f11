//! Tools and the choice among them.

use super::*;

fn custom_tool(name: &str, format: Value) -> Value {
    json!({"type": "custom", "custom": {"name": name, "description": "d", "format": format}})
}

#[test]
fn a_custom_tool_becomes_a_function_with_one_string() {
    let grammar = |syntax: &str, definition: &str| json!({"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}});
    let expected = |description: &str| {
        json!({"name": "patch", "description": "d", "input_schema": {"type": "object",
            "properties": {"input": {"type": "string", "description": description}},
            "required": ["input"], "additionalProperties": false}})
    };
    for (format, description) in [
        (json!(null), "The tool's input as plain text."),
        (json!({"type": "text"}), "The tool's input as plain text."),
        (
            grammar("lark", "start: \"a\"\n"),
            "The tool's input as plain text. It must match this Lark grammar:\n\nstart: \"a\"\n",
        ),
        (
            grammar("regex", "^\\d+$"),
            "The tool's input as plain text. It must match this regular expression:\n\n^\\d+$",
        ),
    ] {
        let sent = with(json!({"tools": [custom_tool("patch", format), tool("f")]}));
        assert_eq!(sent["tools"][0], expected(description));
        assert_eq!(sent["tools"][1]["name"], "f");
    }
    for (tool, message) in [
        (json!({"type": "custom"}), "tools.0.custom: field required"),
        (json!({"type": "custom", "custom": {}}), "tools.0.custom.name: field required"),
        (custom_tool("p", json!({"type": "json"})), "tools.0.custom.format.type: must be text or grammar"),
        (custom_tool("p", json!({"type": "grammar"})), "tools.0.custom.format.grammar: field required"),
        (
            custom_tool("p", grammar("ebnf", "a")),
            "tools.0.custom.format.grammar.syntax: must be lark or regex",
        ),
        (custom_tool("p", grammar("lark", " ")), "tools.0.custom.format.grammar.definition: field required"),
    ] {
        assert_eq!(refusal(json!({"tools": [tool]})), message);
    }
}

#[test]
fn custom_calls_and_the_choice_of_a_custom_tool_are_translated() {
    let input = "*** Begin \"Patch\"\n\\ é 🌹";
    let called = |id: &str, input: Value| json!({"id": id, "type": "custom", "custom": {"name": "patch", "input": input}});
    let used = |id: &str, input: &str| json!({"type": "tool_use", "id": id, "name": "patch", "input": {"input": input}});
    let named = json!({"type": "custom", "custom": {"name": "patch"}});
    let sent = with(json!({"tools": [custom_tool("patch", json!(null)), tool("f")], "tool_choice": named,
    "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls":
            [called("a", json!(input)), call("b", "{}"), called("c", json!(null)), called("d", json!({"x": 1}))]},
        {"role": "tool", "tool_call_id": "a", "content": "ra"},
        {"role": "tool", "tool_call_id": "b", "content": "rb"},
        {"role": "tool", "tool_call_id": "c", "content": "rc"},
        {"role": "tool", "tool_call_id": "d", "content": "rd"},
    ]}));
    assert_eq!(
        sent["messages"][1]["content"],
        json!([used("a", input), tool_use("b", json!({})), used("c", ""), used("d", "{\"x\":1}")])
    );
    assert_eq!(sent["messages"][2]["content"][0], result("a", json!("ra")));
    assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "patch"}));

    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}});
    let sent = with(json!({"tools": [tool("f"), custom_tool("patch", json!(null))], "tool_choice": allowed}));
    assert_eq!((sent["tools"].as_array().unwrap().len(), &sent["tools"][0]["name"]), (1, &json!("patch")));
    assert_eq!(sent["tool_choice"], json!({"type": "any"}));

    for (fields, message) in [
        (json!({"tool_choice": {"type": "custom"}}), "tool_choice.custom.name: field required"),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"input": "x"}}]}]}),
            "messages.0.tool_calls.0.custom.name: field required",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn tools_keep_their_schemas() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]});
    let sent = with(json!({"tools": [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": false}},
        {"type": "function", "function": {"name": "g", "description": "", "parameters": null, "strict": null}},
        {"function": {"name": "h", "parameters": {}}},
        {"type": "function", "function": {"name": "i", "parameters": {"properties": {}}}},
        {"type": "code_interpreter"},
    ]}));
    let empty = json!({"type": "object", "properties": {}});
    assert_eq!(
        sent["tools"],
        json!([
            {"name": "f", "description": "d", "input_schema": schema, "strict": false},
            {"name": "g", "input_schema": empty},
            {"name": "h", "input_schema": empty},
            {"name": "i", "input_schema": empty},
        ])
    );
    assert_eq!(sent.get("tool_choice"), None);
}

#[test]
fn schemas_of_strict_tools_have_only_keywords_that_anthropic_supports() {
    let limited = json!({"type": "integer", "minimum": 1});
    let whole = json!({"type": "object", "properties": {"a": limited}});
    let reduced = json!({"type": "object",
        "properties": {"a": {"type": "integer", "description": "{minimum: 1}"}}, "additionalProperties": false});
    let closed = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let referring = json!({"$ref": "#/$defs/w", "$defs": {"w": whole}});
    let mut referred = reduced.clone();
    referred["$defs"] = json!({"w": reduced});
    for (parameters, expected) in [
        (whole.clone(), reduced.clone()),
        (json!({"properties": {"a": limited}}), reduced.clone()),
        (json!({}), closed.clone()),
        (json!(null), closed),
        // The top stays an object.
        (json!({"anyOf": [whole]}), reduced),
        (referring, referred),
    ] {
        let function = json!({"name": "f", "parameters": parameters, "strict": true});
        let sent = with(json!({"tools": [{"type": "function", "function": function}]}));
        let expected = json!([{"name": "f", "input_schema": expected, "strict": true}]);
        assert_eq!(sent["tools"], expected, "{parameters}");
        assert_eq!(with(json!({"functions": [function]}))["tools"], expected, "{parameters}");
    }
    let open = json!({"name": "f", "parameters": whole, "strict": false});
    let sent = with(json!({"tools": [{"type": "function", "function": open}]}));
    assert_eq!(sent["tools"][0]["input_schema"], whole, "without strict nothing is refused");
}

/// Requirement: Temperature, stop, tool_choice, images, assistant text+tool_calls survive to Anthropic;
/// consecutive tool messages merge.
#[test]
fn the_choice_among_tools_is_translated() {
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, parallel, expected) in [
        (json!("auto"), json!(null), json!({"type": "auto"})),
        (json!("none"), json!(false), json!({"type": "none"})),
        (json!("required"), json!(true), json!({"type": "any"})),
        (json!("required"), json!(false), json!({"type": "any", "disable_parallel_tool_use": true})),
        (named.clone(), json!(null), json!({"type": "tool", "name": "f"})),
        (named, json!(false), json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true})),
        (json!(null), json!(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (json!(null), json!(true), json!(null)),
    ] {
        let mut fields =
            json!({"tool_choice": choice, "parallel_tool_calls": parallel, "tools": [tool("f")]});
        assert_eq!(with(fields.clone())["tool_choice"], expected);
        if choice.is_string() {
            fields["tools"] = json!([]);
            assert_eq!(with(fields).get("tool_choice"), None, "there is nothing to choose from");
        }
    }
}

#[test]
fn only_allowed_tools_are_sent() {
    let allowed = |mode: &str, names: &[&str]| {
        let tools: Vec<_> =
            names.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
        json!({"tools": [tool("a"), tool("b"), tool("c")],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}})
    };
    for (mode, kind) in [("auto", "auto"), ("required", "any")] {
        let sent = with(allowed(mode, &["c", "a"]));
        let names: Vec<_> =
            sent["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
        assert_eq!((names, &sent["tool_choice"]), (vec![json!("a"), json!("c")], &json!({"type": kind})));
    }
    for (fields, message) in [
        (allowed("auto", &["z"]), "tool_choice.allowed_tools.tools: no function in tools has this name"),
        (allowed("auto", &[]), "tool_choice.allowed_tools.tools: at least one tool is required"),
        (allowed("never", &["a"]), "tool_choice.allowed_tools.mode: must be auto or required"),
        (
            json!({"tools": [tool("a")], "tool_choice": {"type": "allowed_tools"}}),
            "tool_choice.allowed_tools: field required",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
}

#[test]
fn a_history_with_calls_has_tools_even_if_the_request_has_none() {
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call("a", "{}"), call("b", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
        {"role": "tool", "tool_call_id": "b", "content": "r"},
    ]);
    let sent = with(json!({"messages": history}));
    assert_eq!(sent["tools"], json!([{"name": "f", "input_schema": {"type": "object", "properties": {}}}]));
    assert_eq!(sent["tool_choice"], json!({"type": "none"}));
}

#[test]
fn functions_of_the_older_api_become_tools() {
    let sent = with(json!({
        "functions": [{"name": "f", "parameters": {"type": "object"}}], "function_call": {"name": "f"},
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"x\":1}"}},
            {"role": "function", "name": "f", "content": "r"},
        ],
    }));
    assert_eq!(sent["tools"], json!([{"name": "f", "input_schema": {"type": "object"}}]));
    assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true}));
    let id = sent["messages"][1]["content"][0]["id"].clone();
    assert_eq!(sent["messages"][1]["content"], json!([tool_use(id.as_str().unwrap(), json!({"x": 1}))]));
    assert_eq!(sent["messages"][2]["content"], json!([result(id.as_str().unwrap(), json!("r"))]));
}

/// Requirement: `web_search_options` and a web search tool become Anthropic's server tool; what it does not have is dropped by name.
#[test]
fn a_web_search_becomes_anthropics_server_tool() {
    let place = json!({"type": "approximate", "city": "Bern", "country": "CH"});
    let server = |more: Value| {
        let mut tool = json!({"type": "web_search_20250305", "name": "web_search"});
        tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tool
    };
    for (fields, tools, dropped) in [
        (json!({"web_search_options": {}}), json!([server(json!({}))]), None),
        (json!({"web_search_options": null}), Value::Null, None),
        (
            json!({"web_search_options": {"search_context_size": "low", "user_location":
                {"type": "approximate", "approximate": {"city": "Bern", "country": "CH", "region": null}}}}),
            json!([server(json!({"user_location": place}))]),
            Some("web_search_options.search_context_size"),
        ),
        (
            json!({"tools": [tool("f"), {"type": "web_search_preview_2025_03_11", "user_location": place,
                "search_context_size": "high", "filters": {"allowed_domains": ["a.example"]}}], "web_search_options": {}}),
            json!([{"name": "f", "input_schema": {"type": "object"}},
                server(json!({"allowed_domains": ["a.example"], "user_location": place}))]),
            Some("tools.1.search_context_size, web_search_options"),
        ),
        (
            json!({"tools": [{"type": "web_search_20260209", "name": "web_search", "max_uses": 2,
                "blocked_domains": ["b.example"]}, {"type": "web_search"}, {"type": "code_interpreter"}]}),
            json!([{"type": "web_search_20260209", "name": "web_search", "max_uses": 2, "blocked_domains": ["b.example"]}]),
            Some("tools.1 (web_search), tools.2 (code_interpreter)"),
        ),
        // Anthropic refuses two tools of one name.
        (
            json!({"tools": [tool("web_search")], "web_search_options": {}}),
            json!([{"name": "web_search", "input_schema": {"type": "object"}}]),
            Some("web_search_options"),
        ),
    ] {
        let request = translate(&plus(fields.clone()), MODEL);
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(sent.get("tools").unwrap_or(&Value::Null), &tools, "{fields}");
        assert_eq!(request.dropped.header().as_deref(), dropped, "{fields}");
    }
    let forced =
        with(json!({"web_search_options": {}, "tool_choice": "required", "parallel_tool_calls": false}));
    assert_eq!(forced["tool_choice"], json!({"type": "any", "disable_parallel_tool_use": true}));
    for (fields, message) in [
        (json!({"web_search_options": true}), "web_search_options: must be an object"),
        (
            json!({"web_search_options": {"user_location": "Bern"}}),
            "web_search_options.user_location: must be an object",
        ),
        (
            json!({"tools": [{"type": "web_search", "filters": {"allowed_domains": "a"}}]}),
            "tools.0.allowed_domains: must be an array of strings",
        ),
        (
            json!({"tools": [{"type": "web_search", "max_uses": -1}]}),
            "tools.0.max_uses: must be a whole number",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
}
