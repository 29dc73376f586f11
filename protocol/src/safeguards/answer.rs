//! Reads the answer of a judge strictly: an answer that is not exactly in the requested form is no verdict.

use serde::Deserialize;

use super::{Missing, shown};

/// The most bytes of an explanation.
const EXPLANATION: usize = 600;

/// What a judge says about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Allow,
    Block { reason: String },
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    content: Vec<Block>,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Block {
    r#type: String,
    #[serde(default)]
    text: String,
}

/// The form of an answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    check: String,
    verdict: Word,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Allow,
    Block,
}

/// Reads a whole Messages reply. `check` is the word of the request. Thoughts do not count.
///
/// # Errors
/// If it is anything but one object in the form that was asked for; a code fence around it is accepted.
pub fn judgement(reply: &[u8], check: &str) -> Result<Judgement, Missing> {
    let reply: Reply = serde_json::from_slice(reply).map_err(|_| Missing::Error)?;
    match reply.stop_reason.as_deref() {
        Some("max_tokens" | "model_context_window_exceeded") => return Err(Missing::Truncated),
        Some("refusal") => return Err(Missing::Refused),
        Some(_) | None => {}
    }
    let text: String =
        reply.content.iter().filter(|block| block.r#type == "text").map(|block| &*block.text).collect();
    let form: Form = serde_json::from_str(without_fence(text.trim())).map_err(|_| Missing::Error)?;
    if form.check != check {
        return Err(Missing::Error);
    }
    Ok(match form.verdict {
        Word::Allow => Judgement::Allow,
        Word::Block => Judgement::Block { reason: explanation(&form.reason) },
    })
}

fn without_fence(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    let inner = inner.map(|inner| inner.strip_prefix("json").unwrap_or(inner));
    inner.map_or(text, str::trim)
}

/// One bounded line.
fn explanation(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    // Claude Code writes the full stop itself.
    match line.strip_suffix('.').unwrap_or(&line) {
        "" => "The judge of this gateway gave no reason".to_owned(),
        line => shown::text(line, EXPLANATION),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Judgement, Missing> {
        let thought = json!({"type": "thinking", "thinking": "{\"check\":\"k\",\"verdict\":\"block\"}"});
        let reply = json!({"content": [thought, {"type": "text", "text": text}], "stop_reason": "end_turn"});
        judgement(reply.to_string().as_bytes(), "k")
    }

    #[test]
    fn an_answer_in_the_form_is_a_verdict() {
        let allow = r#"{"check":"k","verdict":"allow","reason":""}"#;
        for text in [
            allow.to_owned(),
            format!("\n {allow}\n"),
            format!("```json\n{allow}\n```"),
            format!("```{allow}```"),
        ] {
            assert_eq!(read(&text), Ok(Judgement::Allow), "{text}");
        }
        let block =
            |reason: &str| read(&json!({"reason": reason, "verdict": "block", "check": "k"}).to_string());
        let reason = |reason: &str| Ok(Judgement::Block { reason: reason.to_owned() });
        assert_eq!(block("It deletes\n files."), reason("It deletes files"));
        assert_eq!(block(" "), reason("The judge of this gateway gave no reason"));
        assert!(matches!(block(&"x".repeat(5000)), Ok(Judgement::Block { reason }) if reason.len() < 700));
    }

    /// Requirement: an unreadable answer is never an approval.
    #[test]
    fn anything_else_is_no_verdict() {
        for text in [
            "",
            "allow",
            "{}",
            "The call is harmless: {\"check\":\"k\",\"verdict\":\"allow\",\"reason\":\"\"}",
            "{\"check\":\"k\",\"verdict\":\"allow\",\"reason\":\"\"} {\"check\":\"k\",\"verdict\":\"block\",\"reason\":\"\"}",
            "{\"check\":\"other\",\"verdict\":\"allow\",\"reason\":\"\"}",
            "{\"check\":\"k\",\"verdict\":\"Allow\",\"reason\":\"\"}",
            "{\"check\":\"k\",\"verdict\":\"maybe\",\"reason\":\"\"}",
            "{\"check\":\"k\",\"verdict\":true,\"reason\":\"\"}",
            "{\"check\":\"k\",\"verdict\":\"allow\"}",
            "{\"check\":\"k\",\"verdict\":\"allow\",\"reason\":\"\",\"also\":1}",
            "{\"check\":\"k\",\"verdict\":\"block\",\"verdict\":\"allow\",\"reason\":\"\"}",
            "{\"check\":\"k\",\"verdict\":\"allow\",\"reason\":\"",
        ] {
            assert_eq!(read(text), Err(Missing::Error), "{text}");
        }
        let stopped = |reason: &str| {
            let text = r#"{"check":"k","verdict":"allow","reason":""}"#;
            let reply = json!({"content": [{"type": "text", "text": text}], "stop_reason": reason});
            judgement(reply.to_string().as_bytes(), "k")
        };
        assert_eq!(stopped("max_tokens"), Err(Missing::Truncated));
        assert_eq!(stopped("refusal"), Err(Missing::Refused));
        assert_eq!(judgement(b"", "k"), Err(Missing::Error));
        assert_eq!(judgement(b"{\"content\":[]}", "k"), Err(Missing::Error));
    }
}
