//! Anthropic's web search as the tool `web_search` of the upstream.

use super::*;

fn search(limits: Value) -> Value {
    let mut tool = json!({"type": "web_search_20250305", "name": "web_search"});
    tool.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
    tool
}

fn searching(web_search: HostedSearch) -> Dialect {
    Dialect { web_search: Some(web_search), ..Dialect::default() }
}

/// Requirement: hosted `web_search` where the client asks for Anthropic's and the provider searches.
#[test]
fn the_search_becomes_a_tool_with_its_limits() {
    let location =
        json!({"type": "approximate", "city": "Köln", "country": "DE", "timezone": "Europe/Berlin"});
    let openai = searching(HostedSearch::OpenAi);
    let target = ResponsesUpstream { dialect: &openai, ..TARGET };
    let fields = json!({"tools": [search(json!({"allowed_domains": ["a.org"], "max_uses": 3, "user_location": location}))]});
    let sent = to(&target, fields.clone());
    assert_eq!(
        sent["tools"],
        json!([{"type": "web_search", "filters": {"allowed_domains": ["a.org"]}, "user_location": location}])
    );
    assert_eq!(
        (&sent["max_tool_calls"], &sent["include"]),
        (&json!(3), &json!(["web_search_call.action.sources"]))
    );
    assert_eq!(dropped(&target, fields.clone()), "");
    let plain = json!({"tools": [search(json!({"blocked_domains": ["b.org"]}))]});
    assert_eq!(
        to(&target, plain.clone())["tools"],
        json!([{"type": "web_search", "user_location": {"type": "approximate"}}]),
        "without a location, OpenAI would search in the United States"
    );
    assert_eq!(dropped(&target, plain), "tools.0.blocked_domains");
    let router = searching(HostedSearch::OpenRouter);
    let target = ResponsesUpstream { dialect: &router, ..TARGET };
    let sent = to(&target, fields.clone());
    assert!(sent.get("include").is_none() && sent.get("max_tool_calls").is_none());
    assert_eq!(dropped(&target, fields), "tools.0.max_uses");
    assert_eq!(to(&target, json!({"tools": [search(json!({}))]}))["tools"], json!([{"type": "web_search"}]));
}

#[test]
fn members_of_the_configuration_request_the_search() {
    let own = searching(HostedSearch::Members("\"search\":{\"on\":true}".into()));
    let target = ResponsesUpstream { dialect: &own, ..TARGET };
    let fields = json!({"tools": [search(json!({"max_uses": 3}))], "tool_choice": {"type": "tool", "name": "web_search"}});
    let sent = to(&target, fields.clone());
    assert_eq!(
        (&sent["search"], sent.get("tools"), sent.get("tool_choice")),
        (&json!({"on": true}), None, None)
    );
    assert_eq!(dropped(&target, fields), "tools.0.max_uses");
}

/// Requirement: gpt-5 refuses a search at its lowest effort, which is what a client without thinking gets otherwise.
#[test]
fn a_search_is_made_at_an_effort_that_allows_it() {
    let openai = searching(HostedSearch::OpenAi);
    let target = ResponsesUpstream { model: "gpt-5", dialect: &openai, ..TARGET };
    let off = json!({"thinking": {"type": "disabled"}, "tools": [search(json!({}))]});
    assert_eq!(to(&target, off)["reasoning"], json!({"effort": "low"}));
    assert_eq!(
        to(&target, json!({"thinking": {"type": "disabled"}}))["reasoning"],
        json!({"effort": "minimal"})
    );
}

#[test]
fn a_search_is_chosen_in_the_forms_of_the_api() {
    let openai = searching(HostedSearch::OpenAi);
    let f = json!({"name": "f", "input_schema": {}});
    let chosen = json!({"type": "tool", "name": "web_search"});
    let choice = |tools: Value, choice: &Value| {
        through(&openai, json!({"tools": tools, "tool_choice": choice}))["tool_choice"].take()
    };
    assert_eq!(choice(json!([search(json!({}))]), &chosen), "required");
    assert_eq!(
        choice(json!([f, search(json!({}))]), &chosen),
        json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]})
    );
    assert_eq!(choice(json!([search(json!({}))]), &json!({"type": "auto"})), "auto");
    let none = json!({"tools": [f, search(json!({}))], "tool_choice": {"type": "none"}});
    assert_eq!(through(&openai, none)["tools"].as_array().unwrap().len(), 1);
}

/// Complaint of gateway users: server tools break the request.
#[test]
fn a_search_that_nobody_makes_is_refused_alone_and_dropped_beside_other_tools() {
    let message = refusal(json!({"tools": [search(json!({}))]}));
    assert!(message.starts_with("tools.0: provider 'p' cannot search the web"), "{message}");
    let beside = json!({"tools": [{"name": "f", "input_schema": {}}, search(json!({}))]});
    assert_eq!(with(beside.clone())["tools"].as_array().unwrap().len(), 1);
    assert_eq!(dropped(&TARGET, beside), "tools.1 (web_search_20250305)");
    let openai = searching(HostedSearch::OpenAi);
    let both = json!({"tools": [search(json!({"allowed_domains": ["a"], "blocked_domains": ["b"]}))]});
    let target = ResponsesUpstream { dialect: &openai, ..TARGET };
    let error = request(plus(both).to_string().as_bytes(), &target).unwrap_err();
    assert_eq!(error.message, "tools.0: allowed_domains and blocked_domains cannot be used together");
}
