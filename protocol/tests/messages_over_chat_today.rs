//! What clients of November 2026 send to the Messages API, as a Chat Completions upstream gets it, and what they read in the
//! reply: efforts of single turns, changes of the tools, blocks of Anthropic's servers, stop sequences, searches.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "grammar/stream.rs"]
mod grammar;
#[path = "properties/order.rs"]
mod order;

use bytes::BytesMut;
use order::check_order;
use serde_json::{Value, json};
use vandamme_protocol::convert::{
    ReplyCodec as _, Step, Transcoder, client,
    client::messages::MessagesEncoder,
    upstream::chat::{
        ChatDecoder, ChatRequest, Dialect, PLAIN, Reasoning, Replay, ReplyContext, Target, request,
    },
};

const TARGET: Target<'_> =
    Target { provider: "p", model: "up/m", requested_model: "p:m", dialect: &PLAIN, session: None };

type ToMessages = Transcoder<ChatDecoder, MessagesEncoder>;

fn transcoder(context: ReplyContext) -> ToMessages {
    Transcoder::new(ChatDecoder::new(context, 7), MessagesEncoder::new())
}

fn body(fields: Value) -> String {
    let mut body =
        json!({"model": "p:m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body.to_string()
}

fn translated(target: &Target<'_>, fields: Value) -> ChatRequest {
    request(body(fields).as_bytes(), target).unwrap_or_else(|error| panic!("{error}"))
}

fn sent(target: &Target<'_>, fields: Value) -> Value {
    serde_json::from_slice(&translated(target, fields).body).unwrap()
}

fn dropped(fields: Value) -> String {
    translated(&TARGET, fields).dropped.header().unwrap_or_default()
}

fn refusal(target: &Target<'_>, fields: Value) -> String {
    request(body(fields).as_bytes(), target).unwrap_err().message
}

fn names(sent: &Value) -> Vec<&str> {
    let tools = sent["tools"].as_array().into_iter().flatten();
    tools.map(|tool| tool["function"]["name"].as_str().unwrap()).collect()
}

#[test]
fn the_last_effort_of_a_turn_counts_and_an_empty_message_is_none() {
    let dialect = Dialect { reasoning_models: vec!["*".into()], ..Dialect::default() };
    let target = Target { dialect: &dialect, ..TARGET };
    let turn = |effort: Value, content: Value| json!({"role": "system", "content": content, "output_config": effort});
    for (turns, expected) in [
        (vec![], "low"),
        (vec![turn(json!({"effort": "high"}), json!([]))], "high"),
        (
            vec![turn(json!({"effort": "high"}), json!("")), turn(json!({"effort": "medium"}), json!([]))],
            "medium",
        ),
        (vec![turn(json!({"effort": "high"}), json!([])), turn(json!({}), json!("note"))], "high"),
        (vec![json!({"role": "system", "output_config": {"effort": "high"}})], "high"),
    ] {
        let mut messages = vec![json!({"role": "user", "content": "hi"})];
        messages.extend(turns);
        messages.push(json!({"role": "user", "content": "go", "output_config": {"effort": "max"}}));
        let chat = sent(
            &target,
            json!({"messages": messages, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        );
        assert_eq!(chat["reasoning_effort"], expected);
        let texts: Vec<_> = chat["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["content"].as_str().unwrap())
            .collect();
        assert!(texts.iter().all(|text| !text.is_empty()) && texts.contains(&"go"), "{texts:?}");
        assert!(!chat.to_string().contains("output_config"));
    }
}

#[test]
fn a_note_for_one_turn_is_gone_in_the_next() {
    let note = |clear: &str, text: &str| json!({"role": "system", "content": text, "clear_at": clear});
    let chat = sent(
        &TARGET,
        json!({"messages": [
            {"role": "user", "content": "one"},
            note("next_user_message", "first"),
            note("never", "stays"),
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": "two"},
            note("next_user_message", "second"),
            {"role": "assistant", "content": "prefill"},
        ]}),
    )
    .to_string();
    assert!(!chat.contains("first") && chat.contains("stays") && chat.contains("second"), "{chat}");
    assert!(!chat.contains("clear_at"));
}

#[test]
fn tools_are_added_and_removed_in_the_order_of_the_conversation() {
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    let mut deferred = tool("later");
    deferred["defer_loading"] = json!(true);
    let change =
        |kind: &str, tool: Value| json!({"role": "system", "content": [{"type": kind, "tool": tool}]});
    let named = |name: &str| json!({"type": "tool_reference", "name": name});
    let inline = |tool: Value| json!({"type": "tool_definition", "definition": tool});
    let mut newer = tool("b");
    newer["description"] = json!("newer");
    let of = |changes: Vec<Value>| {
        let mut messages = vec![json!({"role": "user", "content": "hi"})];
        messages.extend(changes);
        sent(&TARGET, json!({"tools": [tool("a"), tool("b"), deferred], "messages": messages}))
    };
    for (changes, expected) in [
        (vec![], vec!["a", "b"]),
        (vec![change("tool_addition", named("later"))], vec!["a", "b", "later"]),
        (vec![change("tool_removal", named("a"))], vec!["b"]),
        (vec![change("tool_removal", named("a")), change("tool_addition", named("a"))], vec!["a", "b"]),
        (vec![change("tool_addition", inline(tool("new")))], vec!["a", "b", "new"]),
        (
            vec![change("tool_addition", inline(tool("new"))), change("tool_removal", named("new"))],
            vec!["a", "b"],
        ),
        (vec![change("tool_addition", inline(newer.clone()))], vec!["a", "b"]),
        (vec![change("tool_removal", named("a")), change("tool_removal", named("b"))], vec![]),
        (
            vec![change("tool_addition", json!({"type": "mcp_toolset_reference", "server_name": "s"}))],
            vec!["a", "b"],
        ),
        (
            vec![change(
                "tool_removal",
                json!({"type": "mcp_tool_reference", "server_name": "s", "name": "a"}),
            )],
            vec!["a", "b"],
        ),
    ] {
        let chat = of(changes.clone());
        assert_eq!(names(&chat), expected, "{changes:?}");
        assert_eq!(chat["messages"].as_array().unwrap().len(), 1, "a change alone is no message");
    }
    let replaced = of(vec![change("tool_addition", inline(newer))]);
    assert_eq!(replaced["tools"][1]["function"]["description"], "newer");
    let text = json!({"role": "system", "content": [{"type": "text", "text": "note"}, {"type": "tool_removal", "tool": named("a")}]});
    assert!(of(vec![text]).to_string().contains("note"));
    let unknown = json!({"messages": [{"role": "user", "content": "hi"}, change("tool_addition", named("gone")),
        change("tool_addition", json!({"type": "mcp_toolset_reference", "server_name": "s"}))]});
    assert_eq!(
        dropped(unknown),
        "messages.1.content.0 (tool_addition), messages.2.content.0 (tool_addition)"
    );
    let bad = json!({"messages": [{"role": "user", "content": "hi"}, change("tool_addition", inline(json!({"name": "x"})))]});
    assert_eq!(refusal(&TARGET, bad), "messages.1.content.0.tool.definition.input_schema: field required");
}

#[test]
fn what_the_target_cannot_take_is_named_and_never_quoted() {
    for (fields, expected) in [
        (json!({}), ""),
        (json!({"metadata": {"user_id": "u"}, "stream": true}), ""),
        (
            json!({"context_management": {"edits": []}, "mcp_servers": [{"url": "https://secret"}]}),
            "context_management, mcp_servers",
        ),
        (json!({"top_k": 5, "container": "c", "speed": "fast"}), "container, speed, top_k"),
        (json!({"thinking": {"type": "adaptive"}}), "thinking"),
        (json!({"output_config": {"effort": "high"}}), "output_config.effort"),
        (json!({"thinking": {"type": "disabled"}}), ""),
        (
            json!({"tools": [{"name": "f", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}]}),
            "tools.1 (web_search_20250305)",
        ),
        (
            json!({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}),
            "tools.0 (code_execution_20250825)",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]}),
            "messages.0.content.0 (container_upload)",
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": [{"type": "hologram"}]}]}),
            "messages.1.content.0 (hologram)",
        ),
        (
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "hologram"}, {"type": "text", "text": "t"}]}]}),
            "messages.1.content.0 (hologram)",
        ),
    ] {
        assert_eq!(dropped(fields.clone()), expected, "{fields}");
    }
    let many: serde_json::Map<_, _> =
        (0..500).map(|number| (format!("field\u{7}\n{number}"), json!(1))).collect();
    let header = dropped(Value::Object(many));
    assert!(header.len() < 1000 && header.is_ascii() && !header.contains(['\n', '\u{7}']), "{header}");
}

#[test]
fn the_other_bridge_names_what_it_drops_as_well() {
    let target = client::chat::Target { provider: "p", model: "claude-sonnet-5", requested_model: "c" };
    let body = json!({"model": "c", "messages": [{"role": "user", "content": "hi"}], "seed": 1, "logit_bias": {"1": 2}, "store": false});
    let translated = client::chat::request(body.to_string().as_bytes(), &target).unwrap();
    let header = translated.dropped.header().unwrap();
    let mut names: Vec<_> = header.split(", ").collect();
    names.sort_unstable();
    assert_eq!(names, ["logit_bias", "seed"]);
}

#[test]
fn a_member_twice_and_a_body_that_is_no_object_are_refused() {
    for (body, expected) in [
        (r#"{"max_tokens":1,"max_tokens":2,"messages":[]}"#, "duplicate field"),
        ("[]", "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ("7", "expected a JSON object"),
        (r#"{"max_tokens":1,"x":}"#, "not valid JSON"),
    ] {
        let message = request(body.as_bytes(), &TARGET).unwrap_err().message;
        assert!(message.contains(expected), "{body}: {message}");
    }
}

#[test]
fn a_history_of_anthropics_servers_is_readable() {
    let chat = sent(
        &TARGET,
        json!({"messages": [
            {"role": "assistant", "content": [{"type": "compaction", "content": "We fixed \"it\".", "signature": "s"},
                {"type": "text", "text": "Going on."},
                {"type": "tool_use", "id": "c", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I ask."},
                {"type": "mcp_tool_use", "id": "m", "name": "ask", "server_name": "wiki", "input": {"q": 1}},
                {"type": "mcp_tool_result", "tool_use_id": "m", "content": [{"type": "text", "text": "42"}]},
                {"type": "text", "text": "It is "}, {"type": "text", "text": "42."}]},
            {"role": "user", "content": [{"type": "compaction", "content": "more"}, {"type": "text", "text": "and?"}]},
        ]}),
    );
    check_order(&chat["messages"]);
    assert_eq!(
        chat["messages"][0],
        json!({"role": "user", "content": "[Summary of the conversation so far]\nWe fixed \"it\"."})
    );
    assert_eq!(
        (&chat["messages"][1]["role"], &chat["messages"][1]["content"]),
        (&json!("assistant"), &json!("Going on."))
    );
    assert_eq!(
        chat["messages"][3]["content"],
        "I ask.\n\n[Used ask of the MCP server wiki: {\"q\":1}]\n\n[Result of mcp]\n42\n\nIt is 42."
    );
    assert_eq!(chat["messages"][4]["content"][0]["text"], "[Summary of the conversation so far]\nmore");
}

#[test]
fn a_document_of_an_assistant_is_shown_by_the_user() {
    let chat = sent(
        &TARGET,
        json!({"messages": [
            {"role": "user", "content": "write"},
            {"role": "assistant", "content": [
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "page"}, "title": "T"},
                {"type": "text", "text": "there", "citations": [{"type": "char_location", "cited_text": "x"}]},
                {"type": "document", "source": {"type": "file", "file_id": "f"}},
                {"type": "tool_use", "id": "c", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
        ]}),
    );
    check_order(&chat["messages"]);
    assert_eq!(chat["messages"][1]["role"], "user");
    assert_eq!(chat["messages"][1]["content"][0]["text"], "<title>T</title>\npage");
    assert!(chat["messages"][1]["content"][1]["text"].as_str().unwrap().starts_with("[document left out"));
    assert_eq!(chat["messages"][2]["content"], "there");
    assert!(!chat.to_string().contains("citations"));
}

#[test]
fn thoughts_are_required_with_calls_while_the_model_thinks() {
    let dialect = Dialect {
        reasoning: Reasoning::Switch,
        reasoning_models: vec!["*".into()],
        replay: Replay::Required,
        ..Dialect::default()
    };
    let messages = json!([{"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "of another", "signature": "EqQBCk"},
            {"type": "tool_use", "id": "c", "name": "Bash", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
        {"role": "assistant", "content": "done"}, {"role": "user", "content": "more"}]);
    for (model, thinking, expected) in [
        ("deepseek-v4-pro", json!(null), json!("")),
        ("deepseek-v4-pro", json!({"type": "adaptive"}), json!("")),
        ("deepseek-v4-pro", json!({"type": "disabled"}), json!(null)),
        ("kimi-k2-thinking", json!({"type": "disabled"}), json!("")),
        ("kimi-k2.6", json!({"type": "disabled"}), json!(null)),
    ] {
        let target = Target { model, dialect: &dialect, ..TARGET };
        let chat = sent(&target, json!({"messages": messages, "thinking": thinking}));
        assert_eq!(
            chat["messages"][1].get("reasoning_content").cloned().unwrap_or_default(),
            expected,
            "{model} {thinking}"
        );
        assert!(chat["messages"][3].get("reasoning_content").is_none(), "without calls nobody asks");
    }
    let plain = sent(&TARGET, json!({"messages": messages}));
    assert!(plain["messages"][1].get("reasoning_content").is_none());
}

#[test]
fn marks_become_breakpoints_where_the_model_takes_them() {
    let dialect = Dialect { prompt_cache: true, ..Dialect::default() };
    let mark = |ttl: Option<&str>| match ttl {
        Some(ttl) => json!({"type": "ephemeral", "ttl": ttl}),
        None => json!({"type": "ephemeral"}),
    };
    let text = |text: &str, ttl| json!({"type": "text", "text": text, "cache_control": mark(ttl)});
    let session = "0b5b6c3e-5c0f-4d1a-9d2b-111111111111";
    let fields = json!({"system": [text("s", Some("1h"))], "metadata": {"user_id": format!("user_x_account__session_{session}")},
        "messages": [{"role": "user", "content": [text("a", Some("5m"))]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "T", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r", "cache_control": mark(None)},
                text("b", None), text("one too many", None)]}]});
    let at = |model| Target { model, dialect: &dialect, ..TARGET };
    let chat = sent(&at("gpt-5.6-sol"), fields.clone());
    let part = |text: &str, breakpoint: Value| json!({"type": "text", "text": text, "prompt_cache_breakpoint": breakpoint});
    assert_eq!(chat["messages"][0]["content"], json!([part("s", json!({"mode": "explicit", "ttl": "12h"}))]));
    assert_eq!(chat["messages"][1]["content"], json!([part("a", json!({"mode": "explicit"}))]));
    assert_eq!(chat["messages"][3]["content"], json!([part("r", json!({"mode": "explicit"}))]));
    assert_eq!(chat.to_string().matches("prompt_cache_breakpoint").count(), 4);
    assert_eq!(chat["prompt_cache_key"], session);
    assert!(!chat.to_string().contains("cache_control"));
    let older = sent(&at("gpt-5.1"), fields.clone());
    assert_eq!(
        (&older["prompt_cache_key"], &older["messages"][0]["content"]),
        (&json!(session), &json!("s"))
    );
    let beside = Target { session: Some("somebody@example.com"), ..at("gpt-4o") };
    let key = sent(&beside, fields.clone())["prompt_cache_key"].as_str().unwrap().to_owned();
    assert!(key.len() == 64 && !key.contains('@'), "{key}");
    let off = sent(&Target { model: "gpt-5.6-sol", ..TARGET }, fields).to_string();
    assert!(!off.contains("prompt_cache"), "{off}");
}

// Replies.

const JUDGE: &str = r#"{"thinking":{"type":"disabled"},"stop_sequences":["</block>"],"max_tokens":64}"#;

fn reply(target: &Target<'_>, fields: Value) -> ReplyContext {
    translated(target, fields).reply
}

fn chunk(delta: Value) -> String {
    json!({"choices": [{"index": 0, "delta": delta}]}).to_string()
}

/// The message of a stream, and how many of its chunks were taken.
fn streamed(context: ReplyContext, chunks: &[String]) -> (Value, usize) {
    let mut machine = transcoder(context);
    let mut out = BytesMut::new();
    let mut taken = 0;
    for chunk in chunks {
        taken += 1;
        match machine.push_data(chunk.as_bytes(), &mut out) {
            Step::More => {}
            Step::End => break,
            Step::Fault(fault) => panic!("{fault:?}"),
        }
    }
    assert_eq!(machine.finish(&mut out).fault, None);
    (grammar::check(&out).message, taken)
}

/// The same reply, whole for a client that wants it whole, collected from a stream, and as events.
fn in_every_form(context: &ReplyContext, message: Value, finish: &str) -> [Value; 3] {
    let completion = json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3}})
    .to_string();
    let wholly: Value =
        serde_json::from_slice(&transcoder(context.clone()).whole(completion.as_bytes()).unwrap().body)
            .unwrap();
    let mut events = BytesMut::new();
    transcoder(context.clone()).whole_as_stream(completion.as_bytes(), &mut events).unwrap();
    let as_events = grammar::check(&events).message;
    let mut collector = transcoder(context.clone()).collector();
    let chunks = [
        chunk(message),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}).to_string(),
        "[DONE]".into(),
    ];
    for chunk in chunks {
        if collector.push(chunk.as_bytes()) == Step::End {
            break;
        }
    }
    let collected: Value = serde_json::from_slice(&collector.finish().unwrap().body).unwrap();
    [wholly, as_events, collected]
}

#[test]
fn the_judge_of_auto_mode_gets_room_and_its_end() {
    let fields: Value = serde_json::from_str(JUDGE).unwrap();
    for (model, effort, limit) in
        [("gpt-5", "minimal", 2112), ("o4-mini", "low", 2112), ("gpt-5.4-mini", "none", 64)]
    {
        let target = Target { model, ..TARGET };
        let chat = sent(&target, fields.clone());
        assert_eq!(
            (&chat["reasoning_effort"], &chat["max_completion_tokens"]),
            (&json!(effort), &json!(limit)),
            "{model}"
        );
        assert!(chat.get("stop").is_none(), "{model} refuses it");
        let context = reply(&target, fields.clone());
        for message in in_every_form(
            &context,
            json!({"role": "assistant", "content": "<block>no</block> since"}),
            "stop",
        ) {
            assert_eq!(message["content"], json!([{"type": "text", "text": "<block>no"}]));
            assert_eq!(
                (&message["stop_reason"], &message["stop_sequence"]),
                (&json!("stop_sequence"), &json!("</block>"))
            );
        }
        let chunks =
            ["<blo", "ck>n", "o</bl", "ock", "> since", " it"].map(|text| chunk(json!({"content": text})));
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 47_000, "completion_tokens": 9}});
        let chunks = [&chunks[..], &[usage.to_string(), chunk(json!({"content": "late"}))]].concat();
        let (message, taken) = streamed(context, &chunks);
        assert_eq!(message["usage"]["input_tokens"], 47_000);
        assert_eq!(
            (&message["content"][0]["text"], taken),
            (&json!("<block>no"), 7),
            "the upstream is closed when it has told its usage"
        );
        assert_eq!(
            (&message["stop_reason"], &message["stop_sequence"]),
            (&json!("stop_sequence"), &json!("</block>"))
        );
    }
    let chat = sent(&TARGET, fields);
    assert_eq!((&chat["stop"], &chat["max_tokens"]), (&json!(["</block>"]), &json!(64)));
}

#[test]
fn a_stop_sequence_beyond_those_that_can_be_sent_is_met_all_the_same() {
    let fields = json!({"stop_sequences": ["a", "b", "c", "d", "E"], "thinking": {"type": "adaptive"}});
    assert_eq!(sent(&TARGET, fields.clone())["stop"], json!(["a", "b", "c", "d"]));
    let context = reply(&TARGET, fields);
    let call = json!([{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]);
    let message = json!({"content": "xEy", "reasoning_content": "E", "tool_calls": call});
    for message in in_every_form(&context, message, "tool_calls") {
        let kinds: Vec<_> = message["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["thinking", "text"], "a thought is no text, and nothing follows the end");
        assert_eq!((&message["content"][1]["text"], &message["stop_sequence"]), (&json!("x"), &json!("E")));
    }
    // What only looks like a beginning goes out, before a call and at the end.
    let fields = json!({"stop_sequences": ["1", "2", "3", "4", "</end>"]});
    let chunks = [
        chunk(json!({"content": "a</"})),
        chunk(json!({"tool_calls": call})),
        json!({"choices": [{"index": 0, "delta": {"content": "</e"}, "finish_reason": "tool_calls"}]})
            .to_string(),
        "[DONE]".into(),
    ];
    let (message, _) = streamed(reply(&TARGET, fields), &chunks);
    let texts: String =
        message["content"].as_array().unwrap().iter().filter_map(|block| block["text"].as_str()).collect();
    assert_eq!((texts.as_str(), &message["stop_reason"]), ("a</</e", &json!("tool_use")));
}

#[test]
fn who_asks_for_a_judgement_hears_that_there_is_none() {
    let safeguards =
        json!([{"type": "dangerous_tool_use", "classifier_context": {"live_cwd": "/home/secret"}}]);
    let asked = translated(&TARGET, json!({"safeguards": safeguards}));
    assert!(!String::from_utf8_lossy(&asked.body).contains("secret"));
    let expected = json!([{"type": "dangerous_tool_use", "status": {"type": "unsupported"}}]);
    let done =
        json!({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}).to_string();
    for message in in_every_form(&asked.reply, json!({"content": "x"}), "stop") {
        assert!(message["safeguard_results"] == expected || message.get("safeguard_results").is_none());
    }
    let completion = done.replace("delta", "message");
    let wholly: Value =
        serde_json::from_slice(&transcoder(asked.reply.clone()).whole(completion.as_bytes()).unwrap().body)
            .unwrap();
    assert_eq!(wholly["safeguard_results"], expected);
    let mut machine = transcoder(asked.reply);
    let mut out = BytesMut::new();
    machine.push_data(done.as_bytes(), &mut out);
    machine.finish(&mut out);
    let events = grammar::events(&out);
    let with: Vec<_> =
        events.iter().filter(|(_, data)| data.to_string().contains("safeguard_results")).collect();
    assert!(
        with.len() == 1
            && with[0].0 == "message_delta"
            && with[0].1["delta"]["safeguard_results"] == expected
    );
    for other in [
        json!(null),
        json!([]),
        json!([{"type": "other", "note": "dangerous_tool_use"}]),
        json!("dangerous_tool_use"),
    ] {
        let context = reply(&TARGET, json!({"safeguards": other}));
        let body = transcoder(context).whole(completion.as_bytes()).unwrap().body;
        assert!(!String::from_utf8(body).unwrap().contains("safeguard_results"), "{other}");
    }
}

fn searching() -> Dialect {
    Dialect { web_search: Some(r#""plugins":[{"id":"web"}]"#.into()), ..Dialect::default() }
}

fn search_tool() -> Value {
    json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 8})
}

#[test]
fn a_search_is_asked_of_those_who_can_and_refused_by_all_others() {
    let dialect = searching();
    let target = Target { dialect: &dialect, ..TARGET };
    let alone = json!({"tools": [search_tool()], "tool_choice": {"type": "auto"}});
    let chat = sent(&target, alone.clone());
    assert_eq!((&chat["plugins"], chat.get("tools")), (&json!([{"id": "web"}]), None));
    assert_eq!(translated(&target, alone.clone()).dropped.header().as_deref(), Some("tools.0.max_uses"));
    let client = json!({"name": "f", "input_schema": {}});
    let fetch = json!({"type": "web_fetch_20250910", "name": "web_fetch"});
    for tools in [json!([search_tool()]), json!([search_tool(), fetch])] {
        let message = refusal(&TARGET, json!({"tools": tools}));
        assert!(
            message.contains("provider 'p' cannot search the web; choose") && !message.contains('\n'),
            "{message}"
        );
    }
    assert!(refusal(&target, json!({"tools": [fetch]})).contains("cannot fetch web pages"));
    let chosen =
        json!({"tools": [client, search_tool()], "tool_choice": {"type": "tool", "name": "web_search"}});
    assert!(refusal(&TARGET, chosen).contains("cannot search the web"));
    let beside = translated(&TARGET, json!({"tools": [client, search_tool(), fetch]}));
    assert_eq!(
        beside.dropped.header().as_deref(),
        Some("tools.1 (web_search_20250305), tools.2 (web_fetch_20250910)")
    );
}

#[test]
fn what_a_search_has_found_arrives_with_its_links() {
    let dialect = searching();
    let target = Target { dialect: &dialect, ..TARGET };
    let context = reply(&target, json!({"tools": [search_tool()]}));
    let found = |url: &str| json!({"type": "url_citation", "url_citation": {"url": url, "title": "T", "content": "said", "start_index": 0, "end_index": 1}});
    let annotations = json!([found("https://a"), found("https://b"), found("https://a")]);
    let chunks = [
        chunk(json!({"content": "It "})),
        chunk(json!({"content": "is.", "annotations": [found("https://a")]})),
        chunk(json!({"content": "", "annotations": annotations})),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).to_string(),
        json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "server_tool_use": {"web_search_requests": 2}}}).to_string(),
        "[DONE]".to_owned(),
    ];
    let (message, _) = streamed(context.clone(), &chunks);
    let page = |url: &str| json!({"type": "web_search_result", "url": url, "title": "T", "encrypted_content": "", "page_age": null});
    let pages = json!([page("https://a"), page("https://b")]);
    assert_eq!(
        (&message["content"][0]["text"], &message["content"][2]["content"]),
        (&json!("It is."), &pages)
    );
    assert_eq!(message["content"][0]["citations"].as_array().map(Vec::len), Some(2));
    assert_eq!(message["content"][1]["id"], message["content"][2]["tool_use_id"]);
    let [wholly, as_events, collected] =
        in_every_form(&context, json!({"content": "It is.", "annotations": annotations}), "stop");
    for message in [&wholly, &as_events] {
        let kinds: Vec<_> =
            message["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
        assert_eq!(kinds, ["server_tool_use", "web_search_tool_result", "text"]);
        assert_eq!(
            (&message["content"][1]["content"], &message["content"][2]["text"]),
            (&pages, &json!("It is."))
        );
        assert_eq!(message["content"][2]["citations"][1]["url"], "https://b");
    }
    assert_eq!(collected["content"][2]["content"], pages);
    assert_eq!(wholly["usage"]["server_tool_use"]["web_search_requests"], 1);
    // Nothing found is nothing told.
    for message in in_every_form(&context, json!({"content": "I know that."}), "stop") {
        assert_eq!(message["content"], json!([{"type": "text", "text": "I know that."}]));
    }
    let unasked = reply(&target, json!({}));
    for message in in_every_form(&unasked, json!({"content": "x", "annotations": annotations}), "stop") {
        assert_eq!(message["content"], json!([{"type": "text", "text": "x"}]));
        assert!(message["usage"].get("server_tool_use").is_none());
    }
}

#[test]
fn strict_is_only_said_of_schemas_that_qualify() {
    let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let open =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    for (schema, strict) in [(&closed, true), (&open, false)] {
        let chat = sent(
            &TARGET,
            json!({"tools": [{"name": "f", "input_schema": schema, "strict": true}],
            "output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        );
        assert_eq!(chat["tools"][0]["function"]["strict"], strict);
        assert_eq!(chat["response_format"]["json_schema"]["strict"], strict);
        assert_eq!(&chat["response_format"]["json_schema"]["schema"], schema);
    }
}
