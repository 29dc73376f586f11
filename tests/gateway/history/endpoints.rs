//! `/api/ui/usage` and `/api/ui/requests`: the numbers are those of the scripted upstream.

use serde_json::{Value, json};

use super::{await_requests, before, usage};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Upstream};

fn completion(input: u64, output: u64) -> Answer {
    let message = json!({"role": "assistant", "content": "Hi"});
    let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
    let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
    Answer::json(
        200,
        json!({"id": "c", "object": "chat.completion", "choices": choices, "usage": usage}).to_string(),
    )
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("{name} is no number: {row}"))
}

/// Requirement: usage by model, client and time equals what the upstream reported; an unknown price is missing, not 0.
#[test]
fn usage_equals_what_the_upstream_reported() {
    let upstream = Upstream::openai();
    let (setup, _) = before(&upstream);
    let gateway = setup.start();
    for (model, input, output) in [("small", 10, 1), ("small", 20, 2), ("large", 300, 30)] {
        upstream.then(completion(input, output));
        assert_eq!(gateway.messages(&whole_prompt(model, "hi")).reply().status(), 200);
    }
    upstream.then(Answer::json(400, r#"{"error":{"message":"no","type":"invalid_request_error"}}"#));
    assert_eq!(gateway.messages(&whole_prompt("large", "hi")).reply().status(), 400);
    await_requests(&gateway, 4);

    let rows = usage(&gateway, "by=model,end");
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            let names = [row["model"].as_str().unwrap(), row["end"].as_str().unwrap()];
            (names, number(row, "requests"), number(row, "input_tokens"), number(row, "output_tokens"))
        })
        .collect();
    assert_eq!(
        found,
        [
            (["large", "invalid_request_error"], 1, 0, 0),
            (["large", "succeeded"], 1, 300, 30),
            (["small", "succeeded"], 2, 30, 3)
        ]
    );
    assert_eq!(number(&rows[2], "unpriced_requests"), 2);
    assert!(rows[2]["cost"].is_null() && rows[2]["cost_micro_dollars"].is_null(), "{}", rows[2]);
    for query in ["interval=10s", "interval=1h", "by=provider&since=1h", "by=day"] {
        let sum: u64 = usage(&gateway, query).iter().map(|row| number(row, "input_tokens")).sum();
        assert_eq!(sum, 330, "{query}");
    }
    assert_eq!(usage(&gateway, "model=small&model=other").len(), 1);
    assert_eq!(usage(&gateway, "until=2026-01-01&since=2025-12-01").len(), 0);
    let refused = gateway.get("/api/ui/usage?by=colour");
    assert_eq!(refused.status(), 400);
    assert!(refused.error_message().contains("requested-model"), "{refused}");
}

/// Checklist 33: Request details show each upstream try with key hash, status and duration. The list has every request, newest
/// first, in pages.
#[test]
fn requests_are_listed_in_pages_and_one_by_one() {
    let upstream = Upstream::openai();
    let (setup, _) = before(&upstream);
    let gateway = setup.start();
    for number in 0..5 {
        assert_eq!(gateway.messages(&whole_prompt(&format!("model-{number}"), "hi")).reply().status(), 200);
    }
    await_requests(&gateway, 5);
    let (mut models, mut cursor) = (vec![], String::new());
    loop {
        let page = gateway.get(&format!("/api/ui/requests?limit=2&cursor={cursor}")).json();
        let rows = page["requests"].as_array().unwrap();
        models.extend(rows.iter().map(|row| row["requested_model"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(models, ["model-4", "model-3", "model-2", "model-1", "model-0"]);
    let found = gateway.get("/api/ui/requests?q=MODEL-3").json();
    assert_eq!(found["requests"].as_array().map(Vec::len), Some(1));
    let row = &found["requests"][0];
    let one = gateway.get(&format!("/api/ui/requests/{}", row["request_id"].as_str().unwrap())).json();
    assert_eq!(&one, row);
    assert_eq!(
        (&one["status"], &one["end"], &one["provider"]),
        (&200.into(), &"succeeded".into(), &"openai".into())
    );
    let call = &one["calls"][0];
    let key = call["key"].as_str().unwrap_or_default();
    assert!(key.len() == 8 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    assert_eq!(
        (&call["status"], &call["outcome"], &call["model"]),
        (&200.into(), &"answered".into(), &"model-3".into())
    );
    assert!(call["elapsed_ms"].as_u64() <= one["elapsed_ms"].as_f64().map(|ms| ms.ceil() as u64), "{one}");
    assert_eq!(gateway.get("/api/ui/requests/req_none").status(), 404);
}

/// Requirement: CSV can be opened in a spreadsheet: no cell from outside is a formula.
#[test]
fn csv_has_all_columns_and_no_formula() {
    let upstream = Upstream::openai();
    let (setup, _) = before(&upstream);
    let gateway = setup.start();
    assert_eq!(gateway.messages(&whole_prompt("=cmd", "hi")).reply().status(), 200);
    await_requests(&gateway, 1);
    let usage = gateway.get("/api/ui/usage?by=requested-model&format=csv");
    assert_eq!(usage.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = String::from_utf8(usage.body.clone()).unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert!(lines[0].split(',').any(|name| name == "elapsed_ms_p95"), "{text}");
    assert!(lines[1].contains("\"'=cmd\"") && lines.len() == 2, "{text}");
    let requests = gateway.get("/api/ui/requests?format=csv");
    let text = String::from_utf8(requests.body.clone()).unwrap();
    assert!(text.starts_with("api,") || text.starts_with("request_id,"), "{text}");
    assert!(text.contains("\"'=cmd\""), "{text}");
}

/// Requirement: no key reaches the database, also one that a client sends as its session or that an upstream repeats in an error.
#[test]
fn no_key_is_stored() {
    const KEY: &str = "sk-canary-0123456789abcdef";
    let upstream = Upstream::openai();
    let (setup, directory) = before(&upstream);
    let gateway = setup.keys([KEY]).start();
    let error = json!({"error": {"message": format!("bad key {KEY}"), "type": "invalid_request_error"}});
    upstream.then(Answer::json(400, error.to_string()));
    let call = gateway.messages(&whole_prompt(MODEL, "a private prompt"));
    assert_eq!(call.header("x-claude-code-session-id", KEY).reply().status(), 400);
    await_requests(&gateway, 1);
    gateway.stop();
    let files = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let bytes: Vec<u8> = files.flat_map(|file| std::fs::read(file).unwrap()).collect();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("[key]") && holds("invalid_request_error"), "the request is stored");
    assert!(!holds("canary-0123") && !holds("private prompt"));
}

/// Requirement (`VDM_HISTORY=off`): the same questions are answered from memory, and nothing is written.
#[test]
fn without_a_file_the_history_is_in_memory() {
    let upstream = Upstream::openai();
    let (setup, directory) = before(&upstream);
    let gateway = setup.env("VDM_HISTORY", "off").start();
    assert_eq!(gateway.ask("hi").status(), 200);
    await_requests(&gateway, 1);
    assert_eq!(usage(&gateway, "by=model")[0]["model"], MODEL);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

/// Requirement: without request metrics there is no history, and the endpoints say so.
#[test]
fn without_metrics_there_is_no_history() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("LOG_REQUEST_METRICS", "false").start();
    for path in ["/api/ui/usage", "/api/ui/requests"] {
        let reply = gateway.get(path);
        assert_eq!(reply.status(), 404);
        assert!(reply.error_message().contains("LOG_REQUEST_METRICS=true"), "{reply}");
    }
}
