//! `/health/live` and `/health/ready`.

use serde_json::json;

use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

/// Requirement: both probes answer 200 without a key while the gateway serves, with GET and HEAD, and no cache keeps them.
#[test]
fn both_succeed_while_the_gateway_serves() {
    let gateway = Gateway::before(&Upstream::openai()).env("PROXY_API_KEY", "sk-gateway").start();
    for (path, status) in [("/health/live", "live"), ("/health/ready", "ready"), ("/health/ready/", "ready")]
    {
        let reply = gateway.get(path);
        assert_eq!((reply.status(), reply.json()), (200, json!({"status": status})));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        assert_eq!(gateway.call("HEAD", path).reply().status(), 200);
        assert_eq!(gateway.call("POST", path).reply().status(), 405);
    }
}

/// Requirement: during a drain, no new probe succeeds.
#[test]
fn a_draining_gateway_is_not_ready() {
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();
    let _in_flight = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(0);
    gateway.run.signal("TERM");
    gateway.run.await_log("shutting down");
    gateway.run.await_refusal(gateway.address);
}

/// Requirement: a gateway without a provider is live, and not ready with the variable to set.
#[test]
fn without_a_provider_it_is_not_ready() {
    let gateway = Gateway::bare().env("VDM_DEMO", "0").start();
    let ready = gateway.get("/health/ready");
    assert_eq!((ready.status(), ready.json()["status"].as_str()), (503, Some("unconfigured")));
    assert!(ready.raw().contains("OPENAI_API_KEY"), "{ready}");
    assert_eq!(gateway.get("/health/live").status(), 200);
}
