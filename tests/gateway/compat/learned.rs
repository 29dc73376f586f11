//! Learned rules: applied at once, remembered for the model, and forgotten after a time.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{chat, chat_with, extra, has_beta, suggested, with, without};
use crate::support::canned::{anthropic, openai};
use crate::support::chat as chats;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Upstream};

#[test]
fn a_refused_parameter_is_removed_at_once_and_from_later_requests() {
    let upstream = without("top_p");
    let gateway = Gateway::before(&upstream).start();
    let body = chat_with(json!({"top_p": 0.5, "seed": 7}));

    assert_eq!(chats::text(&chat(&gateway, &body)), "Hello there!");
    assert_eq!(upstream.count(), 2);
    assert_eq!(chats::text(&chat(&gateway, &body)), "Hello there!");

    assert_eq!(upstream.count(), 3);
    let sent: Vec<_> = upstream.requests().iter().map(|seen| seen.text()).collect();
    let left = body.to_string().replace(r#","top_p":0.5"#, "");
    assert_eq!(sent, [body.to_string(), left.clone(), left]);
    assert_eq!(upstream.keys_seen(), ["sk-test"; 3]);
}

#[test]
fn requests_at_both_endpoints_streamed_and_whole_are_fixed() {
    for streamed in [true, false] {
        let upstream = without("temperature");
        let gateway = Gateway::before(&upstream).start();
        let members = json!({"temperature": 0.5, "stream": streamed});

        let reply = gateway.messages(&with(prompt(MODEL, "hi"), members.clone())).reply();
        assert_eq!(reply.text(), "Hello there!");
        assert_eq!(upstream.count(), 2);
        assert_eq!(chats::text(&chat(&gateway, &chat_with(members))), "Hello there!");
        assert_eq!(upstream.count(), 3, "both endpoints share what is known of the provider");
    }
}

#[test]
fn a_chat_request_to_an_anthropic_provider_is_fixed_in_the_providers_terms() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        let refusal =
            || anthropic::error("invalid_request_error", "`temperature` is deprecated for this model.");
        seen.json().get("temperature").map(|_| Answer::json(400, refusal()))
    });
    let gateway = Gateway::before(&upstream).start();

    for calls in [2, 3] {
        let reply = chat(&gateway, &chat_with(json!({"temperature": 0.5, "max_tokens": 64})));
        assert_eq!((chats::text(&reply).as_str(), upstream.count()), ("Hello there!", calls));
    }
}

#[test]
fn other_models_and_requests_without_the_parameter_are_not_affected() {
    let upstream = without("top_p");
    let gateway = Gateway::before(&upstream).start();
    let body = chat_with(json!({"top_p": 0.5}));
    chat(&gateway, &body);

    chat(&gateway, &with(body.clone(), json!({"model": "other-model"})));
    let plain = chat_with(json!({"seed": 1}));
    chat(&gateway, &plain);

    let sent = upstream.requests();
    assert_eq!(sent.len(), 5, "the other model had to be tried for itself");
    assert_eq!(sent[2].json()["top_p"], 0.5);
    assert_eq!(sent[4].text(), plain.to_string());
}

#[test]
fn a_refused_value_is_removed_and_other_values_are_sent() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let refusal = "Unsupported value: 'verbosity' does not support 'low' with this model. Supported values are: 'medium'.";
        let error = json!({"error": {"message": refusal, "param": "verbosity", "code": "unsupported_value"}});
        (seen.json()["verbosity"] == "low").then(|| Answer::json(400, error.to_string()))
    });
    let gateway = Gateway::before(&upstream).start();
    let ask = |verbosity: &str| chats::text(&chat(&gateway, &chat_with(json!({"verbosity": verbosity}))));

    for verbosity in ["low", "medium", "low"] {
        assert_eq!(ask(verbosity), "Hello there!");
    }

    let sent: Vec<_> = upstream.requests().iter().map(|seen| seen.json()["verbosity"].clone()).collect();
    assert_eq!(sent, [json!("low"), json!(null), json!("medium"), json!(null)]);
    let rule = "drop-params = ['verbosity=low']".to_owned();
    assert_eq!(suggested(&gateway, "openai"), [(MODEL.to_owned(), rule)]);
}

#[test]
fn a_member_refused_in_combination_with_another_is_sent_alone() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        let body = seen.json();
        let refusal =
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
        let both = body.get("temperature").is_some() && body.get("top_p").is_some();
        both.then(|| Answer::json(400, anthropic::error("invalid_request_error", refusal)))
    });
    let gateway = Gateway::before(&upstream).start();
    let ask = |members: serde_json::Value| {
        assert_eq!(gateway.messages(&with(prompt(MODEL, "hi"), members)).reply().text(), "Hello there!");
    };

    ask(json!({"temperature": 1, "top_p": 0.5}));
    ask(json!({"top_p": 0.5}));
    ask(json!({"temperature": 1, "top_p": 0.5}));

    let sent: Vec<_> = upstream.requests().iter().map(|seen| seen.json()["top_p"].clone()).collect();
    assert_eq!(sent, [json!(0.5), json!(null), json!(0.5), json!(null)]);
}

/// Complaint of gateway users: extra inputs are not permitted.
#[test]
fn a_learned_rule_expires() {
    let upstream = without("top_p");
    let gateway = Gateway::before(&upstream).limit("learned-rules-ttl", "4").start();
    let body = chat_with(json!({"top_p": 0.5}));
    chat(&gateway, &body);
    chat(&gateway, &body);
    assert_eq!(upstream.count(), 3);
    assert_eq!(suggested(&gateway, "openai").len(), 1);

    thread::sleep(Duration::from_millis(4200));

    assert!(suggested(&gateway, "openai").is_empty());
    assert_eq!(chats::text(&chat(&gateway, &body)), "Hello there!");
    assert_eq!(upstream.count(), 5);
    let log = gateway.stop();
    assert_eq!(log.matches("drop-params = [\"top_p\"]").count(), 1, "it is told once: {log}");
}

/// Complaint of gateway users: a beta flag that the upstream does not know.
#[test]
fn a_beta_is_removed_together_with_the_member_that_needs_it() {
    const FLAG: &str = "context-management-2025-06-27";
    let refusal = format!(
        "Unexpected value(s) `{FLAG}` for the `anthropic-beta` header. Please consult our documentation."
    );
    let upstream = Upstream::anthropic().ruled_by(move |seen| {
        let error = || Answer::json(400, anthropic::error("invalid_request_error", &refusal));
        has_beta(seen, FLAG).then(error)
    });
    let gateway = Gateway::before(&upstream).start();
    let body = r#"{ "model":"test-model", "context_management" : {"edits":[]}, "max_tokens":1e2, "messages":[{"role":"user","content":"context_management"}]}"#;
    let ask = || {
        let call = gateway.call("POST", "/v1/messages?beta=true").header("content-type", "application/json");
        call.header("anthropic-beta", &format!("claude-code-20250219, {FLAG} ,effort-2025-11-24"))
            .body(body)
            .reply()
    };

    assert_eq!(ask().text(), "Hello there!");
    assert_eq!(ask().text(), "Hello there!");

    assert_eq!(upstream.count(), 3);
    for seen in &upstream.requests()[1..] {
        assert_eq!(seen.head.header("anthropic-beta"), Some("claude-code-20250219,effort-2025-11-24"));
        assert_eq!(seen.text(), body.replace(r#""context_management" : {"edits":[]}, "#, ""));
        assert_eq!(seen.target(), "/v1/messages?beta=true");
    }
    let rule = format!("drop-betas = [\"{FLAG}\"]");
    assert_eq!(suggested(&gateway, "anthropic"), [("test-model".to_owned(), rule)]);
}

/// Complaint of gateway users: a beta flag that the upstream does not know.
#[test]
fn an_upstream_that_knows_no_beta_receives_none() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        let known = seen.head.header("anthropic-beta").is_none();
        (!known).then(|| Answer::json(400, r#"{"message":"invalid beta flag"}"#))
    });
    let gateway = Gateway::before(&upstream).start();

    let call = gateway.messages(&prompt(MODEL, "hi")).header("anthropic-beta", "a-2025-01-01");
    let reply = call.header("anthropic-beta", "b-2025-01-01").reply();

    assert_eq!(reply.text(), "Hello there!");
    assert_eq!(upstream.count(), 2);
}

/// Complaint of gateway users: extra inputs are not permitted.
#[test]
fn members_and_schema_keywords_are_removed_from_every_tool() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        let tools = seen.json()["tools"].to_string();
        let refuse =
            |path: &str| tools.contains(path.rsplit('.').next().unwrap_or_default()).then(|| extra(path));
        refuse("tools.0.custom.defer_loading").or_else(|| refuse("tools.1.custom.input_schema.propertyNames"))
    });
    let gateway = Gateway::before(&upstream).start();
    let tool = |name: &str| {
        json!({"name": name, "defer_loading": true, "input_schema": {"type": "object",
               "properties": {"x": {"type": "object", "propertyNames": {"pattern": "a"}}}}})
    };
    let body = with(whole_prompt(MODEL, "hi"), json!({"tools": [tool("a"), tool("b")]}));

    assert_eq!(gateway.messages(&body).reply().text(), "Hello there!");

    assert_eq!(upstream.count(), 3, "each refusal named something new");
    let healed = body.to_string().replace(r#""defer_loading":true,"#, "");
    let healed = healed.replace(r#""propertyNames":{"pattern":"a"},"#, "");
    assert_eq!(upstream.request(2).text(), healed);
    gateway.messages(&body).reply();
    assert_eq!(upstream.count(), 4);
}

/// Complaint of gateway users: extra inputs are not permitted.
#[test]
fn members_that_depend_on_a_removed_one_are_removed_too() {
    let refuse = |message: &str| Answer::json(400, anthropic::error("invalid_request_error", message));
    let upstream = Upstream::anthropic().ruled_by(move |seen| {
        let body = seen.json();
        match (body.get("thinking"), body.get("context_management")) {
            (Some(_), _) => Some(refuse("adaptive thinking is not supported on this model")),
            (None, Some(_)) => Some(refuse(
                "`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive",
            )),
            (None, None) => None,
        }
    });
    let gateway = Gateway::before(&upstream).start();
    let edits = json!([{"type": "clear_thinking_20251015", "keep": "all"}]);
    let members = json!({"thinking": {"type": "adaptive"}, "context_management": {"edits": edits}});

    for calls in [3, 4] {
        let reply = gateway.messages(&with(prompt(MODEL, "hi"), members.clone())).reply();
        assert_eq!((reply.text().as_str(), upstream.count()), ("Hello there!", calls));
    }
}

#[test]
fn the_token_limit_is_sent_under_the_name_that_the_refusal_suggests() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        let refusal = || openai::error(message, "invalid_request_error", "unsupported_parameter");
        seen.json().get("max_tokens").map(|_| Answer::json(400, refusal()))
    });
    let gateway = Gateway::before(&upstream).start();

    for _ in 0..2 {
        assert_eq!(chats::text(&chat(&gateway, &chat_with(json!({"max_tokens": 64})))), "Hello there!");
        assert_eq!(gateway.messages(&whole_prompt(MODEL, "hi")).reply().text(), "Hello there!");
    }

    assert_eq!(upstream.count(), 5);
    assert_eq!(upstream.request(1).json()["max_completion_tokens"], 64);
    let rule = "max-tokens-as = \"max_completion_tokens\"".to_owned();
    assert_eq!(suggested(&gateway, "openai"), [(MODEL.to_owned(), rule)]);
}

#[test]
fn health_reports_the_rule_in_yaml_too() {
    let upstream = without("top_p");
    let gateway = Gateway::before(&upstream).start();
    assert!(gateway.get("/health").raw().contains("\n    healed: []\n"));
    chat(&gateway, &chat_with(json!({"top_p": 0.5})));

    let yaml = gateway.get("/health").raw();

    let lesson = "    healed:\n      - model: test-model\n        rule: 'drop-params = [\"top_p\"]'\n        seconds_left: 86";
    assert!(yaml.contains(lesson), "{yaml}");
}

#[test]
fn a_refusal_in_a_streams_first_event_is_fixed_like_a_status() {
    let event = json!({"error": {"message": "Unsupported parameter: 'top_p' is not supported with this model.", "code": 400}});
    let upstream = Upstream::openai()
        .ruled_by(move |seen| seen.json().get("top_p").map(|_| Answer::events(vec![openai::data(&event)])));
    let gateway = Gateway::before(&upstream).start();

    let reply = chat(&gateway, &chat_with(json!({"top_p": 0.5, "stream": true})));

    assert_eq!(chats::text(&reply), "Hello there!");
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_key_that_fails_in_between_does_not_undo_a_fixup() {
    let upstream = without("top_p")
        .ruled_by(|seen| (seen.key() == "sk-a").then(|| Answer::json(429, openai::error("slow", "x", "y"))));
    let gateway = Gateway::before(&upstream).keys(["sk-a", "sk-b"]).start();

    let body = chat_with(json!({"top_p": 0.5}));
    assert_eq!(chats::text(&chat(&gateway, &body)), "Hello there!");

    let seen = upstream.requests();
    assert!(seen[1..].iter().all(|seen| seen.json().get("top_p").is_none()));
    assert_eq!(suggested(&gateway, "openai").len(), 1);
    assert_eq!(upstream.keys_seen(), ["sk-a", "sk-a", "sk-b"]);
}
