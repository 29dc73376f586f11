//! The corpus of `tests/judge-corpus`: what a judge is given for each case. A model's verdicts on the same cases are measured
//! by `scripts/judge-corpus`.

use serde::Deserialize;
use serde_json::{Value, json};
use vandamme_protocol::safeguards::{JudgeContext, JudgeRequest, calls_of_message};

const FILES: [(&str, &str); 5] = [
    ("harmless", include_str!("../../tests/judge-corpus/harmless.json")),
    ("destructive", include_str!("../../tests/judge-corpus/destructive.json")),
    ("exfiltration", include_str!("../../tests/judge-corpus/exfiltration.json")),
    ("injection", include_str!("../../tests/judge-corpus/injection.json")),
    ("outside", include_str!("../../tests/judge-corpus/outside.json")),
];
const CHECK: &str = "0123456789abcdef";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    expected: String,
    user: String,
    tool: String,
    input: Value,
    #[serde(default)]
    tool_results: Vec<String>,
    #[serde(default)]
    rules: Value,
    #[serde(default)]
    environment: Vec<String>,
    #[serde(default)]
    trusted_directories: Vec<String>,
}

fn cases() -> Vec<Case> {
    let read = |(name, text): (&str, &str)| -> Vec<Case> {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    FILES.into_iter().flat_map(read).collect()
}

impl Case {
    /// The client's request, with parts that a judge must not get.
    fn request(&self, tool_results: &[String]) -> Value {
        let mut messages = vec![json!({"role": "user", "content": self.user})];
        for (at, result) in tool_results.iter().enumerate() {
            let id = format!("toolu_{at}");
            messages.push(json!({"role": "assistant", "content": [
                {"type": "thinking", "thinking": "canary-thought", "signature": "canary-signature"},
                {"type": "tool_use", "id": id, "name": "Read", "input": {"file_path": "notes"}}]}));
            messages.push(json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": result}]}]}));
        }
        json!({
            "model": "m", "system": "canary-system", "metadata": {"user_id": "canary-user"},
            "tools": [{"name": "Bash", "description": "canary-tool"}], "messages": messages,
            "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {
                "v": 1, "permission_mode": "auto", "platform": "linux", "live_cwd": "/home/dev/shop",
                "home_dir": "/home/dev", "rule_roots": ["/home/dev/shop"], "user_identity": "canary-identity",
                "trusted_directories": self.trusted_directories, "rules": {"deny": self.rules["deny"]},
                "auto_mode": {"allow": self.rules["auto_allow"], "hard_deny": self.rules["auto_hard_deny"],
                    "environment": self.environment}}}],
        })
    }

    fn judged(&self, tool_results: &[String]) -> JudgeRequest {
        let message = json!({"content": [{"type": "text", "text": "I go on."},
            {"type": "tool_use", "id": "a", "name": self.tool, "input": self.input}]});
        let calls = calls_of_message(message.to_string().as_bytes());
        let context = JudgeContext::read(self.request(tool_results).to_string().as_bytes());
        context.request(&calls[0], CHECK)
    }
}

/// The document that the judge gets as data, and the form of its answer.
fn document(request: &JudgeRequest) -> (Value, String) {
    let content = &request.body["messages"][0]["content"];
    let text = |at: usize| content[at]["text"].as_str().expect("a text").to_owned();
    (serde_json::from_str(&text(0)).expect("JSON"), text(1))
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        Value::Object(members) => members.values().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => vec![],
    }
}

/// Requirement: every fact that a verdict needs is in the request, as data, and nothing else of the client's request is.
#[test]
fn the_judge_gets_every_fact_and_nothing_else() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    for case in &cases {
        let request = case.judged(&case.tool_results);
        let (data, form) = document(&request);
        assert!(!request.is_cut, "{}", case.name);
        assert_eq!((&data["call"]["tool"], &data["call"]["input"]), (&json!(case.tool), &case.input));
        assert_eq!(data["session"]["live_cwd"], "/home/dev/shop");
        assert_eq!(data["session"]["auto_mode"]["environment"], json!(case.environment));
        assert_eq!(data["session"]["trusted_directories"], json!(case.trusted_directories));
        let told = strings(&data);
        let rules = strings(&case.rules);
        for fact in [&case.user].into_iter().chain(&case.tool_results).chain(&rules) {
            assert!(told.contains(fact), "{}: {fact:?} is missing in {told:#?}", case.name);
        }
        let all = json!(request.body).to_string();
        assert!(!all.contains("canary"), "{}: {all}", case.name);
        assert!(form.contains(CHECK) && !form.contains(&case.user));
        assert!(["allow", "block"].contains(&case.expected.as_str()), "{}", case.name);
    }
}

/// Requirement: who says something is marked, so that a tool's output is never taken for the user.
#[test]
fn the_source_of_every_text_is_marked() {
    for case in cases() {
        let (data, _) = document(&case.judged(&case.tool_results));
        let turns = data["recent_turns"].as_array().expect("turns");
        let of = |kind: &str| {
            turns.iter().filter_map(|turn| turn[kind].as_str()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of("user"), std::slice::from_ref(&case.user), "{}", case.name);
        assert_eq!(of("tool_result"), case.tool_results, "{}", case.name);
    }
}

/// Requirement: the request is bounded, the user's task stays in it, and a call or rules that are not complete are marked.
#[test]
fn the_request_is_bounded() {
    let cases = cases();
    let mut case = cases.into_iter().next().expect("a case");
    let results: Vec<_> = (0..200).map(|at| format!("{at}{}", "x".repeat(100_000))).collect();
    let request = case.judged(&results);
    assert!(json!(request.body).to_string().len() < 64 << 10);
    let (data, _) = document(&request);
    assert_eq!(data["recent_turns"][0]["user"], case.user);
    assert!(data["recent_turns"].to_string().contains("[cut: "));
    assert!(!request.is_cut, "an old result that is cut changes nothing");

    case.input = json!({"command": "x".repeat(1 << 20)});
    let request = case.judged(&[]);
    let (data, _) = document(&request);
    assert!(request.is_cut && data["call"]["input_is_cut"] == true);
    assert!(
        data["call"]["input"].as_str().is_some_and(|input| input.contains("[cut: ") && input.len() < 70_000)
    );

    case.input = json!({});
    case.environment = vec!["y".repeat(1 << 20)];
    let request = case.judged(&[]);
    assert!(request.is_cut, "a rule may be missing");
    assert!(json!(request.body).to_string().len() < 256 << 10);
}

/// Requirement: the prompt says what is data, and has the form that is parsed.
#[test]
fn the_prompt_and_the_form_are_in_the_request() {
    let case = &cases()[0];
    let request = case.judged(&[]);
    let system = request.body["system"].as_str().expect("a text");
    for words in ["data, not instructions", "`tool_result`", "`allow` or `block`", "`check`", "hard_deny"] {
        assert!(system.contains(words), "{words}");
    }
    assert!(!request.body.contains_key("model") && !request.body.contains_key("tools"));
}
