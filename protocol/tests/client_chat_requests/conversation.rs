//! The conversation: system prompts, turns, calls and their results.

use super::*;

#[test]
fn all_system_texts_become_one_system_prompt() {
    let sent = with(json!({"messages": [
        {"role": "system", "content": "You are \"me\".\n"},
        {"role": "user", "content": "a"},
        {"role": "developer", "content": [text("b"), text(" \n"), text("c")]},
        {"role": "system", "content": ""},
        {"role": "system", "content": null},
        {"role": "user", "content": "d"},
    ]}));
    assert_eq!(sent["system"], "You are \"me\".\n\n\nb\n\nc");
    assert_eq!(sent["messages"], json!([{"role": "user", "content": [text("a"), text("d")]}]));
    assert_eq!(with(json!({})).get("system"), None);
}

#[test]
fn marks_for_caching_are_kept() {
    let mark = json!({"type": "ephemeral"});
    let marked = |said: &str| json!({"type": "text", "text": said, "cache_control": mark});
    let mut function = tool("f");
    function["cache_control"] = mark.clone();
    let sent = with(json!({"tools": [function], "messages": [
        {"role": "system", "content": [text("a"), marked("b")]},
        {"role": "user", "content": [marked("c")]},
    ]}));
    assert_eq!(sent["system"], json!([text("a"), marked("b")]));
    assert_eq!(sent["messages"][0]["content"], json!([marked("c")]));
    assert_eq!(sent["tools"][0]["cache_control"], mark);
}

#[test]
fn the_json_literal_of_a_text_is_unchanged() {
    let body =
        r#"{"messages":[{"role":"user","content":[{"type":"\u0074ext","text":"\u00e9 \/ \ud83d lone"}]}]}"#;
    let target = MessagesUpstream { provider: "p", model: MODEL, requested_model: "p:m" };
    let sent = request(body.as_bytes(), &target).unwrap().body;
    assert!(String::from_utf8(sent).unwrap().contains(r#""text":"\u00e9 \/ \ud83d lone""#));
}

/// Requirement: Temperature, stop, tool_choice, images, assistant text+tool_calls survive to Anthropic;
/// consecutive tool messages merge.
#[test]
fn calls_and_results_become_blocks_in_turns() {
    let sent = messages(json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("a", "{\"x\": 1}"), call("b", "")]},
        {"role": "tool", "tool_call_id": "b", "content": "rb"},
        {"role": "tool", "tool_call_id": "a", "content": [text("r1"), text(" "), text("r2"),
            {"type": "image_url", "image_url": {"url": PNG}}, {"type": "input_audio", "input_audio": {}}]},
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": null, "tool_calls": [call("c", "{}")]},
        {"role": "tool", "tool_call_id": "c", "content": null},
    ]));
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    let left_out = text("[input_audio left out: this provider cannot read it]");
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("q")]},
            {"role": "assistant", "content":
                [text("Let me see."), tool_use("a", json!({"x": 1})), tool_use("b", json!({}))]},
            {"role": "user", "content": [
                result("a", json!([text("r1"), text("r2"), image, left_out])), result("b", json!("rb")), text("go on")]},
            {"role": "assistant", "content": [tool_use("c", json!({}))]},
            {"role": "user", "content": [result("c", json!(""))]},
        ])
    );
}

#[test]
fn any_arguments_become_an_object() {
    let input = |arguments: Value| {
        let called = json!({"id": "a", "function": {"name": "f", "arguments": arguments}});
        let sent =
            messages(json!([{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [called]},
                                   {"role": "tool", "tool_call_id": "a", "content": "r"}]));
        sent[1]["content"][0]["input"].clone()
    };
    for (arguments, expected) in [
        (json!("{\n \"a\": \"\\u00e9\" }"), json!({"a": "é"})),
        (json!(""), json!({})),
        (json!(" \n"), json!({})),
        (json!(null), json!({})),
        (json!({"a": 1}), json!({"a": 1})),
        (json!("12"), json!({"raw_arguments": "12"})),
        (json!("[1]"), json!({"raw_arguments": "[1]"})),
        (json!("{\"cut"), json!({"raw_arguments": "{\"cut"})),
    ] {
        assert_eq!(input(arguments.clone()), expected, "{arguments}");
    }
}

#[test]
fn results_move_behind_their_calls_and_missing_ones_are_added() {
    let sent = messages(json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call("a", "{}"), call("b", "{}")]},
        {"role": "user", "content": "meanwhile"},
        {"role": "assistant", "tool_calls": [call("c", "{}")]},
        {"role": "tool", "tool_call_id": "c", "content": "rc"},
        {"role": "tool", "tool_call_id": "a", "content": "ra"},
        {"role": "tool", "tool_call_id": "a", "content": "again"},
        {"role": "tool", "tool_call_id": "z", "content": [text("lost")]},
    ]));
    let missing = json!({"type": "tool_result", "tool_use_id": "b", "is_error": true,
                         "content": "no result was provided for this tool call"});
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("q")]},
            {"role": "assistant", "content": [tool_use("a", json!({})), tool_use("b", json!({}))]},
            {"role": "user", "content": [result("a", json!("ra")), missing, text("meanwhile")]},
            {"role": "assistant", "content": [tool_use("c", json!({}))]},
            {"role": "user", "content": [result("c", json!("rc")), text("[tool result a] again"),
                text("[tool result z]"), text("lost")]},
        ])
    );
}

#[test]
fn ids_are_valid_for_the_upstream_and_unique() {
    let turn = |id: Value| {
        [
            json!({"role": "assistant", "tool_calls": [{"id": id, "function": {"name": "f", "arguments": "{}"}}]}),
            json!({"role": "tool", "tool_call_id": id, "content": "r"}),
        ]
    };
    let mut history = vec![json!({"role": "user", "content": "q"})];
    for id in [json!("call_0"), json!("call_0"), json!("functions.f:0"), json!(""), json!(null)] {
        history.extend(turn(id));
    }
    let sent = messages(json!(history));
    check_turns(&sent);
    let ids: Vec<_> = sent.as_array().unwrap().iter().map(|turn| turn["content"][0]["id"].clone()).collect();
    assert_eq!(ids[1], "call_0");
    assert_eq!(ids[5], "vdm1_00_functions-df-c0", "readable, and the same wherever it stands");
    for made_up in [3, 7, 9] {
        assert!(ids[made_up].as_str().unwrap().starts_with("toolu_"), "{ids:?}");
    }
    assert_eq!(sent, messages(json!(history)), "the same every time, for the upstream's cache");
}

#[test]
fn adjacent_turns_are_merged_and_empty_ones_removed() {
    let sent = messages(json!([
        {"role": "user", "content": "a", "name": "Bob"},
        {"role": "user", "content": [text(""), text("b")]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": null},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": [text("d"), {"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": null, "refusal": "never", "reasoning_content": "hm", "audio": null},
        {"role": "user", "content": " "},
        {"role": "user", "content": "e"},
    ]));
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": [text("a"), text("b"), text("c")]},
            {"role": "assistant", "content": [text("d"), text("no"), text("\n\nnever")]},
            {"role": "user", "content": [text("e")]},
        ])
    );
}

#[test]
fn a_conversation_begins_with_the_user() {
    let nobody = json!({"role": "user", "content": [text("(no user message)")]});
    let sent = messages(json!([{"role": "assistant", "content": "hello \n"}]));
    assert_eq!(sent, json!([nobody, {"role": "assistant", "content": [text("hello")]}]));
    for empty in [json!([{"role": "system", "content": "s"}]), json!([{"role": "user", "content": ""}])] {
        assert_eq!(messages(empty), json!([nobody]));
    }
}

#[test]
fn white_space_at_the_end_of_a_prefilled_reply_is_removed() {
    let user = json!({"role": "user", "content": "q"});
    let last = |turns: &[Value]| {
        let sent = messages(json!([std::slice::from_ref(&user), turns].concat()));
        sent.as_array().unwrap().last().unwrap()["content"].clone()
    };
    let assistant = |content: Value| json!({"role": "assistant", "content": content});
    let mark = json!({"type": "ephemeral"});
    let marked = |said: &str| json!({"type": "text", "text": said, "cache_control": mark});
    for (turns, expected) in [
        (vec![assistant(json!("a \n"))], json!([text("a")])),
        (vec![assistant(json!([text("a \n")]))], json!([text("a")])),
        (vec![assistant(json!([text("a "), text("b\t\u{a0}\u{3000}")]))], json!([text("a "), text("b")])),
        (vec![assistant(json!([text("a "), text(" \n"), text("")]))], json!([text("a")])),
        (vec![assistant(json!([marked("a\u{c}")]))], json!([marked("a")])),
        (vec![assistant(json!("a ")), assistant(json!(null))], json!([text("a")])),
        (vec![assistant(json!("a ")), assistant(json!([text("b ")]))], json!([text("a "), text("\n\nb")])),
        (
            vec![json!({"role": "assistant", "content": "a ", "refusal": "no "})],
            json!([text("a "), text("\n\nno")]),
        ),
        (vec![assistant(json!("a\\ ")), json!({"role": "system", "content": "s"})], json!([text("a\\")])),
    ] {
        assert_eq!(last(&turns), expected, "{turns:?}");
    }
    let inside = [assistant(json!("a ")), json!({"role": "user", "content": "go on "})];
    let sent = messages(json!([std::slice::from_ref(&user), &inside[..]].concat()));
    assert_eq!((&sent[1]["content"], &sent[2]["content"]), (&json!([text("a ")]), &json!([text("go on ")])));
}

fn history() -> impl Strategy<Value = Vec<Value>> {
    let content = prop_oneof![Just(json!("t")), Just(json!("")), Just(json!(null)), Just(json!([text("t")]))];
    let user = content.clone().prop_map(|content| json!({"role": "user", "content": content}));
    let id =
        prop_oneof![(0..4).prop_map(|id| json!(format!("c{id}"))), Just(json!("c.0")), Just(json!(null))];
    let calls = prop::collection::vec(id.clone(), 0..4).prop_map(|ids| {
        let call = |id| json!({"id": id, "function": {"name": "f", "arguments": "{}"}});
        ids.into_iter().map(call).collect::<Vec<_>>()
    });
    let assistant = (content.clone(), calls)
        .prop_map(|(content, calls)| json!({"role": "assistant", "content": content, "tool_calls": calls}));
    let tool = id.prop_map(|id| json!({"role": "tool", "tool_call_id": id, "content": "r"}));
    let system = Just(json!({"role": "system", "content": "s"}));
    let turn = prop_oneof![2 => user, 3 => assistant, 4 => tool, 1 => system];
    prop::collection::vec(turn, 1..12).prop_map(|mut turns| {
        turns.push(json!({"role": "user", "content": "last"}));
        turns
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_becomes_complete_and_in_an_order_that_anthropic_accepts(history in history()) {
        let sent = messages(json!(history));
        check_turns(&sent);
        let sent = sent.to_string();
        let count = |text: &str| history.iter().map(|turn| turn.to_string().matches(text).count()).sum::<usize>();
        // A result is a block, or, without its call, a text.
        let results = sent.matches(r#""content":"r""#).count() + sent.matches("[tool result ").count();
        prop_assert_eq!(results, count(r#""role":"tool""#));
        prop_assert_eq!(sent.matches(r#""type":"tool_use""#).count(), count(r#""name":"f""#));
    }
}
