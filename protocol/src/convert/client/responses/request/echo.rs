//! The members of the request that the response object repeats.

use serde_json::value::RawValue;

use crate::openai::responses_request::ResponsesRequestBody;

/// JSON without braces. Members that every response object has are always there.
pub(super) fn members(request: &ResponsesRequestBody<'_>) -> String {
    let fixed = [
        ("instructions", request.instructions, "null"),
        ("tools", request.tools, "[]"),
        ("tool_choice", request.tool_choice, "\"auto\""),
        ("parallel_tool_calls", request.parallel_tool_calls, "true"),
        ("temperature", request.temperature, "null"),
        ("top_p", request.top_p, "null"),
        ("max_output_tokens", request.max_output_tokens, "null"),
        ("max_tool_calls", request.max_tool_calls, "null"),
        ("reasoning", request.reasoning, "{\"effort\":null,\"summary\":null}"),
        ("text", request.text, "{\"format\":{\"type\":\"text\"}}"),
        ("truncation", request.truncation, "\"disabled\""),
        ("metadata", request.metadata, "{}"),
        ("user", request.user, "null"),
        ("safety_identifier", request.safety_identifier, "null"),
        ("prompt_cache_key", request.prompt_cache_key, "null"),
    ];
    let optional = [
        ("prompt_cache_retention", request.prompt_cache_retention),
        ("service_tier", request.service_tier),
        ("top_logprobs", request.top_logprobs),
    ];
    let mut echo = "\"background\":false,\"store\":false,\"previous_response_id\":null".to_owned();
    let fixed = fixed.map(|(name, value, absent)| (name, Some(value.map_or(absent, RawValue::get))));
    let optional = optional.map(|(name, value)| (name, value.map(RawValue::get)));
    for (name, value) in fixed.into_iter().chain(optional) {
        if let Some(value) = value {
            echo.push_str(",\"");
            echo.push_str(name);
            echo.push_str("\":");
            push(value, &mut echo);
        }
    }
    echo
}

/// Appends a value without line breaks: an event is one line. Between the tokens of JSON they mean nothing, and inside of a
/// string they cannot be.
fn push(value: &str, echo: &mut String) {
    echo.extend(value.split(['\n', '\r']));
}
