//! What a request asks for beside its conversation and its tools: length, sampling, thinking, the form of the answer.

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{RequestError, Target, tools::is_web_search};
use crate::{
    anthropic::request::Request,
    bridge::messages_over_chat::{Dialect, Reasoning},
    json::{Literal, Word, Write},
};

/// Chat Completions takes no more.
const MOST_STOP_SEQUENCES: usize = 4;
/// The longest user id that OpenAI takes.
const LONGEST_USER: usize = 64;

/// Appends all of it, each member with a comma before it.
pub(super) fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let dialect = target.dialect;
    out.put(if renames_max_tokens(target.model) {
        b",\"max_completion_tokens\":"
    } else {
        b",\"max_tokens\":"
    });
    out.number(within(dialect, max_tokens(request.max_tokens)?));
    write_sampling(request, dialect, out)?;
    if dialect.reasons(target.model) {
        write_reasoning(Thinking::of(request), dialect.reasoning, out);
    }
    write_format(request, out)?;
    write_user(request, dialect, out);
    let searches = request.tools.iter().flatten().any(is_web_search);
    if let Some(members) = dialect.web_search.as_deref().filter(|_| searches) {
        out.put(b",");
        out.raw(members);
    }
    Ok(())
}

fn within(dialect: &Dialect, tokens: u64) -> u64 {
    let raised = dialect.fewest_tokens.map_or(tokens, |fewest| tokens.max(fewest));
    dialect.most_tokens.map_or(raised, |most| raised.min(most))
}

/// How much the client wants to be thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thinking {
    Unsaid,
    Off,
    Level(&'static str),
}

impl Thinking {
    /// A budget becomes the word for its order of magnitude.
    fn of(request: &Request<'_>) -> Self {
        let effort = request.output_config.as_ref().and_then(|config| config.effort.as_ref());
        let effort = effort.map(|word| level(word.as_str()));
        let thinking = request.thinking.as_ref();
        let kind = thinking.and_then(|thinking| thinking.r#type.as_ref()).map(Word::as_str);
        let budget = thinking.and_then(|thinking| thinking.budget_tokens);
        match (kind, effort, budget) {
            (Some("disabled"), _, _) => Self::Off,
            (_, Some(level), _) => Self::Level(level),
            (Some("enabled"), None, Some(0..=4096)) => Self::Level("low"),
            (Some("enabled"), None, Some(16_385..)) => Self::Level("high"),
            (Some(_), None, _) => Self::Level("medium"),
            (None, None, _) => Self::Unsaid,
        }
    }
}

/// OpenAI's word for an effort of Anthropic's; the levels above `high` are not taken by every model.
fn level(effort: &str) -> &'static str {
    match effort {
        "low" | "minimal" => "low",
        "high" | "xhigh" | "max" => "high",
        _ => "medium",
    }
}

fn write_reasoning(thinking: Thinking, reasoning: Reasoning, out: &mut Vec<u8>) {
    match (thinking, reasoning) {
        (Thinking::Unsaid, _) | (Thinking::Off, Reasoning::Effort | Reasoning::Nested) => {}
        (Thinking::Off, Reasoning::Switch) => out.put(b",\"thinking\":{\"type\":\"disabled\"}"),
        (Thinking::Level(_), Reasoning::Switch) => out.put(b",\"thinking\":{\"type\":\"enabled\"}"),
        (Thinking::Level(level), Reasoning::Effort) => {
            out.put(b",\"reasoning_effort\":");
            out.quoted(level);
        }
        (Thinking::Level(level), Reasoning::Nested) => {
            out.put(b",\"reasoning\":{\"effort\":");
            out.quoted(level);
            out.put(b"}");
        }
    }
}

fn write_format(request: &Request<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let config = request.output_config.as_ref().and_then(|config| config.format.as_ref());
    let Some(format) = config.or(request.output_format.as_ref()) else { return Ok(()) };
    if format.r#type.as_ref().map(Word::as_str) != Some("json_schema") {
        return Err(RequestError::new("output_config.format.type: must be json_schema"));
    }
    let schema = format.schema.filter(|schema| schema.get().starts_with('{'));
    let schema = schema.ok_or_else(|| RequestError::new("output_config.format.schema: must be an object"))?;
    out.put(
        b",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"response\",\"schema\":",
    );
    out.raw(schema.get());
    out.put(b",\"strict\":true}}");
    Ok(())
}

fn write_user(request: &Request<'_>, dialect: &Dialect, out: &mut Vec<u8>) {
    let user = request.metadata.as_ref().and_then(|metadata| metadata.user_id).and_then(Literal::decode);
    let Some(user) = user.filter(|user| !user.is_empty() && !dialect.user_fields.is_empty()) else { return };
    let user = if user.len() <= LONGEST_USER {
        user.into_owned()
    } else {
        Sha256::digest(user.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    for field in &dialect.user_fields {
        out.put(b",");
        out.string(field);
        out.put(b":");
        out.string(&user);
    }
}

fn max_tokens(raw: Option<&RawValue>) -> Result<u64, RequestError> {
    let raw = raw.ok_or_else(|| RequestError::new("max_tokens: field required"))?.get();
    match raw.parse::<u64>() {
        Ok(0) => Err(RequestError::new("max_tokens: must be at least 1")),
        Ok(tokens) => Ok(tokens),
        Err(_) if raw.starts_with('-') => Err(RequestError::new("max_tokens: must be at least 1")),
        Err(_) => Err(RequestError::new("max_tokens: must be an integer")),
    }
}

/// Whether OpenAI refuses `max_tokens` for this model: the o-series and everything from gpt-5 on, also behind a
/// vendor's prefix.
fn renames_max_tokens(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    if let Some(version) = name.strip_prefix("gpt-") {
        let end = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
        return version[..end].parse::<u32>().is_ok_and(|version| version >= 5);
    }
    name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|character: char| character.is_ascii_digit()))
}

fn write_sampling(request: &Request<'_>, dialect: &Dialect, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let top_k = request.top_k.filter(|_| dialect.top_k);
    for (key, value) in [("temperature", request.temperature), ("top_p", request.top_p), ("top_k", top_k)] {
        let Some(value) = value.map(RawValue::get) else { continue };
        if !value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Err(RequestError::new(format!("{key}: must be a number")));
        }
        out.put(b",");
        out.quoted(key);
        out.put(b":");
        out.raw(value);
    }
    let mut separator = ",\"stop\":[";
    for sequence in sequences(request) {
        out.raw(separator);
        out.quoted(sequence.inner());
        separator = ",";
    }
    if separator == "," {
        out.put(b"]");
    }
    Ok(())
}

/// The stop sequences, as many as can be sent.
pub(super) fn sequences<'r, 'a>(request: &'r Request<'a>) -> impl Iterator<Item = Literal<'a>> + use<'r, 'a> {
    request.stop_sequences.iter().flatten().copied().take(MOST_STOP_SEQUENCES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thinking(fields: &str) -> Thinking {
        Thinking::of(&serde_json::from_str(&format!("{{{fields}}}")).unwrap())
    }

    #[test]
    fn the_wish_to_think_becomes_a_level() {
        for (fields, wanted) in [
            ("", Thinking::Unsaid),
            (r#""thinking":{"type":"disabled"},"output_config":{"effort":"high"}"#, Thinking::Off),
            (r#""thinking":{"type":"enabled","budget_tokens":4096}"#, Thinking::Level("low")),
            (r#""thinking":{"type":"enabled","budget_tokens":4097}"#, Thinking::Level("medium")),
            (r#""thinking":{"type":"enabled","budget_tokens":16384}"#, Thinking::Level("medium")),
            (r#""thinking":{"type":"enabled","budget_tokens":16385}"#, Thinking::Level("high")),
            (r#""thinking":{"type":"adaptive"}"#, Thinking::Level("medium")),
            (r#""thinking":{"type":"adaptive"},"output_config":{"effort":"max"}"#, Thinking::Level("high")),
            (r#""output_config":{"effort":"low"}"#, Thinking::Level("low")),
        ] {
            assert_eq!(thinking(fields), wanted, "{fields}");
        }
    }

    #[test]
    fn newer_openai_models_get_the_newer_field() {
        for model in
            ["o1", "o3-mini", "o4-mini-high", "gpt-5", "gpt-5.1-codex", "openai/gpt-5-nano", "gpt-10", "x/o3"]
        {
            assert!(renames_max_tokens(model), "{model}");
        }
        for model in [
            "gpt-4o",
            "gpt-4.1",
            "gpt-oss-120b",
            "openai/gpt-oss-20b",
            "olmo-2",
            "chatgpt-4o",
            "glm-5",
            "o",
            "",
        ] {
            assert!(!renames_max_tokens(model), "{model}");
        }
    }
}
