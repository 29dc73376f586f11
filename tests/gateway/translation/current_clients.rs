//! Requests of clients of November 2026: the classifier of auto mode, efforts of turns, changes of tools, searches, and
//! `x-vdm-dropped`.

use serde_json::{Value, json};

use super::{Delivery, request};
use crate::support::canned::{anthropic, openai};
use crate::support::gateway::Gateway;
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Piece, Upstream};

const DROPPED: &str = "x-vdm-dropped";

/// Claude Code's own request whether an action is dangerous.
fn judge(model: &str, delivery: Delivery) -> Value {
    request(json!({"model": model, "max_tokens": 64, "stop_sequences": ["</block>"],
        "thinking": {"type": "disabled"}, "stream": delivery == Delivery::Streamed}))
}

#[test]
fn the_classifier_works_with_a_model_that_reasons_and_refuses_stop() {
    let text = ["<block>n", "o</bl", "ock> be", "cause"];
    let mut pieces: Vec<Piece> = text.iter().map(|text| Piece::Bytes(openai::content(text))).collect();
    // Only the gateway can apply the stop sequence.
    pieces.push(Piece::Silence);
    let completion = openai::completion(&json!({"role": "assistant", "content": text.concat()}), "stop");
    for (answer, delivery) in
        [(Answer::pieces(pieces), Delivery::Streamed), (Answer::json(200, completion), Delivery::Whole)]
    {
        let upstream = Upstream::openai().always(answer);
        let gateway = Gateway::before(&upstream).start();
        let reply = gateway.messages(&judge("o4-mini", delivery)).reply();
        assert_eq!(
            (reply.text().as_str(), reply.stop_reason().as_str()),
            ("<block>no", "stop_sequence"),
            "{reply}"
        );
        assert_eq!(reply.message()["stop_sequence"], "</block>");
        let sent = upstream.only_request().json();
        assert_eq!(
            (&sent["reasoning_effort"], &sent["max_completion_tokens"]),
            (&json!("low"), &json!(2112))
        );
        assert!(sent.get("stop").is_none(), "{sent}");
        if delivery == Delivery::Streamed {
            upstream.closed(0);
        }
    }
}

#[test]
fn thinking_is_turned_off_or_low_and_an_unknown_model_receives_the_effort() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let off = json!({"thinking": {"type": "disabled"}});
    let high = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}});
    for (at, (model, wish, expected)) in [
        ("gpt-5.1", &off, json!("none")),
        ("gpt-5", &off, json!("minimal")),
        ("gpt-4o", &off, Value::Null),
        ("gpt-4o", &high, Value::Null),
        ("brand-new-model", &high, json!("high")),
        ("brand-new-model", &off, Value::Null),
        ("gpt-6.2-sol", &json!({"output_config": {"effort": "max"}}), json!("max")),
        ("gpt-5.2", &json!({"output_config": {"effort": "max"}}), json!("xhigh")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = request(wish.clone());
        body["model"] = json!(format!("openai:{model}"));
        assert_eq!(gateway.messages(&body).reply().status(), 200);
        let sent = upstream.request(at).json();
        assert_eq!(sent.get("reasoning_effort").cloned().unwrap_or_default(), expected, "{model} {wish}");
    }
}

#[test]
fn a_turn_sets_effort_and_tools_and_the_reply_names_dropped_parts() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    let body = request(
        json!({"model": "gpt-5.2", "output_config": {"effort": "low"}, "thinking": {"type": "adaptive"},
        "tools": [tool("a"), tool("b"), {"type": "web_search_20250305", "name": "web_search"}],
        "context_management": {"edits": [{"type": "secret"}]},
        "messages": [{"role": "user", "content": "hi"},
            {"role": "system", "content": [{"type": "tool_removal", "tool": {"type": "tool_reference", "name": "a"}},
                {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool("c")}}],
                "output_config": {"effort": "high"}},
            {"role": "system", "content": "gone", "clear_at": "next_user_message"},
            {"role": "assistant", "content": [{"type": "compaction", "content": "the summary"}, {"type": "text", "text": "ok"}]},
            {"role": "user", "content": "go"}]}),
    );
    let reply = gateway.messages(&body).reply();
    let sent = upstream.only_request().json();
    let names: Vec<_> =
        sent["tools"].as_array().expect("tools").iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!((names, &sent["reasoning_effort"]), (vec![&json!("b"), &json!("c")], &json!("high")));
    let told = sent["messages"].to_string();
    assert!(told.contains("the summary") && !told.contains("gone"), "{told}");
    assert_eq!(reply.header(DROPPED), Some("context_management, tools.2 (web_search_20250305)"), "{reply}");
    assert_eq!(gateway.messages(&request(json!({}))).reply().header(DROPPED), None);
    let chat =
        gateway.call("POST", "/v1/chat/completions").json(&json!({"model": "m", "seed": 1, "messages": []}));
    assert_eq!(chat.reply().header(DROPPED), None, "a passthrough leaves nothing out");
}

#[test]
fn the_chat_endpoint_names_parts_that_anthropic_does_not_support() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let body = json!({"model": "m", "seed": 7, "messages": [{"role": "user", "content": "hi"}]});
    let reply = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
    assert_eq!((reply.status(), reply.header(DROPPED)), (200, Some("seed")), "{reply}");
}

#[test]
fn a_request_for_a_classification_is_answered_as_unsupported_or_forwarded_to_anthropic() {
    let safeguards =
        json!([{"type": "dangerous_tool_use", "classifier_context": {"live_cwd": "/home/canary"}}]);
    let expected = json!([{"type": "dangerous_tool_use", "status": {"type": "unsupported"}}]);
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let whole = gateway.messages(&request(json!({"safeguards": safeguards}))).reply();
    assert_eq!(whole.message()["safeguard_results"], expected, "{whole}");
    let streamed = gateway.messages(&request(json!({"safeguards": safeguards, "stream": true}))).reply();
    let ends: Vec<_> = streamed.events().into_iter().filter(|event| event.name == "message_delta").collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].data["delta"]["safeguard_results"], expected, "{streamed}");
    let unasked = gateway.messages(&request(json!({}))).reply();
    assert!(!unasked.raw().contains("safeguard"), "{unasked}");
    assert!(!gateway.log().contains("canary"));
    let anthropic = Upstream::anthropic();
    let gateway = Gateway::before(&anthropic).start();
    let call = gateway.messages(&request(json!({"safeguards": safeguards})));
    let reply = call.header("anthropic-beta", "dangerous-tool-use-2026-09-03").reply();
    assert!(!reply.raw().contains("safeguard_results"), "only the upstream's own verdict");
    let seen = anthropic.only_request();
    assert_eq!(seen.json()["safeguards"], safeguards);
    assert_eq!(seen.head.header("anthropic-beta"), Some("dangerous-tool-use-2026-09-03"));
}

/// OpenRouter with this upstream, and a request for a web search.
fn searched(answer: Answer, delivery: Delivery) -> (Reply, Value) {
    let upstream = Upstream::openai().always(answer);
    let gateway = Gateway::before(&upstream)
        .env("OPENROUTER_API_KEY", "k")
        .env("OPENROUTER_BASE_URL", upstream.base_url())
        .start();
    let body =
        request(json!({"model": "openrouter:openai/gpt-5.2", "stream": delivery == Delivery::Streamed,
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]}));
    let reply = gateway.messages(&body).reply();
    (reply, upstream.only_request().json())
}

#[test]
fn a_search_returns_links_or_an_error_and_never_an_invention() {
    let annotations = json!([{"type": "url_citation", "url_citation":
        {"url": "https://rust-lang.org", "title": "Rust", "content": "a language", "start_index": 0, "end_index": 4}}]);
    let streamed = openai::stream(
        vec![openai::content("Rust"), openai::delta(&json!({"annotations": annotations}))],
        "stop",
    );
    let completion = openai::completion(
        &json!({"role": "assistant", "content": "Rust", "annotations": annotations}),
        "stop",
    );
    for (answer, delivery) in
        [(Answer::events(streamed), Delivery::Streamed), (Answer::json(200, completion), Delivery::Whole)]
    {
        let (reply, sent) = searched(answer, delivery);
        assert_eq!(
            sent["tools"],
            json!([{"type": "openrouter:web_search", "parameters": {"engine": "exa", "max_uses": 8}}])
        );
        let content = reply.content();
        let found = content.iter().find(|block| block["type"] == "web_search_tool_result").expect("results");
        assert_eq!(
            (&found["content"][0]["url"], &found["content"][0]["title"]),
            (&json!("https://rust-lang.org"), &json!("Rust"))
        );
        assert!(
            content
                .iter()
                .any(|block| block["type"] == "server_tool_use" && block["id"] == found["tool_use_id"])
        );
        assert_eq!(reply.usage()["server_tool_use"]["web_search_requests"], 1, "{reply}");
        assert_eq!(reply.text(), "Rust");
    }
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let body = request(json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}));
    let reply = gateway.messages(&body).reply();
    assert_eq!((reply.status(), reply.error_type().as_str()), (400, "invalid_request_error"), "{reply}");
    let message = "provider 'openai' cannot search the web (only its search models, such as gpt-5-search-api, can); choose";
    assert!(reply.error_message().contains(message), "{reply}");
    assert_eq!(upstream.count(), 0);
    let tool = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 8});
    let body = request(json!({"model": "openai:gpt-5-search-api", "tools": [tool]}));
    let reply = gateway.messages(&body).reply();
    assert_eq!((reply.status(), reply.header(DROPPED)), (200, Some("tools.0.max_uses")), "{reply}");
    assert_eq!(upstream.only_request().json()["web_search_options"], json!({}));
}

/// Requirement: a conversation with a search of another provider continues at Anthropic, which refuses pages it has not encrypted.
#[test]
fn pages_that_another_provider_has_found_reach_anthropic_as_text() {
    let annotations =
        json!([{"type": "url_citation", "url_citation": {"url": "https://rust-lang.org", "title": "Rust"}}]);
    let completion = openai::completion(
        &json!({"role": "assistant", "content": "Found.", "annotations": annotations}),
        "stop",
    );
    let (first, _) = searched(Answer::json(200, completion), Delivery::Whole);
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let user = json!({"role": "user", "content": "hi"});
    let body = request(json!({"messages": [user, {"role": "assistant", "content": first.content()}, user]}));
    assert_eq!(gateway.messages(&body).reply().status(), 200);
    let sent = &upstream.only_request().json()["messages"];
    let texts = ["[Used web_search: {}]", "[Result of web_search]\nRust\nhttps://rust-lang.org", "Found."];
    let texts: Vec<Value> = texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
    assert_eq!(sent[1]["content"], Value::from(texts));
    assert_eq!((&sent[0], &sent[2]), (&user, &user));
}

/// Requirement: `web_search_options` → Messages server tool `web_search_20250305`; citations → `annotations`, streamed and whole.
#[test]
fn a_chat_client_searches_through_anthropic_and_receives_annotations() {
    let page = json!({"type": "web_search_result_location", "url": "https://weather.example/bern", "title": "Weather",
        "cited_text": "Sunny", "encrypted_index": "E"});
    let search = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "canary"}});
    let results = json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result",
        "url": "https://weather.example/bern", "title": "Weather", "encrypted_content": "E", "page_age": null}]});
    let text = json!({"type": "text", "text": "sunny", "citations": [page]});
    let content = json!([search, results, {"type": "text", "text": "It is "}, text]);
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
    let mut events = vec![anthropic::start()];
    for (index, block) in (0..).zip([&search, &results]) {
        events.extend([anthropic::block_start(index, block), anthropic::block_stop(index)]);
    }
    events.extend([
        anthropic::block_start(2, &json!({"type": "text", "text": ""})),
        anthropic::delta(2, &json!({"type": "text_delta", "text": "It is "})),
        anthropic::block_stop(2),
        anthropic::block_start(3, &json!({"type": "text", "text": "", "citations": []})),
        anthropic::delta(3, &json!({"type": "citations_delta", "citation": page})),
        anthropic::delta(3, &json!({"type": "text_delta", "text": "sunny"})),
        anthropic::block_stop(3),
    ]);
    events.extend(anthropic::end("end_turn"));
    let cited =
        json!({"start_index": 6, "end_index": 11, "title": "Weather", "url": "https://weather.example/bern"});
    for streamed in [false, true] {
        let answer =
            if streamed { Answer::events(events.clone()) } else { Answer::json(200, whole.to_string()) };
        let upstream = Upstream::anthropic().always(answer);
        let gateway = Gateway::before(&upstream).start();
        let body = json!({"model": "m", "stream": streamed, "messages": [{"role": "user", "content": "hi"}],
            "web_search_options": {"search_context_size": "low", "user_location": {"type": "approximate",
                "approximate": {"city": "Bern", "country": "CH"}}}});
        let reply = gateway.call("POST", "/v1/chat/completions").json(&body).reply();
        assert_eq!(
            (reply.status(), reply.header(DROPPED)),
            (200, Some("web_search_options.search_context_size")),
            "{reply}"
        );
        let tools = json!([{"type": "web_search_20250305", "name": "web_search",
            "user_location": {"type": "approximate", "city": "Bern", "country": "CH"}}]);
        assert_eq!(upstream.only_request().json()["tools"], tools);
        let raw = reply.raw();
        assert!(
            raw.contains(&format!("\"url_citation\":{cited}"))
                || raw.contains("\"start_index\":6,\"end_index\":11"),
            "{reply}"
        );
        assert!(
            raw.contains("https://weather.example/bern") && raw.contains("\"finish_reason\":\"stop\""),
            "{reply}"
        );
        assert!(!raw.contains("tool_calls") && !raw.contains("canary"), "{reply}");
        assert!(!gateway.log().contains("canary"));
    }
}

#[test]
fn after_a_refusal_a_model_that_always_reasons_is_called_without_the_setting() {
    let refusal = json!({"error": {"message": "Reasoning is mandatory for this endpoint and cannot be disabled.", "code": 400}});
    let upstream = Upstream::openai().ruled_by(move |seen| {
        (seen.json()["reasoning"]["effort"] == "none").then(|| Answer::json(400, refusal.to_string()))
    });
    let gateway = Gateway::before(&upstream)
        .env("OPENROUTER_API_KEY", "k")
        .env("OPENROUTER_BASE_URL", upstream.base_url())
        .start();
    let reply = gateway.messages(&judge("openrouter:stealth/model", Delivery::Whole)).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    let second = upstream.request(1).json();
    assert_eq!((second.get("reasoning"), &second["max_tokens"]), (None, &json!(2112)));
}

#[test]
fn deepseek_and_kimi_receive_their_own_fields_and_their_thinking() {
    let history = json!([{"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "Bash", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]}]);
    for (provider, model) in [("DEEPSEEK", "deepseek-v4-pro"), ("KIMI", "kimi-k2.6")] {
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream)
            .env(&format!("{provider}_API_KEY"), "k")
            .env(&format!("{provider}_BASE_URL"), upstream.base_url())
            .start();
        let ask = |thinking: Value| {
            let model = format!("{}:{model}", provider.to_lowercase());
            let body = request(json!({"model": model, "messages": history, "thinking": thinking}));
            assert_eq!(gateway.messages(&body).reply().status(), 200);
        };
        ask(json!({"type": "adaptive"}));
        ask(json!({"type": "disabled"}));
        let (on, off) = (upstream.request(0).json(), upstream.request(1).json());
        assert_eq!(
            (&on["thinking"]["type"], &on["messages"][1]["reasoning_content"]),
            (&json!("enabled"), &json!(""))
        );
        assert_eq!(off["thinking"], json!({"type": "disabled"}));
        assert!(off["messages"][1].get("reasoning_content").is_none(), "{off}");
    }
}

#[test]
fn prompt_caching_is_requested_of_openai_and_one_setting_turns_it_off() {
    let session = "0b5b6c3e-5c0f-4d1a-9d2b-111111111111";
    let body = request(
        json!({"model": "gpt-5.6-sol", "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]}),
    );
    for (line, is_on) in [("prompt-cache = true", true), ("prompt-cache = false", false), ("", false)] {
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream).toml(&format!("[openai]\n{line}")).start();
        gateway.messages(&body).header("x-claude-code-session-id", session).reply();
        let sent = upstream.only_request().json();
        assert_eq!(sent.get("prompt_cache_key").is_some_and(|key| key == session), is_on, "{line}: {sent}");
        assert_eq!(sent.to_string().contains("prompt_cache_breakpoint"), is_on, "{line}: {sent}");
    }
}
