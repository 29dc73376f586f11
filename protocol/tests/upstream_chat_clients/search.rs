//! Web searches.

use super::*;

fn searching() -> Dialect {
    Dialect {
        web_search: Some(HostedSearch::Members(r#""plugins":[{"id":"web"}]"#.into())),
        ..Dialect::default()
    }
}

fn search_tool() -> Value {
    json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 8})
}

#[test]
fn a_search_is_requested_of_providers_that_support_it_and_refused_otherwise() {
    let dialect = searching();
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let alone = json!({"tools": [search_tool()], "tool_choice": {"type": "auto"}});
    let chat = sent(&target, alone.clone());
    assert_eq!((&chat["plugins"], chat.get("tools")), (&json!([{"id": "web"}]), None));
    assert_eq!(translated(&target, alone.clone()).dropped.header().as_deref(), Some("tools.0.max_uses"));
    let client = json!({"name": "f", "input_schema": {}});
    let fetch = json!({"type": "web_fetch_20250910", "name": "web_fetch"});
    for tools in [json!([search_tool()]), json!([search_tool(), fetch])] {
        let message = refusal(&TARGET, json!({"tools": tools}));
        assert!(
            message.contains("provider 'p' cannot search the web; choose") && !message.contains('\n'),
            "{message}"
        );
    }
    assert!(refusal(&target, json!({"tools": [fetch]})).contains("cannot fetch web pages"));
    let chosen =
        json!({"tools": [client, search_tool()], "tool_choice": {"type": "tool", "name": "web_search"}});
    assert!(refusal(&TARGET, chosen).contains("cannot search the web"));
    let beside = translated(&TARGET, json!({"tools": [client, search_tool(), fetch]}));
    assert_eq!(
        beside.dropped.header().as_deref(),
        Some("tools.1 (web_search_20250305), tools.2 (web_fetch_20250910)")
    );
}

/// A search with every limit.
fn limited(domains: &str) -> Value {
    json!({"type": "web_search_20260209", "name": "web_search", "max_uses": 3, domains: ["a.example", "b.example"],
        "user_location": {"type": "approximate", "city": "Bern", "country": "CH", "timezone": "Europe/Zurich"}})
}

/// The form, the model, which domains are limited, a member of the body, its value, and what is dropped.
type Form = (&'static str, &'static str, &'static str, &'static str, &'static str, Option<&'static str>);

const FORMS: &[Form] = &[
    (
        "openrouter",
        "m",
        "allowed_domains",
        "tools",
        r#"[{"type":"openrouter:web_search","parameters":{"engine":"exa","allowed_domains":["a.example","b.example"],"max_uses":3,"user_location":
            {"type":"approximate","city":"Bern","country":"CH","timezone":"Europe/Zurich"}}}]"#,
        None,
    ),
    (
        "openrouter",
        "m",
        "blocked_domains",
        "tools",
        r#"[{"type":"openrouter:web_search","parameters":{"engine":"exa","excluded_domains":["a.example","b.example"],"max_uses":3,"user_location":
            {"type":"approximate","city":"Bern","country":"CH","timezone":"Europe/Zurich"}}}]"#,
        None,
    ),
    (
        "openrouter",
        "m:online",
        "allowed_domains",
        "tools",
        "null",
        Some("tools.0.allowed_domains, tools.0.max_uses, tools.0.user_location"),
    ),
    (
        "openai",
        "gpt-5-search-api",
        "allowed_domains",
        "web_search_options",
        r#"{"user_location":{"type":"approximate","approximate":{"city":"Bern","country":"CH","timezone":"Europe/Zurich"}}}"#,
        Some("tools.0.allowed_domains, tools.0.max_uses"),
    ),
    (
        "perplexity",
        "sonar",
        "blocked_domains",
        "search_domain_filter",
        r#"["-a.example","-b.example"]"#,
        Some("tools.0.user_location.timezone, tools.0.max_uses"),
    ),
    (
        "perplexity",
        "sonar",
        "allowed_domains",
        "web_search_options",
        r#"{"user_location":{"city":"Bern","country":"CH"}}"#,
        Some("tools.0.user_location.timezone, tools.0.max_uses"),
    ),
    (
        "zai",
        "glm-5.3",
        "allowed_domains",
        "tools",
        r#"[{"type":"web_search","web_search":{"enable":true,"search_engine":"search_pro_jina","search_result":true,
            "result_sequence":"before"}}]"#,
        Some("tools.0.allowed_domains, tools.0.max_uses, tools.0.user_location"),
    ),
    (
        "bigmodel",
        "glm-5.3",
        "blocked_domains",
        "tools",
        r#"[{"type":"web_search","web_search":{"enable":true,"search_engine":"search_std","search_result":true,
            "result_sequence":"before"}}]"#,
        Some("tools.0.blocked_domains, tools.0.max_uses, tools.0.user_location"),
    ),
];

fn by(word: &str) -> Dialect {
    Dialect { web_search: HostedSearch::from_word(word), ..Dialect::default() }
}

/// Requirement: Domains, location and max_uses mapped where the vendor has them, else named in `x-vdm-dropped`.
#[test]
fn every_form_of_a_search_has_the_limits_that_the_vendor_has() {
    for &(form, model, domains, member, expected, dropped) in FORMS {
        let dialect = by(form);
        let target = ChatUpstream { dialect: &dialect, model, ..TARGET };
        let asked = json!({"tools": [limited(domains)], "tool_choice": {"type": "auto"}});
        let sent = sent(&target, asked.clone());
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(sent.get(member).unwrap_or(&Value::Null), &expected, "{form} {domains}");
        assert_eq!(sent.get("tool_choice"), None, "{form}");
        assert_eq!(translated(&target, asked).dropped.header().as_deref(), dropped, "{form} {domains}");
    }
    let dialect = by("zai");
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let mut one = search_tool();
    one["allowed_domains"] = json!(["a.example"]);
    let asked = json!({ "tools": [one] });
    assert_eq!(sent(&target, asked.clone())["tools"][0]["web_search"]["search_domain_filter"], "a.example");
    assert_eq!(translated(&target, asked).dropped.header().as_deref(), Some("tools.0.max_uses"));
    let dialect = by("perplexity");
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let mut many = search_tool();
    many["blocked_domains"] = (0..21).map(|number| json!(format!("{number}.example"))).collect();
    let asked = json!({ "tools": [many] });
    assert_eq!(sent(&target, asked.clone())["search_domain_filter"].as_array().map(Vec::len), Some(20));
    let dropped = translated(&target, asked).dropped.header();
    assert_eq!(dropped.as_deref(), Some("tools.0.blocked_domains beyond 20, tools.0.max_uses"));
}

#[test]
fn a_search_beside_functions_keeps_them_and_their_choice() {
    let dialect = by("openrouter");
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let function = json!({"name": "f", "input_schema": {"type": "object"}});
    let fetch = json!({"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 2, "max_content_tokens": 9000,
        "blocked_domains": ["x.example"], "citations": {"enabled": true}});
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let asked = json!({"tools": [search, function, fetch, search_tool()], "tool_choice": {"type": "any"}});
    let chat = sent(&target, asked.clone());
    let kinds: Vec<_> = chat["tools"].as_array().unwrap().iter().map(|tool| &tool["type"]).collect();
    assert_eq!(kinds, ["openrouter:web_search", "function", "openrouter:web_fetch"]);
    assert_eq!(chat["tools"][0]["parameters"], json!({"engine": "exa"}));
    assert_eq!(
        chat["tools"][2]["parameters"],
        json!({"blocked_domains": ["x.example"], "max_uses": 2, "max_content_tokens": 9000})
    );
    assert_eq!(chat["tool_choice"], "required");
    assert_eq!(
        translated(&target, asked).dropped.header().as_deref(),
        Some("tools.2.citations, tools.3 (web_search_20250305)")
    );
    // Nothing is searched if the client forbids tools.
    let off = json!({"tools": [search_tool(), function], "tool_choice": {"type": "none"}});
    assert_eq!(sent(&target, off)["tools"].as_array().map(Vec::len), Some(1));
    // With web tools alone, the choice among them is the model's.
    let alone =
        json!({"tools": [search_tool(), fetch], "tool_choice": {"type": "tool", "name": "web_search"}});
    assert_eq!(sent(&target, alone).get("tool_choice"), None);
}

#[test]
fn wrong_limits_and_models_that_cannot_search_are_refused() {
    let dialect = by("openrouter");
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let with = |name: &str, value: Value| {
        let mut tool = search_tool();
        tool[name] = value;
        json!({ "tools": [tool] })
    };
    let mut both = with("allowed_domains", json!(["a"]));
    both["tools"][0]["blocked_domains"] = json!(["b"]);
    for (asked, message) in [
        (with("allowed_domains", json!("a")), "tools.0.allowed_domains: must be an array of strings"),
        (with("blocked_domains", json!([1])), "tools.0.blocked_domains: must be an array of strings"),
        (with("max_uses", json!(0)), "tools.0.max_uses: must be a whole number, at least 1"),
        (with("max_uses", json!("3")), "tools.0.max_uses: must be a whole number, at least 1"),
        (with("user_location", json!("Bern")), "tools.0.user_location: must be an object"),
        (both, "tools.0: allowed_domains and blocked_domains cannot be used together"),
    ] {
        assert_eq!(refusal(&target, asked), message);
    }
    let nulls = with("allowed_domains", Value::Null);
    assert_eq!(sent(&target, nulls)["tools"][0]["parameters"], json!({"engine": "exa", "max_uses": 8}));
    let dialect = by("openai");
    let target = ChatUpstream { dialect: &dialect, model: "gpt-6.1-sol", ..TARGET };
    let message = refusal(&target, json!({"tools": [search_tool()]}));
    assert!(
        message.contains(
            "provider 'p' cannot search the web (only its search models, such as gpt-5-search-api, can)"
        ),
        "{message}"
    );
    let beside = json!({"tools": [search_tool(), {"name": "f", "input_schema": {}}]});
    assert_eq!(
        translated(&target, beside).dropped.header().as_deref(),
        Some("tools.0 (web_search_20250305)")
    );
}

fn page(url: &str) -> Value {
    json!({"type": "web_search_result", "url": url, "title": "T", "page_age": null})
}

/// The pages of a result, without their contents, which only the gateway reads.
fn pages(block: &Value) -> Value {
    let mut pages = block["content"].clone();
    for page in pages.as_array_mut().unwrap() {
        let content = page.as_object_mut().unwrap().remove("encrypted_content").unwrap();
        assert!(content.as_str().unwrap().starts_with("vdmws1."), "{content}");
    }
    pages
}

fn found(url: &str, start: u64, end: u64) -> Value {
    json!({"type": "url_citation",
        "url_citation": {"url": url, "title": "T", "content": "said", "start_index": start, "end_index": end}})
}

fn kinds(message: &Value) -> Vec<&str> {
    message["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect()
}

/// The texts of a message, and the addresses that each cites.
fn cited(message: &Value) -> Vec<(&str, Vec<&str>)> {
    let texts = message["content"].as_array().unwrap().iter().filter(|block| block["type"] == "text");
    let urls = |block: &'_ Value| -> Vec<String> {
        let list = block["citations"].as_array().into_iter().flatten();
        list.map(|citation| citation["url"].as_str().unwrap().to_owned()).collect()
    };
    texts
        .map(|block| {
            let urls = urls(block).into_iter().map(|url| &*Box::leak(url.into_boxed_str())).collect();
            (block["text"].as_str().unwrap(), urls)
        })
        .collect()
}

fn end() -> [String; 2] {
    [
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).to_string(),
        "[DONE]".to_owned(),
    ]
}

#[test]
fn search_results_have_their_links() {
    let dialect = searching();
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let context = reply(&target, json!({"tools": [search_tool()]}));
    let annotations = json!([found("https://a", 0, 0), found("https://b", 0, 0), found("https://a", 0, 0)]);
    let chunks = [
        chunk(json!({"content": "It "})),
        chunk(json!({"content": "is.", "annotations": [found("https://a", 0, 0)]})),
        chunk(json!({"content": "", "annotations": annotations})),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).to_string(),
        json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "server_tool_use": {"web_search_requests": 2}}}).to_string(),
        "[DONE]".to_owned(),
    ];
    let (message, _) = streamed(context.clone(), &chunks);
    let expected = json!([page("https://a"), page("https://b")]);
    assert_eq!(
        (&message["content"][0]["text"], &pages(&message["content"][2])),
        (&json!("It is."), &expected)
    );
    assert_eq!(message["content"][0]["citations"].as_array().map(Vec::len), Some(2));
    assert_eq!(message["content"][1]["id"], message["content"][2]["tool_use_id"]);
    assert_eq!(message["usage"]["server_tool_use"]["web_search_requests"], 2);
    let forms = in_every_form(&context, json!({"content": "It is.", "annotations": annotations}), "stop");
    for message in &forms {
        assert_eq!(kinds(message), ["server_tool_use", "web_search_tool_result", "text"]);
        assert_eq!(pages(&message["content"][1]), expected);
        assert_eq!(cited(message), [("It is.", vec!["https://a", "https://b"])]);
    }
    assert_eq!(forms[0]["usage"]["server_tool_use"]["web_search_requests"], 1);
    // Without results, no block is sent.
    for message in in_every_form(&context, json!({"content": "I know that."}), "stop") {
        assert_eq!(message["content"], json!([{"type": "text", "text": "I know that."}]));
    }
    let unasked = reply(&target, json!({}));
    for message in in_every_form(&unasked, json!({"content": "x", "annotations": annotations}), "stop") {
        assert_eq!(message["content"], json!([{"type": "text", "text": "x"}]));
        assert!(message["usage"].get("server_tool_use").is_none());
    }
}

#[test]
fn citations_belong_to_the_text_of_their_range() {
    let dialect = searching();
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let context = reply(&target, json!({"tools": [search_tool()]}));
    let ranges = json!([found("https://a", 4, 8), found("https://b", 8, 14)]);
    let parts =
        [("Say ", vec![]), ("é😀!\n", vec!["https://a"]), ("\"one\" ", vec!["https://b"]), ("end", vec![])];
    // Known before the text, the ranges divide it.
    for message in
        in_every_form(&context, json!({"content": "Say é😀!\n\"one\" end", "annotations": ranges}), "stop")
    {
        assert_eq!(cited(&message), parts);
        assert_eq!(kinds(&message)[..2], ["server_tool_use", "web_search_tool_result"]);
    }
    let [stop, done] = end();
    let mut first = vec![chunk(json!({ "annotations": ranges }))];
    first.extend("Say é😀!\n\"one\" end".chars().map(|letter| chunk(json!({"content": letter.to_string()}))));
    first.extend([stop.clone(), done.clone()]);
    assert_eq!(cited(&streamed(context.clone(), &first).0), parts);
    // Behind the text, they end its block.
    let behind = [
        chunk(json!({"content": "Say "})),
        chunk(json!({"content": "é😀!"})),
        chunk(json!({"annotations": [found("https://a", 4, 7)]})),
        chunk(json!({"content": "\n"})),
        chunk(json!({"content": "\"one\"", "annotations": [found("https://b", 8, 13)]})),
        chunk(json!({"annotations": [found("https://b", 8, 13), found("https://a", 4, 7)]})),
        chunk(json!({"content": " end"})),
        stop.clone(),
        done.clone(),
    ];
    let message = streamed(context.clone(), &behind).0;
    let texts = [("Say é😀!\n", vec!["https://a"]), ("\"one\"", vec!["https://b"]), (" end", vec![])];
    assert_eq!(cited(&message), texts);
    assert_eq!(kinds(&message), ["text", "server_tool_use", "web_search_tool_result", "text", "text"]);
    // At the end, all of them belong to the whole text.
    let last = [chunk(json!({"content": "Say it"})), chunk(json!({ "annotations": ranges })), stop, done];
    let message = streamed(context, &last).0;
    assert_eq!(cited(&message), [("Say it", vec!["https://a", "https://b"])]);
    assert_eq!(kinds(&message), ["text", "server_tool_use", "web_search_tool_result"]);
}

#[test]
fn pages_that_are_found_later_come_at_the_end_and_thoughts_and_calls_keep_their_places() {
    let dialect = searching();
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let fields = json!({"tools": [search_tool(), {"name": "f", "input_schema": {"type": "object"}}],
        "thinking": {"type": "adaptive"}});
    let context = reply(&target, fields);
    let [stop, done] = end();
    let call = json!([{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]);
    let chunks = [
        chunk(json!({"annotations": [found("https://a", 0, 0)]})),
        chunk(json!({"reasoning_content": "hm"})),
        chunk(json!({"content": "one"})),
        chunk(json!({"annotations": [found("https://b", 0, 0)]})),
        chunk(json!({"content": "two"})),
        chunk(json!({ "tool_calls": call })),
        stop,
        done,
    ];
    let message = streamed(context.clone(), &chunks).0;
    assert_eq!(
        kinds(&message),
        [
            "thinking",
            "server_tool_use",
            "web_search_tool_result",
            "text",
            "tool_use",
            "server_tool_use",
            "web_search_tool_result"
        ]
    );
    assert_ne!(message["content"][1]["id"], message["content"][5]["id"]);
    assert_eq!(
        (pages(&message["content"][2]), pages(&message["content"][6])),
        (json!([page("https://a")]), json!([page("https://b")]))
    );
    for message in in_every_form(
        &context,
        json!({"annotations": [found("https://a", 0, 0)], "tool_calls": call}),
        "tool_calls",
    ) {
        assert_eq!(kinds(&message), ["server_tool_use", "web_search_tool_result", "tool_use"]);
    }
}

#[test]
fn the_lists_of_perplexity_and_glm_become_results_and_the_marks_in_the_text_citations() {
    let dialect = by("perplexity");
    let target = ChatUpstream { dialect: &dialect, ..TARGET };
    let context = reply(&target, json!({"tools": [search_tool()]}));
    let results = json!([
        {"title": "A", "url": "https://a", "date": "2026-11-20", "snippet": "said"},
        {"title": "B", "url": "https://b", "date": null}]);
    let said = |content: &str| {
        json!({"citations": ["https://a", "https://b"], "search_results": results,
            "choices": [{"index": 0, "delta": {"content": content}}]})
        .to_string()
    };
    let [stop, done] = end();
    let counted = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "num_search_queries": 2}});
    let message = streamed(
        context.clone(),
        &[said("It is"), said(" sunny[1"), said("]."), counted.to_string(), done.clone()],
    )
    .0;
    assert_eq!(kinds(&message), ["server_tool_use", "web_search_tool_result", "text"]);
    assert_eq!(cited(&message), [("It is sunny[1].", vec!["https://a"])]);
    assert_eq!(message["content"][2]["citations"][0]["cited_text"], "said");
    assert_eq!(message["content"][1]["content"][0]["page_age"], "2026-11-20");
    assert_eq!(message["content"][1]["content"].as_array().map(Vec::len), Some(2));
    assert_eq!(message["usage"]["server_tool_use"]["web_search_requests"], 2);
    // The list can come last, and without titles.
    let last =
        json!({"citations": ["https://a", "https://b"], "choices": [{"index": 0, "delta": {"content": ""}}]});
    let chunks = [chunk(json!({"content": "Sunny[2]."})), last.to_string(), stop.clone(), done.clone()];
    let message = streamed(context.clone(), &chunks).0;
    assert_eq!(kinds(&message), ["text", "server_tool_use", "web_search_tool_result"]);
    assert_eq!(cited(&message), [("Sunny[2].", vec!["https://b"])]);
    // GLM.
    let list = json!([{"title": "C", "link": "https://c", "content": "c", "refer": "ref_1", "publish_date": "2026-11"}]);
    let glm = json!({"web_search": list, "choices": [{"index": 0, "delta": {"content": "Rain[ref_1]"}}]});
    let message = streamed(context.clone(), &[glm.to_string(), stop, done]).0;
    assert_eq!(kinds(&message), ["server_tool_use", "web_search_tool_result", "text"]);
    assert_eq!(cited(&message), [("Rain[ref_1]", vec!["https://c"])]);
    // Nobody asked for a search.
    let unasked = reply(&target, json!({}));
    let message = streamed(unasked, &[said("x[1]"), end()[0].clone()]).0;
    assert_eq!(message["content"], json!([{"type": "text", "text": "x[1]"}]));
}
