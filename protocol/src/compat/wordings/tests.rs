//! Real refusals, each with the configuration line that would have avoided it.

use super::*;

/// Returns the recognised configuration lines, sorted.
fn lines(body: &str) -> String {
    let mut lines: Vec<_> = recognise(400, body.as_bytes()).iter().map(ToString::to_string).collect();
    lines.sort();
    lines.join("; ")
}

fn drops(names: &str) -> String {
    names.split(' ').map(|name| format!("drop-params = [\"{name}\"]")).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_wordings_of_openai_and_azure_are_known() {
    for (body, names) in [
        (
            r#"{"error":{"message":"Unsupported parameter: 'temperature' is not supported with this model.","type":"invalid_request_error","param":"temperature","code":"unsupported_parameter"}}"#,
            "temperature",
        ),
        (
            r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
            "temperature",
        ),
        (
            r#"{"error":{"message":"Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'minimal', 'low', 'medium', and 'high'.","type":"invalid_request_error","param":"reasoning_effort","code":"unsupported_value"}}"#,
            "reasoning_effort",
        ),
        (
            r#"{"error":{"message":"Unknown parameter: 'tools[0].function.cache_control'.","type":"invalid_request_error","param":"tools[0].function.cache_control","code":"unknown_parameter"}}"#,
            "tools.cache_control",
        ),
        (
            r#"{"error":{"message":"Unrecognized request argument supplied: reasoning_effort","type":"invalid_request_error","param":null,"code":null}}"#,
            "reasoning_effort",
        ),
        (
            r#"{"error":{"message":"Unrecognized request arguments supplied: store, verbosity","type":"invalid_request_error","param":null,"code":null}}"#,
            "store verbosity",
        ),
        (
            r#"{"error":{"message":"Additional properties are not allowed ('strict' was unexpected) - 'tools.0.function'","type":"invalid_request_error","param":null,"code":null}}"#,
            "tools.strict",
        ),
        (
            r#"{"error":{"message":"Additional properties are not allowed ('stream_options' was unexpected)","type":"invalid_request_error","param":null,"code":null}}"#,
            "stream_options",
        ),
        (
            r#"{"error":{"message":"Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use /v1/responses instead.","type":"invalid_request_error","param":"reasoning_effort","code":null}}"#,
            "reasoning_effort",
        ),
        (
            r#"{"error":{"message":"Invalid schema for function 'f': In context=('properties', 'x'), 'propertyNames' is not permitted.","type":"invalid_request_error","param":"tools[0].function.parameters","code":"invalid_function_parameters"}}"#,
            "schema.propertyNames",
        ),
        (
            r#"{"error":{"code":"Invalid input","status":422,"message":"invalid input error","details":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{"include_usage":true}}]}}"#,
            "stream_options",
        ),
    ] {
        assert_eq!(lines(body), drops(names), "{body}");
    }
}

#[test]
fn a_refused_value_does_not_affect_other_values() {
    for (body, fixup) in [
        (
            r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
            Fixup::Param("temperature".into()),
        ),
        (
            r#"{"error":{"message":"Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'minimal', 'low', 'medium', and 'high'.","type":"invalid_request_error","param":"reasoning_effort","code":"unsupported_value"}}"#,
            Fixup::Nearest(
                "reasoning_effort".into(),
                ["minimal", "low", "medium", "high"].map(Box::from).into(),
            ),
        ),
        (
            r#"{"error":{"message":"Unsupported value: 'verbosity' does not support 'low' with this model. Supported values are: 'medium'.","type":"invalid_request_error","param":"verbosity","code":"unsupported_value"}}"#,
            Fixup::Value("verbosity".into(), None),
        ),
        (
            r#"{"error":{"message":"deepseek-reasoner does not support this tool_choice"}}"#,
            Fixup::Value("tool_choice".into(), None),
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"adaptive thinking is not supported on this model"}}"#,
            Fixup::Value("thinking".into(), None),
        ),
    ] {
        assert_eq!(recognise(400, body.as_bytes()), [fixup], "{body}");
    }
}

#[test]
fn the_wordings_of_anthropic_bedrock_and_vertex_are_known() {
    for (body, names) in [
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"context_management: Extra inputs are not permitted"},"request_id":"req_1"}"#,
            "context_management",
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"tools.3.custom.input_examples: Extra inputs are not permitted"}}"#,
            "tools.input_examples",
        ),
        (
            r#"{"message":"system.1.cache_control.ephemeral.scope: Extra inputs are not permitted"}"#,
            "system.cache_control.scope",
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"thinking.disabled.display: Extra inputs are not permitted"}}"#,
            "thinking.display",
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"`temperature` is deprecated for this model."}}"#,
            "temperature",
        ),
        (r#"{"message":"temperature is deprecated for this model."}"#, "temperature"),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"This model does not support the effort parameter."}}"#,
            "output_config.effort",
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"adaptive thinking is not supported on this model"}}"#,
            "thinking",
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"thinking: Input tag 'adaptive' found using 'type' does not match any of the expected tags: 'disabled', 'enabled'"}}"#,
            "thinking",
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive"}}"#,
            "context_management",
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"`temperature` and `top_p` cannot both be specified for this model. Please use only one."}}"#,
            "top_p&temperature",
        ),
        (
            r#"{"message":"Malformed input request: #: extraneous key [frequency_penalty] is not permitted, please reformat your input and try again."}"#,
            "frequency_penalty",
        ),
        (
            r##"{"message":"Malformed input request: #/tools/0: extraneous key [strict] is not permitted, please reformat your input and try again."}"##,
            "tools.strict",
        ),
        (
            r#"{"message":"The model returned the following errors: guardrails: Extra inputs are not permitted"}"#,
            "guardrails",
        ),
    ] {
        assert_eq!(lines(body), drops(names), "{body}");
    }
}

#[test]
fn the_betas_that_are_refused_are_known() {
    for (body, flags) in [
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Unexpected value(s) `structured-outputs-2025-11-13` for the `anthropic-beta` header. Please consult our documentation at docs.anthropic.com or try again without the header."},"request_id":"req_vrtx_1"}"#,
            vec!["structured-outputs-2025-11-13"],
        ),
        (
            r#"{"error":{"type":"<nil>","message":"Unexpected value(s) `prompt-caching-scope-2026-01-05`, `structured-outputs-2025-12-15` for the `anthropic-beta` header. Please consult our documentation"},"type":"error"}"#,
            vec!["prompt-caching-scope-2026-01-05", "structured-outputs-2025-12-15"],
        ),
        (r#"{"message":"invalid beta flag"}"#, vec!["*"]),
    ] {
        let expected: Vec<_> = flags.iter().map(|flag| format!("drop-betas = [\"{flag}\"]")).collect();
        assert_eq!(lines(body), expected.join("; "), "{body}");
    }
}

#[test]
fn the_wordings_of_gemini_and_groq_are_known() {
    for (body, names) in [
        (
            r#"[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"propertyNames\" at 'tools[0].function_declarations[3].parameters.properties[2].value': Cannot find field.\nInvalid JSON payload received. Unknown name \"exclusiveMinimum\" at 'tools[0].function_declarations[4].parameters': Cannot find field.","status":"INVALID_ARGUMENT"}}]"#,
            "schema.exclusiveMinimum schema.propertyNames",
        ),
        (
            r#"[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"store\": Cannot find field.","status":"INVALID_ARGUMENT"}}]"#,
            "store",
        ),
        (
            r#"{"error":{"code":400,"message":"* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties[url].format: only 'enum' and 'date-time' are supported for STRING type\n","status":"INVALID_ARGUMENT"}}"#,
            "schema.format",
        ),
        (
            r#"{"error":{"message":"property 'reasoning_effort' is unsupported, did you mean 'reasoning_format'?","type":"invalid_request_error"}}"#,
            "reasoning_effort",
        ),
        (
            r#"{"error":{"message":"`reasoning_effort` is not supported with this model","type":"invalid_request_error","param":"reasoning_effort"}}"#,
            "reasoning_effort",
        ),
    ] {
        assert_eq!(lines(body), drops(names), "{body}");
    }
}

#[test]
fn the_lists_of_pydantic_are_known() {
    for (body, names) in [
        (
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted","input":false}]}"#,
            "store",
        ),
        (
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","n"],"msg":"Extra inputs are not permitted","input":1}]},"type":"invalid_request_error","param":null,"code":null}"#,
            "n",
        ),
        (
            r#"{"object":"error","message":"{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"frequency_penalty\"],\"msg\":\"Extra inputs are not permitted\",\"input\":0.0}]}","type":"internal_error_proxy","param":null,"code":"1000"}"#,
            "frequency_penalty",
        ),
        (
            r#"{"detail":[{"loc":["body","top_k"],"msg":"extra fields not permitted","type":"value_error.extra"}]}"#,
            "top_k",
        ),
        (
            r#"{"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted', 'input': {}}]","type":"BadRequestError","param":null,"code":400}"#,
            "stream_options",
        ),
        (
            r#"{"error":{"message":"1 validation error for ChatCompletionRequest\nparallel_tool_calls\n  Extra inputs are not permitted [type=extra_forbidden, input_value=True, input_type=bool]\n","type":"upstream_error"}}"#,
            "parallel_tool_calls",
        ),
    ] {
        assert_eq!(lines(body), drops(names), "{body}");
    }
}

#[test]
fn the_wordings_of_further_vendors_are_known() {
    for (body, names) in [
        (
            r#"{"error":{"object":"error","type":"invalid_request_error","code":"invalid_request_error","message":"Extra inputs are not permitted, field: 'reasoning_effort', value: 'high'"}}"#,
            "reasoning_effort",
        ),
        (
            r#"{"code":"invalid-argument","error":"Model grok-4.20-0309-reasoning does not support parameter reasoningEffort."}"#,
            "reasoning_effort",
        ),
        (
            r#"{"code":"Client specified an invalid argument","error":"Argument not supported on this model: presencePenalty"}"#,
            "presence_penalty",
        ),
        (
            r#"{"error":{"message":"API Bots do not support extra_body fields: thinking, top_k","type":"invalid_request_error"}}"#,
            "thinking top_k",
        ),
        (
            r#"{"error":{"message":"Failed to deserialize the JSON body into the target type: unknown field `reasoning_effort`, expected one of `model`, `messages` at line 1 column 20","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            "reasoning_effort",
        ),
        (
            r#"{"error":{"message":"deepseek-reasoner does not support this tool_choice","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            "tool_choice",
        ),
        (
            r#"{"error":{"message":"\"llama3.2:latest\" does not support thinking","type":"invalid_request_error"}}"#,
            "reasoning reasoning_effort thinking",
        ),
        (
            r#"{"error":{"code":400,"message":"Unsupported param: logit_bias","type":"invalid_request_error"}}"#,
            "logit_bias",
        ),
        (
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"Unsupported parameter: 'top_p' is not supported with this model.\",\"param\":\"top_p\",\"code\":\"unsupported_parameter\"}}","provider_name":"OpenAI"}}}"#,
            "top_p",
        ),
        (
            r#"{"error":{"message":"{\"message\":\"tools.0.custom.defer_loading: Extra inputs are not permitted\"}. Received Model Group=claude-sonnet-4-6\nAvailable Model Group Fallbacks=None","type":"None","param":"None","code":"400"}}"#,
            "tools.defer_loading",
        ),
        ("Unknown parameter: \u{201c}verbosity\u{201d}", "verbosity"),
    ] {
        assert_eq!(lines(body), drops(names), "{body}");
    }
}

#[test]
fn a_token_limit_gets_the_demanded_name() {
    for (body, name) in [
        (
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#,
            "max_completion_tokens",
        ),
        (
            r#"{"error":{"message":"Unrecognized request argument supplied: max_completion_tokens"}}"#,
            "max_tokens",
        ),
        (
            r#"{"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not permitted', 'input': 64}]","type":"BadRequestError","param":null,"code":400}"#,
            "max_tokens",
        ),
    ] {
        assert_eq!(lines(body), format!("max-tokens-as = \"{name}\""), "{body}");
    }
    let mistral = r#"{"detail":[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted","input":false},{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted","input":8192}]}"#;
    assert_eq!(lines(mistral), "drop-params = [\"store\"]; max-tokens-as = \"max_tokens\"");
}

#[test]
fn a_refusal_of_nothing_or_of_a_required_member_has_no_fixup() {
    for body in [
        "",
        "{}",
        r#"{"error":{"message":"Invalid value for 'temperature'","param":"temperature","code":"invalid_value"}}"#,
        r#"{"error":{"message":"This model's maximum context length is 128000 tokens.","param":"messages","code":"context_length_exceeded"}}"#,
        r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model.","param":"max_tokens","code":"unsupported_parameter"}}"#,
        r#"{"error":{"message":"Unsupported value: 'stream' does not support true with this model.","param":"stream","code":"unsupported_value"}}"#,
        r#"{"error":{"message":"Unsupported value: 'messages[0].role' does not support 'system' with this model.","param":"messages[0].role","code":"unsupported_value"}}"#,
        r#"{"error":{"message":"'messages.2' : for 'role:assistant' the following must be satisfied[('messages.2' : property 'reasoning_content' is unsupported)]","type":"invalid_request_error"}}"#,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages.1.content.0.thinking.cache_control: Extra inputs are not permitted"}}"#,
        r#"{"detail":[{"type":"extra_forbidden","loc":["body","messages",6,"assistant","reasoning_content"],"msg":"Extra inputs are not permitted"},{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted"}]}"#,
        r#"{"detail":[{"type":"extra_forbidden","loc":["body","tools"],"msg":"Extra inputs are not permitted","input":[]}]}"#,
        r#"{"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'messages', 0, 'typed-dict', 'id'), 'msg': 'Extra inputs are not permitted', 'input': 1}]"}"#,
        r#"{"error":{"message":"Unrecognized request argument supplied: tools"}}"#,
        r#"{"error":{"message":"tools.0: Input tag 'web_search_20250305' found using 'type' does not match any of the expected tags: 'custom'"}}"#,
        r#"{"detail":[{"type":"string_type","loc":["body","n"],"msg":"Input should be a string","input":"x: Extra inputs are not permitted"}]}"#,
        r#"{"error":{"message":"Unknown parameter: 'a b'."}}"#,
    ] {
        assert_eq!(lines(body), "", "{body}");
    }
    let named = br#"{"error":{"message":"Unknown parameter: 'x'."}}"#;
    for status in [401, 403, 404, 413, 429, 500, 529] {
        assert!(recognise(status, named).is_empty(), "{status}");
    }
    assert_eq!(recognise(422, named).len(), 1);
}

/// Returns the recognised configuration lines, completed with this request.
fn taught(refusal: &str, request: &str) -> Vec<String> {
    let fixups = recognise(400, refusal.as_bytes()).into_iter();
    fixups.map(|fixup| fixup.completed_by(request.as_bytes()).to_string()).collect()
}

fn error(message: &str, param: &str) -> String {
    serde_json::json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": null}})
        .to_string()
}

#[test]
fn setting_a_member_replaces_its_removal() {
    let told = "Function tools with reasoning_effort are not supported for gpt-5.6-terra in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.";
    let request = r#"{"reasoning_effort":"low","tools":[{}]}"#;
    assert_eq!(
        taught(&error(told, "reasoning_effort"), request),
        ["set-params = ['reasoning_effort=none&tools']"]
    );
    let extra = r#"{"detail":[{"type":"enum","loc":["body","reasoning_effort"],"msg":"Input should be 'none' or 'high'","input":"low"}]}"#;
    assert_eq!(
        taught(extra, r#"{"reasoning_effort":"low"}"#),
        ["set-params = ['reasoning_effort=none&reasoning_effort=low']"]
    );
}

#[test]
fn limits_are_known_at_both_apis() {
    for (refusal, rules) in [
        (
            error("max_tokens is too large: 32000. This model supports at most 16384 completion tokens.", "max_tokens"),
            "limit-params = ['max_tokens<=16384']",
        ),
        (
            error("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead.", "max_output_tokens"),
            "limit-params = ['max_tokens>=16']",
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for claude-sonnet-4-5"}}"#.to_owned(),
            "limit-params = ['max_tokens<=64000']",
        ),
        (
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\n  \"error\": {\n    \"message\": \"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 10 instead.\"}}"}}}"#.to_owned(),
            "limit-params = ['max_tokens>=16']",
        ),
        (
            r#"{"object":"error","message":"[{'type': 'less_than_equal', 'loc': ('body', 'max_tokens'), 'msg': 'Input should be less than or equal to 4096', 'input': 64000}]"}"#.to_owned(),
            "limit-params = ['max_tokens<=4096']",
        ),
    ] {
        assert_eq!(taught(&refusal, r#"{"max_tokens":1}"#).join("; "), rules, "{refusal}");
    }
}

#[test]
fn schemas_are_fitted_or_lose_a_keyword() {
    for (message, rules) in [
        (
            "output_config.format.schema: For 'integer' type, properties maximum, minimum are not supported",
            "drop-params = [\"schema.maximum\"]; drop-params = [\"schema.minimum\"]",
        ),
        (
            "tools.0.custom.input_schema: For 'array' type, 'minItems' values other than 0 or 1 are not supported",
            "drop-params = [\"schema.minItems\"]",
        ),
        (
            "Invalid schema for function 'f': In context=(), object schema missing properties.",
            "fit-tool-schemas = true",
        ),
        (
            "Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"', got 'type: null'.",
            "fit-tool-schemas = true",
        ),
        ("Invalid schema for function 'f': '^(?!x)' is not a 'regex'.", "drop-params = [\"schema.pattern\"]"),
    ] {
        assert_eq!(lines(&error(message, "tools[0].function.parameters")), rules, "{message}");
    }
}

#[test]
fn requirements_and_conflicts_of_thinking_are_recognised() {
    let kimi = error("tool_choice 'required' is incompatible with thinking enabled", "");
    assert_eq!(taught(&kimi, r#"{"tool_choice":"required"}"#), ["drop-params = ['tool_choice=required']"]);
    let deepseek = error("thinking options type cannot be disabled when reasoning_effort is set", "");
    assert!(lines(&deepseek).contains("drop-params = ['output_config.effort&thinking.type=disabled']"));
    assert!(lines(&deepseek).contains("drop-params = ['reasoning_effort&thinking.type=disabled']"));

    let missing = error("The `reasoning_content` in the thinking mode must be passed back to the API.", "");
    for (request, filler) in [
        (r#"{"messages":[{"role":"assistant","tool_calls":[{}]}]}"#, "empty"),
        (r#"{"messages":[{"role":"assistant","tool_calls":[{}],"reasoning_content":""}]}"#, "blank"),
        (r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use"}]}]}"#, "thinking-block"),
    ] {
        assert_eq!(taught(&missing, request), [format!("missing-reasoning = \"{filler}\"")]);
    }
}

#[test]
fn sampling_that_the_newer_api_refuses_is_known() {
    let message = "`temperature`, `top_p` and `top_k` are not supported with anthropic-version 2026-10-21.";
    assert_eq!(lines(&error(message, "")), drops("temperature top_k top_p"));
    // Claude Code recognises these words and retries by itself, with the effort in its other location.
    let turn = r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages.4.output_config: Extra inputs are not permitted"}}"#;
    assert_eq!(lines(turn), "");
}

#[test]
fn the_size_and_depth_of_a_refusal_are_bounded() {
    let many: Vec<String> = (0..50).map(|n| format!("p{n}")).collect();
    assert_eq!(lines(&format!("Unrecognized request arguments supplied: {}", many.join(", "))), "");
    assert_eq!(lines(&format!("Unknown parameter: 'x'. {}", " ".repeat(LONGEST_TEXT))), "");
    let deep = format!("{}\"Unknown parameter: 'x'.\"{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(lines(&deep), "");
    for text in [
        "unknown name \u{e9}",
        "unknown parameter: ",
        ": extra inputs are not permitted",
        "unknown name 'a' at '\u{e9}",
    ] {
        let _any = recognise(400, text.as_bytes());
    }
}
