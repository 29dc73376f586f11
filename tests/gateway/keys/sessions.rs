//! A session stays with its key, so that the upstream's prompt cache is of use.

use std::collections::HashSet;

use serde_json::json;

use super::{limited, refusal};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Dialect, Upstream};

fn of_session(gateway: &Gateway, session: &str) -> Reply {
    gateway.messages(&prompt(MODEL, "hi")).header("x-claude-code-session-id", session).reply()
}

#[test]
fn a_session_keeps_its_key_and_sessions_are_spread() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3"]).start();
    for session in 0..24 {
        let before = upstream.count();
        for _ in 0..3 {
            of_session(&gateway, &format!("session-{session}"));
        }
        let used = upstream.keys_seen()[before..].to_vec();
        assert!(used.iter().all(|key| *key == used[0]), "{used:?}");
    }
    for key in ["k1", "k2", "k3"] {
        assert!(upstream.keys_seen().contains(&key.to_owned()), "{key} serves no session");
    }
}

#[test]
fn the_session_inside_the_metadata_counts_as_one() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3"]).start();
    let users = [
        "user_0af1_account__session_2c5bd53c-8a4d-4a3b-9c55-0b9d4c1d9e6f".to_owned(),
        json!({"device_id": "d", "account_uuid": "", "session_id": "2c5bd53c-8a4d"}).to_string(),
    ];
    for user in users {
        let before = upstream.count();
        for _ in 0..6 {
            let mut body = whole_prompt(MODEL, "hi");
            body["metadata"] = json!({"user_id": user});
            gateway.messages(&body).reply();
        }
        let used = upstream.keys_seen()[before..].to_vec();
        assert!(used.iter().all(|key| *key == used[0]), "{user}: {used:?}");
    }
}

#[test]
fn a_session_moves_on_when_its_key_dies() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
    of_session(&gateway, "mine");
    let dead = upstream.keys_seen()[0].clone();
    let upstream = upstream.refusing(&dead);
    for _ in 0..2 {
        assert_eq!(of_session(&gateway, "mine").status(), 200);
    }
    let seen: Vec<bool> = upstream.keys_seen().iter().map(|key| *key == dead).collect();
    assert_eq!(seen, [true, true, false, false]);
}

#[test]
fn a_session_has_its_key_after_a_restart_and_on_another_machine() {
    let upstream = Upstream::openai();
    let mut used = vec![];
    for _ in 0..2 {
        let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3"]).start();
        let before = upstream.count();
        (0..12).for_each(|session| drop(of_session(&gateway, &format!("s{session}"))));
        used.push(upstream.keys_seen()[before..].to_vec());
    }
    assert_eq!(used[0], used[1]);
}

#[test]
fn the_same_id_of_another_caller_is_another_session() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3"]).start();
    for caller in 0..24 {
        let call = gateway.messages(&prompt(MODEL, "hi")).header("x-claude-code-session-id", "one");
        call.header("x-api-key", &format!("caller-{caller}")).reply();
    }
    for key in ["k1", "k2", "k3"] {
        assert!(upstream.keys_seen().contains(&key.to_owned()), "{key} serves no caller");
    }
}

/// An upstream with a prompt cache per key: a session that keeps its key finds its prompt there.
#[test]
fn eight_sessions_over_four_keys_find_their_prompts_in_the_cache() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).keys(["k1", "k2", "k3", "k4"]).start();
    for _ in 0..5 {
        for session in 0..8 {
            let call = gateway.messages(&prompt(MODEL, &format!("prompt {session}")));
            call.header("x-claude-code-session-id", &format!("s{session}")).reply();
        }
    }
    let asked: HashSet<_> =
        upstream.requests().iter().map(|seen| (seen.key().to_owned(), seen.text())).collect();
    assert_eq!((upstream.count(), asked.len()), (40, 8), "each prompt is new to one key only, once");
}

#[test]
fn the_wait_that_a_client_is_told_runs_down() {
    let upstream = Upstream::openai().always(limited(Dialect::OpenAi, "900"));
    let gateway = Gateway::before(&upstream).start();
    let first = gateway.ask("hi").integer("retry-after");
    assert!((600..=900).contains(&first), "{first}");
    super::await_that("the wait has become shorter", || {
        let reply = gateway.ask("hi");
        assert_eq!((reply.status(), reply.header("x-should-retry")), (429, Some("false")), "{reply}");
        reply.integer("retry-after") < first
    });
    assert_eq!(upstream.count(), 1);
}

#[test]
fn refusals_for_many_models_start_no_cooldown_of_the_whole_key() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        let forbidden = seen.json()["model"].as_str().is_some_and(|model| model.starts_with("forbidden"));
        (seen.key() == "k1" && forbidden).then(|| refusal(Dialect::OpenAi, 403))
    });
    let gateway = Gateway::before(&upstream).keys(["k1", "k2"]).start();
    for number in 0..70 {
        let reply = gateway.messages(&prompt(&format!("forbidden-{number}"), "hi")).reply();
        assert_eq!(reply.status(), 200);
    }
    let before = upstream.count();
    for _ in 0..2 {
        assert_eq!(gateway.messages(&prompt("allowed", "hi")).reply().status(), 200);
    }
    let used = upstream.keys_seen()[before..].to_vec();
    assert!(used.contains(&"k1".to_owned()), "{used:?}");
}
