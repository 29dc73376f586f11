//! Random replies against the grammar of a Chat Completions stream.

use super::*;

/// One content block of an upstream's reply, its text cut into pieces.
#[derive(Clone, Debug)]
enum Piece {
    Text(Vec<String>),
    Thinking(String),
    Call(Vec<String>),
    Ping,
}

fn piece() -> impl Strategy<Value = Piece> {
    let json = any::<(String, String)>().prop_map(|(key, value)| json!({key: {"in": [value]}}).to_string());
    let arguments = prop_oneof![Just(String::new()), json, any::<String>()];
    let cut = (arguments, any::<prop::sample::Index>()).prop_map(|(arguments, at)| {
        let letters: Vec<char> = arguments.chars().collect();
        let (front, back) = letters.split_at(if letters.is_empty() { 0 } else { at.index(letters.len()) });
        vec![front.iter().collect::<String>(), back.iter().collect()]
    });
    prop_oneof![
        prop::collection::vec(any::<String>(), 0..4).prop_map(Piece::Text),
        any::<String>().prop_map(Piece::Thinking),
        cut.prop_map(Piece::Call),
        Just(Piece::Ping),
    ]
}

/// An upstream's stream, and what must arrive at the client.
#[derive(Clone, Debug)]
struct Upstream {
    data: Vec<String>,
    /// The same as one message, whose inputs are objects.
    message: Option<Value>,
    text: String,
    reasoning: String,
    calls: Vec<[String; 3]>,
}

fn upstream() -> impl Strategy<Value = Upstream> {
    prop::collection::vec(piece(), 0..8).prop_map(|pieces| play(&pieces))
}

fn play(pieces: &[Piece]) -> Upstream {
    let mut blocks = Vec::new();
    let mut content = Some(Vec::new());
    let (mut text_sum, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    for (at, piece) in (0_i64..).zip(pieces) {
        let block = match piece {
            Piece::Text(parts) => {
                text_sum.push_str(&parts.concat());
                blocks.push(text(at, &parts.iter().map(String::as_str).collect::<Vec<_>>()));
                Some(json!({"type": "text", "text": parts.concat()}))
            }
            Piece::Thinking(thought) => {
                reasoning.push_str(thought);
                blocks.push(thinking(at, thought));
                Some(json!({"type": "thinking", "thinking": thought}))
            }
            Piece::Call(parts) => {
                let (id, arguments) = (format!("toolu_{at}"), parts.concat());
                blocks.push(tool(at, [&id, "f"], &parts.iter().map(String::as_str).collect::<Vec<_>>()));
                let shown = if arguments.is_empty() { "{}".to_owned() } else { arguments };
                let input = serde_json::from_str::<Value>(&shown).ok().filter(Value::is_object);
                // A whole reply says its input as JSON, spelled like this here.
                let spelled = input.as_ref().map(Value::to_string);
                let input = input.filter(|_| spelled.as_ref() == Some(&shown));
                calls.push([id.clone(), "f".to_owned(), shown]);
                input.map(|input| json!({"type": "tool_use", "id": id, "name": "f", "input": input}))
            }
            Piece::Ping => {
                blocks.push(vec![json!({"type": "ping"}).to_string()]);
                continue;
            }
        };
        content = content.zip(block).map(|(mut content, block)| {
            content.push(block);
            content
        });
    }
    let stop_reason = if calls.is_empty() { "end_turn" } else { "tool_use" };
    let usage = json!({"input_tokens": 11, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7,
                       "output_tokens": 9});
    let message = content.map(
        |content| json!({"type": "message", "content": content, "stop_reason": stop_reason, "usage": usage}),
    );
    Upstream { data: reply(&blocks, stop_reason), message, text: text_sum, reasoning, calls }
}

/// The stream's wire, whatever slices its own wire comes in.
fn through(context: MessagesReplyContext, slices: &[&[u8]]) -> (Vec<u8>, ReplySummary) {
    let mut splitter = Splitter::new(1 << 20);
    let mut data = Vec::new();
    for slice in slices {
        splitter.push(slice);
        let block = splitter.complete().unwrap_or_default();
        data.extend(sse::events(&block).filter_map(|event| event.data()).map(|data| text_of(&data)));
    }
    stream(context, &data)
}

fn text_of(data: &[u8]) -> String {
    String::from_utf8(data.to_vec()).unwrap()
}

fn wire(data: &[String]) -> Vec<u8> {
    let events = data.iter().map(|data| {
        let name = serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().to_owned();
        format!("event: {name}\ndata: {data}\n\n")
    });
    events.collect::<String>().into_bytes()
}

#[test]
fn cut_at_every_byte_it_is_the_same_and_broken_off_at_every_byte_it_never_looks_complete() {
    let blocks = [thinking(0, "é"), text(1, &["ü\u{1F600}"]), tool(2, ["a", "f"], &["{\"x\":", "1}"])];
    let bytes = wire(&reply(&blocks, "tool_use"));
    let (expected, outcome) = through(curious(), &[&bytes]);
    assert_eq!(outcome.fault, None);
    for at in 0..bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(through(curious(), &[front, back]).0, expected, "cut at {at}");
        let (broken, outcome) = through(curious(), &[front]);
        let reply = grammar::check(&broken);
        assert!(reply.error.is_some() && reply.finish_reason.is_none(), "broken off at {at}");
        assert!(outcome.fault.is_some() && outcome.stop_reason.is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Complaint of gateway users: tool calls arrive with empty input.
    #[test]
    fn everything_arrives_in_a_valid_stream_and_whole_alike(upstream in upstream()) {
        let (wire, outcome) = stream(curious(), &upstream.data);
        let reply = grammar::check(&wire);
        prop_assert_eq!(&reply.text, &upstream.text);
        prop_assert_eq!(&reply.reasoning, &upstream.reasoning);
        prop_assert_eq!(&reply.calls, &upstream.calls);
        prop_assert_eq!(outcome.tool_calls as usize, upstream.calls.len());
        prop_assert_eq!(&reply.usage.as_ref().unwrap()["prompt_tokens"], &json!(21));

        let mut collector = transcoder(curious()).collector();
        for data in &upstream.data {
            collector.push(data.as_bytes());
        }
        let collected = collector.finish().unwrap();
        let completion: Value = serde_json::from_slice(&collected.body).unwrap();
        let choice = &completion["choices"][0];
        prop_assert_eq!(choice["message"]["content"].as_str().unwrap_or_default(), upstream.text.as_str());
        prop_assert_eq!(choice["message"]["reasoning_content"].as_str().unwrap_or_default(), upstream.reasoning);
        let calls = choice["message"]["tool_calls"].as_array().into_iter().flatten();
        let calls: Vec<_> = calls.map(|call| {
            [&call["id"], &call["function"]["name"], &call["function"]["arguments"]]
                .map(|word| word.as_str().unwrap().to_owned())
        }).collect();
        prop_assert_eq!(&calls, &upstream.calls);
        prop_assert_eq!(choice["finish_reason"].as_str(), reply.finish_reason.as_deref());
        prop_assert_eq!(&completion["usage"], &reply.usage.unwrap());
        prop_assert_eq!(&collected.summary, &outcome);

        if let Some(message) = upstream.message {
            let message = message.to_string();
            let whole = transcoder(curious()).whole(message.as_bytes()).unwrap();
            prop_assert_eq!(&whole, &collected, "a whole upstream reply comes to the same");
            let mut out = BytesMut::new();
            prop_assert_eq!(transcoder(curious()).whole_as_stream(message.as_bytes(), &mut out).unwrap(), outcome);
            let reply = grammar::check(&out);
            prop_assert_eq!(reply.text, upstream.text);
            prop_assert_eq!(reply.calls, upstream.calls);
        }
    }

    #[test]
    fn broken_off_after_any_event_it_ends_with_an_error(upstream in upstream()) {
        for end in 0..upstream.data.len() {
            let (wire, outcome) = stream(curious(), &upstream.data[..end]);
            let reply = grammar::check(&wire);
            prop_assert!(reply.error.is_some() && reply.finish_reason.is_none());
            prop_assert!(outcome.fault.is_some() && outcome.stop_reason.is_none());

            let mut machine = transcoder(curious());
            let mut out = BytesMut::new();
            for data in &upstream.data[..end] {
                machine.push_data(data.as_bytes(), &mut out);
            }
            let fault = Fault { kind: ErrorKind::Timeout, status: 504, message: "too slow".into() };
            machine.fail(fault, &mut out);
            prop_assert_eq!(&grammar::check(&out).error.unwrap()["code"], "timeout");
        }
    }

    #[test]
    fn random_events_neither_panic_nor_break_the_framing(events in prop::collection::vec(event(), 0..12)) {
        let data: Vec<_> = events.iter().map(Value::to_string).collect();
        let (wire, _) = stream(curious(), &data);
        grammar::data(&wire);
        for data in &data {
            let mut out = BytesMut::new();
            if transcoder(curious()).whole_as_stream(data.as_bytes(), &mut out).is_ok() {
                grammar::data(&out);
                let whole = transcoder(curious()).whole(data.as_bytes()).unwrap();
                prop_assert!(serde_json::from_slice::<Value>(&whole.body).is_ok());
            }
        }
    }

    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&bytes, &TARGET);
        let _ = transcoder(curious()).whole(&bytes);
        let mut out = BytesMut::new();
        transcoder(curious()).push_data(&bytes, &mut out);
    }
}

/// JSON whose keys and words are those of events, in any place.
fn event() -> impl Strategy<Value = Value> {
    const KEYS: [&str; 16] = [
        "type",
        "index",
        "message",
        "content",
        "content_block",
        "delta",
        "text",
        "thinking",
        "partial_json",
        "id",
        "name",
        "input",
        "stop_reason",
        "usage",
        "input_tokens",
        "error",
    ];
    const WORDS: [&str; 10] = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "text",
        "tool_use",
        "thinking",
        "end_turn",
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        (-2..3).prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        "[a-z{}\"\\\\]{0,4}".prop_map(|value| json!(value)),
        prop::sample::select(&WORDS[..]).prop_map(|value| json!(value)),
    ];
    let any_json = leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| json!(values)),
            prop::collection::btree_map(prop::sample::select(&KEYS[..]), inner, 0..6)
                .prop_map(|map| json!(map)),
        ]
    });
    let typed = |key: &'static str| {
        (prop::sample::select(&WORDS[..]), any_json.clone())
            .prop_map(move |(kind, inner)| json!({"type": kind, key: inner}))
    };
    prop_oneof![any_json.clone(), typed("message"), typed("content_block"), typed("delta"), typed("content")]
}
