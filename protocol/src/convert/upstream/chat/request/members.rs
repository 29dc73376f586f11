//! The settings of a client of OpenAI's other API, as it wrote them.

use serde_json::value::RawValue;

use crate::{
    anthropic::request::MessagesRequestBody,
    convert::{
        Dropped,
        upstream::{dialect::Dialect, settings::user_id},
    },
    json::Write,
    openai::members::OpenAiMembers,
};

/// Appends the settings, each with a comma before it: none but those that the client set.
pub(super) fn write(
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
    write_user(members, request, dialect, out);
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

/// Appends the fields for the client's user. A field that the client set itself has the client's value.
fn write_user(
    members: &OpenAiMembers,
    request: &MessagesRequestBody<'_>,
    dialect: &Dialect,
    out: &mut Vec<u8>,
) {
    let user = user_id(request);
    for field in &dialect.user_fields {
        let own = match field.as_str() {
            "user" => members.user.as_deref(),
            "safety_identifier" => members.safety_identifier.as_deref(),
            "prompt_cache_key" => members.prompt_cache_key.as_deref(),
            _ => None,
        };
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

fn write_member(name: &str, value: Option<&RawValue>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.put(b",");
        out.string(name);
        out.put(b":");
        out.raw(value.get());
    }
}
