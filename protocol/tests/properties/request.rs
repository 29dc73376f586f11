//! Properties of every translated request, whatever the client sent.

use serde_json::Value;
use vandamme_protocol::convert::upstream::chat::{
    ChatUpstream, Dialect, HostedSearch, PLAIN, ReasoningModels, ReasoningParameter, Replay, request,
};

use crate::order::check_order;
use crate::reply::readable;

/// Checks the requests for very different upstreams, if this body is valid.
pub(crate) fn check(body: &[u8]) {
    for dialect in [&PLAIN, &demanding()] {
        let target = ChatUpstream {
            provider: "p",
            model: "up/m",
            requested_model: "p:m",
            dialect,
            session: None,
            members: None,
        };
        match request(body, &target) {
            Ok(translated) => check_sent(body, &translated.body, dialect),
            Err(error) => assert!(!error.message.is_empty() && !error.message.contains('\n')),
        }
    }
}

/// A dialect in which every field differs from the default.
fn demanding() -> Dialect {
    Dialect {
        reasoning: ReasoningParameter::Nested,
        reasoning_models: ReasoningModels::Listed(vec!["*".to_owned()]),
        replay: Replay::Details,
        think_tags: true,
        system_anywhere: true,
        cache_control: true,
        top_k: true,
        plain_tool_names: true,
        user_fields: vec!["user".to_owned()],
        prompt_cache: true,
        web_search: Some(HostedSearch::OpenRouter),
        min_tokens: Some(16),
        max_tokens: Some(1024),
        extras: true,
    }
}

fn check_sent(asked: &[u8], sent: &[u8], dialect: &Dialect) {
    // This parser cannot read numbers beyond a double and a hundred levels. The client sent them so.
    let Ok(sent) = serde_json::from_slice::<Value>(&readable(sent)) else {
        assert!(serde_json::from_slice::<Value>(&readable(asked)).is_err(), "an unreadable body is sent");
        return;
    };
    assert_eq!(sent["model"], "up/m");
    check_order(&sent["messages"]);
    for name in names(&sent) {
        let name = name.as_str().expect("a function has a name");
        let fits = |byte: u8| {
            byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b'-' && !dialect.plain_tool_names)
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
    let messages = sent["messages"].as_array().into_iter().flatten();
    let called = messages.flat_map(|message| message["tool_calls"].as_array().into_iter().flatten());
    let listed = sent["tools"].as_array().into_iter().flatten().filter(|tool| tool["type"] == "function");
    listed.chain(called).map(|tool| &tool["function"]["name"])
}

/// Checks that every text of the user is present.
fn check_texts(asked: &[u8], sent: &Value) {
    let Ok(asked) = serde_json::from_slice::<Value>(&readable(asked)) else { return };
    let sent = sent["messages"].to_string();
    for message in
        asked["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == "user")
    {
        let blocks = message["content"].as_array().into_iter().flatten();
        let blocks = blocks.filter(|block| block["type"] == "text").map(|block| &block["text"]);
        for text in blocks.chain([&message["content"]]).filter_map(Value::as_str) {
            let literal = Value::from(text).to_string();
            let inner = &literal[1..literal.len() - 1];
            assert!(text.trim().is_empty() || sent.contains(inner), "a text of the user is lost: {text}");
        }
    }
}
