//! The conversation: messages of every role, calls and their outputs.

use super::*;
use vandamme_protocol::compaction;

#[test]
fn a_text_is_a_message_of_the_user() {
    assert_eq!(messages(json!("hi")), json!([{"role": "user", "content": [text("hi")]}]));
}

#[test]
fn messages_keep_their_roles_and_their_parts() {
    let sent = messages(json!([
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": PNG, "detail": "auto"}]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "phase": "commentary",
         "content": [{"type": "output_text", "text": "b", "annotations": []}, {"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": [{"type": "input_file", "filename": "f.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
                                     {"type": "input_file", "file_url": "https://e.example/g.pdf"},
                                     {"type": "input_image", "image_url": "https://e.example/i.png"}]},
    ]));
    let png = json!({"type": "base64", "media_type": "image/png", "data": "AA=="});
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="});
    let url = |url: &str| json!({"type": "url", "url": url});
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("a"), {"type": "image", "source": png}]},
            {"role": "assistant", "content": [text("b"), text("no")]},
            {"role": "user", "content": [{"type": "document", "source": pdf, "title": "f.pdf"},
                                         {"type": "document", "source": url("https://e.example/g.pdf")},
                                         {"type": "image", "source": url("https://e.example/i.png")}]},
        ])
    );
}

#[test]
fn the_first_system_messages_are_the_system_prompt() {
    let sent = with(json!({"instructions": "one", "input": [
        {"role": "developer", "content": [{"type": "input_text", "text": "two"}, {"type": "input_text", "text": " "}]},
        {"type": "message", "role": "system", "content": "three"},
        said("user", "hi"),
    ]}));
    assert_eq!(sent["system"], "one\n\ntwo\n\nthree");
    assert_eq!(sent["messages"], json!([{"role": "user", "content": [text("hi")]}]));
    assert_eq!(with(json!({"instructions": null})).get("system"), None);
}

/// The prompt in front of it stays the same, so that it is read from the cache.
#[test]
fn a_later_system_message_stays_at_its_place() {
    let sent = with(unmarked(
        json!({"input": [said("system", "s"), said("user", "a"), said("assistant", "b"), said("developer", "now\nread-only"), said("user", "c")]}),
    ));
    assert_eq!(sent["system"], "s");
    let reminder = text("<system-reminder>\nnow\nread-only\n</system-reminder>");
    assert_eq!(sent["messages"][2]["content"], json!([reminder, text("c")]));
}

#[test]
fn calls_of_one_turn_are_one_message_and_their_outputs_the_next() {
    let sent = messages(json!([
        said("user", "go"),
        said("assistant", "I look."),
        called("call_1", "{\"a\":1}"),
        called("call_2", ""),
        output(
            "call_2",
            json!([{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": PNG}])
        ),
        output("call_1", json!("one")),
        said("user", "more"),
    ]));
    let png =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("go")]},
            {"role": "assistant", "content": [text("I look."), tool_use("call_1", "f", json!({"a": 1})), tool_use("call_2", "f", json!({}))]},
            {"role": "user", "content": [result("call_1", json!("one")), result("call_2", json!([text("t"), png])), text("more")]},
        ])
    );
}

#[test]
fn every_call_gets_one_result_and_no_output_is_lost() {
    let sent = messages(json!([
        said("user", "go"),
        called("call_1", "{}"),
        called("call_2", "{}"),
        said("user", "stop"),
        output("call_2", json!("late")),
        output("call_2", json!("twice")),
        output("call_9", json!([{"type": "input_text", "text": "nobody's"}])),
    ]));
    let missing = json!({"type": "tool_result", "tool_use_id": "call_1", "content": "no result was provided for this tool call", "is_error": true});
    assert_eq!(
        sent[2]["content"],
        json!([
            missing,
            result("call_2", json!("late")),
            text("stop"),
            text("[tool result call_2] twice"),
            text("[tool result call_9]"),
            text("nobody's")
        ])
    );
}

#[test]
fn a_system_message_does_not_separate_calls_from_their_outputs() {
    let sent = messages(json!([
        said("user", "go"),
        called("call_1", "{}"),
        said("developer", "d"),
        called("call_2", "{}"),
        output("call_1", json!("1")),
        output("call_2", json!("2")),
    ]));
    assert_eq!(sent[2]["content"][0], result("call_1", json!("1")));
    assert_eq!(sent[4]["content"], json!([result("call_2", json!("2"))]));
}

#[test]
fn calls_without_an_id_are_answered_in_their_order() {
    let call = json!({"type": "function_call", "name": "f", "arguments": "{}"});
    let answer = |text: &str| json!({"type": "function_call_output", "output": text});
    let sent = messages(json!([said("user", "go"), call, call, answer("1"), answer("2")]));
    assert_eq!(
        sent[2]["content"],
        json!([result("toolu_vdm_1_0", json!("1")), result("toolu_vdm_1_1", json!("2"))])
    );
}

/// A call and its output in the client's form, and the name, the input and the result that the upstream gets.
type CallCase = (Value, Value, &'static str, Value, Value);

fn check_calls(cases: impl IntoIterator<Item = CallCase>) {
    for (call, answer, name, input, content) in cases {
        let with_id = |mut item: Value| {
            item["call_id"] = json!("call_1");
            item
        };
        let sent = messages(json!([said("user", "go"), with_id(call), with_id(answer)]));
        assert_eq!(sent[1]["content"], json!([tool_use("call_1", name, input)]));
        assert_eq!(sent[2]["content"], json!([result("call_1", content)]), "{name}");
    }
}

#[test]
fn a_call_of_a_custom_or_a_namespaced_tool_is_one_of_its_function() {
    check_calls([
        (
            json!({"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin\n\"x\""}),
            json!({"type": "custom_tool_call_output", "output": "done"}),
            "apply_patch",
            json!({"input": "*** Begin\n\"x\""}),
            json!("done"),
        ),
        (
            json!({"type": "function_call", "namespace": "mcp__docs", "name": "ask", "arguments": "{\"q\":1}"}),
            json!({"type": "function_call_output", "output": null}),
            "mcp__docs__ask",
            json!({"q": 1}),
            json!(""),
        ),
        (
            json!({"type": "tool_search_call", "execution": "client", "arguments": {"query": "q"}}),
            json!({"type": "tool_search_output", "execution": "client", "status": "completed", "tools": [function("g"), {"type": "namespace", "name": "n", "tools": [function("h")]}]}),
            "tool_search",
            json!({"query": "q"}),
            json!("These tools are available now: g, n__h"),
        ),
    ]);
}

#[test]
fn a_call_of_a_built_in_tool_is_one_of_its_function() {
    let action = json!({"type": "exec", "command": ["ls"], "env": {}});
    let commands = json!({"commands": ["ls", "pwd"]});
    let operation = json!({"type": "delete_file", "path": "a"});
    let written = json!([{"stdout": "x", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]);
    check_calls([
        (
            json!({"type": "local_shell_call", "id": "lsh_1", "status": "completed", "action": action}),
            json!({"type": "local_shell_call_output", "output": "{\"output\":\"x\"}"}),
            "local_shell",
            action.clone(),
            json!("{\"output\":\"x\"}"),
        ),
        (
            json!({"type": "shell_call", "action": commands}),
            json!({"type": "shell_call_output", "output": written}),
            "shell",
            commands.clone(),
            json!(written.to_string()),
        ),
        (
            json!({"type": "apply_patch_call", "status": "completed", "operation": operation}),
            json!({"type": "apply_patch_call_output", "status": "completed", "output": "ok"}),
            "apply_patch",
            operation.clone(),
            json!("ok"),
        ),
        (
            json!({"type": "computer_call", "action": {"type": "screenshot"}}),
            json!({"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": PNG}}),
            "computer",
            json!({"type": "screenshot"}),
            json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}]),
        ),
    ]);
}

#[test]
fn a_failed_patch_is_an_error() {
    let sent = messages(json!([
        said("user", "go"),
        {"type": "apply_patch_call", "call_id": "call_1", "operation": {}},
        {"type": "apply_patch_call_output", "call_id": "call_1", "status": "failed", "output": "no such file"},
    ]));
    assert_eq!(sent[2]["content"][0]["is_error"], true);
}

/// The output names the call's item id in OpenAI's first version of this tool.
#[test]
fn an_output_of_a_local_shell_finds_its_call_by_the_id_of_the_item() {
    let sent = messages(json!([
        said("user", "go"),
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_1", "action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"type": "local_shell_call_output", "id": "lsh_1", "output": "x"},
    ]));
    assert_eq!(sent[2]["content"], json!([result("call_1", json!("x"))]));
}

#[test]
fn actions_of_openais_servers_are_read_as_text() {
    let sent = messages(json!([
        said("user", "go"),
        {"type": "mcp_call", "id": "mcp_1", "name": "ask", "server_label": "docs", "arguments": "{}", "output": "found"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AA=="},
        said("user", "more"),
    ]));
    assert_eq!(
        sent[1]["content"],
        json!([text("[Used ask of the MCP server docs: {}]\n[Result of ask of the MCP server docs]\nfound")])
    );
    assert_eq!(sent[2]["content"][0], text("[The assistant generated this image.]"));
    assert_eq!(sent[2]["content"][1]["source"]["media_type"], "image/png");
    let search = json!({"type": "web_search_call", "action": {"type": "search", "query": "q"}});
    assert_eq!(dropped(json!({"input": [said("user", "go"), search]})), "input.1 (web_search_call)");
}

#[test]
fn a_summary_of_the_gateway_is_read() {
    let sent = messages(
        json!([{"type": "compaction", "encrypted_content": compaction::seal("We \"did\" it.\n")}, said("user", "go on")]),
    );
    assert_eq!(
        sent[0]["content"],
        json!([text("[Summary of the conversation so far]\nWe \"did\" it.\n"), text("go on")])
    );
}

#[test]
fn a_foreign_id_is_converted_and_an_upstreams_own_returns() {
    let sent = messages(json!([said("user", "go"), called("call:1", "{}"), output("call:1", json!("1"))]));
    let id = sent[1]["content"][0]["id"].as_str().unwrap();
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id}");
    assert_eq!(sent[2]["content"][0]["tool_use_id"], id);
}

#[test]
fn a_conversation_that_the_assistant_begins_has_a_user() {
    assert_eq!(
        messages(json!([said("assistant", "a ")])),
        json!([
            {"role": "user", "content": [text("(no user message)")]}, {"role": "assistant", "content": [text("a")]}
        ])
    );
    assert_eq!(messages(json!([said("developer", "d")]))[0]["content"][0], text("(no user message)"));
}
