//! The conversation: system prompts, turns, calls and their results, images and documents.

use super::*;

#[test]
fn the_system_prompt_becomes_instructions_without_the_attribution() {
    let blocks = json!([
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=sdk-cli;"},
        {"type": "text", "text": "\n You are. ", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": " Be good.\n"},
    ]);
    assert_eq!(with(json!({"system": blocks}))["instructions"], "You are. \n\n Be good.");
    assert_eq!(with(json!({"system": " s "}))["instructions"], "s");
    for blank in [json!(""), json!(" \n\t"), json!([]), json!([{"type": "text", "text": " "}]), json!(null)] {
        let sent = with(json!({"system": blank}));
        assert!(sent.get("instructions").is_none());
        assert_eq!(sent["input"], json!([user("hi")]));
    }
}

/// Complaint of gateway users: system messages in the conversation are refused.
#[test]
fn a_system_turn_is_a_developer_message_at_its_place() {
    let sent = input(json!([
        {"role": "user", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "note"}, {"type": "text", "text": "well "}]},
        {"role": "assistant", "content": "b"},
        {"role": "system", "content": "old", "clear_at": "next_user_message"},
        {"role": "system", "content": " "},
        {"role": "user", "content": "c"},
    ]));
    assert_eq!(sent, json!([user("a"), developer("note\n\nwell"), said("b"), user("c")]));
}

#[test]
fn the_json_literal_of_a_text_is_unchanged() {
    let body = r#"{"max_tokens":1,"system":"\u0041","messages":[{"role":"user","content":[{"type":"text","text":"\u00e9 \/ \ud83d lone"}]},
        {"role":"assistant","content":"\u00e9"}]}"#;
    let sent = String::from_utf8(request(body.as_bytes(), &TARGET).unwrap().body).unwrap();
    for literal in [r#""text":"\u00e9 \/ \ud83d lone""#, r#""text":"\u00e9""#, r#""instructions":"\u0041""#] {
        assert!(sent.contains(literal), "{sent}");
    }
}

/// Requirement: items keep the order in which the model produced them; results follow the turn of their calls.
#[test]
fn items_keep_their_order_and_results_follow_their_calls() {
    let sent = input(json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I "}, {"type": "text", "text": "will"},
            {"type": "tool_use", "id": "a", "name": "Read", "input": {"p": "ü\n"}},
            {"type": "text", "text": "and"},
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
    check_items(&sent);
    assert_eq!(
        sent,
        json!([
            user("go"),
            said("I will"),
            call("a", "Read", "{\"p\":\"ü\\n\"}"),
            said("and"),
            call("b", "Bash", "{}"),
            output(
                "a",
                json!([
                    {"type": "input_text", "text": " seen "},
                    {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AA=="},
                    {"type": "input_text", "text": "Tool WebFetch is now available."},
                ])
            ),
            output("b", json!("Error: boom")),
            developer("note"),
            user("and this"),
            user("[tool result zzz] lost"),
        ])
    );
}

#[test]
fn results_in_every_form_become_a_string_or_a_list() {
    let image = json!({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}});
    let sent_image = json!({"type": "input_image", "detail": "auto", "image_url": "https://x/y.png"});
    let text = |text: &str| json!({"type": "input_text", "text": text});
    let pdf = json!({"type": "document", "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}});
    let file =
        json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"});
    for (result, expected) in [
        (json!({}), json!("No content provided")),
        (json!({"content": null}), json!("No content provided")),
        (json!({"content": []}), json!("No content provided")),
        (json!({"content": " as is\n"}), json!(" as is\n")),
        (
            json!({"content": [{"type": "text", "text": "\na"}, {"type": "text", "text": "b\n"}]}),
            json!("a\nb"),
        ),
        (json!({"content": "Error: already", "is_error": true}), json!("Error: already")),
        (json!({"is_error": true}), json!("Error: No content provided")),
        (
            json!({"content": [{"type": "odd_block"}]}),
            json!("[odd_block left out: this provider cannot read it]"),
        ),
        (json!({"content": [{"type": "text", "text": " "}, image]}), json!([sent_image])),
        (json!({"content": [image], "is_error": true}), json!([text("Error:"), sent_image])),
        (json!({"content": [pdf, {"type": "text", "text": "end"}]}), json!([file, text("end")])),
    ] {
        let mut block = json!({"type": "tool_result", "tool_use_id": "a"});
        block.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
        let sent = input(json!([
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f"}]},
            {"role": "user", "content": [block]},
        ]));
        assert_eq!(sent, json!([call("a", "f", "{}"), output("a", expected)]));
    }
}

#[test]
fn every_call_gets_a_result_even_the_last_one() {
    let turn =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]});
    for turns in
        [json!([{"role": "user", "content": "x"}, turn]), json!([turn, {"role": "user", "content": "stop"}])]
    {
        let sent = input(turns);
        check_items(&sent);
        assert!(sent.to_string().contains("Error: no result was provided"), "{sent}");
    }
}

#[test]
fn ids_are_unique_in_the_conversation_and_within_the_limit() {
    let long = "x".repeat(100);
    let turn = |ids: &[&str]| {
        let calls = ids.iter().map(|id| json!({"type": "tool_use", "id": id, "name": "f", "input": {}}));
        json!({"role": "assistant", "content": calls.collect::<Vec<_>>()})
    };
    let results = |ids: &[(&str, &str)]| {
        let results =
            ids.iter().map(|(id, text)| json!({"type": "tool_result", "tool_use_id": id, "content": text}));
        json!({"role": "user", "content": results.collect::<Vec<_>>()})
    };
    let turns = [
        turn(&["call_0", "call_0"]),
        results(&[("call_0", "one"), ("call_0", "two")]),
        turn(&["call_0", &long, "functions.f:1"]),
        results(&[(&long, "four"), ("call_0", "three"), ("functions.f:1", "five")]),
    ];
    let sent = input(json!(turns));
    check_items(&sent);
    let pairs = |sent: &Value, kind: &str, field: &str| -> Vec<String> {
        let items = sent.as_array().unwrap().iter().filter(|item| item["type"] == kind);
        items.map(|item| item[field].as_str().unwrap().to_owned()).collect()
    };
    let ids = pairs(&sent, "function_call", "call_id");
    assert_eq!(pairs(&sent, "function_call_output", "call_id"), ids);
    assert_eq!(pairs(&sent, "function_call_output", "output"), ["one", "two", "three", "four", "five"]);
    assert_eq!((&*ids[0], &*ids[1], &*ids[2], &*ids[4]), ("call_0", "call_0_2", "call_0_3", "functions.f:1"));
    assert!(ids[3].starts_with("vdm0_"), "{ids:?}");
    let earlier = input(json!(turns[..2]));
    assert_eq!(
        pairs(&earlier, "function_call", "call_id"),
        ids[..2],
        "an id stays when the conversation goes on"
    );
}

#[test]
fn an_id_returns_unchanged_to_its_vendor() {
    const OWN: &str = "functions.f:0 \"\u{e9}\"";
    let given = tool_id::portable(OWN, Maker::new("p", "up/m")).into_owned();
    let history = json!([
        {"role": "assistant", "content": [{"type": "tool_use", "id": given, "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": given, "content": "r"}]},
    ]);
    assert_eq!(input(history.clone()), json!([call(OWN, "f", "{}"), output(OWN, json!("r"))]));
    let other = ResponsesUpstream { provider: "other", ..TARGET };
    assert_eq!(to(&other, json!({"messages": history}))["input"][0]["call_id"], given);
}

#[test]
fn images_and_documents_become_parts_of_the_users_message() {
    let sent = input(json!([{"role": "user", "content": [
        {"type": "text", "text": "look"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
        {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}, "title": "T"},
        {"type": "search_result", "source": "https://x", "title": "R", "content": [{"type": "text", "text": "found"}]},
        {"type": "container_upload", "file_id": "f"},
    ]}]));
    assert_eq!(
        sent[0]["content"],
        json!([
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AA=="},
            {"type": "input_image", "detail": "auto", "image_url": "https://x/y.png"},
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
            {"type": "input_file", "file_url": "https://x/a.pdf"},
            {"type": "input_text", "text": "<title>T</title>\nplain"},
            {"type": "input_text", "text": "<title>R</title>\n<source>https://x</source>\nfound"},
            {"type": "input_text", "text": "[container_upload left out: this provider cannot read it]"},
        ])
    );
}

#[test]
fn blocks_of_anthropics_servers_become_text_and_documents_of_the_assistant_the_users() {
    let sent = input(json!([
        {"role": "assistant", "content": [
            {"type": "compaction", "content": "We began."},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "text", "text": "found"},
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        ]},
        {"role": "user", "content": "ok"},
    ]));
    assert_eq!(
        sent,
        json!([
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "[Summary of the conversation so far]\nWe began."},
                {"type": "input_image", "detail": "auto", "image_url": "https://x/y.png"},
            ]},
            said("[Used web_search: {}]\n\n[Result of web_search]\nnothing\n\nfound"),
            user("ok"),
        ])
    );
}

#[test]
fn an_empty_turn_of_the_assistant_is_omitted() {
    let text = |text: &str| json!({"type": "text", "text": text});
    for nothing in [json!(""), json!(" \n"), json!([]), json!([text("")]), json!([text("\n\n"), text("\t")])]
    {
        let sent = input(json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": nothing},
            {"role": "user", "content": "b"}]));
        assert_eq!(sent, json!([user("a"), user("b")]), "{nothing}");
    }
}

/// Requirement: a later model learns whether a message was a comment or the answer; other models do not have the member.
#[test]
fn a_later_model_gets_the_phase_of_each_message() {
    let turns = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "a", "name": "f", "input": {}}, {"type": "text", "text": "So."}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "r"}]},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "more"},
        {"role": "assistant", "content": "One"},
        {"role": "assistant", "content": "I be"},
    ]);
    let phases = |name: &str| -> Vec<Value> {
        let sent = model(name, json!({"messages": turns}));
        let items = sent["input"].as_array().unwrap().iter();
        items.filter(|item| item["role"] == "assistant").map(|item| item["phase"].clone()).collect()
    };
    let known = [json!("commentary"), json!("final_answer"), json!("final_answer"), json!(null), json!(null)];
    for name in ["gpt-5.3-codex", "openai/GPT-6.1-sol"] {
        assert_eq!(phases(name), known, "{name}");
    }
    for name in ["gpt-5.2", "o3", "grok-4.7", "m"] {
        assert!(phases(name).iter().all(Value::is_null), "{name}");
    }
}

fn history() -> impl Strategy<Value = Vec<Value>> {
    let block = prop_oneof![
        (0..4).prop_map(|id| json!({"type": "tool_result", "tool_use_id": format!("c{id}"), "content": "r"})),
        Just(json!({"type": "text", "text": "t"})),
    ];
    let user =
        prop::collection::vec(block, 0..4).prop_map(|blocks| json!({"role": "user", "content": blocks}));
    let thought = (0..3).prop_map(|id| {
        let mut sealed = signature::mint("p", "up/m");
        signature::carry(
            &mut sealed,
            json!({"id": format!("rs_{id}"), "encrypted_content": "e"}).to_string().as_bytes(),
        );
        json!({"type": "thinking", "thinking": "", "signature": sealed})
    });
    let said = prop_oneof![
        3 => (0..4).prop_map(|id| json!({"type": "tool_use", "id": format!("c{id}"), "name": "f", "input": {}})),
        1 => prop_oneof![Just("said"), Just(" ")].prop_map(|text| json!({"type": "text", "text": text})),
        2 => thought,
    ];
    let assistant =
        prop::collection::vec(said, 0..6).prop_map(|blocks| json!({"role": "assistant", "content": blocks}));
    let system = Just(json!({"role": "system", "content": "s"}));
    prop::collection::vec(prop_oneof![3 => user, 3 => assistant, 1 => system], 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Requirement: ids pair, reasoning stands before what it led to, and nothing is lost, whatever the history is.
    #[test]
    fn any_history_becomes_items_that_the_api_accepts(history in history()) {
        let sent = input(json!(history));
        check_items(&sent);
        let count = |text: &str| history.iter().map(|turn| turn.to_string().matches(text).count()).sum::<usize>();
        let sent = sent.to_string();
        // A result is the output of a call, or, without its call, a text.
        let results = sent.matches(r#""output":"r""#).count() + sent.matches("[tool result ").count();
        prop_assert_eq!(results, count("tool_result\""));
        prop_assert_eq!(sent.matches(r#""type":"function_call""#).count(), count("tool_use\""));
        prop_assert_eq!(sent.matches(r#""text":"t""#).count(), count(r#""text":"t""#));
        prop_assert_eq!(sent.matches("said").count(), count("said"));
    }
}
