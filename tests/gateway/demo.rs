//! Without a key: the demo provider, and without that a gateway that names what it needs.

use serde_json::json;

use crate::support::client::prompt;
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

const SONNET: &str = "claude-sonnet-4-5-20250929";

/// Deviates from the original ("Given no usable provider at all, then startup fails with a message that names
/// `{PROVIDER}_API_KEY` and exit 1"): the demo answers; without it, the gateway starts degraded and names the variable.
#[test]
fn without_configuration_the_demo_answers_and_the_start_message_says_so() {
    let gateway = Gateway::bare().start();
    let log = gateway.run.await_log("demo");
    assert!(log.contains("_API_KEY"), "it says how to add a provider: {log}");
    for body in [prompt(SONNET, "What is a gateway?"), prompt("anything", "What is a gateway?")] {
        let reply = gateway.messages(&body).reply();
        assert!(reply.text().to_lowercase().contains("demo"), "{reply}");
        assert!(reply.header("x-vdm-demo").is_some(), "{reply}");
        assert!(reply.usage()["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{reply}");
        assert_eq!(reply.stop_reason(), "end_turn");
    }
}

#[test]
fn the_demo_answers_streamed_and_whole() {
    let gateway = Gateway::bare().start();
    let streamed = gateway.messages(&prompt(SONNET, "hello")).reply();
    let deltas = streamed.events().iter().filter(|event| event.name == "content_block_delta").count();
    assert!(deltas > 1, "{streamed}");
    let mut body = prompt(SONNET, "hello");
    body["stream"] = json!(false);
    let whole = gateway.messages(&body).reply();
    assert!(!whole.is_stream() && !whole.text().is_empty());
    assert!(whole.header("x-vdm-demo").is_some(), "{whole}");
}

#[test]
fn the_demo_calls_a_tool_that_the_prompt_names_and_reads_its_result() {
    let gateway = Gateway::bare().start();
    let tools = json!([{"name": "get_weather", "description": "x", "input_schema": {"type": "object",
        "properties": {"city": {"type": "string"}}, "required": ["city"]}}]);
    let mut body = prompt(SONNET, "Please use the get_weather tool with {\"city\": \"Genève\"}");
    body["tools"] = tools;
    let called = gateway.messages(&body).reply();
    assert_eq!(called.stop_reason(), "tool_use");
    assert_eq!(called.tools(), [("get_weather".to_owned(), json!({"city": "Genève"}))]);
    let content = called.content();
    let call = content.iter().find(|block| block["type"] == "tool_use").expect("just seen")["id"].clone();
    let result = json!([{"type": "tool_result", "tool_use_id": call, "content": "drizzle"}]);
    let question = body["messages"][0].clone();
    body["messages"] =
        json!([question, {"role": "assistant", "content": content}, {"role": "user", "content": result}]);
    let answer = gateway.messages(&body).reply();
    assert_eq!(answer.stop_reason(), "end_turn");
    assert!(answer.text().contains("drizzle"), "{answer}");
}

#[test]
fn a_configured_provider_replaces_the_demo() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let reply = gateway.ask("hi");
    assert_eq!(reply.header("x-vdm-demo"), None);
    assert_eq!(reply.text(), "Hello there!");
    assert_eq!(gateway.messages(&prompt("demo:demo-1", "hi")).reply().status(), 404);
}

#[test]
fn the_demo_can_be_enabled_next_to_a_provider() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("VDM_DEMO", "1").start();
    let reply = gateway.messages(&prompt("demo:demo-1", "hi")).reply();
    assert_eq!(reply.status(), 200);
    assert!(reply.header("x-vdm-demo").is_some());
    assert_eq!(upstream.count(), 0);
}

/// Requirement (issue 15, 3): a container on 0.0.0.0 without keys is useful: the demo answers, and the log says that other
/// machines can reach it.
#[test]
fn without_configuration_the_demo_answers_on_all_addresses_too() {
    let gateway = Gateway::bare().env("HOST", "0.0.0.0").start();
    let log = gateway.run.await_log("set PROXY_API_KEY, so that only your clients are answered");
    assert!(log.contains("This is a demo"), "{log}");
    let reply = gateway.messages(&prompt(SONNET, "What is a gateway?")).reply();
    assert_eq!((reply.status(), reply.header("x-vdm-demo").is_some()), (200, true), "{reply}");
    assert!(gateway.get("/health").raw().lines().any(|line| line == "status: healthy"));
}

/// Deviates from the original ("Given no usable provider at all, then startup fails with a message that names
/// `{PROVIDER}_API_KEY` and exit 1"): without the demo the gateway starts degraded and names the variable.
#[test]
fn without_a_provider_and_the_demo_the_start_is_degraded_and_names_the_variable() {
    let gateway = Gateway::bare().env("VDM_DEMO", "0").start();
    let health = gateway.get("/health");
    assert_eq!(health.status(), 200);
    assert!(health.raw().lines().any(|line| line == "status: degraded"), "{health}");
    let reply = gateway.ask("hi");
    assert_eq!(reply.status(), 503, "{reply}");
    assert!(reply.error_message().contains("_API_KEY"), "{reply}");
    assert_eq!(reply.header("x-vdm-demo"), None);
}

#[test]
fn explain_includes_the_demo_like_the_gateway() {
    let explained = |variables: &[(&str, &str)], model: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vdm"));
        command.args(["explain", model]).env_clear().envs(variables.iter().copied());
        let output = command.current_dir(std::env::temp_dir()).output().expect("vdm is built");
        String::from_utf8_lossy(&output.stdout).trim_end().lines().last().unwrap_or_default().to_owned()
    };
    let gateway = Gateway::bare().env("VDM_ROUTE_HEADER", "1").start();
    let reply = gateway.messages(&prompt("haiku", "hi")).reply();
    let route = reply.header("x-vdm-route").expect("asked for");
    let target = explained(&[], "haiku").replace("→ ", "");
    assert!(target.starts_with("demo:") && route.ends_with(&format!("-> {target}")), "{target} {route}");
    let beside = [("OPENAI_API_KEY", "k"), ("VDM_DEMO", "1")];
    assert_eq!(explained(&beside, "demo:x"), "→ demo:x");
    assert_eq!(explained(&beside, "haiku"), "→ openai:gpt-6-luna");
    assert_eq!(explained(&[("VDM_DEMO", "0")], "haiku"), "haiku");
}
