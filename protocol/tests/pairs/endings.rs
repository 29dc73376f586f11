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
