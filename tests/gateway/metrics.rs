//! Reports about single requests: those in flight, the last that ended, and none if metrics are off.

mod active;
mod logs;
mod off;

use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

const ACTIVE: &str = "/metrics/active-requests";
const STREAM: &str = "/metrics/active-requests/stream";
const LOGS: &str = "/metrics/logs";

#[test]
fn reports_require_the_gateway_key_or_a_local_client() {
    let upstream = Upstream::openai();
    let open = Gateway::before(&upstream).start();
    let closed = Gateway::before(&upstream).env("PROXY_API_KEY", "pk").start();
    for endpoint in [ACTIVE, STREAM, LOGS] {
        let from_afar = open.call("GET", endpoint).header("x-forwarded-for", "192.0.2.1").reply();
        assert_eq!(
            (from_afar.status(), from_afar.error_type().as_str()),
            (403, "permission_error"),
            "{endpoint}"
        );
        assert!(from_afar.error_message().contains("set PROXY_API_KEY"), "{from_afar}");
        let unknown = closed.call("GET", endpoint).header("x-api-key", "wrong").reply();
        assert_eq!(
            (unknown.status(), unknown.error_type().as_str()),
            (401, "authentication_error"),
            "{endpoint}"
        );
        let mut known = closed.call("GET", endpoint).header("x-api-key", "pk").open();
        assert_eq!(known.status(), 200, "{endpoint}");
        let allowed = if endpoint == STREAM { "GET" } else { "GET, HEAD" };
        let wrong = open.call("POST", endpoint).reply();
        assert_eq!((wrong.status(), wrong.header("allow")), (405, Some(allowed)), "{endpoint}");
    }
}

/// Requirement: the stream of running requests ends when the keys change, so that a removed key reads nothing more; and its connection
/// is not reused, so that a client connects to the new process after a restart.
#[test]
fn the_stream_ends_with_its_key_and_closes_its_connection() {
    let upstream = Upstream::openai();
    let file = |key: &str| format!("[client-keys]\nalice = \"{key}\"\n");
    let gateway = Gateway::before(&upstream).toml(&file("vdm_alice_0123456789abcdef")).start();
    let mut stream = gateway.call("GET", STREAM).header("x-api-key", "vdm_alice_0123456789abcdef").send();
    assert_eq!((stream.status(), stream.head().header("connection")), (200, Some("close")));
    drop(stream.event_named("update"));
    gateway.run.write("test.toml", &file("vdm_another_0123456789abcdef"));
    assert!(gateway.server(&["reload"]).output().expect("vdm is built").status.success());
    while stream.event().is_some() {}
}
