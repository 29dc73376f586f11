//! Properties of every request that is translated for a Responses upstream, whatever the client sent.

use serde_json::Value;
use vandamme_protocol::convert::upstream::{
    chat::{Dialect, HostedSearch, PLAIN, ReasoningModels},
    responses::{ResponsesUpstream, request},
};
use vandamme_protocol::openai::members::OpenAiMembers;

use crate::items::check_items;
use crate::reply::readable;

/// Checks the requests for very different upstreams and clients, if this body is valid.
pub(crate) fn check(body: &[u8]) {
    let members = OpenAiMembers::of_chat(body);
    let demanding = demanding();
    for (model, dialect, members) in
        [("up/m", &PLAIN, None), ("gpt-6.1-sol", &demanding, None), ("up/m", &PLAIN, Some(&members))]
    {
        let target = ResponsesUpstream {
            provider: "p",
            model,
            requested_model: "p:m",
            dialect,
            session: Some("s"),
            members,
        };
        match request(body, &target) {
            Ok(translated) => check_sent(body, &translated.body, &target),
            Err(error) => assert!(!error.message.is_empty() && !error.message.contains('\n')),
        }
    }
}

/// A dialect in which every field that the Responses API reads differs from the default.
fn demanding() -> Dialect {
    Dialect {
        reasoning_models: ReasoningModels::Listed(vec!["*".to_owned()]),
        top_k: true,
        plain_tool_names: true,
        user_fields: vec!["user".to_owned()],
        prompt_cache: true,
        web_search: Some(HostedSearch::OpenAi),
        min_tokens: Some(32),
        max_tokens: Some(1024),
        ..Dialect::default()
    }
}

fn check_sent(asked: &[u8], sent: &[u8], target: &ResponsesUpstream<'_>) {
    // This parser cannot read numbers beyond a double and a hundred levels. The client sent them so.
    let Ok(sent) = serde_json::from_slice::<Value>(&readable(sent)) else {
        assert!(serde_json::from_slice::<Value>(&readable(asked)).is_err(), "an unreadable body is sent");
        return;
    };
    assert_eq!((&sent["model"], &sent["store"]), (&Value::from(target.model), &Value::from(false)));
    assert!(sent.get("max_output_tokens").is_none_or(|tokens| tokens.as_u64() >= Some(16)), "{sent}");
    check_items(&sent["input"]);
    for name in names(&sent) {
        let name = name.as_str().expect("a function has a name");
        let fits = |byte: u8| {
            byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b'-' && !target.dialect.plain_tool_names)
        };
        assert!(
            (1..=64).contains(&name.len()) && name.bytes().all(fits),
            "a name that no upstream takes: {name}"
        );
    }
    check_texts(asked, &sent);
}

/// The names of all tools that are listed or called.
fn names(sent: &Value) -> impl Iterator<Item = &Value> {
    let called =
        sent["input"].as_array().into_iter().flatten().filter(|item| item["type"] == "function_call");
    let listed = sent["tools"].as_array().into_iter().flatten().filter(|tool| tool["type"] == "function");
    listed
        .inspect(|tool| assert!(tool["strict"].is_boolean(), "{tool}"))
        .chain(called)
        .map(|tool| &tool["name"])
}

/// Checks that every text of the user and of the assistant is present.
fn check_texts(asked: &[u8], sent: &Value) {
    let Ok(asked) = serde_json::from_slice::<Value>(&readable(asked)) else { return };
    let sent = sent["input"].to_string();
    for message in
        asked["messages"].as_array().into_iter().flatten().filter(|message| message["role"] != "system")
    {
        let blocks = message["content"].as_array().into_iter().flatten();
        let blocks = blocks.filter(|block| block["type"] == "text").map(|block| &block["text"]);
        for text in blocks.chain([&message["content"]]).filter_map(Value::as_str) {
            let literal = Value::from(text).to_string();
            let inner = &literal[1..literal.len() - 1];
            assert!(text.trim().is_empty() || sent.contains(inner), "a text is lost: {text}");
        }
    }
}
