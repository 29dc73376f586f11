//! Admin actions over HTTP, and their commands.

mod actions;
mod keys;

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::json;

use crate::support::client::{Exchange, connect, prompt};
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

const ADMIN: &str = "vdm_admin_0123456789abcdef";

fn with_admin_key(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("VDM_ADMIN_KEY", ADMIN)
}

fn post(gateway: &Gateway, path: &str, body: &str) -> Reply {
    gateway.call("POST", path).header("authorization", &format!("Bearer {ADMIN}")).body(body).reply()
}

/// Requirement: `POST /admin/reload` does what `vdm server reload --json` does, with the same answer.
#[test]
fn a_reload_over_http_answers_as_the_command_does() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    gateway.run.write("test.toml", "[limits]\nmodel-name = 300\n");
    let reply = post(&gateway, "/admin/reload", "");
    assert_eq!(reply.status(), 200, "{reply}");
    let changed = reply.json()["changed"].to_string();
    assert!(changed.contains("limits.model-name = 300"), "{reply}");
    let command = gateway.server(&["reload", "--json"]).output().expect("vdm is built");
    let command: serde_json::Value = serde_json::from_slice(&command.stdout).expect("JSON");
    assert_eq!(post(&gateway, "/admin/reload", "{}").json(), command);
    gateway.run.write("test.toml", "[limits]\nmodel-nam = 300\n");
    let refused = post(&gateway, "/admin/reload", "");
    assert_eq!(refused.status(), 422, "{refused}");
    assert!(
        refused.json()["refused"][0].as_str().is_some_and(|line| line.contains("model-name")),
        "{refused}"
    );
    let command = gateway.server(&["reload", "--json"]).output().expect("vdm is built");
    let command: serde_json::Value = serde_json::from_slice(&command.stdout).expect("JSON");
    assert_eq!(refused.json(), command);
}

/// Requirement: `POST /admin/health/reset` and `vdm health reset` reset the health of a provider or a key.
#[test]
fn a_reset_clears_the_health_of_a_provider_or_a_key() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).keys(["sk-test-one", "sk-test-two"]).start();
    let limited = || {
        for _ in 0..2 {
            upstream.then(
                Answer::json(429, json!({"error": {"message": "slow down"}}).to_string())
                    .header("retry-after", "100"),
            );
        }
        assert_eq!(gateway.messages(&whole_prompt(MODEL, "hi")).reply().status(), 429);
        let calls = upstream.count();
        assert_eq!(gateway.ask("hi").status(), 429, "the wait holds");
        assert_eq!(upstream.count(), calls, "no call is made");
    };
    limited();
    let reset = post(&gateway, "/admin/health/reset", "{\"provider\": \"anthropic\"}");
    assert_eq!(
        (reset.status(), reset.json()["reset"][0]["provider"].as_str()),
        (200, Some("anthropic")),
        "{reset}"
    );
    let ids = reset.json()["reset"][0]["keys"].clone();
    assert_eq!(ids.as_array().map(Vec::len), Some(2), "{reset}");
    assert_eq!(gateway.ask("hi").status(), 200);
    limited();
    let id = ids[0].as_str().expect("an id");
    let one = post(&gateway, "/admin/health/reset", &json!({"key": id}).to_string());
    assert_eq!(one.json(), json!({"reset": [{"provider": "anthropic", "keys": [id]}]}));
    assert_eq!(gateway.messages(&prompt(MODEL, "hi")).reply().status(), 200);
    assert!(gateway.log().contains("was reset by an operator"), "{}", gateway.log());
    let command = |arguments: &[&str]| {
        let mut command =
            gateway.run.vdm(&["health", "reset", "--port", &gateway.address.port().to_string()]);
        let output = command.args(arguments).output().expect("vdm is built");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, text) = command(&[]);
    assert!(code == Some(0) && text.contains("anthropic: reset (keys "), "{text}");
    let (code, text) = command(&["absent"]);
    assert!(code == Some(1) && text.contains("there is no such provider; configured: anthropic"), "{text}");
    let (code, text) = command(&["--key", "00000000"]);
    assert!(code == Some(1) && text.contains("no key has this id"), "{text}");
    for (body, status) in
        [("{\"provider\": \"absent\"}", 404), ("{\"key\": \"00\"}", 404), ("3", 400), ("{\"x\": 1}", 400)]
    {
        assert_eq!(post(&gateway, "/admin/health/reset", body).status(), status, "{body}");
    }
}

/// Sends an admin action on this connection, which stays open; the status of the reply.
fn status_on(mut stream: &TcpStream, path: &str) -> u16 {
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {ADMIN}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the connection is open");
    Exchange::new(stream.try_clone().expect("a descriptor")).finish().status()
}

/// Requirement: after a restart, an open connection to the earlier worker refuses admin actions: they would not change the
/// worker that serves.
#[test]
fn an_earlier_worker_refuses_admin_actions() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    let kept = ["/admin/reload", "/admin/health/reset"].map(|path| (path, connect(gateway.address)));
    for (path, stream) in &kept {
        assert_eq!(status_on(stream, path), 200, "{path}");
    }
    let restarted = gateway.server(&["restart"]).output().expect("vdm is built");
    assert!(restarted.status.success(), "{}", gateway.log());
    for (path, stream) in &kept {
        assert_eq!(status_on(stream, path), 503, "{path}");
        assert_eq!(post(&gateway, path, "").status(), 200, "{path} of the new worker");
    }
}
