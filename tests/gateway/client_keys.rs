//! Several keys for clients, each with a name.

use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, vdm, whole_prompt};
use crate::support::upstream::{Answer, Upstream};

const ALICE: &str = "vdm_alice_0123456789abcdef";
const CI: &str = "vdm_ci_0123456789abcdef";

fn status(gateway: &Gateway, key: &str) -> u16 {
    gateway.messages(&whole_prompt(MODEL, "hi")).header("x-api-key", key).reply().status()
}

/// Requirement: `vdm key new NAME` prints a key once with the line for the configuration; the key opens the gateway, and its name
/// is in the log line, the active requests and the last requests.
#[test]
fn a_new_key_opens_the_gateway_under_its_name() {
    let made = vdm(&["key", "new", "Alice"], &[], "");
    let key = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let told = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success() && key.starts_with("vdm_") && key.len() == 52, "{key} {told}");
    assert!(!told.contains(&key), "the key is on stdout only");
    let line = told.lines().find(|line| line.starts_with("alice = ")).expect("a line for the file");
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).toml(&format!("[client-keys]\n{line}")).start();
    assert_eq!((status(&gateway, &key), status(&gateway, "vdm_wrong")), (200, 401));
    let log = gateway.run.await_log("client=alice ");
    assert!(!log.contains(&key), "{log}");
    upstream.then(Answer::json(200, "{}").head_on_permit());
    let waiting = gateway.messages(&whole_prompt(MODEL, "hi")).header("x-api-key", &key).send();
    upstream.request(1);
    let read = |path: &str| gateway.call("GET", path).header("x-api-key", &key).reply().json();
    assert_eq!(read("/metrics/active-requests")["active_requests"][0]["client"], "alice");
    assert_eq!(
        read("/metrics/logs")["traces"].as_array().expect("rows").last().expect("one")["client"],
        "alice"
    );
    drop(waiting);
    assert!(upstream.keys_seen().iter().all(|seen| seen == "sk-test"));
    let json = vdm(&["key", "new", "ci", "--json"], &[], "");
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert!(json["hash"].as_str().is_some_and(|hash| hash.starts_with("sha256:")), "{json}");
    assert_eq!(vdm(&["key", "new", "a b"], &[], "").status.code(), Some(2));
}

/// Requirement: `PROXY_API_KEY` stays the one key without a name, beside named ones; a reload adds and removes keys at once.
#[test]
fn a_reload_adds_and_removes_keys() {
    let upstream = Upstream::anthropic();
    let setup = Gateway::before(&upstream).env("PROXY_API_KEY", "vdm_proxy_0123456789");
    let gateway =
        setup.file("ci-key", &format!("{CI}\n")).toml(&format!("[client-keys]\nalice = '{ALICE}'")).start();
    let statuses = || [ALICE, CI, "vdm_proxy_0123456789"].map(|key| status(&gateway, key));
    let reload = || gateway.server(&["reload"]).output().expect("vdm is built");
    assert_eq!(statuses(), [200, 401, 200]);
    gateway.run.write("test.toml", "[client-keys]\nci = { file = 'ci-key' }\n");
    let told = reload();
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        text.contains("client-keys.ci = <") && text.contains("client-keys.alice is no longer set"),
        "{text}"
    );
    assert_eq!(statuses(), [401, 200, 200]);
    gateway.run.write("ci-key", "vdm_other_0123456789abcdef");
    assert!(String::from_utf8_lossy(&reload().stdout).contains("client-keys.ci"));
    assert_eq!(statuses(), [401, 401, 200]);
    // A removed key still goes to no upstream.
    let reply = gateway.messages(&prompt(MODEL, "hi")).header("x-api-key", "vdm_proxy_0123456789");
    assert_eq!(reply.header("x-app", CI).header("x-note", &format!("key={ALICE}")).reply().status(), 200);
    let seen = upstream.requests();
    let head = format!("{:?}", seen.last().expect("a request").head);
    assert!(!head.contains(CI) && !head.contains(ALICE), "{head}");
}

/// Requirement: wrong entries are errors with their place, and no error repeats a key.
#[test]
fn wrong_entries_are_errors_with_their_place() {
    for (table, words) in [
        ("a = 'Bearer vdm_secret_key'", "[client-keys] a: expected one key"),
        ("a = ''", "[client-keys] a: expected one key"),
        ("a = { hash = 'sha256:12' }", "[client-keys] a: expected \"sha256:\" and 64 hexadecimal digits"),
        ("a = { key = 'vdm_secret_key' }", "[client-keys] a: expected a key in quotes"),
        ("a = 3", "[client-keys] a: expected a key in quotes"),
        ("a = { file = 'absent' }", "[client-keys] a: cannot read the key file absent"),
        ("\"a b\" = 'vdm_secret_key'", "the name of a client may hold letters"),
        ("a = 'vdm_secret_key'\nb = 'vdm_secret_key'", "[client-keys] b: 'a' has the same key"),
        ("a = 'vdm_proxy_0123456789'", "[client-keys] a: this is PROXY_API_KEY, too"),
        ("a = 'vdm_admin_0123456789'", "VDM_ADMIN_KEY: clients have this key"),
    ] {
        let environment =
            [("PROXY_API_KEY", "vdm_proxy_0123456789"), ("VDM_ADMIN_KEY", "vdm_admin_0123456789")];
        let refused = vdm(&["config", "validate"], &environment, &format!("[client-keys]\n{table}\n"));
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && text.contains(words), "{table}: {text}");
        assert!(!text.contains("secret") && !text.contains("_0123"), "{text}");
    }
}
