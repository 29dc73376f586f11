//! Real clients with the real gateway: Claude Code, old and new, Codex, and the official SDKs. Only the upstream is
//! scripted. `scripts/check` installs the clients.

mod anthropic_sdks;
mod auto_mode;
mod aws_signature;
mod claude_code;
mod claude_over_responses;
mod clouds;
mod codex;
mod codex_websocket;
mod gemini;
mod hosted_search;
mod images;
mod installed;
mod inventory;
mod openai_over_anthropic;
mod openai_sdks;
mod responses_sdks;
mod roles;
mod script;
mod sdk;
mod service_search;
mod steps;
mod two_calls;
mod wrapped;
/// The helpers of the black-box tests. The attribute makes the compiler find the files below them.
#[path = "../gateway"]
mod gateway {
    #[expect(dead_code, unused_imports, reason = "the stories of tests/gateway use the rest of it")]
    pub(crate) mod support;
}

use gateway::support;
