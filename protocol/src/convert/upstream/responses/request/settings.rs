//! Converts the members of a request other than its conversation and tools: length, sampling, thinking, output format.

use serde_json::value::RawValue;

use super::{
    super::ResponsesUpstream,
    accepted::{FEWEST_TOKENS, Sampling},
    hosted::HostedSearchTool,
    members::MemberSettings,
};
use crate::{
    anthropic::request::MessagesRequestBody,
    convert::{
        Dropped,
        upstream::{
            caching,
            effort::Effort,
            settings::{check_number, max_tokens, output_schema, shows_thinking, user_id, within},
            strict,
        },
    },
    fault::RequestError,
    json::{Literal, Write},
    openai::members::OpenAiMembers,
};

/// The settings of a request, and what decides about them.
pub(super) struct Settings<'r, 'a> {
    pub(super) request: &'r MessagesRequestBody<'a>,
    pub(super) effort: &'r Effort,
    pub(super) target: &'r ResponsesUpstream<'r>,
    pub(super) hosted: &'r HostedSearchTool<'r, 'a>,
}

impl Settings<'_, '_> {
    /// Appends these members, each with a comma before it. A client of Chat Completions has its own settings.
    pub(super) fn write(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        self.write_top_k(dropped, out)?;
        match self.target.members {
            Some(members) => {
                MemberSettings { members, effort: self.effort, target: self.target }.write(dropped, out)?;
            }
            None => self.write_own(dropped, out)?,
        }
        self.hosted.write_members(dropped, out);
        self.write_include(out);
        Ok(())
    }

    fn write_own(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let Self { request, effort, target, .. } = *self;
        let tokens = within(target.dialect, effort.with_head_room(max_tokens(request)?));
        out.put(b",\"max_output_tokens\":");
        out.number(tokens.max(FEWEST_TOKENS));
        self.write_sampling(dropped, out)?;
        self.write_reasoning(out);
        if effort.is_lost() {
            dropped.note(if request.thinking.is_some() { "thinking" } else { "output_config.effort" });
        }
        self.write_format(out)?;
        if let Some(user) = user_id(request) {
            for field in &target.dialect.user_fields {
                out.put(b",");
                out.string(field);
                out.put(b":");
                out.string(&user);
            }
        }
        caching::write_key(request, target.dialect, target.session, out);
        Ok(())
    }

    fn write_sampling(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let Self { request, effort, target, .. } = *self;
        let sampling = Sampling::new(effort, target.model, effort.sent());
        for (key, value) in [("temperature", request.temperature), ("top_p", request.top_p)] {
            let Some(value) = value.map(RawValue::get) else { continue };
            check_number(key, value)?;
            sampling.write(key, value, dropped, out);
        }
        Ok(())
    }

    fn write_top_k(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let Some(value) = self.request.top_k.map(RawValue::get) else { return Ok(()) };
        check_number("top_k", value)?;
        if self.target.dialect.top_k {
            out.put(b",\"top_k\":");
            out.raw(value);
        } else {
            dropped.note("top_k");
        }
        Ok(())
    }

    /// A model without the parameter for efforts has none for summaries either.
    fn write_reasoning(&self, out: &mut Vec<u8>) {
        // A search is refused at the lowest effort of gpt-5 (developers.openai.com/api/docs/guides/tools-web-search).
        let effort = match self.effort.sent() {
            Some("minimal") if self.hosted.searches() => Some("low"),
            effort => effort,
        };
        let summarizes = self.effort.is_sent() && shows_thinking(self.request);
        if effort.is_none() && !summarizes {
            return;
        }
        out.put(b",\"reasoning\":{");
        if let Some(effort) = effort {
            out.put(b"\"effort\":");
            out.quoted(effort);
        }
        if summarizes {
            out.raw(if effort.is_some() { "," } else { "" });
            out.put(b"\"summary\":\"auto\"");
        }
        out.put(b"}");
    }

    fn write_format(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let Some(schema) = output_schema(self.request)? else { return Ok(()) };
        out.put(b",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"response\",\"schema\":");
        out.raw(schema.get());
        out.raw(if strict::qualifies(schema.get()) { ",\"strict\":true}}" } else { ",\"strict\":false}}" });
        Ok(())
    }

    /// Reasoning is stored nowhere but in the conversation, so a client that keeps thinking gets it encrypted. Clients of Chat
    /// Completions keep none.
    fn write_include(&self, out: &mut Vec<u8>) {
        let keeps_reasoning =
            self.target.members.is_none() && shows_thinking(self.request) && self.effort.may_reason();
        let wanted = [
            (keeps_reasoning, "reasoning.encrypted_content"),
            (self.hosted.lists_sources(), "web_search_call.action.sources"),
        ];
        let mut separator = ",\"include\":[";
        for (_, name) in wanted.iter().filter(|(is_wanted, _)| *is_wanted) {
            out.raw(separator);
            out.quoted(name);
            separator = ",";
        }
        if separator == "," {
            out.put(b"]");
        }
    }
}

/// The stop sequences, at all of which the reply is cut: the API has none.
pub(super) fn stop_sequences(
    request: &MessagesRequestBody<'_>,
    members: Option<&OpenAiMembers>,
) -> Result<Vec<String>, RequestError> {
    let own = members.and_then(|members| members.stop.as_deref());
    let sequences: Vec<Literal<'_>> = match own {
        None => request.stop_sequences.iter().flatten().copied().collect(),
        Some(stop) => match Literal::of(stop) {
            Some(single) => vec![single],
            None => serde_json::from_str(stop.get())
                .map_err(|_| RequestError::new("stop: must be a string or an array of strings"))?,
        },
    };
    let sequences = sequences.iter().filter_map(|sequence| sequence.decode());
    Ok(sequences.filter(|sequence| !sequence.is_empty()).map(|sequence| sequence.into_owned()).collect())
}
