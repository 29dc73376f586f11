//! The operators' pages as the gateway renders them: providers, models, routing, tools, logs and system.

use serde_json::json;

use super::*;
use crate::support::await_that;
use crate::support::upstream::Answer;

const BAD: &str = "sk-test-bad-key";

fn page(gateway: &Gateway, path: &str, key: &str) -> String {
    let reply = gateway.call("GET", path).header("x-api-key", key).reply();
    assert_eq!(reply.status(), 200, "{path}: {reply}");
    reply.raw()
}

/// Requirement (issue 16, 6): every key is shown by its id with its state and the upstream's words; only an admin gets the controls.
#[test]
fn providers_have_controls_for_admins_only() {
    let upstream = Upstream::openai().refusing(BAD);
    let gateway =
        with_admin_key(&upstream).env("PROXY_API_KEY", PROXY).keys([BAD, "sk-test-good-key"]).start();
    let asked = gateway.messages(&whole_prompt(MODEL, "hi")).header("x-api-key", PROXY).reply();
    assert_eq!(asked.status(), 200, "{asked}");
    let (admin, client) =
        (page(&gateway, "/dashboard/providers", ADMIN), page(&gateway, "/dashboard/providers", PROXY));
    for shown in [&admin, &client] {
        assert!(shown.contains("1 of 2 keys ready") && shown.contains(">rejected<"), "{shown}");
        assert!(!shown.contains("sk-test"), "{shown}");
    }
    assert!(admin.contains("data-until>"), "the end of the wait is shown as a time: {admin}");
    for control in ["data-switch=", "data-reset=", "data-probe="] {
        assert!(admin.contains(control) && !client.contains(control), "{control}");
    }
    let system = |key| page(&gateway, "/dashboard/system", key);
    for control in ["data-restart", "data-reload"] {
        assert!(system(ADMIN).contains(control) && !system(PROXY).contains(control), "{control}");
    }
}

/// Requirement (issue 16, 6): the default provider is chosen, filters and order are in the address, and a long list comes in slices.
/// Checklist 28: the order is by number.
#[test]
fn models_come_in_slices_with_filters_in_the_address() {
    let models: Vec<_> = (0..250)
        .map(|number| json!({"id": format!("v/m-{number}"), "context_length": 1000 * number + 1, "created": 1_700_000_000}))
        .collect();
    let upstream = Upstream::openai().always(Answer::json(200, json!({"data": models}).to_string()));
    let gateway = Gateway::before(&upstream).start();
    // The first view waits for the list.
    let first = gateway.get("/dashboard/models").raw();
    assert!(first.contains("<option value=\"openai\" selected>openai (default)"), "{first}");
    assert!(first.contains("<span id=\"total\">250</span>"), "{first}");
    assert_eq!(first.matches("data-select=").count(), 100);
    assert!(first.contains("offset=100"), "the next slice has an address");
    let last = gateway.get("/dashboard/models?offset=200").raw();
    assert_eq!((last.matches("data-select=").count(), last.contains("id=\"more\"")), (50, false));
    let sorted = gateway.get("/dashboard/models?sort=context&order=desc").raw();
    let at = |id: &str| sorted.find(&format!("data-select=\"{id}\"")).unwrap_or(usize::MAX);
    assert!(at("v/m-249") < at("v/m-200") && at("v/m-200") < at("v/m-160"), "{sorted}");
    assert!(sorted.contains("aria-sort=\"descending\""));
    let found = gateway.get("/dashboard/models?q=M-24&vendor=v").raw();
    assert!(found.contains("<span id=\"total\">11</span>"), "{found}");
    assert!(gateway.get("/dashboard/models?q=none").raw().contains("No model matches"));
    assert_eq!(gateway.get("/dashboard/models?sort=nothing").status(), 400);
}

/// Requirement (issue 16, 6): the page explains a name; markup in it is text, and a pasted key is not shown.
#[test]
fn routing_explains_a_name_and_shows_no_key() {
    let upstream = Upstream::openai();
    let key = "sk-test-0123456789abcdef0123456789";
    let toml = "[openai.aliases]\ndocs = \"ds\"\nds = \"deep-v3\"\n[defaults.aliases]\neverywhere = \"ds\"\n";
    let gateway = Gateway::before(&upstream).keys([key]).toml(toml).start();
    let explained = |name: &str| gateway.get(&format!("/dashboard/routing?model={name}")).raw();
    let docs = explained("docs");
    assert!(docs.contains("<code>openai:deep-v3</code>") && docs.contains("docs → ds → deep-v3"), "{docs}");
    assert!(
        docs.contains("[defaults.aliases] everywhere"),
        "an alias for all providers has its place: {docs}"
    );
    let markup = explained("%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    assert!(!markup.contains("<script>alert"), "{markup}");
    let pasted = explained(key);
    let explanation =
        pasted.split("id=\"explained\"").nth(1).and_then(|rest| rest.split("</section>").next());
    assert!(explanation.is_some_and(|text| !text.contains(key)), "{pasted}");
    assert_eq!(gateway.get(&format!("/dashboard/routing?model={}", "x".repeat(300))).status(), 400);
}

/// Checklist 36: the token counter returns what `/v1/messages/count_tokens` returns. A session may count and send messages from the
/// gateway's own pages only, and its cookie does not reach the provider.
#[test]
fn a_session_may_count_and_send_from_own_pages() {
    let upstream = Upstream::openai();
    let gateway = with_admin_key(&upstream).env("PROXY_API_KEY", PROXY).start();
    let cookie = session(&gateway, ADMIN);
    let body = whole_prompt(MODEL, "How many tokens are these?");
    let call = |path: &str| gateway.call("POST", path).json(&body);
    let own = |call: Call| {
        call.header("cookie", &cookie)
            .header("origin", &format!("http://{}", gateway.address))
            .header("sec-fetch-site", "same-origin")
            .reply()
    };
    let path = "/v1/messages/count_tokens";
    let counted = own(call(path));
    let by_client = call(path).header("x-api-key", PROXY).reply();
    assert_eq!((counted.status(), counted.json()), (200, by_client.json()), "{counted}");
    assert!(counted.json()["input_tokens"].as_u64() > Some(0), "{counted}");
    assert_eq!(own(call("/v1/messages")).status(), 200);
    let foreign =
        call("/v1/messages").header("cookie", &cookie).header("sec-fetch-site", "cross-site").reply();
    assert_eq!(foreign.status(), 401, "{foreign}");
    assert_eq!(
        call("/v1/messages").header("cookie", &cookie).reply().status(),
        401,
        "a script sends its origin"
    );
    let seen = upstream.only_request();
    assert_eq!(seen.head.header("cookie"), None, "the session stays here");
    let tools = page(&gateway, "/dashboard/tools", ADMIN);
    assert!(tools.contains(&format!("http://{}", gateway.address)) && tools.contains("YOUR_KEY"), "{tools}");
}

/// Checklist 34: logs are visible without systemd, by level and by request; the stream announces new ones.
#[test]
fn log_records_are_shown_and_announced() {
    let error = json!({"error": {"message": "<b>no such thing</b>", "type": "x"}}).to_string();
    let upstream = Upstream::openai().always(Answer::json(400, error));
    let gateway = Gateway::before(&upstream).start();
    let mut stream = gateway.call("GET", "/api/ui/stream").send();
    drop(stream.event_named("tick"));
    assert_eq!(gateway.ask_whole("hi").status(), 400);
    let announced = stream.event_named("log");
    assert!(announced.data["latest"].is_number(), "{announced:?}");
    await_that("the record is on the page", || {
        gateway.get("/dashboard/system?q=no+such").raw().contains("&#60;b&#62;no such thing")
    });
    let errors = gateway.get("/dashboard/system?level=error").raw();
    assert!(errors.contains("No record matches") && !errors.contains("no such thing"), "{errors}");
    let all = gateway.get("/dashboard/system?all=1").raw();
    assert!(all.contains("built-in defaults") && all.contains("limits.drain"), "{all}");
    assert!(!gateway.get("/dashboard/system").raw().contains("limits.drain"));
}
