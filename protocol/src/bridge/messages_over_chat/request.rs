//! A Messages request becomes a Chat Completions request.
//!
//! The upstream's body is written front to back into one buffer. Texts keep the form they came in: a literal is
//! copied with its escapes, joined ones are spliced.

mod content;
mod messages;
mod pairing;
mod tools;

use serde_json::value::RawValue;

use super::{ChatRequest, ReplyContext, Target};
use crate::{
    anthropic::request::{Content, Message, Request},
    bridge::RequestError,
    json::{Literal, Word, Write},
    signature,
    vocabulary::Delivery,
};
use content::{System, system};

/// Chat Completions takes no more.
const MOST_STOP_SEQUENCES: usize = 4;

pub(super) fn translate(body: &[u8], target: &Target<'_>) -> Result<ChatRequest, RequestError> {
    let text = std::str::from_utf8(body).map_err(|_| RequestError::new("the request body is not UTF-8"))?;
    let request: Request<'_> =
        serde_json::from_str(text).map_err(|error| RequestError::unreadable(&error))?;
    if request.mcp_servers.as_ref().is_some_and(|servers| !servers.is_empty()) {
        return Err(RequestError::new("mcp_servers: not supported by a Chat Completions upstream"));
    }
    let max_tokens = max_tokens(request.max_tokens)?;
    let delivery = if request.stream == Some(true) { Delivery::Streamed } else { Delivery::Whole };

    let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 512);
    out.put(b"{\"model\":");
    out.string(target.model);
    out.put(if renames_max_tokens(target.model) {
        b",\"max_completion_tokens\":"
    } else {
        b",\"max_tokens\":"
    });
    out.number(max_tokens);
    write_sampling(&request, &mut out)?;
    match delivery {
        Delivery::Streamed => out.put(b",\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
        Delivery::Whole => out.put(b",\"stream\":false"),
    }
    tools::write(request.tools.as_deref().unwrap_or_default(), request.tool_choice.as_ref(), &mut out)?;
    out.put(b",\"messages\":[");
    write_messages(&request, target, &mut out)?;
    out.put(b"]}");
    Ok(ChatRequest { body: out, delivery, reply: reply_context(&request, target) })
}

fn reply_context(request: &Request<'_>, target: &Target<'_>) -> ReplyContext {
    let thinks = request
        .thinking
        .as_ref()
        .and_then(|thinking| thinking.r#type.as_ref())
        .is_some_and(|kind| kind.as_str() != "disabled");
    let sequences = sequences(request).filter_map(Literal::decode).map(|sequence| sequence.into_owned());
    ReplyContext {
        requested_model: target.requested_model.to_owned(),
        signature: thinks.then(|| signature::mint(target.provider, target.model)),
        stop_sequences: sequences.collect(),
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

fn write_sampling(request: &Request<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    for (key, value) in [("temperature", request.temperature), ("top_p", request.top_p)] {
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

fn sequences<'r, 'a>(request: &'r Request<'a>) -> impl Iterator<Item = Literal<'a>> + use<'r, 'a> {
    request.stop_sequences.iter().flatten().copied().take(MOST_STOP_SEQUENCES)
}

fn write_messages(request: &Request<'_>, target: &Target<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let messages = request.messages.as_deref().unwrap_or_default();
    if messages.is_empty() {
        return Err(RequestError::new("messages: at least one message is required"));
    }
    let turns = messages.iter().enumerate().map(|(at, message)| Turn::read(at, message));
    let turns = turns.collect::<Result<Vec<_>, _>>()?;
    let start = out.len();
    if let Some(raw) = request.system {
        let content =
            Content::read(raw).map_err(|problem| RequestError::new(format!("system: {problem}")))?;
        system(&content, System::Top, out)?;
    }
    messages::write(&turns, target, out)?;
    // Every message was written with a comma behind it.
    if out.len() > start {
        out.pop();
    }
    Ok(())
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
    System,
}

/// One entry of `messages`.
struct Turn<'a> {
    role: Role,
    content: Content<'a>,
}

impl<'a> Turn<'a> {
    fn read(at: usize, message: &Message<'a>) -> Result<Self, RequestError> {
        let role = match message.role.as_ref().map(Word::as_str) {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => {
                return Err(RequestError::new(format!(
                    "messages.{at}.role: must be user, assistant or system"
                )));
            }
            None => return Err(RequestError::new(format!("messages.{at}.role: field required"))),
        };
        let content = message.content;
        let content =
            content.ok_or_else(|| RequestError::new(format!("messages.{at}.content: field required")))?;
        let content = Content::read(content);
        let content =
            content.map_err(|problem| RequestError::new(format!("messages.{at}.content: {problem}")))?;
        Ok(Self { role, content })
    }
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
