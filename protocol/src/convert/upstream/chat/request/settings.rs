//! Converts the members of a request other than its conversation and tools: length, sampling, thinking, output format.

use serde_json::value::RawValue;

use super::{ChatUpstream, RequestError, members};
use crate::{
    anthropic::request::MessagesRequestBody,
    convert::{
        Dropped,
        upstream::{
            caching,
            dialect::Dialect,
            effort::Effort,
            reasoning::{StopSupport, is_newer_openai},
            settings::{check_number, max_tokens, output_schema, user_id, within},
            strict,
        },
    },
    json::{Literal, Write},
};

/// Maximum number of stop sequences in Chat Completions.
const MOST_STOP_SEQUENCES: usize = 4;

/// Appends these members, each with a comma before it.
pub(super) fn write(
    request: &MessagesRequestBody<'_>,
    effort: &Effort,
    target: &ChatUpstream<'_>,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let dialect = target.dialect;
    let tokens = within(dialect, effort.with_head_room(max_tokens(request)?));
    if target.members.is_none_or(|members| members.max_tokens.is_some()) {
        out.put(if is_newer_openai(target.model) {
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
        Some(members) => members::write(members, request, dialect, dropped, out),
        None => {
            write_format(request, out)?;
            write_user(request, dialect, out);
            caching::write_key(request, dialect, target.session, out);
        }
    }
    Ok(())
}

fn write_format(request: &MessagesRequestBody<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let Some(schema) = output_schema(request)? else { return Ok(()) };
    out.put(
        b",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"response\",\"schema\":",
    );
    out.raw(schema.get());
    out.raw(if strict::qualifies(schema.get()) { ",\"strict\":true}}" } else { ",\"strict\":false}}" });
    Ok(())
}

fn write_user(request: &MessagesRequestBody<'_>, dialect: &Dialect, out: &mut Vec<u8>) {
    if dialect.user_fields.is_empty() {
        return;
    }
    let Some(user) = user_id(request) else { return };
    for field in &dialect.user_fields {
        out.put(b",");
        out.string(field);
        out.put(b":");
        out.string(&user);
    }
}

fn write_sampling(
    request: &MessagesRequestBody<'_>,
    dialect: &Dialect,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let top_k = request.top_k.filter(|_| dialect.top_k);
    for (key, value) in [("temperature", request.temperature), ("top_p", request.top_p), ("top_k", top_k)] {
        let Some(value) = value.map(RawValue::get) else { continue };
        check_number(key, value)?;
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
