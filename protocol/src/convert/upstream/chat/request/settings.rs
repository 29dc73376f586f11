//! Converts the members of a request other than its conversation and tools: length, sampling, thinking, output format.

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{ChatUpstream, RequestError, caching, effort::Effort, strict};
use crate::{
    anthropic::request::MessagesRequestBody,
    convert::{
        Dropped,
        upstream::chat::{Dialect, reasoning::StopSupport},
    },
    json::{JsonWord, Literal, Write},
    openai::members::OpenAiMembers,
};

/// Maximum number of stop sequences in Chat Completions.
const MOST_STOP_SEQUENCES: usize = 4;
/// Maximum length of a user id at OpenAI.
const LONGEST_USER: usize = 64;

/// Appends these members, each with a comma before it.
pub(super) fn write(
    request: &MessagesRequestBody<'_>,
    effort: &Effort,
    target: &ChatUpstream<'_>,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let dialect = target.dialect;
    let tokens = within(dialect, effort.with_head_room(max_tokens(request.max_tokens)?));
    if target.members.is_none_or(|members| members.max_tokens.is_some()) {
        out.put(if renames_max_tokens(target.model) {
            b",\"max_completion_tokens\":"
        } else {
            b",\"max_tokens\":"
        });
        out.number(tokens);
    }
    write_sampling(request, dialect, out)?;
    if request.top_k.is_some() && !dialect.top_k {
        dropped.note("top_k");
    }
    write_stop(told_sequences(request, effort.stop()), out);
    effort.write(out);
    if effort.is_lost() {
        dropped.note(match target.members {
            Some(_) => "reasoning.effort",
            None if request.thinking.is_some() => "thinking",
            None => "output_config.effort",
        });
    }
    match target.members {
        Some(members) => write_members(members, request, dialect, dropped, out),
        None => {
            write_format(request, out)?;
            write_user(request, None, dialect, out);
            caching::write_key(request, target, out);
        }
    }
    Ok(())
}

/// Appends the settings of a client of OpenAI's other API, as it wrote them.
fn write_members(
    members: &OpenAiMembers,
    request: &MessagesRequestBody<'_>,
    dialect: &Dialect,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) {
    let own = [
        ("response_format", &members.format),
        ("verbosity", &members.verbosity),
        ("service_tier", &members.service_tier),
    ];
    own.into_iter().for_each(|(name, value)| write_member(name, value.as_deref(), out));
    write_user(request, Some(members), dialect, out);
    for (name, value) in [
        ("prompt_cache_key", &members.prompt_cache_key),
        ("prompt_cache_retention", &members.prompt_cache_retention),
        ("prompt_cache_options", &members.prompt_cache_options),
    ] {
        match value.as_deref() {
            Some(_) if dialect.user_fields.iter().any(|field| field == name) => {}
            value if dialect.prompt_cache => write_member(name, value, out),
            Some(_) => dropped.note(name),
            None => {}
        }
    }
    // Chat Completions takes it only with requests that it stores.
    if members.metadata.as_ref().is_some_and(|metadata| metadata.get() != "{}") {
        dropped.note("metadata");
    }
}

fn write_member(name: &str, value: Option<&RawValue>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.put(b",");
        out.quoted(name);
        out.put(b":");
        out.raw(value.get());
    }
}

fn within(dialect: &Dialect, tokens: u64) -> u64 {
    let raised = dialect.min_tokens.map_or(tokens, |fewest| tokens.max(fewest));
    dialect.max_tokens.map_or(raised, |most| raised.min(most))
}

fn write_format(request: &MessagesRequestBody<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let config = request.output_config.as_ref().and_then(|config| config.format.as_ref());
    let Some(format) = config.or(request.output_format.as_ref()) else { return Ok(()) };
    if format.r#type.as_ref().map(JsonWord::as_str) != Some("json_schema") {
        return Err(RequestError::new("output_config.format.type: must be json_schema"));
    }
    let schema = format.schema.filter(|schema| schema.get().starts_with('{'));
    let schema = schema.ok_or_else(|| RequestError::new("output_config.format.schema: must be an object"))?;
    out.put(
        b",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"response\",\"schema\":",
    );
    out.raw(schema.get());
    out.raw(if strict::qualifies(schema.get()) { ",\"strict\":true}}" } else { ",\"strict\":false}}" });
    Ok(())
}

/// Appends the fields for the client's user. A field that the client set itself has the client's value.
fn write_user(
    request: &MessagesRequestBody<'_>,
    members: Option<&OpenAiMembers>,
    dialect: &Dialect,
    out: &mut Vec<u8>,
) {
    let user = request.metadata.as_ref().and_then(|metadata| metadata.user_id).and_then(Literal::decode);
    let user = user.filter(|user| !user.is_empty()).map(|user| {
        if user.len() <= LONGEST_USER {
            return user.into_owned();
        }
        Sha256::digest(user.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    });
    for field in &dialect.user_fields {
        let own = members.and_then(|members| match field.as_str() {
            "user" => members.user.as_deref(),
            "safety_identifier" => members.safety_identifier.as_deref(),
            "prompt_cache_key" => members.prompt_cache_key.as_deref(),
            _ => None,
        });
        match (own, &user) {
            (Some(_), _) => write_member(field, own, out),
            (None, Some(user)) => {
                out.put(b",");
                out.string(field);
                out.put(b":");
                out.string(user);
            }
            (None, None) => {}
        }
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

/// Whether OpenAI refuses `max_tokens` for this model: the o-series and everything from gpt-5 on, also after a
/// vendor's prefix.
fn renames_max_tokens(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    if let Some(version) = name.strip_prefix("gpt-") {
        let end = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
        return version[..end].parse::<u32>().is_ok_and(|version| version >= 5);
    }
    name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|character: char| character.is_ascii_digit()))
}

fn write_sampling(
    request: &MessagesRequestBody<'_>,
    dialect: &Dialect,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
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
    Ok(())
}

fn write_stop<'a>(sequences: impl Iterator<Item = Literal<'a>>, out: &mut Vec<u8>) {
    let mut separator = ",\"stop\":[";
    for sequence in sequences {
        out.raw(separator);
        out.quoted(sequence.inner());
        separator = ",";
    }
    if separator == "," {
        out.put(b"]");
    }
}

/// The stop sequences for the upstream: none if the model refuses them, otherwise as many as it accepts.
fn told_sequences<'r, 'a>(
    request: &'r MessagesRequestBody<'a>,
    stop: StopSupport,
) -> impl Iterator<Item = Literal<'a>> + use<'r, 'a> {
    let most = match stop {
        StopSupport::Taken => MOST_STOP_SEQUENCES,
        StopSupport::Cut => 0,
    };
    request.stop_sequences.iter().flatten().copied().take(most)
}

/// All stop sequences, and those that are not sent to the upstream.
pub(super) fn sequences(request: &MessagesRequestBody<'_>, stop: StopSupport) -> (Vec<String>, Vec<String>) {
    let all = request.stop_sequences.iter().flatten().copied().filter_map(Literal::decode);
    let all: Vec<String> = all.map(|sequence| sequence.into_owned()).collect();
    let told: Vec<_> = told_sequences(request, stop).filter_map(Literal::decode).collect();
    let is_untold = |sequence: &&String| !sequence.is_empty() && !told.iter().any(|told| *told == **sequence);
    let untold = all.iter().filter(is_untold).cloned().collect();
    (all, untold)
}

#[cfg(test)]
mod tests {
    use super::*;

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
