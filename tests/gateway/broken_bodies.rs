//! The gateway refuses bodies that are not JSON objects at every endpoint, whatever API the provider has.

use serde_json::json;

use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::Upstream;

const MESSAGES: [&str; 2] = ["/v1/messages", "/v1/messages/count_tokens"];
const CHAT: &str = "/v1/chat/completions";

fn refused(gateway: &Gateway, path: &str, body: &[u8]) {
    let reply = gateway.call("POST", path).header("content-type", "application/json").body(body).reply();
    let shown = String::from_utf8_lossy(body);
    assert_eq!(reply.status(), 400, "{path} {shown}: {reply}");
    assert_eq!(reply.json()["error"]["type"], "invalid_request_error", "{path} {shown}: {reply}");
    assert!(!reply.json()["error"]["message"].to_string().contains("secret"), "{reply}");
}

fn paths() -> impl Iterator<Item = &'static str> {
    MESSAGES.into_iter().chain([CHAT])
}

#[test]
fn a_body_that_is_not_a_json_object_reaches_no_upstream() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();
        for path in paths() {
            for body in [
                &b""[..],
                b" ",
                b"{",
                b"}",
                b"[]",
                b"[{\"model\":\"test-model\"}]",
                b"\"test-model\"",
                b"null",
                b"1",
                b"model=test-model",
                b"{\"model\":\"test-model\"} {\"secret\":1}",
                b"{\"model\":\"test-model\"}x",
                b"{\"model\":\"test-model\",}",
                b"{\"model\":\"test-model\" \"messages\":[]}",
                b"{\"model\":\"test-model\",\"messages\":[{]}",
                b"{\"model\":\"test-model\",\"messages\":[}",
                b"{'model':'test-model'}",
                b"\xef\xbb\xbf{\"model\":\"test-model\",\"max_tokens\":1,\"messages\":[]}",
                b"{\"model\":\"test-model\",\"a\":\"\xff\"}",
                b"\0",
            ] {
                refused(&gateway, path, body);
            }
        }
        assert_eq!(upstream.count(), 0);
    }
}

#[test]
fn a_body_truncated_at_any_byte_reaches_no_upstream() {
    let whole = json!({"model": MODEL, "max_tokens": 9, "stream": false, "system": "s \"é\"",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "secret 🌹\\"}]}]})
    .to_string();
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();
        for path in paths() {
            for end in 0..whole.len() {
                refused(&gateway, path, &whole.as_bytes()[..end]);
            }
        }
        assert_eq!(upstream.count(), 0);
    }
}

#[test]
fn white_space_around_the_object_and_deep_nesting_are_accepted() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let message = r#"{"role":"user","content":"hi"}"#;
        let body = format!(
            " \r\n\t{{\"model\":\"{MODEL}\",\"max_tokens\":9,\"x\":{deep},\"messages\":[{message}]}} \r\n\t\n"
        );
        for path in ["/v1/messages", CHAT] {
            let reply = gateway
                .call("POST", path)
                .header("content-type", "application/json")
                .body(body.clone())
                .reply();
            assert_eq!(reply.status(), 200, "{path}: {reply}");
        }
        assert_eq!(upstream.count(), 2);
    }
}
