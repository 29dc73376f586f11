//! Random replies, checked with the grammar of a Messages stream.

use proptest::prelude::*;
use vandamme_protocol::{
    convert::passthrough::{events_as_response, response_as_events},
    sse,
};

use super::*;

/// An item of a reply, with the pieces in which it arrives.
#[derive(Clone, Debug)]
enum Item {
    Message(Vec<String>),
    Reasoning { parts: Vec<String>, encrypted: Option<String> },
    Call(String),
    Custom(String),
    Hosted,
}

fn item() -> impl Strategy<Value = Item> {
    let texts = || prop::collection::vec(any::<String>(), 0..3);
    let arguments = prop_oneof![
        Just(String::new()),
        any::<(String, String)>().prop_map(|(key, value)| json!({key: [value, {"a": {}}]}).to_string()),
        any::<String>().prop_map(|text| text.replace('{', "(")),
    ];
    prop_oneof![
        3 => texts().prop_map(Item::Message),
        2 => (texts(), prop::option::of("[a-zA-Z0-9+/\"]{1,9}"))
            .prop_map(|(parts, encrypted)| Item::Reasoning { parts, encrypted }),
        3 => arguments.prop_map(Item::Call),
        1 => any::<String>().prop_map(Item::Custom),
        1 => Just(Item::Hosted),
    ]
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

impl Item {
    fn whole(&self, index: u64) -> Value {
        match self {
            Self::Message(texts) => said(index, &borrowed(texts)),
            Self::Reasoning { parts, encrypted } => thought(index, &borrowed(parts), encrypted.as_deref()),
            Self::Call(arguments) => call(index, &format!("f_{index}"), arguments),
            Self::Custom(input) => custom_call(index, &format!("c_{index}"), input),
            Self::Hosted => json!({"type": "file_search_call", "id": format!("fs_{index}"), "results": null}),
        }
    }

    /// The item at its beginning.
    fn begun(&self, index: u64) -> Value {
        match self {
            Self::Message(_) => said(index, &[]),
            Self::Reasoning { .. } => thought(index, &[], Some("partial")),
            Self::Call(_) => call(index, &format!("f_{index}"), ""),
            Self::Custom(_) => custom_call(index, &format!("c_{index}"), ""),
            Self::Hosted => self.whole(index),
        }
    }

    /// All its events, with texts in pieces of this many characters; none of them if it is 0.
    fn events(&self, index: u64, size: usize) -> Vec<Value> {
        let mut events = vec![added(index, self.begun(index))];
        let mut part = |text: &str, event: &dyn Fn(&str) -> Value| {
            let letters: Vec<char> = text.chars().collect();
            let pieces =
                if size == 0 { Vec::new() } else { letters.chunks(size).map(String::from_iter).collect() };
            events.extend(pieces.iter().map(|piece: &String| event(piece)));
        };
        match self {
            Self::Message(texts) => {
                for (number, text) in (0..).zip(texts) {
                    part(text, &|piece| text_delta(index, number, piece));
                }
            }
            Self::Reasoning { parts, .. } => {
                for (number, text) in (0..).zip(parts) {
                    part(text, &|piece| summary_delta(index, number, piece));
                }
            }
            Self::Call(arguments) => part(arguments, &|piece| arguments_delta(index, piece)),
            Self::Custom(input) => part(
                input,
                &|piece| json!({"type": "response.custom_tool_call_input.delta", "output_index": index, "item_id": format!("ctc_{index}"), "delta": piece}),
            ),
            Self::Hosted => {}
        }
        events.push(done(index, self.whole(index)));
        events
    }
}

/// Items, the size of their pieces, and the order in which their events arrive.
fn upstream() -> impl Strategy<Value = (Vec<Item>, usize, Vec<prop::sample::Index>)> {
    (
        prop::collection::vec(item(), 0..5),
        0..4_usize,
        prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    )
}

/// All events: the items begin in their order, and go on in any.
fn interleaved(items: &[Item], size: usize, order: &[prop::sample::Index]) -> Vec<Value> {
    let mut queues: Vec<_> =
        (0..).zip(items).map(|(index, item)| item.events(index, size).into_iter().peekable()).collect();
    let mut events = vec![created()];
    let mut begun = 0;
    for choice in order {
        let open = (begun + 1).min(queues.len());
        if open == 0 {
            break;
        }
        let at = choice.index(open);
        events.extend(queues[at].next());
        begun = begun.max(at + 1);
    }
    events.extend(queues.into_iter().flatten());
    events
}

fn listed(items: &[Item]) -> Value {
    (0..).zip(items).map(|(index, item)| item.whole(index)).collect()
}

/// A message with its inputs in the form of a whole reply.
fn as_whole(mut message: Value) -> Value {
    for block in message["content"].as_array_mut().unwrap() {
        if block["type"] == "tool_use" {
            let text = block["input"].as_str().unwrap();
            let parsed = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
            block["input"] = parsed.unwrap_or_else(|| json!({"raw_arguments": text}));
        }
    }
    message
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Complaint of gateway users: tool calls arrive with empty input.
    #[test]
    fn a_stream_in_any_order_equals_its_whole_reply((items, size, order) in upstream(), is_listed in any::<bool>()) {
        let mut events = interleaved(&items, size, &order);
        events.push(completed(if is_listed { listed(&items) } else { json!([]) }));
        for context in [thinking(), plain()] {
            let (wire, summary) = stream(context.clone(), &events);
            let streamed = as_whole(grammar::check(&wire).message);
            let whole = whole(context, &response("completed", listed(&items))).unwrap();
            prop_assert_eq!(&streamed, &serde_json::from_slice::<Value>(&whole.body).unwrap());
            prop_assert_eq!(summary, whole.summary);
        }
    }

    #[test]
    fn a_reply_says_the_same_in_its_other_form((items, size, order) in upstream(), is_listed in any::<bool>()) {
        let body = response("completed", listed(&items)).to_string();
        let expected = whole(thinking(), &response("completed", listed(&items))).unwrap().body;
        let expected: Value = serde_json::from_slice(&expected).unwrap();

        let events = response_as_events(body.as_bytes()).unwrap();
        let events: Vec<Value> = sse::events(&events)
            .filter_map(|event| serde_json::from_slice(&event.data()?).ok())
            .collect();
        let (wire, _) = stream(thinking(), &events);
        prop_assert_eq!(&as_whole(grammar::check(&wire).message), &expected);
        for (number, event) in (0_u64..).zip(&events) {
            prop_assert_eq!(&event["sequence_number"], &json!(number));
        }

        let mut events = interleaved(&items, size, &order);
        events.push(completed(if is_listed { listed(&items) } else { json!([]) }));
        let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let response: Value = serde_json::from_slice(&events_as_response(stream.as_bytes()).unwrap()).unwrap();
        prop_assert_eq!(&response["output"], &listed(&items));
    }

    #[test]
    fn the_final_list_alone_or_less_and_less_of_the_events_is_enough((items, size, order) in upstream(), keep in any::<prop::sample::Index>()) {
        let events = interleaved(&items, size, &order);
        let mut events = events[..keep.index(events.len()) + 1].to_vec();
        events.push(completed(listed(&items)));
        let (wire, summary) = stream(thinking(), &events);
        grammar::check(&wire);
        let calls = items.iter().filter(|item| matches!(item, Item::Call(_) | Item::Custom(_)));
        prop_assert_eq!(summary.tool_calls as usize, calls.count());
    }

    #[test]
    fn a_stream_that_ends_after_any_event_ends_with_an_error((items, size, order) in upstream()) {
        let events = interleaved(&items, size, &order);
        for end in 0..=events.len() {
            let (wire, summary) = stream(thinking(), &events[..end]);
            let reply = grammar::check(&wire);
            prop_assert!(reply.error.is_some() && !reply.has_stopped);
            prop_assert!(summary.fault.is_some() && summary.stop_reason.is_none());
        }
    }

    /// Complaint of gateway users: content block not found.
    #[test]
    fn random_events_cause_no_panic_and_no_invalid_stream(events in prop::collection::vec(event(), 0..14)) {
        for context in [thinking(), plain().with_search(), plain().with_stop_sequences(vec!["a".into()])] {
            let (wire, _) = stream(context.clone(), &events);
            grammar::check(&wire);
            for event in &events {
                let body = event["response"].to_string();
                let mut out = BytesMut::new();
                if transcoder(context.clone()).whole_as_stream(body.as_bytes(), &mut out).is_ok() {
                    grammar::check(&out);
                }
            }
        }
    }

    #[test]
    fn random_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = transcoder(thinking()).whole(&bytes);
        transcoder(thinking()).push_data(&bytes, &mut BytesMut::new());
    }
}

/// Events whose members are missing, of another type, or of another event.
fn event() -> impl Strategy<Value = Value> {
    const TYPES: [&str; 16] = [
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.refusal.delta",
        "response.output_text.annotation.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.completed",
        "response.incomplete",
        "error",
    ];
    let index = || prop_oneof![(0..3).prop_map(|at| json!(at)), Just(json!(null)), Just(json!("x"))];
    let text = || prop_oneof![4 => "[a-c{}\" \n]{0,5}".prop_map(|text| json!(text)), 1 => Just(json!({"a": 1})), 1 => Just(json!(null))];
    let kind = prop::sample::select(
        &[
            "message",
            "reasoning",
            "function_call",
            "custom_tool_call",
            "web_search_call",
            "search_results",
            "x",
        ][..],
    );
    let id = prop::sample::select(&["", "a", "b"][..]);
    let item = (kind, id, text(), text()).prop_map(|(kind, id, first, second)| {
        json!({"type": kind, "id": id, "call_id": second, "name": first, "arguments": second, "input": first,
            "content": [{"type": "output_text", "text": first, "annotations": [{"url": "https://a", "start_index": 0, "end_index": 2}]}],
            "summary": [{"text": second}], "encrypted_content": second, "results": [{"url": "https://b"}],
            "action": {"type": "search", "sources": [{"url": "https://c"}]}})
    });
    let id = prop::sample::select(&["", "a", "b"][..]);
    (prop::sample::select(&TYPES[..]), item.clone(), prop::collection::vec(item, 0..3), [index(), index(), index()], [text(), text()], id)
        .prop_map(|(kind, item, output, [output_index, content_index, summary_index], [delta, text], id)| {
            json!({"type": kind, "item": item, "output_index": output_index, "content_index": content_index,
                "summary_index": summary_index, "delta": delta, "text": text, "arguments": text, "input": text, "item_id": id,
                "annotation": {"url": "https://d", "start_index": 1, "end_index": 3},
                "response": {"status": "completed", "output": output}})
        })
}
