//! Claude Code before Gemini: it carries thought signatures in its thinking blocks, though it knows nothing of them.

use serde_json::{Value, json};

use crate::claude_code::{NEW, OLD, prepare};
use crate::installed::{self, Home};
use crate::script::{self, CALL_ID, list};
use crate::support::canned::openai;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

const LAST_WORDS: &str = "It is written.";

#[test]
fn the_old_one_brings_a_signature_back_to_a_gateway_that_remembers_nothing() {
    brings_a_signature_back(OLD);
}

/// Complaint of gateway users: Gemini loses its thought signatures.
#[test]
fn the_new_one_brings_a_signature_back_to_a_gateway_that_remembers_nothing() {
    brings_a_signature_back(NEW);
}

fn brings_a_signature_back(client: &str) {
    let Some(claude) = installed::client(client) else { return };
    let home = Home::new();
    let upstream = gemini(&home);
    let aliases =
        ["haiku", "sonnet", "opus", "fable"].map(|name| format!("{name} = \"gemini-3-pro-preview\"\n"));
    let gateway = Gateway::before(&upstream)
        .toml(&format!("[openai.aliases]\n{}", aliases.concat()))
        .limit("signatures-ttl", 0.001)
        .start();

    let finished = installed::run(&claude, &home, |command| {
        prepare(command, "Write it to poem.txt", &gateway);
        // The old one thinks only when it is told to.
        command.env("MAX_THINKING_TOKENS", "2048");
    });

    assert!(finished.status.success(), "{finished:#?}");
    let said: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(said["result"], LAST_WORDS, "{finished:#?}");
    let bodies: Vec<Value> = upstream.requests().iter().map(script::body).collect();
    let second = bodies.iter().find(|body| script::result(body).is_some()).expect("a second turn");
    let messages = list(&second["messages"]).iter();
    let call = messages.map(|message| &message["tool_calls"][0]).find(|call| call["id"] == CALL_ID);
    assert_eq!(call.expect("the call")["extra_content"], signed("SIG-A"), "{second}");
}

/// A call that is signed, all of it in one piece, then a text that is signed at its end.
fn gemini(home: &Home) -> Upstream {
    let input = json!({"file_path": home.path.join("poem.txt"), "content": "Roses"}).to_string();
    let call = json!({"index": 0, "id": CALL_ID, "type": "function", "extra_content": signed("SIG-A"),
                      "function": {"name": "Write", "arguments": input}});
    Upstream::openai().ruled_by(move |seen| {
        let body = script::body(seen);
        if !script::offers(&body, "Write") {
            return None;
        }
        let said = match script::result(&body) {
            None => vec![openai::content("Let me write."), openai::tool(&call)],
            Some(_) => vec![
                openai::content(LAST_WORDS),
                openai::delta(&json!({"content": "", "extra_content": signed("SIG-T")})),
            ],
        };
        Some(Answer::events(openai::stream(said, "STOP")))
    })
}

fn signed(text: &str) -> Value {
    json!({"google": {"thought_signature": text}})
}
