//! `/api/ui/{providers,models,routing,system,logs}`: the content of the dashboard's pages.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

/// Requirement (issue 16, 6): providers are shown with their configuration and the state of each key, which appears by its id only.
#[test]
fn providers_are_shown_with_their_keys() {
    let upstream = Upstream::openai().refusing("sk-test-bad");
    let gateway = Gateway::before(&upstream).keys(["sk-test-bad", "sk-test-good"]).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    let reply = gateway.get("/api/ui/providers");
    let report = reply.json();
    assert_eq!(report["default_provider"], "openai", "{report}");
    let provider = &report["providers"][0];
    assert_eq!((&provider["name"], &provider["api_format"]), (&json!("openai"), &json!("openai")));
    let states: Vec<_> = provider["keys"].as_array().expect("keys").iter().map(|key| &key["state"]).collect();
    assert_eq!(states, ["rejected", "ready"], "{provider}");
    assert!(!reply.raw().contains("sk-test"), "{reply}");
}

/// Requirement (issue 16, 6): models are filtered and sorted by the gateway, which sends one slice at a time.
#[test]
fn models_are_filtered_sorted_and_sliced() {
    let models: Vec<Value> = (0..1200)
        .map(|number| {
            json!({"id": format!("{}/m-{number}", ["a", "b"][number % 2]), "context_length": (number * 7) % 1200 + 1,
                   "pricing": {"prompt": if number == 5 { "0" } else { "0.000001" }, "completion": "0"}})
        })
        .collect();
    let upstream = Upstream::openai().always(Answer::json(200, json!({"data": models}).to_string()));
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(gateway.get("/v1/models").status(), 200);
    let slice = |query: &str| gateway.get(&format!("/api/ui/models?{query}")).json();
    let first = slice("limit=100");
    assert_eq!((&first["total"], first["models"].as_array().map(Vec::len)), (&json!(1200), Some(100)));
    assert_eq!(first["vendors"], json!({"a": 600, "b": 600}));
    let largest = slice("sort=context&order=desc&limit=2");
    assert_eq!(largest["models"][0]["context"], 1200, "{largest}");
    assert_eq!(largest["models"][1]["context"], 1199);
    assert_eq!(slice("limit=100&offset=1150")["models"].as_array().map(Vec::len), Some(50));
    let free = slice("free=true&vendor=b&q=M-5");
    assert_eq!((&free["total"], &free["models"][0]["id"]), (&json!(1), &json!("b/m-5")), "{free}");
    assert_eq!(free["models"][0]["pricing"]["output_per_million"], 0.0);
    assert_eq!(gateway.get("/api/ui/models?sort=nothing").status(), 400);
}

/// Requirement (issue 16, 6): aliases are shown with their target, the chain to it and where they were set; broken ones with the
/// reason; and the steps of any name.
#[test]
fn aliases_are_shown_with_their_chain_and_their_source() {
    let upstream = Upstream::openai();
    let toml = "[openai.aliases]\ndocs = \"ds\"\nds = \"deep-v3\"\nlost = \"absent:x\"\n[\"#top\".aliases]\nquick = \"openai:docs\"\n";
    let gateway = Gateway::before(&upstream).toml(toml).env("OPENAI_ALIAS_NEAR", "gpt-near").start();
    let report = gateway.get("/api/ui/routing").json();
    let rows = report["aliases"].as_array().expect("aliases");
    let row = |owner: &str, alias: &str| {
        let found = rows.iter().find(|row| row["owner"] == owner && row["alias"] == alias);
        found.unwrap_or_else(|| panic!("{owner} {alias}: {report}")).clone()
    };
    let docs = row("openai", "docs");
    assert_eq!((&docs["target"], &docs["model"]), (&json!("ds"), &json!("deep-v3")), "{docs}");
    assert_eq!((&docs["chain"], &docs["source"]), (&json!(["docs", "ds", "deep-v3"]), &json!("file")));
    assert!(docs["place"].as_str().is_some_and(|place| place.contains("test.toml")), "{docs}");
    assert_eq!(row("openai", "near")["source"], "environment");
    assert_eq!(row("openai", "haiku")["source"], "defaults");
    let quick = row("#top", "quick");
    assert_eq!((&quick["provider"], &quick["model"]), (&json!("openai"), &json!("deep-v3")), "{quick}");
    let profile = report["profiles"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "top"));
    assert!(profile.is_some(), "{report}");

    let explained = gateway.get("/api/ui/routing?model=top:quick").json();
    assert_eq!((&explained["model"], &explained["profile"]), (&json!("deep-v3"), &json!("top")));
    assert!(explained["steps"].as_array().is_some_and(|steps| steps.len() > 2), "{explained}");
    let nowhere = gateway.get("/api/ui/routing?model=absent:x").json();
    assert!(nowhere["error"].as_str().is_some_and(|error| error.contains("absent")), "{nowhere}");
}

/// Requirement (issue 16, 6): the effective configuration is shown with the place of each value, keys by their ids only; a reload
/// changes it.
#[test]
fn the_system_report_shows_the_configuration_in_use() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream)
        .keys(["sk-test-secret"])
        .env("VDM_ADMIN_KEY", "vdm_admin_0123456789abcdef");
    let gateway = gateway.limit("model-name", 299).start();
    let value = |key: &str| {
        let reply = gateway.get("/api/ui/system");
        assert!(!reply.raw().contains("sk-test") && !reply.raw().contains("vdm_admin"), "{reply}");
        let report = reply.json();
        let values = report["configuration"].as_array().expect("values").clone();
        let found = values.into_iter().find(|value| value["key"] == key);
        found.unwrap_or_else(|| panic!("{key}: {report}"))
    };
    let limit = value("limits.model-name");
    assert_eq!(limit["value"], "299");
    assert!(limit["place"].as_str().is_some_and(|place| place.contains("test.toml")), "{limit}");
    let key = value("openai.api-key");
    assert!(key["value"].as_str().is_some_and(|id| id.starts_with('<')), "{key}");
    assert_eq!(key["place"], "environment variable OPENAI_API_KEY");
    gateway.run.write("test.toml", "[limits]\nmodel-name = 301\n");
    assert!(gateway.server(&["reload"]).output().expect("vdm is built").status.success());
    assert_eq!(value("limits.model-name")["value"], "301");
    let report = gateway.get("/api/ui/system").json();
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    for number in ["uptime_seconds", "in_flight", "threads", "resident_bytes", "cpu_seconds"] {
        assert!(report[number].is_number(), "{number}: {report}");
    }
}

/// Checklist 34: logs are visible without systemd: the latest records, by level, text and request.
#[test]
fn the_latest_log_records_are_shown_in_every_mode() {
    let error = json!({"error": {"message": "no such thing", "type": "x"}}).to_string();
    let upstream = Upstream::openai().always(Answer::json(400, error));
    let gateway = Gateway::before(&upstream).start();
    assert_eq!(gateway.ask("hi").status(), 400);
    let logs = |query: &str| gateway.get(&format!("/api/ui/logs?{query}")).json();
    let until = Instant::now() + PATIENCE;
    let record = loop {
        if let Some(record) = logs("q=no+such+thing")["records"].get(0) {
            break record.clone();
        }
        assert!(Instant::now() < until, "{}", logs(""));
        std::thread::sleep(Duration::from_millis(20));
    };
    let id = record["request_id"].as_str().expect("a request id");
    assert!(gateway.log().contains(id), "the same record as on stderr");
    assert!(record["at"].as_u64().is_some_and(|at| at > 1_700_000_000_000), "{record}");
    let of_request = logs(&format!("request_id={id}"));
    let records = of_request["records"].as_array().expect("records");
    assert!(!records.is_empty() && records.iter().all(|record| record["request_id"] == id), "{of_request}");
    let levels = logs("level=warn");
    let levels: Vec<_> =
        levels["records"].as_array().expect("records").iter().map(|one| &one["level"]).collect();
    assert!(levels.iter().all(|level| *level == "warn" || *level == "error"), "{levels:?}");
    let latest = logs("")["latest"].as_u64().expect("a number");
    let later = logs(&format!("after={latest}"));
    assert!(
        later["records"]
            .as_array()
            .is_some_and(|all| all.iter().all(|one| one["number"].as_u64() > Some(latest)))
    );
    assert_eq!(gateway.get("/api/ui/logs?level=loud").status(), 400);
}

/// Requirement (issue 16, 6): the token counter shows what the tokens cost at the model's price; an unpriced model is not free.
#[test]
fn input_tokens_have_the_price_of_the_resolved_model() {
    let upstream = Upstream::openai();
    let toml =
        "[openai.aliases]\ndocs = \"priced\"\n[openai.prices]\n\"priced\" = { input = 2.5, output = 10 }\n";
    let gateway = Gateway::before(&upstream).toml(toml).start();
    let cost = |model: &str| {
        let explained = gateway.get(&format!("/api/ui/routing?model={model}&input_tokens=4000")).json();
        explained["input_micro_dollars"].clone()
    };
    assert_eq!(cost("docs"), 10_000);
    assert_eq!(cost("no-price-for-this"), Value::Null);
    assert_eq!(gateway.get("/api/ui/routing?model=docs&input_tokens=x").status(), 400);
}
