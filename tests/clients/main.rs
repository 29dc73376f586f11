//! The real clients before the real gateway: Claude Code, old and new, and the official SDKs. Only the upstream is
//! played. `scripts/check` installs the clients.

mod anthropic_sdks;
mod auto_mode;
mod claude_code;
mod gemini;
mod installed;
mod openai_over_anthropic;
mod openai_sdks;
mod script;
mod sdk;
mod two_calls;
mod wrapped;
/// What the black-box tests stand on; a folder by path, so that the files below it are found.
#[path = "../gateway"]
mod gateway {
    #[expect(dead_code, unused_imports, reason = "the stories of tests/gateway use the rest of it")]
    pub(crate) mod support;
}

use gateway::support;
