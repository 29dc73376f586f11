//! A reply that is not complete never looks complete.

use super::*;

/// Complaint: a turn that Anthropic has paused looks like the answer.
#[test]
fn a_paused_turn_is_no_answer() {
    let events = messages_stream("So far", json!({"stop_reason": "pause_turn"}));
    for (api, end) in [(Api::Messages, "pause_turn"), (Api::Chat, "length"), (Api::Responses, "pause_turn")] {
        let received = Client::plain(api).streamed(Api::Messages, &events);
        assert_eq!(received.told(api), Told::of("So far", "", end));
    }
    let last = Client::plain(Api::Responses).streamed(Api::Messages, &events).data;
    assert_eq!(last.last().unwrap()["type"], "response.incomplete");
}

/// Complaint: a stream of Chat Completions that has `[DONE]` and no finish reason looks complete.
#[test]
fn an_end_without_a_reason_is_no_complete_answer() {
    let ends = |api: Api| match api {
        Api::Messages => "max_tokens",
        Api::Chat => "length",
        Api::Responses => "max_output_tokens",
    };
    let said = chunk(json!({"content": "So"}), None);
    let events = [said.clone(), json!("[DONE]")];
    for api in APIS {
        let client = Client::plain(api);
        assert_eq!(client.streamed(Api::Chat, &events).told(api), Told::of("So", "", ends(api)));
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
        let counted = [said.clone(), usage, json!("[DONE]")];
        assert_eq!(client.streamed(Api::Chat, &counted).told(api), Told::of("So", "", ends(api)));
        // Neither a terminator nor a reason: the stream broke off.
        assert!(client.streamed(Api::Chat, std::slice::from_ref(&said)).told(api).is_failed, "{api:?}");
        // A whole reply has nothing that could be missing.
        let whole = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "So"}}]});
        let end = client.whole(Api::Chat, &whole).unwrap().told(api).end;
        assert!(["end_turn", "stop", "completed"].contains(&&*end), "{end}");
    }
}

/// A stream of the other APIs that lacks its last event has broken off.
#[test]
fn a_stream_without_its_last_event_has_broken_off() {
    let mut messages = messages_stream("So", json!({"stop_reason": "end_turn"}));
    messages.truncate(messages.len() - 1);
    messages.push(json!("[DONE]"));
    let responses = [
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "m",
               "delta": "So"}),
        json!("[DONE]"),
    ];
    for api in APIS {
        let client = Client::plain(api);
        assert!(client.streamed(Api::Messages, &messages).told(api).is_failed, "{api:?}");
        assert!(client.streamed(Api::Responses, &responses).told(api).is_failed, "{api:?}");
    }
}

/// Complaint: what a Responses upstream made vanishes for clients of other APIs, and nothing says so.
#[test]
fn items_that_a_client_cannot_get_are_reported_beside_the_text() {
    let text = json!({"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Here."}]});
    let item = |kind: &str| json!({"type": kind, "id": "i", "status": "completed"});
    let output = json!([
        item("image_generation_call"),
        item("reasoning"),
        item("brand_new"),
        item("No <word>"),
        item("brand_new"),
        text
    ]);
    let whole = json!({"id": "r", "object": "response", "status": "completed", "output": output});
    for api in [Api::Messages, Api::Chat] {
        let received = Client::plain(api).whole(Api::Responses, &whole).unwrap();
        assert_eq!(received.told(api).text, "Here.");
        let left_out: Vec<&str> = received.summary.reported.left_out.iter().map(AsRef::as_ref).collect();
        assert_eq!(left_out, ["image_generation_call", "brand_new"]);
    }
}
