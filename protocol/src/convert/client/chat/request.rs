//! A Chat Completions request becomes a Messages request.
//!
//! The Messages body is written front to back into one buffer. Texts keep their form: a literal is copied with its
//! escapes, joined ones are spliced.

mod content;
mod messages;
mod search;
mod system;
mod tools;
mod turn;

use serde_json::value::RawValue;

use super::{MessagesReplyContext, MessagesRequest, MessagesUpstream};
use crate::{
    convert::{
        Dropped,
        client::request::{
            model::ModelGeneration,
            reasoning::{Hindrance, ReasoningRequest, Wish},
            settings::{Sampling, token_limit},
            user,
        },
    },
    fault::RequestError,
    json::{JsonWord, Literal, Write, trim},
    openai::{
        chunk::Calling,
        image_detail,
        request::{ChatMessage, ChatRequestBody},
    },
    schema_fit,
    tool_id::Maker,
    vocabulary::Delivery,
};
use tools::ToolSelection;
use turn::{MessageRole, MessagesTurn};

pub(super) fn convert(body: &[u8], target: &MessagesUpstream<'_>) -> Result<MessagesRequest, RequestError> {
    let request = ChatRequestBody::parse(body)?;
    one_answer(request.n)?;
    let model = ModelGeneration::from_name(target.model);
    let max_tokens = max_tokens(&request)?.unwrap_or_else(|| model.max_tokens());
    let turns = MessagesTurn::read_all(request.messages.as_deref().unwrap_or_default())?;
    let choice = ToolSelection::read(&request)?;
    let reasoning = reasoning(&request, model, max_tokens, hindrance(&turns, &choice))?;
    let delivery = if request.stream == Some(true) { Delivery::Streamed } else { Delivery::Whole };

    let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 512);
    out.put(b"{\"model\":");
    out.string(target.model);
    out.put(b",\"max_tokens\":");
    out.number(max_tokens);
    out.raw(match delivery {
        Delivery::Streamed => ",\"stream\":true",
        Delivery::Whole => ",\"stream\":false",
    });
    let mut dropped = dropped(&request, &reasoning);
    let ChatRequestBody { temperature, top_p, top_k, .. } = request;
    let sampling = Sampling { temperature, top_p, top_k };
    if model.takes_sampling() && !reasoning.is_on() {
        sampling.write(&mut dropped, &mut out)?;
    } else {
        sampling.leave_out(&mut dropped);
    }
    write_stop(request.stop, &mut out)?;
    user::write([request.safety_identifier, request.user], &mut out);
    reasoning.write(&mut out);
    write_output_config(&request, &reasoning, &mut out);
    system::write(&turns, &mut out)?;
    // A hash, and on the way of every request: made once.
    let maker = Maker::new(target.provider, target.model);
    let called = messages::write(&turns, maker, &mut out)?;
    tools::write(&request, &choice, &called, &mut dropped, &mut out)?;
    out.put(b"}");
    let reply = reply_context(&request, &reasoning, target, maker);
    Ok(MessagesRequest { body: out, delivery, reply, dropped })
}

/// Members that are converted elsewhere, or mean nothing to a server that stores nothing.
const ELSEWHERE: [&str; 2] = ["model", "store"];

/// The members that have no equivalent.
fn dropped(request: &ChatRequestBody<'_>, reasoning: &ReasoningRequest<'_>) -> Dropped {
    let mut dropped = Dropped::default();
    let unknown = request.unknown.iter().map(JsonWord::as_str);
    unknown.filter(|name| !ELSEWHERE.contains(name)).for_each(|name| dropped.note(name));
    if reasoning.is_lost() {
        dropped.note("reasoning_effort");
    }
    let format = request.response_format.as_ref().and_then(|format| format.r#type.as_ref());
    if format.is_some_and(|kind| kind.as_str() == "json_object") {
        dropped.note("response_format (json_object)");
    }
    let own = request.thinking.is_some_and(|own| own.get().starts_with('{'));
    if own && request.reasoning_effort.is_some() {
        dropped.note("reasoning_effort");
    }
    let messages = request.messages.as_deref().unwrap_or_default();
    for (name, is_lost) in [
        ("messages (audio)", messages.iter().any(|message| message.audio.is_some())),
        ("messages (reasoning)", messages.iter().any(ChatMessage::has_reasoning)),
        (
            "messages (image detail)",
            messages.iter().filter_map(|message| message.content).any(image_detail::is_set),
        ),
        ("messages (name)", messages.iter().any(ChatMessage::names_a_speaker)),
    ] {
        if is_lost {
            dropped.note(name);
        }
    }
    dropped
}

/// Anthropic's own `thinking`, otherwise OpenAI's effort.
fn reasoning<'a>(
    request: &ChatRequestBody<'a>,
    model: ModelGeneration,
    max_tokens: u64,
    hindrance: Hindrance,
) -> Result<ReasoningRequest<'a>, RequestError> {
    if let Some(own) = request.thinking.map(RawValue::get).filter(|own| own.starts_with('{')) {
        return Ok(ReasoningRequest::own(own));
    }
    let word = request.reasoning_effort.as_ref();
    let wish = word.map(|word| Wish::read("reasoning_effort", word.as_str())).transpose()?.flatten();
    Ok(wish
        .map_or(ReasoningRequest::UNSAID, |wish| ReasoningRequest::new(wish, model, max_tokens, hindrance)))
}

fn hindrance(turns: &[MessagesTurn<'_>], choice: &ToolSelection<'_>) -> Hindrance {
    let last = turns.iter().map(|turn| turn.role).rfind(|role| *role != MessageRole::System);
    match last {
        _ if choice.is_forced() => Hindrance::ForcedCall,
        Some(MessageRole::Tool | MessageRole::Function) => Hindrance::Results,
        Some(MessageRole::System | MessageRole::User | MessageRole::Assistant) | None => Hindrance::None,
    }
}

fn reply_context(
    request: &ChatRequestBody<'_>,
    reasoning: &ReasoningRequest<'_>,
    target: &MessagesUpstream<'_>,
    maker: Maker,
) -> MessagesReplyContext {
    let options = request.stream_options.as_ref();
    MessagesReplyContext {
        requested_model: target.requested_model.to_owned(),
        sends_usage: options.is_some_and(|options| options.include_usage == Some(true)),
        shows_reasoning: reasoning.is_requested(),
        calls: match (&request.functions, &request.tools) {
            (Some(functions), None) if !functions.is_empty() => Calling::Function,
            (Some(_) | None, _) => Calling::Tools,
        },
        custom: tools::custom_names(request),
        maker,
    }
}

fn one_answer(n: Option<&RawValue>) -> Result<(), RequestError> {
    match n.map(RawValue::get) {
        None | Some("1" | "1.0") => Ok(()),
        Some(_) => Err(RequestError::new("n: this provider gives one answer, so it must be 1")),
    }
}

/// `None` if the client leaves it open.
fn max_tokens(request: &ChatRequestBody<'_>) -> Result<Option<u64>, RequestError> {
    let newer = request.max_completion_tokens.map(|raw| ("max_completion_tokens", raw));
    let Some((field, raw)) = newer.or_else(|| request.max_tokens.map(|raw| ("max_tokens", raw))) else {
        return Ok(None);
    };
    token_limit(field, raw).map(Some)
}

/// One string or several. Anthropic refuses those that are blank.
fn write_stop(stop: Option<&RawValue>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let Some(stop) = stop else { return Ok(()) };
    let sequences = match Literal::of(stop) {
        Some(single) => vec![single],
        None => serde_json::from_str(stop.get())
            .map_err(|_| RequestError::new("stop: must be a string or an array of strings"))?,
    };
    let mut sequences = sequences.iter().filter(|sequence| !trim(sequence.inner()).is_empty()).peekable();
    if sequences.peek().is_none() {
        return Ok(());
    }
    for (at, sequence) in sequences.enumerate() {
        out.raw(if at == 0 { ",\"stop_sequences\":[" } else { "," });
        out.quoted(sequence.inner());
    }
    out.put(b"]");
    Ok(())
}

/// What an answer must look like, and how much is put into it.
fn write_output_config(request: &ChatRequestBody<'_>, reasoning: &ReasoningRequest<'_>, out: &mut Vec<u8>) {
    // `json_object` is not one of Anthropic's forms. OpenAI demands that the prompt asks for JSON then, so that the model
    // knows; a schema of any object would be a demand for an empty one.
    let format = request.response_format.as_ref();
    let format = format.filter(|format| format.r#type.as_ref().map(JsonWord::as_str) == Some("json_schema"));
    let schema = format.and_then(|format| format.json_schema.as_ref()?.schema);
    let effort = reasoning.effort();
    if schema.is_none() && effort.is_none() {
        return;
    }
    out.put(b",\"output_config\":{");
    if let Some(effort) = effort {
        out.put(b"\"effort\":");
        out.string(effort);
    }
    if let Some(schema) = schema {
        out.raw(if effort.is_some() { "," } else { "" });
        out.put(b"\"format\":{\"type\":\"json_schema\",\"schema\":");
        out.raw(&schema_fit::reduced(schema.get()));
        out.put(b"}");
    }
    out.put(b"}");
}
