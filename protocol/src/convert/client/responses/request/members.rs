//! Settings that OpenAI's two APIs share, for an upstream of Chat Completions.

use serde_json::value::{RawValue, to_raw_value};

use crate::{
    json::{JsonWord, Write},
    openai::{
        members::OpenAiMembers,
        responses_request::{ResponsesRequestBody, TextFormat, TextOptions},
    },
};

/// The settings of a request, in the notation of Chat Completions.
pub(super) fn members(
    request: &ResponsesRequestBody<'_>,
    text: &TextOptions<'_>,
    effort: Option<&RawValue>,
) -> OpenAiMembers {
    let own = |value: Option<&RawValue>| value.map(ToOwned::to_owned);
    OpenAiMembers {
        max_tokens: own(request.max_output_tokens),
        temperature: own(request.temperature),
        top_p: own(request.top_p),
        effort: own(effort),
        verbosity: own(text.verbosity),
        format: text.format.as_ref().and_then(response_format),
        parallel_tool_calls: own(request.parallel_tool_calls),
        service_tier: own(request.service_tier),
        metadata: own(request.metadata),
        user: own(request.user),
        safety_identifier: own(request.safety_identifier),
        prompt_cache_key: own(request.prompt_cache_key),
        prompt_cache_retention: own(request.prompt_cache_retention),
        prompt_cache_options: own(request.prompt_cache_options),
        top_logprobs: own(request.top_logprobs),
        ..OpenAiMembers::default()
    }
}

/// Chat Completions has the members of a schema in an object of their own.
fn response_format(format: &TextFormat<'_>) -> Option<Box<RawValue>> {
    let kind = format.r#type.as_ref().map_or("", JsonWord::as_str);
    if kind != "json_schema" {
        return (kind == "json_object").then(|| to_raw_value(&serde_json::json!({"type": kind})).ok())?;
    }
    let mut out = b"{\"type\":\"json_schema\",\"json_schema\":{".to_vec();
    let members = [
        ("name", format.name),
        ("description", format.description),
        ("schema", format.schema),
        ("strict", format.strict),
    ];
    let mut separator = "\"";
    for (name, value) in members {
        let Some(value) = value else { continue };
        out.raw(separator);
        out.raw(name);
        out.put(b"\":");
        out.raw(value.get());
        separator = ",\"";
    }
    out.put(b"}}");
    RawValue::from_string(String::from_utf8(out).ok()?).ok()
}
