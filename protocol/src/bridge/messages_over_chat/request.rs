//! A Messages request becomes a Chat Completions request.
//!
//! The upstream's body is written front to back into one buffer. Texts keep the form they came in: a literal is
//! copied with its escapes, joined ones are spliced.

mod client_tools;
mod content;
mod documents;
mod messages;
mod pairing;
mod settings;
mod tools;
mod user;

use super::{
    ChatRequest, Replay, ReplyContext, Target,
    names::{Alphabet, Names},
    thinking::Tag,
};
use crate::{
    anthropic::request::{Content, Message, Request},
    bridge::RequestError,
    gemini,
    json::{Literal, Word, Write},
    signature,
    tool_id::Maker,
    vocabulary::Delivery,
};
use content::{System, system};
use messages::Scribe;
use pairing::Pairing;
use settings::sequences;
use tools::{Toolbox, all_names};

pub(super) fn translate(body: &[u8], target: &Target<'_>) -> Result<ChatRequest, RequestError> {
    let text = std::str::from_utf8(body).map_err(|_| RequestError::new("the request body is not UTF-8"))?;
    let request: Request<'_> =
        serde_json::from_str(text).map_err(|error| RequestError::unreadable(&error))?;
    if request.mcp_servers.as_ref().is_some_and(|servers| !servers.is_empty()) {
        return Err(RequestError::new("mcp_servers: not supported by a Chat Completions upstream"));
    }
    let turns = read_turns(&request)?;
    let delivery = if request.stream == Some(true) { Delivery::Streamed } else { Delivery::Whole };

    let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 512);
    out.put(b"{\"model\":");
    out.string(target.model);
    settings::write(&request, target, &mut out)?;
    match delivery {
        Delivery::Streamed => out.put(b",\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
        Delivery::Whole => out.put(b",\"stream\":false"),
    }
    let tools = request.tools.as_deref().unwrap_or_default();
    let alphabet = if target.dialect.plain_tool_names { Alphabet::Plain } else { Alphabet::Usual };
    let names = Names::of(all_names(tools, &turns), alphabet);
    let choice = request.tool_choice.as_ref();
    Toolbox { tools, choice, turns: &turns, names: &names }.write(&mut out)?;
    out.put(b",\"messages\":[");
    write_messages((&request, &turns), target, &names, &mut out)?;
    out.put(b"]}");
    Ok(ChatRequest { body: out, delivery, reply: reply_context(&request, target, &names) })
}

fn read_turns<'a>(request: &Request<'a>) -> Result<Vec<Turn<'a>>, RequestError> {
    let messages = request.messages.as_deref().unwrap_or_default();
    if messages.is_empty() {
        return Err(RequestError::new("messages: at least one message is required"));
    }
    messages.iter().enumerate().map(|(at, message)| Turn::read(at, message)).collect()
}

fn reply_context(request: &Request<'_>, target: &Target<'_>, names: &Names) -> ReplyContext {
    let thinks = request
        .thinking
        .as_ref()
        .and_then(|thinking| thinking.r#type.as_ref())
        .is_some_and(|kind| kind.as_str() != "disabled");
    let keeps_details = target.dialect.replay == Replay::Details;
    let sequences = sequences(request).filter_map(Literal::decode).map(|sequence| sequence.into_owned());
    ReplyContext {
        requested_model: target.requested_model.to_owned(),
        signature: thinks.then(|| signature::mint(target.provider, target.model)),
        stop_sequences: sequences.collect(),
        maker: Maker::new(target.provider, target.model),
        names: names.back(),
        think_tag: match (gemini::is_named_in(target.model), target.dialect.think_tags) {
            (true, _) => Some(Tag::Thought),
            (false, true) => Some(Tag::Think),
            (false, false) => None,
        },
        keeps_details,
        keeps_extras: target.dialect.extras,
        // OpenRouter sends Gemini's signatures when its calls have come, each of them in one piece.
        signs_late: thinks && keeps_details && gemini::is_named_in(target.model),
    }
}

fn write_messages(
    (request, turns): (&Request<'_>, &[Turn<'_>]),
    target: &Target<'_>,
    names: &Names,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let start = out.len();
    if let Some(raw) = request.system {
        let content =
            Content::read(raw).map_err(|problem| RequestError::new(format!("system: {problem}")))?;
        system(&content, System::Top, target.dialect, out)?;
    }
    let mut pairing = Pairing::of(turns)?;
    pairing.lead_ids_back(Maker::new(target.provider, target.model));
    Scribe { turns, pairing: &pairing, names, target }.write(out)?;
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
