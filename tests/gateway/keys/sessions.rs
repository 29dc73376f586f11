//! A session stays with its key, so that the upstream's prompt cache is of use.

use serde_json::json;

use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

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
