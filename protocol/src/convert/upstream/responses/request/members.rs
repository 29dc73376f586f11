//! The settings of a client of Chat Completions: its own values in the notation of the Responses API, and nothing that it left open.

use serde_json::value::RawValue;

use super::{
    super::ResponsesUpstream,
    accepted::{FEWEST_TOKENS, Sampling},
    system::SystemForm,
};
use crate::{
    convert::{
        Dropped,
        upstream::{
            effort::Effort,
            settings::{check_number, within},
        },
    },
    fault::RequestError,
    json::{Literal, RawMembers, Write},
    openai::members::OpenAiMembers,
};

/// The settings of a client, and what decides about them.
pub(super) struct MemberSettings<'r> {
    pub(super) members: &'r OpenAiMembers,
    pub(super) effort: &'r Effort,
    pub(super) target: &'r ResponsesUpstream<'r>,
}

impl MemberSettings<'_> {
    /// Appends the members, each with a comma before it.
    pub(super) fn write(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let members = self.members;
        if members.n.as_deref().is_some_and(|n| !matches!(n.get(), "1" | "1.0")) {
            return Err(RequestError::new("n: the Responses API gives one answer, so it must be 1"));
        }
        self.write_max_tokens(out)?;
        let effort = effort(members);
        let sent = effort.map(|effort| effort.trim_matches('"'));
        let sampling = Sampling::new(self.effort, self.target.model, sent);
        for (key, value) in [("temperature", &members.temperature), ("top_p", &members.top_p)] {
            let Some(value) = value.as_deref().map(RawValue::get) else { continue };
            check_number(key, value)?;
            sampling.write(key, value, dropped, out);
        }
        if let Some(effort) = effort {
            out.put(b",\"reasoning\":{\"effort\":");
            out.raw(effort);
            out.put(b"}");
        }
        self.write_text(out)?;
        self.write_unchanged(out);
        self.note_lost(dropped);
        Ok(())
    }

    fn write_max_tokens(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let Some(raw) = self.members.max_tokens.as_deref() else { return Ok(()) };
        let tokens: u64 =
            raw.get().parse().map_err(|_| RequestError::new("max_tokens: must be an integer, at least 1"))?;
        out.put(b",\"max_output_tokens\":");
        out.number(within(self.target.dialect, tokens).max(FEWEST_TOKENS));
        Ok(())
    }

    /// Appends `text`: the form and the length of the answer.
    fn write_text(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let OpenAiMembers { format, verbosity, .. } = self.members;
        if format.is_none() && verbosity.is_none() {
            return Ok(());
        }
        out.put(b",\"text\":{");
        if let Some(format) = format {
            out.put(b"\"format\":");
            write_format(format, out)?;
        }
        if let Some(verbosity) = verbosity {
            out.raw(if format.is_some() { "," } else { "" });
            out.put(b"\"verbosity\":");
            out.raw(verbosity.get());
        }
        out.put(b"}");
        Ok(())
    }

    /// Appends the members that both APIs have.
    fn write_unchanged(&self, out: &mut Vec<u8>) {
        let members = self.members;
        for (name, value) in [
            ("service_tier", &members.service_tier),
            ("metadata", &members.metadata),
            ("user", &members.user),
            ("safety_identifier", &members.safety_identifier),
            ("prompt_cache_key", &members.prompt_cache_key),
            ("prompt_cache_retention", &members.prompt_cache_retention),
            ("prompt_cache_options", &members.prompt_cache_options),
        ] {
            if let Some(value) = value {
                out.put(b",");
                out.quoted(name);
                out.put(b":");
                out.raw(value.get());
            }
        }
    }

    /// Names the members that the API does not have, and those that the reply could not answer. Values that ask for nothing are not
    /// named.
    fn note_lost(&self, dropped: &mut Dropped) {
        let members = self.members;
        for (name, value, nothing) in [
            ("logprobs", &members.logprobs, &["false"][..]),
            ("top_logprobs", &members.top_logprobs, &["0"]),
            ("seed", &members.seed, &[]),
            ("frequency_penalty", &members.frequency_penalty, &["0", "0.0"]),
            ("presence_penalty", &members.presence_penalty, &["0", "0.0"]),
            ("logit_bias", &members.logit_bias, &["{}"]),
        ] {
            if value.as_deref().is_some_and(|value| !nothing.contains(&value.get())) {
                dropped.note(name);
            }
        }
    }
}

/// The value of `parallel_tool_calls`.
pub(super) fn parallel_tool_calls(members: &OpenAiMembers) -> Option<&str> {
    members.parallel_tool_calls.as_deref().map(RawValue::get)
}

/// How the system prompt must be sent. For any JSON object, the API requires that the conversation itself asks for JSON, and does not
/// look at `instructions`.
pub(super) fn system_form(members: Option<&OpenAiMembers>) -> SystemForm {
    let format = members.and_then(|members| members.format.as_deref());
    match format.and_then(kind) {
        Some(kind) if kind == "json_object" => SystemForm::Message,
        Some(_) | None => SystemForm::Instructions,
    }
}

/// The effort as JSON; `None` if the client leaves it to the model. Some clients use the words of other vendors.
fn effort(members: &OpenAiMembers) -> Option<&str> {
    let raw = members.effort.as_deref()?;
    match Literal::of(raw)?.inner() {
        "" | "default" | "auto" | "adaptive" => None,
        "off" | "disabled" => Some("\"none\""),
        _ => Some(raw.get()),
    }
}

fn kind(format: &RawValue) -> Option<String> {
    serde_json::from_str::<RawMembers<'_>>(format.get()).ok()?.read("type")
}

/// Appends a `response_format` as a `text.format`: the members of `json_schema` stand beside the type.
fn write_format(format: &RawValue, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let members: RawMembers<'_> = serde_json::from_str(format.get())
        .map_err(|_| RequestError::new("response_format: must be an object"))?;
    if members.read::<String>("type").as_deref() != Some("json_schema") {
        out.raw(format.get());
        return Ok(());
    }
    let schema: RawMembers<'_> = members
        .read("json_schema")
        .ok_or_else(|| RequestError::new("response_format.json_schema: must be an object"))?;
    out.put(b"{\"type\":\"json_schema\"");
    for (name, value) in schema.unique().filter(|(name, _)| *name != "type") {
        out.put(b",");
        out.string(name);
        out.put(b":");
        out.raw(value.get());
    }
    out.put(b"}");
    Ok(())
}
