//! Keys that an operator disables and enables.

use serde_json::{Value, json};

use super::{post, with_admin_key};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::Upstream;

const KEYS: [&str; 2] = ["sk-test-one", "sk-test-two"];

/// The ids of the keys with their states, in the order of the configuration.
fn keys(gateway: &Gateway, provider: &str) -> Vec<(String, String)> {
    let health = gateway.get("/health?format=json").json();
    let keys = health["providers"][provider]["keys"].as_array().expect("keys").clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    keys.iter().map(|key| (text(&key["id"]), text(&key["state"]))).collect()
}

fn switch(gateway: &Gateway, provider: &str, key: &str, to: &str) {
    let body = json!({"provider": provider, "key": key});
    let reply = post(gateway, &format!("/admin/keys/{to}"), &body.to_string());
    let expected = json!({"provider": provider, "key": key, "state": format!("{to}d")});
    assert_eq!((reply.status(), reply.json()), (200, expected), "{reply}");
}

/// Requirement (issue 16, 6): a disabled key serves no request, over a reload and a restart, until it is enabled; `/health` and `vdm
/// health server` show it, and it is no failure.
#[test]
fn a_disabled_key_serves_no_request_until_it_is_enabled() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).keys(KEYS).start();
    let one = keys(&gateway, "anthropic")[0].0.clone();
    let asked = |expected: &[&str]| {
        let before = upstream.count();
        for _ in 0..4 {
            assert_eq!(gateway.ask("hi").status(), 200);
        }
        let mut seen = upstream.keys_seen().split_off(before);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, expected);
    };
    asked(&KEYS);
    switch(&gateway, "anthropic", &one, "disable");
    assert_eq!(keys(&gateway, "anthropic")[0], (one.clone(), "disabled".to_owned()));
    asked(&KEYS[1..]);
    let report = gateway.get("/health?format=json").json();
    assert_eq!(report["status"], "healthy", "{report}");
    assert_eq!(report["providers"]["anthropic"]["keys"][0]["reason"], "disabled by an operator");
    let port = gateway.address.port().to_string();
    let shown = gateway.run.vdm(&["health", "server", "--port", &port]).output().expect("vdm is built");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(&format!("key {one}: disabled by an operator")), "{shown}");

    gateway.run.write("test.toml", "[limits]\nmodel-name = 300\n");
    assert_eq!(post(&gateway, "/admin/reload", "").status(), 200);
    asked(&KEYS[1..]);
    assert_eq!(post(&gateway, "/admin/health/reset", "").status(), 200);
    asked(&KEYS[1..]);
    assert!(gateway.server(&["restart"]).output().expect("vdm is built").status.success());
    asked(&KEYS[1..]);

    switch(&gateway, "anthropic", &one, "enable");
    assert_eq!(keys(&gateway, "anthropic")[0].1, "ready");
    asked(&KEYS);
    assert!(gateway.log().contains("was disabled by an operator"), "{}", gateway.log());
    assert!(!gateway.log().contains("sk-test-one"));
}

/// Requirement (issue 16, 6): if all keys of a provider are disabled, requests go to the next target; without one the answer is a 503
/// that names the provider and the remedy.
#[test]
fn a_provider_whose_keys_are_all_disabled_is_passed_over() {
    let (one, two) = (Upstream::anthropic(), Upstream::openai());
    let gateway = with_admin_key(&one)
        .provider("one", &one)
        .provider("two", &two)
        .toml("[one]\nfallbacks = [\"two:b\"]")
        .start();
    let [key] = &keys(&gateway, "one")[..] else { panic!("one key") };
    switch(&gateway, "one", &key.0, "disable");
    assert_eq!(gateway.messages(&whole_prompt("one:a", "hi")).reply().status(), 200);
    assert_eq!((one.count(), two.count()), (0, 1));

    let [key] = &keys(&gateway, "two")[..] else { panic!("one key") };
    switch(&gateway, "two", &key.0, "disable");
    for model in ["one:a", "two:b"] {
        let refused = gateway.messages(&whole_prompt(model, "hi")).reply();
        assert_eq!((refused.status(), refused.error_type().as_str()), (503, "api_error"), "{refused}");
        let message = refused.error_message();
        assert!(message.contains("disabled every key of provider"), "{message}");
    }
    assert_eq!((one.count(), two.count()), (0, 1));
    assert_eq!(gateway.messages(&whole_prompt(MODEL, "hi")).reply().status(), 200, "others serve");
}

/// Requirement (issue 16, 6): an unknown provider or key is named as such, and a key that somebody sends instead of its id is not
/// repeated.
#[test]
fn wrong_names_are_refused() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).keys(KEYS).start();
    for (body, status, text) in [
        (json!({"provider": "absent", "key": "00000000"}), 404, "configured: anthropic"),
        (json!({"provider": "anthropic", "key": "sk-test-one"}), 404, "no key of this provider"),
        (json!({"provider": "anthropic"}), 400, "expected {"),
        (json!({"provider": "anthropic", "key": "0", "x": 1}), 400, "expected {"),
        (json!(3), 400, "expected {"),
    ] {
        for path in ["/admin/keys/disable", "/admin/keys/enable"] {
            let reply = post(&gateway, path, &body.to_string());
            assert_eq!(reply.status(), status, "{body}: {reply}");
            let message = reply.error_message();
            assert!(message.contains(text) && !message.contains("sk-test"), "{message}");
        }
    }
}
