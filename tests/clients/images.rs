//! Claude Code shows an image to a model that cannot see: its Read tool returns the image in a result.

use serde_json::{Value, json};

use crate::claude_code::{NEW, prepare};
use crate::installed::{self, Home};
use crate::script::{self, Conversation};
use crate::support::canned;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

/// A red pixel.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";
const DESCRIPTION: &str = "One red pixel.";

/// Requirement: over both upstream formats, the model reads a description of what Read returned, and the client goes on.
#[test]
fn a_model_that_cannot_see_reads_what_the_read_tool_has_shown() {
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let Some(claude) = installed::client(NEW) else { return };
        let home = Home::new();
        let path = home.path.join("a.png");
        std::fs::write(&path, PNG).expect("a writable directory");
        let conversation =
            Conversation { tool: "Read", input: json!({"file_path": path}), last_words: "It is red." };
        let upstream = conversation.played_by(upstream);
        let eyes = Upstream::anthropic().always(Answer::json(200, canned::anthropic::whole(DESCRIPTION)));
        let gateway = Gateway::before(&upstream)
            .provider("eyes", &eyes)
            .env("VDM_DESCRIBE_IMAGES_WITH", "eyes:vision-1")
            .toml("[openai]\ntext-only-models = [\"*\"]\n[anthropic]\ntext-only-models = [\"*\"]")
            .start();

        let finished = installed::run(&claude, &home, |command| prepare(command, "Read a.png", &gateway));

        assert!(finished.status.success(), "{finished:#?}");
        let said: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        assert_eq!(said["result"], "It is red.", "{finished:#?}");
        let bodies: Vec<Value> = upstream.requests().iter().map(script::body).collect();
        let result = bodies.iter().find_map(script::result).expect("a second turn");
        assert!(result.to_string().contains(DESCRIPTION), "{result}");
        assert!(!bodies.iter().any(|body| body.to_string().contains("iVBORw0KGgo")), "an image is sent");
        let asked = eyes.only_request().json();
        assert_eq!(asked["messages"][0]["content"][0]["type"], "image", "{asked}");
    }
}
