//! Converts a Messages request to a Chat Completions request.
//!
//! The body is written in order into one buffer. Text is not decoded: a JSON string is copied with its escapes, and joined strings
//! are concatenated.

mod caching;
mod client_tools;
mod content;
mod documents;
mod effort;
mod hosted;
mod image;
mod messages;
mod pairing;
mod server_blocks;
mod settings;
mod strict;
mod tool_list;
mod tools;
mod user;

use super::{
    ChatReplyContext, ChatRequest, ChatUpstream, Replay,
    names::{Alphabet, Names},
    thinking::Tag,
};
use crate::{
    anthropic::request::{MessageParam, MessagesContent, MessagesRequestBody, Safeguard},
    convert::Dropped,
    fault::RequestError,
    gemini,
    json::{JsonWord, List, Object, Write},
    signature,
    tool_id::Maker,
    vocabulary::Delivery,
};
use caching::CacheMarks;
use content::{System, system};
use effort::Effort;
use hosted::HostedTools;
use messages::{MessageWriter, ThoughtsField};
use pairing::ToolUsePairing;
use settings::sequences;
use tool_list::tool_list;
use tools::{Toolbox, all_names};

/// Members that other files convert.
const ELSEWHERE: [&str; 1] = ["model"];

/// A request and the decisions about its translation.
struct Context<'r, 'a> {
    request: &'r MessagesRequestBody<'a>,
    turns: &'r [ChatTurn<'a>],
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
    let effort = Effort::new(request, &turns, target);
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

fn read_turns<'a>(request: &MessagesRequestBody<'a>) -> Result<Vec<ChatTurn<'a>>, RequestError> {
    let messages = request.messages.as_deref().unwrap_or_default();
    if messages.is_empty() {
        return Err(RequestError::new("messages: at least one message is required"));
    }
    let turns = messages.iter().enumerate().map(|(at, message)| ChatTurn::read(at, message));
    let mut turns: Vec<ChatTurn<'a>> = turns.collect::<Result<_, _>>()?;
    hide_cleared(messages, &mut turns);
    Ok(turns)
}

/// Hides system messages that apply to one turn of the user, if a later turn follows.
fn hide_cleared(messages: &[MessageParam<'_>], turns: &mut [ChatTurn<'_>]) {
    let last = turns.iter().rposition(|turn| turn.role == TurnRole::User).unwrap_or(0);
    for (message, turn) in messages.iter().zip(turns).take(last) {
        let clears = message.clear_at.as_ref().is_some_and(|at| at.as_str() == "next_user_message");
        turn.is_shown = !(clears && turn.role == TurnRole::System);
    }
}

fn reply_context(context: &Context<'_, '_>) -> ChatReplyContext {
    let Context { request, effort, target, names, maker, searches, .. } = *context;
    let thinks = request
        .thinking
        .as_ref()
        .and_then(|thinking| thinking.r#type.as_ref())
        .is_some_and(|kind| kind.as_str() != "disabled");
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

/// Whether the client requests that the server judge tool calls.
fn asks_for_judgement(request: &MessagesRequestBody<'_>) -> bool {
    let Some(safeguards) = request.safeguards else { return false };
    let safeguards =
        serde_json::from_str::<List<Object<Safeguard<'_>>>>(safeguards.get()).unwrap_or_default();
    let mut kinds = safeguards.0.iter().filter_map(|safeguard| safeguard.0.as_ref()?.r#type.as_ref());
    kinds.any(|kind| kind.as_str() == "dangerous_tool_use")
}

fn write_messages(
    context: &Context<'_, '_>,
    dropped: &mut Dropped,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let Context { request, turns, effort, target, names, maker, .. } = *context;
    let marks = CacheMarks::new(target);
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

/// The role of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TurnRole {
    User,
    Assistant,
    System,
}

/// One entry of `messages`.
struct ChatTurn<'a> {
    role: TurnRole,
    content: MessagesContent<'a>,
    /// The effort that a system message sets for the following turns.
    effort: Option<&'static str>,
    /// `false` for a system message that applied to an earlier turn.
    is_shown: bool,
}

impl<'a> ChatTurn<'a> {
    fn read(at: usize, message: &MessageParam<'a>) -> Result<Self, RequestError> {
        let role = match message.role.as_ref().map(JsonWord::as_str) {
            Some("user") => TurnRole::User,
            Some("assistant") => TurnRole::Assistant,
            Some("system") => TurnRole::System,
            Some(_) => {
                return Err(RequestError::new(format!(
                    "messages.{at}.role: must be user, assistant or system"
                )));
            }
            None => return Err(RequestError::new(format!("messages.{at}.role: field required"))),
        };
        let of_turn = message.output_config.as_ref().filter(|_| role == TurnRole::System);
        let effort =
            of_turn.and_then(|config| config.effort.as_ref()).map(|word| effort::level(word.as_str()));
        let content = match message.content {
            Some(content) => MessagesContent::read(content)
                .map_err(|problem| RequestError::new(format!("messages.{at}.content: {problem}")))?,
            // The message only sets the effort.
            None if of_turn.is_some() => MessagesContent::Blocks(vec![]),
            None => return Err(RequestError::new(format!("messages.{at}.content: field required"))),
        };
        Ok(Self { role, content, effort, is_shown: true })
    }
}
