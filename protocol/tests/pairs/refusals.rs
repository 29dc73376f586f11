//! A refusal is one for every client, and never an answer to parse.

use super::*;

const NO: &str = "I can't \u{1f6ab} help.";
const SCHEMA: &str = r#","text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}}"#;

/// What each client must have of a refusal with this text.
fn expected(api: Api) -> Told {
    match api {
        Api::Messages => Told::of(NO, NO, "refusal"),
        Api::Chat => Told::of("", NO, "stop"),
        Api::Responses => Told::of("", NO, "completed"),
    }
}

fn of_chat() -> (Vec<Value>, Value) {
    let pieces: Vec<char> = NO.chars().collect();
    let pieces = pieces.chunks(3).map(|piece| piece.iter().collect::<String>());
    let mut events = vec![chunk(json!({"role": "assistant", "content": "", "refusal": null}), None)];
    events.extend(pieces.map(|piece| chunk(json!({"content": null, "refusal": piece}), None)));
    events.extend([chunk(json!({}), Some("stop")), json!("[DONE]")]);
    let message = json!({"role": "assistant", "content": null, "refusal": NO});
    let whole = json!({"id": "c", "object": "chat.completion", "model": "m", "created": 1,
                       "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    (events, whole)
}

fn of_responses() -> (Vec<Value>, Value) {
    let part = json!({"type": "refusal", "refusal": NO});
    let item = json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                      "content": [part]});
    let response = json!({"id": "r", "object": "response", "status": "completed", "output": [item],
                          "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}});
    let place = |mut event: Value| {
        event["output_index"] = json!(0);
        event["item_id"] = json!("msg_1");
        event["content_index"] = json!(0);
        event
    };
    let events = vec![
        place(json!({"type": "response.output_item.added",
                     "item": {"id": "msg_1", "type": "message", "content": []}})),
        place(json!({"type": "response.content_part.added", "part": {"type": "refusal", "refusal": ""}})),
        place(json!({"type": "response.refusal.delta", "delta": &NO[..5]})),
        place(json!({"type": "response.refusal.delta", "delta": &NO[5..]})),
        place(json!({"type": "response.refusal.done", "refusal": NO})),
        place(json!({"type": "response.content_part.done", "part": part})),
        place(json!({"type": "response.output_item.done", "item": item})),
        json!({"type": "response.completed", "response": response}),
    ];
    (events, response)
}

/// Complaint: a refusal reaches the client as text, so that OpenAI's `.parse()` raises.
#[test]
fn a_refusal_is_one_for_every_client() {
    for (upstream, (events, whole)) in [(Api::Chat, of_chat()), (Api::Responses, of_responses())] {
        for api in APIS {
            let client = Client::plain(api);
            let streamed = client.streamed(upstream, &events);
            assert_eq!(streamed.told(api), expected(api), "{upstream:?} to {api:?}, streamed");
            let body = client.whole(upstream, &whole).unwrap();
            assert_eq!(body.told(api), expected(api), "{upstream:?} to {api:?}, whole");
            assert_eq!(streamed.summary.stop_reason, body.summary.stop_reason);
        }
    }
}

/// A stream reports a refusal by the events of refusals.
#[test]
fn a_responses_client_gets_the_events_of_a_refusal() {
    for (upstream, events) in [(Api::Chat, of_chat().0), (Api::Responses, of_responses().0)] {
        let received = Client::plain(Api::Responses).streamed(upstream, &events);
        let types: Vec<&str> = received.data.iter().filter_map(|data| data["type"].as_str()).collect();
        assert!(types.contains(&"response.refusal.delta") && types.contains(&"response.refusal.done"));
        assert!(!types.iter().any(|kind| kind.starts_with("response.output_text")), "{types:?}");
    }
}

/// Text before a refusal stays text, and the refusal is a part of its own.
#[test]
fn a_refusal_behind_a_text_is_a_part_of_its_own() {
    let events = [
        chunk(json!({"content": "Well. "}), None),
        chunk(json!({"refusal": NO}), None),
        chunk(json!({}), Some("stop")),
        json!("[DONE]"),
    ];
    for (api, end) in [(Api::Chat, "stop"), (Api::Responses, "completed")] {
        let told = Client::plain(api).streamed(Api::Chat, &events).told(api);
        assert_eq!(told, Told::of("Well. ", NO, end));
    }
    let part = |kind: &str, member: &str, text: &str| json!({"type": kind, member: text});
    let whole = json!({"id": "r", "object": "response", "status": "completed", "output": [
        {"type": "message", "id": "m", "role": "assistant", "content": [
            part("output_text", "text", "Well. "), part("refusal", "refusal", NO)]}]});
    for (api, end) in [(Api::Chat, "stop"), (Api::Responses, "completed")] {
        let told = Client::plain(api).whole(Api::Responses, &whole).unwrap().told(api);
        assert_eq!(told, Told::of("Well. ", NO, end));
    }
}

/// Claude's models refuse by the reason of the end, with or without a text and an explanation.
#[test]
fn a_refusal_of_claude_is_one_for_clients_of_openai() {
    let plain = json!({"stop_reason": "refusal"});
    let explained =
        json!({"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "Why."}});
    for (api, end) in [(Api::Chat, "stop"), (Api::Responses, "completed")] {
        for (text, ending, refusal) in [
            ("", &plain, "The model refused to answer and gave no reason."),
            ("So", &plain, "The model refused to answer and gave no reason."),
            ("", &explained, "Why."),
            ("So", &explained, "Why."),
        ] {
            let client = Client::plain(api);
            let streamed = client.streamed(Api::Messages, &messages_stream(text, ending.clone()));
            assert_eq!(streamed.told(api), Told::of(text, refusal, end), "{api:?}");
            let content = if text.is_empty() { json!([]) } else { json!([{"type": "text", "text": text}]) };
            let mut whole =
                json!({"id": "msg_1", "type": "message", "role": "assistant", "content": content});
            for (name, value) in ending.as_object().unwrap() {
                whole[name] = value.clone();
            }
            let whole = client.whole(Api::Messages, &whole).unwrap();
            assert_eq!(whole.told(api), Told::of(text, refusal, end), "{api:?}");
        }
    }
}

/// A client that parses the answer as JSON gets no text that is none.
#[test]
fn a_text_in_place_of_json_is_the_refusal() {
    let client = Client { api: Api::Responses, members: SCHEMA };
    let refusal = json!({"stop_reason": "refusal"});
    let explained = json!({"stop_reason": "refusal", "stop_details": {"explanation": "Why."}});
    for (text, ending, expected) in [
        (NO, &refusal, Told::of("", NO, "completed")),
        (NO, &explained, Told::of("", &format!("{NO}\n\nWhy."), "completed")),
        (" {\"a\":1}", &json!({"stop_reason": "end_turn"}), Told::of(" {\"a\":1}", "", "completed")),
        (NO, &json!({"stop_reason": "end_turn"}), Told::of(NO, "", "completed")),
        (NO, &json!({"stop_reason": "max_tokens"}), Told::of(NO, "", "max_output_tokens")),
    ] {
        let streamed = client.streamed(Api::Messages, &messages_stream(text, ending.clone()));
        assert_eq!(streamed.told(Api::Responses), expected, "{text} {ending}");
    }
}

/// A filter is no refusal of the model. Clients of OpenAI have words for it.
#[test]
fn a_filter_stays_a_filter() {
    let filtered = "The provider's content filter stopped this reply.";
    let events =
        [chunk(json!({"content": "On"}), None), chunk(json!({}), Some("content_filter")), json!("[DONE]")];
    let response = json!({"id": "r", "object": "response", "status": "incomplete",
        "incomplete_details": {"reason": "content_filter"},
        "output": [{"type": "message", "id": "m", "content": [{"type": "output_text", "text": "On"}]}]});
    for (api, refusal, end) in [
        (Api::Messages, filtered, "refusal"),
        (Api::Chat, "", "content_filter"),
        (Api::Responses, "", "content_filter"),
    ] {
        let told = Client::plain(api).streamed(Api::Chat, &events).told(api);
        assert_eq!(told, Told::of("On", refusal, end), "{api:?}");
        let told = Client::plain(api).whole(Api::Responses, &response).unwrap().told(api);
        assert_eq!(told, Told::of("On", refusal, end), "{api:?}");
        let ending =
            json!({"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": filtered}});
        let told = Client::plain(api).streamed(Api::Messages, &messages_stream("On", ending)).told(api);
        assert_eq!(told, Told::of("On", refusal, end), "{api:?} by way of Messages");
    }
}
