//! What Claude Code sends, compared with the committed inventory: `scripts/clients` does this for any version.

mod compare;
mod relay;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::compare::Inventory;
use self::relay::Relay;
use crate::claude_code::{NEW, prepare};
use crate::images::PNG;
use crate::installed::{self, Home};
use crate::script::Conversation;
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

/// Where the inventory of this run is written, and the report beside it (`.txt`), instead of a comparison that can fail.
const OUTPUT: &str = "VDM_INVENTORY";

const AUTO: &[&str] = &["--permission-mode", "auto"];

/// What Claude Code is asked to do, and what makes it send another kind of request.
struct Scenario {
    conversation: Conversation,
    arguments: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

/// The committed inventory.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/inventory/claude-code.json")
}

fn scenarios(home: &Home) -> Vec<Scenario> {
    let scenario = |tool, input: Value| Scenario {
        conversation: Conversation { tool, input, last_words: "Done." },
        arguments: &[],
        variables: &[],
    };
    let path = |name: &str| home.path.join(name);
    let checked = json!({"command": "curl -s http://127.0.0.1:9/x > b.txt", "description": "Fetch it"});
    vec![
        Scenario {
            variables: &[("CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "1")],
            ..scenario("Write", json!({"file_path": path("a.txt"), "content": "text"}))
        },
        scenario("Read", json!({"file_path": path("a.png")})),
        Scenario {
            // Otherwise the client lists this tool only after a search for it.
            variables: &[("ENABLE_TOOL_SEARCH", "false")],
            ..scenario("WebSearch", json!({"query": "a word"}))
        },
        Scenario {
            variables: &[("CLAUDE_CODE_GATEWAY_HINT_HEADERS", "1")],
            ..scenario(
                "Agent",
                json!({"description": "Look", "prompt": "Look around", "subagent_type": "Explore"}),
            )
        },
        Scenario { arguments: AUTO, ..scenario("Bash", checked.clone()) },
        Scenario {
            arguments: AUTO,
            // The client classifies the call by a request of its own.
            variables: &[("CLAUDE_CODE_AUTO_MODE_SERVER", "0"), ("CLAUDE_CODE_GATEWAY_HINT_HEADERS", "1")],
            ..scenario("Bash", checked)
        },
        Scenario {
            arguments: &["--permission-mode", "plan", "--effort", "high"],
            ..scenario("Glob", json!({"pattern": "*.txt"}))
        },
    ]
}

/// Runs every scenario, each in a gateway of its own.
fn record(claude: &Path) -> Inventory {
    let mut inventory = Inventory::default();
    let home = Home::new();
    std::fs::write(home.path.join("a.png"), PNG).expect("a writable directory");
    for Scenario { conversation, arguments, variables } in scenarios(&home) {
        let tool = conversation.tool;
        let upstream = conversation.played_by(Upstream::anthropic());
        let gateway = Gateway::before(&upstream).start();
        let relay = Relay::start(gateway.address);
        let finished = installed::run(claude, &home, |command| {
            prepare(command, "Do it", &gateway);
            command.args(["--allowedTools", "Read,WebSearch,Agent,Glob"]).args(arguments);
            command.env("ANTHROPIC_BASE_URL", format!("http://{}", relay.address));
            command.envs(variables.iter().copied());
        });
        let requests = relay.requests();
        assert!(!requests.is_empty(), "{tool}: no request\n{finished:#?}");
        requests.iter().for_each(|request| inventory.add(request));
    }
    inventory
}

/// The version that the client itself prints.
fn version(claude: &Path) -> String {
    let said = installed::run(claude, &Home::new(), |command| {
        command.arg("--version");
    })
    .stdout;
    said.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Requirement: every header, beta, field, type and tool that Claude Code sends is known. A new version is compared by
/// `scripts/clients --claude-code VERSION`, and accepted by `--update`.
#[test]
fn the_requests_of_claude_code_are_those_of_the_inventory() {
    let Some(claude) = installed::client(NEW) else { return };
    let version = version(&claude);
    let current = record(&claude).of_version(&version);
    let known = std::fs::read_to_string(file()).unwrap_or_else(|_| "{}".to_owned());
    let known: Inventory = Inventory::parse(&known).expect("the committed inventory is JSON");
    let report = known.report(&current);
    match std::env::var_os(OUTPUT).map(PathBuf::from) {
        Some(output) => {
            std::fs::write(&output, current.to_json()).expect("a writable file");
            std::fs::write(output.with_extension("txt"), report).expect("a writable file");
        }
        None => assert!(
            known.is_same(&current),
            "{report}\nCheck what the gateway must do with it, then run `scripts/clients --claude-code {version} --update`."
        ),
    }
}
