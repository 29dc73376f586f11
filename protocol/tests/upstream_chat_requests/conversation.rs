//! The conversation: system prompts, turns, calls and their results.

use super::*;

#[test]
fn the_system_prompt_comes_first_without_the_attribution() {
    let blocks = json!([
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=sdk-cli;"},
        {"type": "text", "text": "\n You are. ", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": " Be good.\n"},
    ]);
    assert_eq!(
        with(json!({"system": blocks}))["messages"][0],
        json!({"role": "system", "content": "You are. \n\n Be good."})
    );
    assert_eq!(with(json!({"system": " s "}))["messages"][0], json!({"role": "system", "content": "s"}));
    for blank in [json!(""), json!(" \n\t"), json!([]), json!([{"type": "text", "text": " "}]), json!(null)] {
        assert_eq!(with(json!({"system": blank}))["messages"][0]["role"], "user");
    }
}

/// Complaint of gateway users: system messages in the conversation are refused.
#[test]
fn a_system_turn_stays_at_its_place_and_is_told_by_the_user_where_only_the_first_may_be_one() {
    let turns = json!([
        {"role": "user", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "note", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "b"},
        {"role": "system", "content": "other"},
        {"role": "user", "content": "c"},
    ]);
    let roles = |sent: &Value| -> Vec<String> {
        let sent = sent.as_array().unwrap().iter();
        sent.map(|message| message["role"].as_str().unwrap().to_owned()).collect()
    };
    let anywhere = Dialect { system_anywhere: true, ..Dialect::default() };
    let sent = through(&anywhere, json!({"messages": turns}))["messages"].take();
    assert_eq!(roles(&sent), ["user", "system", "assistant", "system", "user"]);
    assert_eq!(sent[1]["content"], "note");
    let sent = messages(turns);
    assert_eq!(roles(&sent), ["user", "user", "assistant", "user", "user"]);
    assert_eq!(sent[1]["content"], "<system-reminder>\nnote\n</system-reminder>");
}

#[test]
fn a_text_goes_out_as_the_very_literal_that_came_in() {
    let body = r#"{"max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"\u00e9 \/ \ud83d lone"}]}]}"#;
    let sent = request(body.as_bytes(), &TARGET).unwrap().body;
    assert!(String::from_utf8(sent).unwrap().contains(r#""content":"\u00e9 \/ \ud83d lone""#));
}

/// Complaint of gateway users: results do not stand behind their calls.
#[test]
fn results_stand_right_behind_their_calls_whatever_came_between() {
    let sent = messages(json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I "}, {"type": "text", "text": "will"},
            {"type": "tool_use", "id": "a", "name": "Read", "input": {"p": "ü\n"}},
            {"type": "tool_use", "id": "b", "name": "Bash", "input": {}},
        ]},
        {"role": "system", "content": "note"},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "b", "content": "boom", "is_error": true},
            {"type": "text", "text": "and this"},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [
                {"type": "text", "text": " seen "},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "tool_reference", "tool_name": "WebFetch"},
            ]},
            {"type": "tool_result", "tool_use_id": "zzz", "content": "lost"},
        ]},
    ]));
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "I will", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "Read", "arguments": "{\"p\":\"ü\\n\"}"}},
                {"id": "b", "type": "function", "function": {"name": "Bash", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "a",
                "content": "seen \n[image attached below]\nTool WebFetch is now available."},
            {"role": "tool", "tool_call_id": "b", "content": "Error: boom"},
            {"role": "user", "content": [
                {"type": "text", "text": "Image returned by tool Read (a)"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ]},
            {"role": "user", "content": "<system-reminder>\nnote\n</system-reminder>"},
            {"role": "user", "content": "and this"},
            {"role": "user", "content": "[tool result zzz] lost"},
        ])
    );
}

#[test]
fn an_id_that_comes_again_in_a_later_turn_is_another_call() {
    let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "call_0", "name": "f", "input": {}}]});
    let result = |text: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_0", "content": text}]});
    let sent = messages(json!([{"role": "user", "content": "x"}, call, result("one"), call, result("two")]));
    assert_eq!((&sent[2]["content"], &sent[4]["content"]), (&json!("one"), &json!("two")));
    assert_eq!(sent[1]["content"], Value::Null);
}

#[test]
fn calls_that_share_an_id_in_one_turn_are_told_apart_and_answered_in_order() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |text: &str| json!({"type": "tool_result", "tool_use_id": "c", "content": text});
    let sent = messages(json!([
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [call("c"), call("c"), call("c_2"), call("c")]},
        {"role": "user", "content": [result("one"), result("two"), result("three"), result("four")]},
    ]));
    check_order(&sent);
    let told: Vec<_> = (2..6).map(|at| json!([sent[at]["tool_call_id"], sent[at]["content"]])).collect();
    let nothing = &sent[4]["content"];
    assert_eq!(
        told,
        [json!(["c", "one"]), json!(["c_3", "two"]), json!(["c_2", nothing]), json!(["c_4", "three"])]
    );
    assert_eq!(sent[6]["content"], "[tool result c] four");
}

#[test]
fn results_in_every_form_have_a_text() {
    for (result, expected) in [
        (json!({}), "No content provided"),
        (json!({"content": null}), "No content provided"),
        (json!({"content": []}), "No content provided"),
        (json!({"content": " as is\n"}), " as is\n"),
        (json!({"content": [{"type": "text", "text": "\na"}, {"type": "text", "text": "b\n"}]}), "a\nb"),
        (json!({"content": "Error: already", "is_error": true}), "Error: already"),
        (json!({"content": "fine", "is_error": false}), "fine"),
        (json!({"is_error": true}), "Error: No content provided"),
    ] {
        let mut block = json!({"type": "tool_result", "tool_use_id": "a"});
        block.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
        let sent = messages(json!([
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f"}]},
            {"role": "user", "content": [block]},
        ]));
        assert_eq!(sent[1]["content"], expected);
        assert_eq!(sent.as_array().unwrap().len(), 2, "no empty user message");
    }
}

#[test]
fn a_call_that_nobody_answered_is_answered_unless_it_is_the_last_word() {
    let call =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]});
    let sent = messages(json!([{"role": "user", "content": "x"}, call, {"role": "user", "content": "stop"}]));
    assert_eq!((&sent[2]["role"], &sent[2]["tool_call_id"]), (&json!("tool"), &json!("a")));
    let sent =
        messages(json!([{"role": "user", "content": "x"}, call, {"role": "system", "content": "note"}]));
    check_order(&sent);
    assert_eq!(sent[2]["role"], "tool");
    let sent = messages(json!([{"role": "user", "content": "x"}, call]));
    assert_eq!(sent.as_array().unwrap().len(), 2);
}

/// Complaint of gateway users: another provider gets a foreign signature.
#[test]
fn thoughts_go_back_only_to_the_model_that_had_them() {
    let thought = |signature: &str| json!({"type": "thinking", "thinking": "hm\n", "signature": signature});
    let own = signature::mint("p", "up/m");
    let foreign = signature::mint("p", "other");
    let sent = messages(json!([
        {"role": "assistant", "content": [thought(&own), {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [thought(&foreign), thought("EqQBCk"), {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]},
        {"role": "user", "content": "c"},
    ]));
    assert_eq!(
        sent,
        json!([
            {"role": "assistant", "content": "a", "reasoning_content": "hm\n"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ])
    );
}

#[test]
fn blocks_of_anthropics_own_tools_are_text_in_a_history() {
    let sent = messages(json!([
        {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "text", "text": "found"},
        ]},
        {"role": "user", "content": "ok"},
    ]));
    let text = "[Used web_search: {}]\n\n[Result of web_search]\nnothing\n\nfound";
    assert_eq!(sent[0], json!({"role": "assistant", "content": text}));
}

fn history() -> impl Strategy<Value = Vec<Value>> {
    let block = prop_oneof![
        (0..4).prop_map(|id| json!({"type": "tool_result", "tool_use_id": format!("c{id}"), "content": "r"})),
        Just(json!({"type": "text", "text": "t"})),
    ];
    let user =
        prop::collection::vec(block, 0..4).prop_map(|blocks| json!({"role": "user", "content": blocks}));
    let assistant = prop::collection::hash_set(0..4, 0..4).prop_map(|ids| {
        let calls = ids
            .into_iter()
            .map(|id| json!({"type": "tool_use", "id": format!("c{id}"), "name": "f", "input": {}}));
        json!({"role": "assistant", "content": calls.collect::<Vec<_>>()})
    });
    let system = Just(json!({"role": "system", "content": "s"}));
    prop::collection::vec(prop_oneof![3 => user, 3 => assistant, 1 => system], 1..10).prop_map(|mut turns| {
        turns.push(json!({"role": "user", "content": "last"}));
        turns
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Requirement: tool_result plus text → tool message(s), then a user message with the text.
    /// Complaint of gateway users: results do not stand behind their calls.
    #[test]
    fn any_history_comes_out_in_an_order_that_openai_accepts_and_complete(history in history()) {
        let sent = messages(json!(history));
        check_order(&sent);
        let count = |text: &str| history.iter().map(|turn| turn.to_string().matches(text).count()).sum::<usize>();
        let sent = sent.to_string();
        // A result stands in a tool message or, as an orphan, in a text.
        let results = sent.matches(r#""content":"r""#).count() + sent.matches("[tool result ").count();
        prop_assert_eq!(results, count("tool_result"));
        prop_assert_eq!(sent.matches(r#""type":"function""#).count(), count("tool_use\""));
    }
}

#[test]
fn a_turn_in_which_the_assistant_says_nothing_is_left_out() {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"});
    let text = |text: &str| json!({"type": "text", "text": text});
    for nothing in [json!(""), json!(" \n"), json!([]), json!([text("")]), json!([text("\n\n"), text("\t")])]
    {
        let sent =
            messages(json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": nothing},
            {"role": "user", "content": "b"}]));
        assert_eq!(
            sent,
            json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
            "{nothing}"
        );
    }
    let sent = messages(json!([{"role": "user", "content": "a"},
        {"role": "assistant", "content": [text("\n\n"), call]}, {"role": "user", "content": [result]}]));
    assert_eq!(sent[1]["content"], json!(null), "blank text before a call");
    assert_eq!(sent[1]["tool_calls"][0]["id"], "toolu_1");
    let sent = messages(json!([{"role": "user", "content": "a"},
        {"role": "assistant", "content": [text("\n"), text("b ")]}, {"role": "user", "content": "c"}]));
    assert_eq!(sent[1]["content"], "\nb ", "blank text before a text stays");
}

#[test]
fn an_id_goes_back_to_whoever_made_it_and_stays_marked_for_others() {
    const OWN: &str = "functions.f:0 \"\u{e9}\"";
    let given = tool_id::portable(OWN, Maker::new("p", "up/m")).into_owned();
    let history = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": given, "name": "f", "input": {}},
            {"type": "tool_use", "id": given, "name": "f", "input": {}},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": given, "content": "r"},
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"},
            {"type": "tool_result", "tool_use_id": given, "content": "r"}]}]);
    let ids = |target: &ChatUpstream<'_>| {
        let body = plus(json!({"messages": history}));
        let sent: Value =
            serde_json::from_slice(&request(body.to_string().as_bytes(), target).unwrap().body).unwrap();
        check_order(&sent["messages"]);
        let calls = sent["messages"][1]["tool_calls"].as_array().unwrap();
        calls.iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&TARGET), [OWN.to_owned(), format!("{OWN}_2"), "toolu_1".to_owned()]);
    assert_eq!(
        ids(&ChatUpstream { model: "up/other", ..TARGET })[0],
        OWN,
        "another model of the same vendor"
    );
    for other in [
        ChatUpstream { provider: "q", ..TARGET },
        ChatUpstream { model: "anthropic/claude-opus-4.5", ..TARGET },
    ] {
        assert_eq!(ids(&other), [given.clone(), format!("{given}_2"), "toolu_1".to_owned()]);
    }
}
