//! Requests that cannot be converted.

use super::*;

#[test]
fn what_needs_a_memory_says_what_to_do() {
    for (fields, message) in [
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_id: this gateway keeps no responses; send the whole history in input, with store: false",
        ),
        (
            json!({"conversation": "conv_1"}),
            "conversation: this gateway keeps no conversations; send the whole history in input, with store: false",
        ),
        (
            json!({"prompt": {"id": "p"}}),
            "prompt: prompt templates are kept at OpenAI; send the text in instructions and input",
        ),
        (
            json!({"background": true}),
            "background: this gateway keeps no responses; leave it out, or stream the response",
        ),
        (
            json!({"store": true}),
            "store: this gateway keeps no responses; set store: false and send the whole history in input",
        ),
        (
            json!({"input": [{"id": "msg_1"}]}),
            "input.0: item_reference needs a server that keeps items; send the item itself, with store: false",
        ),
        (
            json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
            "input.0: item_reference needs a server that keeps items; send the item itself, with store: false",
        ),
    ] {
        assert_eq!(refusal(fields), message);
    }
    for fields in [
        json!({"store": false, "background": false}),
        json!({"store": null, "previous_response_id": null, "conversation": null, "prompt": null, "background": null}),
    ] {
        assert_eq!(dropped(fields), "");
    }
}

fn check(cases: &[(Value, &str)]) {
    for (fields, message) in cases {
        assert_eq!(refusal(fields.clone()), *message, "{fields}");
    }
}

#[test]
fn the_error_for_an_item_has_its_path() {
    check(&[
        (json!({"input": null}), "input: field required"),
        (json!({"input": []}), "input: at least one item is required"),
        (json!({"input": [], "instructions": " "}), "input: at least one item is required"),
        (json!({"input": 7}), "input: must be a string or an array of items"),
        (json!({"input": [7]}), "input.0: expected an item object"),
        (json!({"input": [{"content": "x"}]}), "input.0.type: field required"),
        (json!({"input": [{"type": "message", "content": "x"}]}), "input.0.role: field required"),
        (
            json!({"input": [said("robot", "x")]}),
            "input.0.role: must be user, assistant, system or developer",
        ),
        (
            json!({"input": [{"role": "user", "content": 7}]}),
            "input.0.content: must be a string or an array of content parts",
        ),
        (
            json!({"input": [{"type": "new_thing"}]}),
            "input.0.type: items of the type new_thing are not supported by this provider",
        ),
        (json!({"input": [{"type": "a b"}]}), "input.0.type: no item has this type"),
        (
            json!({"input": [{"type": "compaction_trigger"}]}),
            "input.0: compaction_trigger is not supported by this provider; compact with POST /v1/responses/compact",
        ),
        (
            json!({"input": [{"type": "compaction", "encrypted_content": "gAAA"}]}),
            "input.0.encrypted_content: this summary is from another provider, which alone can read it; send the history itself, or compact it with this provider",
        ),
        (json!({"input": [{"type": "function_call", "call_id": "c"}]}), "input.0.name: field required"),
    ]);
}

#[test]
fn the_error_for_a_content_part_has_its_path() {
    check(&[
        (
            json!({"input": [{"role": "system", "content": [{"type": "input_image"}]}]}),
            "input.0.content.0: only text parts are supported here",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}),
            "input.0.content.0: input_audio is not supported by this provider",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"text": "a"}]}]}),
            "input.0.content.0.type: field required",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]}),
            "input.0.content.0.file_id: the file is kept at OpenAI; send its content in the request",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]}),
            "input.0.content.0.file_id: the file is kept at OpenAI; send its content in the request",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "ftp://x"}]}]}),
            "input.0.content.0.image_url: must be an http(s) URL or a base64 data URL",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "data:text/plain;base64,AA=="}]}]}),
            "input.0.content.0.file_data: only PDF files and images are supported by this provider",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "data:text/plain;base64,AA=="}]}]}),
            "input.0.content.0.file_url: only PDF files and images are supported by this provider",
        ),
    ]);
}

/// Requirement: the error names the member of the client's request, although the request is translated twice.
#[test]
fn a_document_that_the_provider_cannot_fetch_is_refused_at_its_place() {
    let part = json!({"type": "input_file", "file_url": "https://e.example/f.pdf"});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    for (input, place) in [
        (
            json!([said("user", "a"), {"role": "user", "content": [{"type": "input_text", "text": "b"}, part]}]),
            "input.1.content.1",
        ),
        (
            json!([call, {"type": "function_call_output", "call_id": "c", "output": [part]}]),
            "input.1.output.0",
        ),
    ] {
        let body = plus(json!({"input": input})).to_string();
        for (upstream, is_refused) in [
            (UpstreamKind::Messages, false),
            (UpstreamKind::ChatCompletions, true),
            (UpstreamKind::Responses, false),
        ] {
            let target = MessagesTarget { upstream, ..TARGET };
            let message = request(body.as_bytes(), &target).err().map(|error| error.message);
            let expected = format!(
                "{place}.file_url: this provider cannot fetch documents; send the content as file_data"
            );
            assert_eq!(message, is_refused.then_some(expected), "{upstream:?}");
        }
    }
}

/// Requirement: instructions alone are a request, as at OpenAI.
#[test]
fn instructions_are_enough_without_items() {
    let sent = with(json!({"input": [], "instructions": "Say hi."}));
    assert_eq!(sent["system"], "Say hi.");
    assert_eq!(sent["messages"].as_array().map(Vec::len), Some(1), "{sent}");
}

#[test]
fn the_error_for_a_setting_has_its_path() {
    check(&[
        (json!({"instructions": ["x"]}), "instructions: must be a string"),
        (json!({"max_output_tokens": 0}), "max_output_tokens: must be at least 1"),
        (json!({"temperature": "hot"}), "temperature: must be a number"),
        (
            json!({"reasoning": {"effort": "extreme"}}),
            "reasoning.effort: must be default, none, minimal, low, medium, high, xhigh or max",
        ),
        (
            json!({"text": {"format": {"type": "xml"}}}),
            "text.format.type: must be text, json_object or json_schema",
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n"}}}),
            "text.format.schema: must be an object",
        ),
    ]);
}

#[test]
fn the_error_for_a_tool_has_its_path() {
    check(&[
        (json!({"tools": [{"type": "function"}]}), "tools.0.name: field required"),
        (json!({"tools": [{}]}), "tools.0.type: field required"),
        (
            json!({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]}),
            "tools.0.tools.0.name: field required",
        ),
        (
            json!({"tools": [{"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}}]}),
            "tools.0.format.definition: field required",
        ),
        (
            json!({"tool_choice": "maybe"}),
            "tool_choice: must be none, auto, required, or an object that names tools",
        ),
        (
            json!({"tool_choice": {"type": "function", "name": "f"}}),
            "tool_choice.name: no tool in tools has this name",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}),
            "tool_choice.tools: at least one tool is required",
        ),
        (
            json!({"tools": [{"type": "file_search"}], "tool_choice": {"type": "file_search"}}),
            "tool_choice: this provider cannot run file_search; leave the choice to the model or send the request to OpenAI",
        ),
        (
            json!({"tools": [{"type": "web_search", "external_web_access": false}], "tool_choice": "required"}),
            "tool_choice: none of the tools is available with this provider",
        ),
    ]);
}

#[test]
fn a_body_that_is_no_request_is_refused() {
    for (body, message) in [
        (&b"{\"input\":\"\xff\"}"[..], "the request body is not UTF-8"),
        (b"{\"input\":", "the request body is not valid JSON (line 1 column 9)"),
        (b"[]", "request body, line 1 column 2: expected a JSON object"),
    ] {
        assert_eq!(request(body, &TARGET).unwrap_err().message, message);
    }
}
