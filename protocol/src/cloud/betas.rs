//! The values of `anthropic-beta` that clouds take, and the members of a request that go with the others.
//!
//! Sources: tests of single values against InvokeModel (third parties, October 2026), BerriAI/litellm's table of betas by provider,
//! docs.aws.amazon.com/bedrock (Claude's request), platform.claude.com/docs/en/api/beta-headers.

use bytes::Bytes;

use super::CloudForm;
use crate::request::{Unwanted, trimmed};

/// Betas by name without their date, which every cloud refuses.
const REFUSED: [&str; 10] = [
    "advisor-tool",
    "code-execution",
    "fast-mode",
    "files-api",
    "mcp-client",
    "mcp-servers",
    "oauth",
    "prompt-caching-scope",
    "skills",
    "web-fetch",
];

/// Betas that InvokeModel alone refuses. The fields of structured outputs need none.
const REFUSED_BY_INVOKE_MODEL: [&str; 2] = ["structured-outputs", "web-search"];

/// Betas that InvokeModel is known to take.
const TAKEN_BY_INVOKE_MODEL: [&str; 21] = [
    "afk-mode",
    "claude-code",
    "compact",
    "computer-use",
    "context-1m",
    "context-management",
    "dangerous-tool-use",
    "dev-full-thinking",
    "effort",
    "fine-grained-tool-streaming",
    "interleaved-thinking",
    "mid-conversation-output-config",
    "mid-conversation-system",
    "mid-conversation-tool-changes",
    "output-128k",
    "per-turn-control",
    "thinking-binding-controls",
    "thinking-display-updates",
    "thinking-token-count",
    "token-efficient-tools",
    "tool-examples",
];

/// The clouds' name of the tool search that other betas of the same bundle do not need.
const TOOL_SEARCH: &str = "tool-search-tool-2025-10-19";
const TOOL_BUNDLE: &str = "advanced-tool-use-2025-11-20";

/// Members that only a refused beta allows, and that change nothing but speed or price. A member without which a request would
/// mean something else stays: the cloud refuses it by its name.
const MEMBERS: [(&str, &[&str]); 2] = [
    ("fast-mode", &["speed"]),
    (
        "prompt-caching-scope",
        &["system.cache_control.scope", "tools.cache_control.scope", "cache_control.scope"],
    ),
];

/// An endpoint that takes its own betas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BetaEndpoint {
    InvokeModel,
    /// Bedrock's endpoint of the Messages API.
    Mantle,
    Vertex,
}

impl From<CloudForm> for BetaEndpoint {
    fn from(form: CloudForm) -> Self {
        match form {
            CloudForm::Bedrock => Self::InvokeModel,
            CloudForm::Vertex => Self::Vertex,
        }
    }
}

/// The betas of a request, as a cloud takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FittedBetas<'b> {
    /// Under the names that the cloud has for them.
    pub kept: Vec<&'b str>,
    pub dropped: Vec<&'b str>,
}

impl<'b> FittedBetas<'b> {
    /// A beta that is not known here is kept: a cloud that refuses it says so.
    #[must_use]
    pub fn new(endpoint: BetaEndpoint, betas: impl IntoIterator<Item = &'b str>) -> Self {
        let mut fitted = Self::default();
        for beta in betas {
            let (list, beta) = if is_refused(endpoint, beta) {
                (&mut fitted.dropped, beta)
            } else {
                (&mut fitted.kept, if beta == TOOL_BUNDLE { TOOL_SEARCH } else { beta })
            };
            if !list.contains(&beta) {
                list.push(beta);
            }
        }
        fitted
    }

    /// The request without the members that need a dropped beta; itself, uncopied, if it has none.
    #[must_use]
    pub fn fit(&self, body: &Bytes) -> Bytes {
        let needing = MEMBERS.iter().filter(|(name, _)| self.dropped.iter().any(|beta| is_named(beta, name)));
        let members = needing.flat_map(|(_, paths)| paths.iter().map(|path| path.split('.').collect()));
        let unwanted = Unwanted { members: members.collect(), keywords: vec![] };
        if unwanted.is_empty() { body.clone() } else { trimmed(body, &unwanted) }
    }
}

/// Whether InvokeModel is known to take this beta.
#[must_use]
pub fn is_taken_by_invoke_model(beta: &str) -> bool {
    beta == TOOL_SEARCH || TAKEN_BY_INVOKE_MODEL.iter().any(|name| is_named(beta, name))
}

fn is_refused(endpoint: BetaEndpoint, beta: &str) -> bool {
    let more: &[&str] = match endpoint {
        BetaEndpoint::InvokeModel => &REFUSED_BY_INVOKE_MODEL,
        BetaEndpoint::Mantle | BetaEndpoint::Vertex => &[],
    };
    REFUSED.iter().chain(more).any(|name| is_named(beta, name))
}

/// Whether a beta has this name, with or without a date.
fn is_named(beta: &str, name: &str) -> bool {
    let date = beta.strip_prefix(name);
    date.is_some_and(|date| {
        date.is_empty()
            || (date.starts_with('-') && date.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Betas of Claude Code 2.1.332, and some that only Anthropic's own API takes.
    const SENT: [&str; 8] = [
        "claude-code-20250219",
        "interleaved-thinking-2025-05-14",
        "advanced-tool-use-2025-11-20",
        "tool-search-tool-2025-10-19",
        "prompt-caching-scope-2026-01-05",
        "web-search-2025-03-05",
        "fast-mode-2026-02-01",
        "later-2027-01-01",
    ];

    #[test]
    fn each_cloud_gets_the_betas_that_it_takes() {
        let bedrock = FittedBetas::new(BetaEndpoint::InvokeModel, SENT);
        assert_eq!(
            bedrock.kept,
            [
                "claude-code-20250219",
                "interleaved-thinking-2025-05-14",
                "tool-search-tool-2025-10-19",
                "later-2027-01-01"
            ]
        );
        assert_eq!(
            bedrock.dropped,
            ["prompt-caching-scope-2026-01-05", "web-search-2025-03-05", "fast-mode-2026-02-01"]
        );
        for endpoint in [BetaEndpoint::Mantle, BetaEndpoint::Vertex] {
            let fitted = FittedBetas::new(endpoint, SENT);
            assert!(fitted.kept.contains(&"web-search-2025-03-05"), "{fitted:?}");
            assert_eq!(fitted.dropped, ["prompt-caching-scope-2026-01-05", "fast-mode-2026-02-01"]);
        }
        assert_eq!(FittedBetas::new(BetaEndpoint::Vertex, []), FittedBetas::default());
    }

    #[test]
    fn members_of_dropped_betas_go_and_others_stay() {
        let body = Bytes::from_static(
            br#"{"speed":"fast","system":[{"type":"text","text":"speed","cache_control":{"type":"ephemeral","scope":"global"}}],"mcp_servers":[],"messages":[{"speed":1}]}"#,
        );
        let fitted = FittedBetas::new(BetaEndpoint::InvokeModel, SENT).fit(&body);
        assert_eq!(
            std::str::from_utf8(&fitted).unwrap(),
            r#"{"system":[{"type":"text","text":"speed","cache_control":{"type":"ephemeral"}}],"mcp_servers":[],"messages":[{"speed":1}]}"#
        );
        let kept = FittedBetas::new(BetaEndpoint::Vertex, ["effort-2025-11-24"]).fit(&body);
        assert_eq!(kept.as_ptr(), body.as_ptr());
    }

    #[test]
    fn no_beta_is_both_taken_and_refused() {
        for name in TAKEN_BY_INVOKE_MODEL {
            assert!(!is_refused(BetaEndpoint::InvokeModel, name), "{name}");
        }
        assert!(
            is_taken_by_invoke_model("effort-2025-11-24")
                && is_taken_by_invoke_model("tool-search-tool-2025-10-19")
        );
        assert!(
            !is_taken_by_invoke_model("effortless-2025-11-24")
                && !is_taken_by_invoke_model("later-2027-01-01")
        );
    }
}
