//! Converts a Messages request to a Chat Completions request.
//!
//! The body is written in order into one buffer. Text is not decoded: a JSON string is copied with its escapes, and joined strings
//! are concatenated.

mod content;
mod hosted;
mod members;
mod messages;
mod parts;
mod settings;
mod tools;
mod user;

use super::{ChatReplyContext, ChatRequest, ChatUpstream, Replay, thinking::Tag};
use crate::{
    anthropic::request::{MessagesContent, MessagesRequestBody},
    convert::{
        Dropped,
        upstream::{
            caching::CacheMarks,
            conversation::{RequestTurn, System, ToolUsePairing, read_turns},
            effort::Effort,
            names::{Alphabet, Names},
            settings::{asks_for_judgement, shows_thinking},
            tools::{all_names, tool_list},
        },
    },
    fault::RequestError,
    gemini,
    json::{JsonWord, Write},
    signature,
    tool_id::Maker,
    vocabulary::Delivery,
};
use content::system;
use hosted::HostedTools;
use messages::{MessageWriter, ThoughtsField};
use settings::sequences;
use tools::Toolbox;

/// Members that other files convert.
const ELSEWHERE: [&str; 1] = ["model"];

/// A request and the decisions about its translation.
struct Context<'r, 'a> {
    request: &'r MessagesRequestBody<'a>,
    turns: &'r [RequestTurn<'a>],
    effort: &'r Effort,
    target: &'r ChatUpstream<'r>,
    names: &'r Names,
    /// The target, which determines the ids of its calls.
    maker: Maker,
    /// Whether the provider searches the web for this request.
    searches: bool,
}

/// `size` is the length of the request as JSON.
pub(super) fn convert(
    request: &MessagesRequestBody<'_>,
    size: usize,
    target: &ChatUpstream<'_>,
) -> Result<ChatRequest, RequestError> {
    let mut dropped = Dropped::default();
    request
        .unknown
        .iter()
        .map(JsonWord::as_str)
        .filter(|name| !ELSEWHERE.contains(name))
        .for_each(|name| dropped.note(name));
    let turns = read_turns(request)?;
    let delivery = if request.stream == Some(true) { Delivery::Streamed } else { Delivery::Whole };

    let mut out = Vec::with_capacity(size + size / 8 + 512);
    out.put(b"{\"model\":");
    out.string(target.model);
    let effort = Effort::new(request, &turns, target.model, target.dialect).with_members(target.members);
    // The maker is a hash that every request needs, so it is computed once.
    let maker = Maker::new(target.provider, target.model);
    settings::write(request, &effort, target, &mut dropped, &mut out)?;
    match delivery {
        Delivery::Streamed => out.put(b",\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
        Delivery::Whole => out.put(b",\"stream\":false"),
    }
    let tools = tool_list(request.tools.as_deref().unwrap_or_default(), &turns, &mut dropped);
    let alphabet = if target.dialect.plain_tool_names { Alphabet::Plain } else { Alphabet::Usual };
    let names = Names::of(all_names(&tools, &turns), alphabet);
    let choice = request.tool_choice.as_ref();
    let hosted = HostedTools::new(&tools, choice, target);
    Toolbox { tools: &tools, choice, turns: &turns, names: &names, target, hosted: &hosted }
        .write(&mut dropped, &mut out)?;
    out.put(b",\"messages\":[");
    let searches = hosted.searches();
    let context = Context { request, turns: &turns, effort: &effort, target, names: &names, maker, searches };
    write_messages(&context, &mut dropped, &mut out)?;
    out.put(b"]}");
    Ok(ChatRequest { body: out, delivery, reply: reply_context(&context), dropped })
}

fn reply_context(context: &Context<'_, '_>) -> ChatReplyContext {
    let Context { request, effort, target, names, maker, searches, .. } = *context;
    let thinks = shows_thinking(request);
    let keeps_details = target.dialect.replay == Replay::Details;
    let (stop_sequences, cut_at) = sequences(request, effort.stop());
    ChatReplyContext {
        requested_model: target.requested_model.to_owned(),
        signature: thinks.then(|| signature::mint(target.provider, target.model)),
        stop_sequences,
        cut_at,
        searches,
        asks_for_judgement: asks_for_judgement(request),
        maker,
        names: names.back(),
        think_tag: match (gemini::is_named_in(target.model), target.dialect.think_tags) {
            (true, _) => Some(Tag::Thought),
            (false, true) => Some(Tag::Think),
            (false, false) => None,
        },
        keeps_details,
        keeps_extras: target.dialect.extras,
        // OpenRouter sends Gemini's signatures after the calls. Each call arrives in one piece.
        signs_late: thinks && keeps_details && gemini::is_named_in(target.model),
    }
}

fn write_messages(
    context: &Context<'_, '_>,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let Context { request, turns, effort, target, names, maker, .. } = *context;
    let marks = CacheMarks::new(target.model, target.dialect);
    let start = out.len();
    if let Some(raw) = request.system {
        let content =
            MessagesContent::read(raw).map_err(|problem| RequestError::new(format!("system: {problem}")))?;
        system(&content, System::Top, target.dialect, &marks, dropped, out)?;
    }
    let mut pairing = ToolUsePairing::new(turns)?;
    pairing.lead_ids_back(maker);
    let thoughts_field = match target.dialect.replay {
        Replay::Required if !effort.is_off() => ThoughtsField::Required,
        Replay::Required | Replay::Content | Replay::Details | Replay::Nothing => ThoughtsField::IfPresent,
    };
    MessageWriter { turns, pairing: &pairing, names, target, marks: &marks, thoughts_field }
        .write(dropped, out)?;
    // Every message was written with a comma after it.
    if out.len() > start {
        out.pop();
    }
    Ok(())
}
