//! Properties of every Responses client: of its request for upstreams of Messages and of Chat Completions.

use serde_json::Value;
use vandamme_protocol::convert::client::responses::{MessagesTarget, UpstreamKind, request};
use vandamme_protocol::convert::upstream::chat::{self, ChatUpstream, PLAIN};

use crate::order::check_order;
use crate::reply::readable;
use crate::turns::check_turns;

const TARGET: MessagesTarget<'_> = MessagesTarget {
    provider: "p",
    model: "claude-sonnet-4-5",
    requested_model: "p:m",
    upstream: UpstreamKind::Messages,
};

/// Checks the requests that this body becomes, if it is valid.
pub(crate) fn check(body: &[u8]) {
    for model in [TARGET.model, "claude-sonnet-5", "glm-5"] {
        match request(body, &MessagesTarget { model, ..TARGET }) {
            Ok(translated) => {
                if let Some(sent) = parsed(body, &translated.body) {
                    assert_eq!(sent["model"], model);
                    assert!(sent["max_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "a limit is there");
                    check_turns(&sent["messages"]);
                    check_texts(body, &sent);
                }
            }
            Err(error) => assert!(!error.message.is_empty() && !error.message.contains('\n')),
        }
    }
    let target = MessagesTarget { model: "up/m", upstream: UpstreamKind::ChatCompletions, ..TARGET };
    let Ok(translated) = request(body, &target) else { return };
    let members = Some(&translated.members);
    let upstream = ChatUpstream {
        provider: "p",
        model: "up/m",
        requested_model: "p:m",
        dialect: &PLAIN,
        session: None,
        members,
    };
    match chat::request(&translated.body, &upstream) {
        Ok(sent) => {
            if let Some(sent) = parsed(body, &sent.body) {
                check_order(&sent["messages"]);
                check_texts(body, &sent);
            }
        }
        Err(error) => assert!(!error.message.is_empty() && !error.message.contains('\n')),
    }
}

/// `None` for numbers beyond a double and a hundred levels, which this parser cannot read. The client sent them so.
fn parsed(asked: &[u8], sent: &[u8]) -> Option<Value> {
    let read = serde_json::from_slice::<Value>(&readable(sent)).ok();
    if read.is_none() {
        let asked = serde_json::from_slice::<Value>(&readable(asked));
        assert!(asked.is_err(), "an unreadable body is sent: {}", String::from_utf8_lossy(sent));
    }
    read
}

/// Checks that every text of the user is there.
fn check_texts(asked: &[u8], sent: &Value) {
    let Ok(asked) = serde_json::from_slice::<Value>(&readable(asked)) else { return };
    let sent = sent["messages"].to_string();
    let items = asked["input"].as_array().into_iter().flatten();
    let users =
        items.filter(|item| item["role"] == "user" && (item["type"] == "message" || item["type"].is_null()));
    let contents = users.map(|item| &item["content"]).chain([&asked["input"]]);
    for content in contents {
        let parts = content.as_array().into_iter().flatten();
        let parts = parts.filter(|part| part["type"] == "input_text").map(|part| &part["text"]);
        for text in parts.chain([content]).filter_map(Value::as_str) {
            let literal = Value::from(text).to_string();
            let inner = &literal[1..literal.len() - 1];
            assert!(text.trim().is_empty() || sent.contains(inner), "a text of the user is lost: {text}");
        }
    }
}
