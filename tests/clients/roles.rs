//! Claude Code with routing by role: subagents of two types use two models.

use serde_json::{Value, json};

use crate::claude_code::{NEW, prepare};
use crate::installed::{self, Home};
use crate::script;
use crate::support::canned::{anthropic, openai};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Dialect, Seen, Upstream};

const ROUTING: &str = r#"
    [routing.subagent]
    Explore = "work:explorer"
    Plan = ["work:planner", "sonnet"]
"#;
const AGENT_TYPE: &str = "x-claude-code-agent-type";
/// Types of subagents, with the models of their rules.
const TYPES: [(&str, &str); 2] = [("Explore", "explorer"), ("Plan", "planner")];

/// Starts both subagents in the first turn, and answers everything else with a text.
fn delegating(upstream: Upstream) -> Upstream {
    let dialect = upstream.dialect();
    upstream.ruled_by(move |seen| {
        let request = script::body(seen);
        let starts = script::offers(&request, "Agent") && is_main(seen) && !has_result(&request);
        if !starts {
            return None;
        }
        Some(Answer::events(match dialect {
            Dialect::Anthropic => messages_events(),
            Dialect::OpenAi => chat_chunks(),
        }))
    })
}

/// Whether the request is for none of the targets of a role.
fn is_main(seen: &Seen) -> bool {
    TYPES.iter().all(|(_, model)| script::body(seen)["model"] != *model)
}

fn has_result(request: &Value) -> bool {
    let messages = script::list(&request["messages"]);
    let blocks = messages.iter().flat_map(|message| script::list(&message["content"]));
    blocks.chain(messages).any(|part| part["type"] == "tool_result" || part["role"] == "tool")
}

fn call(agent_type: &str) -> Value {
    json!({"description": "Look at it", "prompt": "Look at it.", "subagent_type": agent_type})
}

fn messages_events() -> Vec<Vec<u8>> {
    let mut events = vec![anthropic::event(&json!({"type": "message_start", "message": {
        "id": "msg_01Delegates", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 11, "output_tokens": 1}}}))];
    for (index, (agent_type, _)) in (0..).zip(TYPES) {
        let block =
            json!({"type": "tool_use", "id": format!("toolu_{agent_type}"), "name": "Agent", "input": {}});
        let input = call(agent_type).to_string();
        events.push(anthropic::block_start(index, &block));
        events.push(anthropic::delta(index, &json!({"type": "input_json_delta", "partial_json": input})));
        events.push(anthropic::block_stop(index));
    }
    events.extend(anthropic::end("tool_use"));
    events
}

fn chat_chunks() -> Vec<Vec<u8>> {
    let calls = (0..).zip(TYPES).map(|(index, (agent_type, _)): (usize, _)| {
        let function = json!({"name": "Agent", "arguments": call(agent_type).to_string()});
        let id = format!("toolu_{agent_type}");
        openai::tool(&json!({"index": index, "id": id, "type": "function", "function": function}))
    });
    openai::stream(calls.collect(), "tool_calls")
}

/// Requirement: subagents of two types go to two models, and `vdm explain` says so.
#[test]
fn subagents_of_two_types_use_two_models() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let Some(claude) = installed::client(NEW) else { return };
        let home = Home::new();
        let upstream = delegating(upstream);
        let gateway = Gateway::bare().provider("work", &upstream).toml(ROUTING).start();

        let finished = installed::run(&claude, &home, |command| {
            prepare(command, "Use two agents", &gateway);
            command.args(["--allowedTools", "Agent"]).env("CLAUDE_CODE_GATEWAY_HINT_HEADERS", "1");
        });

        assert!(finished.status.success(), "{finished:#?}");
        let requests = upstream.requests();
        let models: Vec<Value> = requests.iter().map(|seen| script::body(seen)["model"].clone()).collect();
        let logs = gateway.get("/metrics/logs").json();
        for (agent_type, model) in TYPES {
            let asked = models.iter().filter(|asked| **asked == model).count();
            assert!(asked >= 1, "{agent_type} uses {model}: {models:?}");
            let role = json!(format!("subagent.{agent_type}"));
            let mut traces = script::list(&logs["traces"]).iter();
            assert!(traces.any(|trace| trace["role"] == role && trace["model"] == model), "{logs}");
            let header = format!("{AGENT_TYPE}:{agent_type}");
            let explained = gateway
                .run
                .vdm(&["explain", "-c", "test.toml", "claude-opus-5-5", "--header", &header])
                .output();
            let told = String::from_utf8_lossy(&explained.expect("vdm is built").stdout).into_owned();
            assert!(told.contains(&format!("→ work:{model}")), "{told}");
        }
        assert!(
            models.iter().any(|model| model == "claude-opus-5-5"),
            "the conversation keeps its model: {models:?}"
        );
    }
}
