//! A Responses request becomes a Messages request.
//!
//! The Messages body is written front to back into one buffer. Texts keep their form: a literal is copied with its
//! escapes, joined ones are spliced.

mod built_in;
mod caching;
mod content;
mod echo;
mod hosted_calls;
mod input;
mod items;
mod members;
mod messages;
mod reasoning;
mod settings;
mod stateless;
mod system;
mod tool_names;
mod tool_selection;
mod tools;

use serde_json::value::RawValue;

use super::{MessagesOfResponses, MessagesTarget, ResponsesClientContext, UpstreamKind};
use crate::{
    convert::{
        Dropped,
        client::request::{
            model::ModelGeneration,
            reasoning::{Hindrance, ReasoningRequest},
            settings::{Sampling, number, token_limit},
            tool_choice, user,
        },
    },
    fault::RequestError,
    json::{JsonWord, Literal, Write},
    openai::{image_detail, members::OpenAiMembers, responses_request::ResponsesRequestBody},
    vocabulary::Delivery,
};
use caching::AutomaticCaching;
use content::CacheMarks;
use input::Input;
use items::{Entry, EntryContent, ItemReader};
use settings::{Settings, write_output_config};
use system::SystemPrompt;
use tool_selection::ToolSelection;
use tools::ToolTable;

pub(super) fn convert(body: &[u8], target: &MessagesTarget<'_>) -> Result<MessagesOfResponses, RequestError> {
    let request = ResponsesRequestBody::parse(body)?;
    stateless::check(&request)?;
    let mut dropped = dropped(&request);
    let input = Input::read(&request)?;
    let contents = || input.items().iter().flat_map(|item| [item.content, item.output]).flatten();
    if contents().any(image_detail::is_set) {
        dropped.note("input (image detail)");
    }
    let settings = Settings::read(&request, &input, &mut dropped)?;
    let mut table = input.tools(&request)?.table(&mut dropped)?;
    if let Some(most) = request.max_tool_calls {
        limit_tool_calls(most, &mut table, &mut dropped)?;
    }
    let selection = ToolSelection::read(request.tool_choice, &table)?;
    let entries = input.entries(&mut ItemReader::new(target, &table.names, &mut dropped))?;

    let conversion =
        Conversion { request: &request, target, settings: &settings, table: &table, selection: &selection };
    let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 512);
    conversion.write(&entries, &mut dropped, &mut out)?;
    let members = match target.upstream {
        UpstreamKind::Messages => OpenAiMembers::default(),
        UpstreamKind::ChatCompletions | UpstreamKind::Responses => {
            members::members(&request, &settings.text, settings.reasoning.effort)
        }
    };
    let reply = ResponsesClientContext {
        requested_model: target.requested_model.to_owned(),
        provider: target.provider.to_owned(),
        model: target.model.to_owned(),
        tools: table.kinds(),
        includes_reasoning: settings.reasoning.includes_sealed,
        shows_summary: settings.reasoning.shows_summary,
        answer_form: settings.answer_form(),
        echo: echo::members(&request),
    };
    Ok(MessagesOfResponses { body: out, delivery: settings.delivery, reply, members, dropped })
}

/// Members that are converted elsewhere, or mean nothing to a server that keeps nothing. `client_metadata` is Codex's, in each of
/// its requests; a model does not read it.
const ELSEWHERE: [&str; 3] = ["model", "background_options", "client_metadata"];

/// The members that have no equivalent, unless their value is what happens anyway.
fn dropped(request: &ResponsesRequestBody<'_>) -> Dropped {
    let mut dropped = Dropped::default();
    let unknown = request.unknown.iter().map(JsonWord::as_str);
    unknown.filter(|name| !ELSEWHERE.contains(name)).for_each(|name| dropped.note(name));
    let is =
        |value: Option<&RawValue>, word: &str| value.and_then(Literal::of).is_some_and(|text| text.is(word));
    if is(request.truncation, "auto") {
        dropped.note("truncation");
    }
    if request.stream_options.is_some_and(obfuscates) {
        dropped.note("stream_options.include_obfuscation");
    }
    if request.top_logprobs.is_some_and(|count| count.get() != "0") {
        dropped.note("top_logprobs");
    }
    dropped
}

/// Whether the client asks for padding that hides the length of the events.
fn obfuscates(options: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct StreamOptions {
        include_obfuscation: Option<bool>,
    }
    let options: Option<StreamOptions> = serde_json::from_str(options.get()).ok();
    options.is_some_and(|options| options.include_obfuscation == Some(true))
}

/// OpenAI counts calls of the tools that run at its servers. Of those there is the web search.
fn limit_tool_calls(
    most: &RawValue,
    table: &mut ToolTable<'_>,
    dropped: &mut Dropped,
) -> Result<(), RequestError> {
    let count = token_limit("max_tool_calls", most)?;
    if table.has_search() {
        table.limit_searches(count);
    } else {
        dropped.note("max_tool_calls");
    }
    Ok(())
}

/// A request and what was read of it.
struct Conversion<'r, 'a> {
    request: &'r ResponsesRequestBody<'a>,
    target: &'r MessagesTarget<'r>,
    settings: &'r Settings<'a>,
    table: &'r ToolTable<'a>,
    selection: &'r ToolSelection<'a>,
}

impl<'a> Conversion<'_, 'a> {
    fn write(
        &self,
        entries: &[Entry<'a>],
        dropped: &mut Dropped,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        let Self { target, settings, .. } = *self;
        let model = ModelGeneration::from_name(target.model);
        let max_tokens = settings.max_tokens.unwrap_or_else(|| model.max_tokens());
        out.put(b"{\"model\":");
        out.string(target.model);
        out.put(b",\"max_tokens\":");
        out.number(max_tokens);
        out.raw(match settings.delivery {
            Delivery::Streamed => ",\"stream\":true",
            Delivery::Whole => ",\"stream\":false",
        });
        match target.upstream {
            UpstreamKind::Messages => {
                let hindrance = hindrance(entries, self.selection);
                let reasoning = settings.reasoning.for_messages(model, max_tokens, hindrance);
                self.write_for_messages(&reasoning, model, dropped, out)?;
            }
            UpstreamKind::ChatCompletions | UpstreamKind::Responses => self.write_for_chat(out)?,
        }
        let leading = entries.iter().take_while(|entry| entry.is_system()).count();
        let (leading, entries) = entries.split_at(leading);
        self.write_conversation(leading, entries, dropped, out)?;
        out.put(b"}");
        Ok(())
    }

    /// Appends the settings within the limits of Anthropic's models.
    fn write_for_messages(
        &self,
        reasoning: &ReasoningRequest<'_>,
        model: ModelGeneration,
        dropped: &mut Dropped,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        let Self { request, settings, .. } = *self;
        let ResponsesRequestBody { temperature, top_p, .. } = *request;
        let sampling = Sampling { temperature, top_p, top_k: None };
        if model.takes_sampling() && !reasoning.is_on() {
            sampling.write(dropped, out)?;
        } else {
            sampling.leave_out(dropped);
        }
        self.write_user(out);
        reasoning.write(out);
        write_output_config(&settings.text, reasoning.effort(), out)?;
        let is_default = |tier: &RawValue| matches!(tier.get(), "\"auto\"" | "\"default\"");
        for (name, is_lost) in [
            (settings.reasoning.member(), reasoning.is_lost()),
            ("text.format (json_object)", settings.text.has_kind("json_object")),
            ("text.verbosity", settings.text.verbosity.is_some()),
            ("service_tier", request.service_tier.is_some_and(|tier| !is_default(tier))),
            ("metadata", request.metadata.is_some_and(|metadata| metadata.get() != "{}")),
        ] {
            if is_lost {
                dropped.note(name);
            }
        }
        Ok(())
    }

    /// Appends the settings as they are: the other conversion knows what the upstream accepts.
    fn write_for_chat(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let Self { request, settings, .. } = *self;
        for (name, value) in [("temperature", request.temperature), ("top_p", request.top_p)] {
            if let Some(value) = value {
                number(name, value)?;
                out.put(b",");
                out.quoted(name);
                out.put(b":");
                out.raw(value.get());
            }
        }
        self.write_user(out);
        settings.reasoning.write_for_chat(out);
        write_output_config(&settings.text, settings.reasoning.effort_for_chat(), out)
    }

    fn write_user(&self, out: &mut Vec<u8>) {
        let text = |raw: Option<&'a RawValue>| raw.and_then(Literal::of);
        user::write([text(self.request.safety_identifier), text(self.request.user)], out);
    }

    /// Appends `system`, `messages`, `tools` and `tool_choice`.
    fn write_conversation(
        &self,
        leading: &[Entry<'a>],
        entries: &[Entry<'a>],
        dropped: &mut Dropped,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        let Self { request, target, settings, table, selection } = *self;
        let marks = CacheMarks::new();
        let mut system = SystemPrompt::read(request, leading, &marks)?;
        let written = messages::write(entries, target, &marks, dropped, out)?;
        let caching = AutomaticCaching::new(request, entries, &marks, target);
        caching.mark_messages(&written.user_ends, out);
        caching.mark_system(&mut system);
        system.write(out);
        if table.is_empty() && selection.is_forced() {
            return Err(RequestError::new("tool_choice: none of the tools is available with this provider"));
        }
        if table.write(&|name| selection.allows(name), out)? {
            selection.choice().write(settings.parallel, out);
        } else {
            tool_choice::write_stand_ins(&written.called, out);
        }
        Ok(())
    }
}

/// Why the upstream cannot think about this request.
fn hindrance(entries: &[Entry<'_>], selection: &ToolSelection<'_>) -> Hindrance {
    if selection.is_forced() {
        return Hindrance::ForcedCall;
    }
    let mut said = entries.iter().rev().filter(|entry| !entry.is_system()).peekable();
    match said.peek().map(|entry| &entry.content) {
        Some(EntryContent::Result(_)) => {}
        _ => return Hindrance::None,
    }
    // The message that the results belong to must begin with its thoughts.
    let run = said.skip_while(|entry| matches!(entry.content, EntryContent::Result(_)));
    let first = run.take_while(|entry| entry.is_assistant()).last();
    match first.map(|entry| &entry.content) {
        Some(EntryContent::Thought(_)) => Hindrance::None,
        _ => Hindrance::Results,
    }
}
