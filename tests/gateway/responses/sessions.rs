//! The session of a Responses client: it keeps its key, and its records have one session.

use serde_json::json;

use super::{call, over_responses};
use crate::support::gateway::MODEL;
use crate::support::responses;
use crate::support::upstream::Upstream;

const KEYS: [&str; 5] = ["sk-1", "sk-2", "sk-3", "sk-4", "sk-5"];

/// Requirement: requests of one session get one key, whether the session is in a header or in the body.
#[test]
fn a_session_keeps_its_key() {
    for header in [Some("session-id"), Some("session_id"), Some("thread-id"), None] {
        let upstream = Upstream::openai();
        let gateway = over_responses(&upstream).keys(KEYS).start();
        for session in ["0193-a", "0193-b", "0193-c"] {
            for _ in 0..4 {
                let mut body = responses::whole_prompt(MODEL, "hi");
                if header.is_none() {
                    body["prompt_cache_key"] = json!(session);
                }
                let sent = call(&gateway, &body);
                let sent = match header {
                    Some(name) => sent.header(name, session),
                    None => sent,
                };
                assert_eq!(sent.reply().status(), 200);
            }
        }
        let keys = upstream.keys_seen();
        for session in keys.chunks(4) {
            assert!(session.iter().all(|key| *key == session[0]), "{header:?}: {keys:?}");
        }
    }
}

/// Requirement: without a session the keys take turns.
#[test]
fn requests_without_a_session_use_all_keys() {
    let upstream = Upstream::openai();
    let gateway = over_responses(&upstream).keys(KEYS).start();
    for _ in KEYS {
        call(&gateway, &responses::whole_prompt(MODEL, "hi")).header("x-client-request-id", "r").reply();
    }
    let mut keys = upstream.keys_seen();
    keys.sort();
    assert_eq!(keys, KEYS);
}

/// Requirement: the records of a Codex session have its id.
#[test]
fn the_session_is_recorded() {
    let upstream = Upstream::openai();
    let gateway = over_responses(&upstream).start();
    call(&gateway, &responses::whole_prompt(MODEL, "hi")).header("session-id", "0193-a").reply();
    let mut body = responses::whole_prompt(MODEL, "hi");
    body["prompt_cache_key"] = json!("0193-b");
    call(&gateway, &body).reply();
    let logs = gateway.get("/metrics/logs").json();
    let sessions: Vec<_> =
        logs["traces"].as_array().into_iter().flatten().map(|line| line["session"].clone()).collect();
    assert_eq!(sessions, [json!("0193-b"), json!("0193-a")], "{logs}");
}
