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
