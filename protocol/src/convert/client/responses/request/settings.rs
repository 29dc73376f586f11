//! Settings: what the request sets beside its conversation and its tools.

use super::{input::Input, reasoning::WantedReasoning};
use crate::{
    convert::{
        Dropped,
        client::{request::settings::token_limit, responses::context::AnswerForm},
    },
    fault::RequestError,
    json::{JsonWord, Write},
    openai::responses_request::{InputItem, ReasoningOptions, ResponsesRequestBody, TextOptions, parse_at},
    schema_fit,
    vocabulary::Delivery,
};

/// The settings of a request.
pub(super) struct Settings<'a> {
    pub(super) delivery: Delivery,
    pub(super) reasoning: WantedReasoning<'a>,
    pub(super) text: TextOptions<'a>,
    /// `max_output_tokens`.
    pub(super) max_tokens: Option<u64>,
    pub(super) parallel: Option<bool>,
}

impl<'a> Settings<'a> {
    pub(super) fn read(
        request: &ResponsesRequestBody<'a>,
        input: &Input<'a>,
        dropped: &mut Dropped,
    ) -> Result<Self, RequestError> {
        let mut reasoning = request.reasoning.map(|raw| parse_at(raw, "reasoning")).transpose()?;
        let mut text: TextOptions<'a> =
            request.text.map(|raw| parse_at(raw, "text")).transpose()?.unwrap_or_default();
        for (at, item) in input.items().iter().enumerate() {
            if item.kind() == "configuration_update" {
                update(at, item, &mut reasoning, &mut text)?;
            }
        }
        let limit = request.max_output_tokens.map(|raw| token_limit("max_output_tokens", raw)).transpose()?;
        let parallel = request.parallel_tool_calls.map(|raw| parse_at(raw, "parallel_tool_calls"));
        Ok(Self {
            delivery: if request.stream == Some(true) { Delivery::Streamed } else { Delivery::Whole },
            reasoning: WantedReasoning::read(reasoning.unwrap_or_default(), request.include, dropped)?,
            text,
            max_tokens: limit,
            parallel: parallel.transpose()?,
        })
    }
}

impl Settings<'_> {
    /// What the client parses the answer as.
    pub(super) fn answer_form(&self) -> AnswerForm {
        let format = self.text.format.as_ref().and_then(|format| format.r#type.as_ref());
        match format.map(JsonWord::as_str) {
            Some("json_schema" | "json_object") => AnswerForm::Object,
            Some(_) | None => AnswerForm::Text,
        }
    }
}

/// Applies what the conversation has changed for all that follows.
fn update<'a>(
    at: usize,
    item: &InputItem<'a>,
    reasoning: &mut Option<ReasoningOptions<'a>>,
    text: &mut TextOptions<'a>,
) -> Result<(), RequestError> {
    if let Some(raw) = item.reasoning {
        let changed: ReasoningOptions<'a> = parse_at(raw, format_args!("input.{at}.reasoning"))?;
        if changed.effort.is_some() {
            reasoning.get_or_insert_default().effort = changed.effort;
        }
    }
    if let Some(raw) = item.text {
        let changed: TextOptions<'a> = parse_at(raw, format_args!("input.{at}.text"))?;
        text.format = changed.format;
    }
    Ok(())
}

/// What an answer must look like, and how much is put into it.
pub(super) fn write_output_config(
    text: &TextOptions<'_>,
    effort: Option<&str>,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let format = text.format.as_ref();
    let schema = match format.and_then(|format| format.r#type.as_ref()).map(JsonWord::as_str) {
        // `json_object` is not one of Anthropic's forms. OpenAI demands that the prompt asks for JSON then, so that the model
        // knows; a schema of any object would be a demand for an empty one.
        None | Some("text" | "json_object") => None,
        Some("json_schema") => {
            let schema =
                format.and_then(|format| format.schema).filter(|schema| schema.get().starts_with('{'));
            Some(schema.ok_or_else(|| RequestError::new("text.format.schema: must be an object"))?)
        }
        Some(_) => {
            return Err(RequestError::new("text.format.type: must be text, json_object or json_schema"));
        }
    };
    if schema.is_none() && effort.is_none() {
        return Ok(());
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
    Ok(())
}
