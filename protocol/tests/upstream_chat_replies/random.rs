//! Random replies, checked with the grammar of a Messages stream.

use super::*;

/// A piece of an upstream reply.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Reasoning(String),
    /// A piece of the call with this number.
    Call(usize),
    Usage(u64),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        2 => any::<String>().prop_map(Piece::Text),
        2 => any::<String>().prop_map(Piece::Reasoning),
        5 => (0..4_usize).prop_map(Piece::Call),
        1 => (0..1000_u64).prop_map(Piece::Usage),
    ]
}

/// A call: its name in pieces, its arguments in pieces, and whether it has an id.
#[derive(Clone, Debug)]
struct Call {
    id: Option<String>,
    name: (String, usize),
    arguments: String,
    cuts: Vec<usize>,
}

impl Call {
    /// All deltas of the call: those of the name, then those of the arguments.
    fn deltas(&self, index: usize) -> Vec<Value> {
        let (head, tail) = self.name.0.split_at(self.name.1);
        let mut deltas = vec![json!({"index": index, "id": self.id, "function": {"name": head}})];
        if !tail.is_empty() {
            deltas.push(json!({"index": index, "function": {"name": tail, "arguments": null}}));
        }
        let mut start = 0;
        let mut cuts: Vec<_> = self.cuts.iter().map(|cut| cut % (self.arguments.len() + 1)).collect();
        cuts.push(self.arguments.len());
        cuts.sort_unstable();
        for cut in cuts.into_iter().filter(|&cut| self.arguments.is_char_boundary(cut)) {
            deltas.push(json!({"index": index, "function": {"arguments": self.arguments[start..cut]}}));
            start = cut;
        }
        deltas
    }
}

fn call(number: usize) -> impl Strategy<Value = Call> {
    let arguments = prop_oneof![
        Just(String::new()),
        any::<(String, String)>().prop_map(|(key, value)| json!({key: {"in": [value]}}).to_string()),
        // Anything except a whole object: after one, other calls may begin, and later pieces would have no call.
        // Two braces do not begin an object, but an object that is sent again.
        any::<String>().prop_map(|text| text.replace('}', ")").replace("{{", "((")),
    ];
    (any::<bool>(), 1..9_usize, arguments, prop::collection::vec(any::<usize>(), 0..4)).prop_map(
        move |(has_id, cut, arguments, cuts)| Call {
            id: has_id.then(|| format!("call_{number}")),
            name: (format!("tool_{number}_é"), cut.min(7)),
            arguments,
            cuts,
        },
    )
}

/// An upstream's stream up to its finish, and the expected result for the client.
#[derive(Clone, Debug)]
struct Upstream {
    data: Vec<String>,
    text: String,
    reasoning: String,
    calls: Vec<(String, String)>,
    prompt: Option<u64>,
}

fn upstream() -> impl Strategy<Value = Upstream> {
    let calls = [call(0), call(1), call(2), call(3)];
    (prop::collection::vec(piece(), 0..24), calls).prop_map(|(pieces, calls)| play(&pieces, &calls))
}

fn play(pieces: &[Piece], calls: &[Call]) -> Upstream {
    let mut played = Upstream {
        data: Vec::new(),
        text: String::new(),
        reasoning: String::new(),
        calls: Vec::new(),
        prompt: None,
    };
    let mut queues: Vec<_> = calls.iter().enumerate().map(|(at, call)| call.deltas(at).into_iter()).collect();
    let mut order = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                played.text.push_str(text);
                played.data.push(delta(json!({"content": text})));
            }
            Piece::Reasoning(text) => {
                played.reasoning.push_str(text);
                played.data.push(delta(json!({"reasoning_content": text})));
            }
            Piece::Call(at) => {
                if !order.contains(at) {
                    order.push(*at);
                }
                played.data.extend(queues[*at].next().map(tool));
            }
            Piece::Usage(prompt) => {
                played.prompt = Some(*prompt);
                played.data.push(
                    json!({"choices": [], "usage": {"prompt_tokens": prompt,
                    "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 500}}})
                    .to_string(),
                );
            }
        }
    }
    for at in order {
        played.data.extend(queues[at].by_ref().map(tool));
        let arguments = &calls[at].arguments;
        let arguments = if arguments.is_empty() { "{}".to_owned() } else { arguments.clone() };
        played.calls.push((calls[at].name.0.clone(), arguments));
    }
    played
}

/// A text without its white space, which arrives only inside of blocks.
fn words(text: &str) -> String {
    text.split_whitespace().collect()
}

/// An accumulated input in the form of a whole reply.
fn input(arguments: &str) -> Value {
    let parsed = serde_json::from_str::<Value>(arguments).ok().filter(Value::is_object);
    parsed.unwrap_or_else(|| json!({"raw_arguments": arguments}))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Complaint of gateway users: tool calls arrive with empty input.
    #[test]
    fn everything_arrives_in_a_valid_stream_and_in_a_whole_reply(upstream in upstream()) {
        let mut data = upstream.data.clone();
        data.extend([finish("stop"), done()]);
        let (wire, outcome) = stream(thinking(), &data);
        let reply = grammar::check(&wire);
        prop_assert!(reply.has_stopped);
        prop_assert_eq!(words(&joined(&reply.message, "text")), words(&upstream.text));
        prop_assert_eq!(joined(&reply.message, "thinking"), upstream.reasoning);
        let tools = reply.message["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
        let tools: Vec<_> = tools.map(|block| {
            (block["name"].as_str().unwrap().to_owned(), block["input"].as_str().unwrap().to_owned())
        }).collect();
        prop_assert_eq!(&tools, &upstream.calls);
        prop_assert_eq!(outcome.tool_calls as usize, tools.len());
        let usage = outcome.usage.map(|usage| usage.input + usage.cache_read + usage.cache_creation);
        prop_assert_eq!(usage, upstream.prompt);

        let mut collector = transcoder(thinking()).collector();
        for data in &data {
            collector.push(data.as_bytes());
        }
        let whole = collector.finish().unwrap();
        let mut expected = reply.message;
        for block in expected["content"].as_array_mut().unwrap() {
            if block["type"] == "tool_use" {
                block["input"] = input(block["input"].as_str().unwrap());
            }
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&whole.body).unwrap(), expected);
        prop_assert_eq!(whole.summary, outcome);
    }

    #[test]
    fn a_stream_truncated_after_any_event_ends_with_an_error(upstream in upstream()) {
        for end in 0..=upstream.data.len() {
            let (wire, outcome) = stream(thinking(), &upstream.data[..end]);
            let reply = grammar::check(&wire);
            prop_assert!(reply.error.is_some() && !reply.has_stopped);
            prop_assert!(outcome.fault.is_some() && outcome.stop_reason.is_none());

            let mut machine = transcoder(thinking());
            let mut out = BytesMut::new();
            for data in &upstream.data[..end] {
                machine.push_data(data.as_bytes(), &mut out);
            }
            let fault = Fault { kind: ErrorKind::Timeout, status: 504, message: "too slow".into() };
            machine.fail(fault, &mut out);
            prop_assert_eq!(&grammar::check(&out).error.unwrap()["type"], "timeout_error");
        }
    }

    /// Complaint of gateway users: content block not found.
    #[test]
    fn random_chunks_cause_no_panic_and_no_invalid_stream(chunks in prop::collection::vec(chunk(), 0..12)) {
        let data: Vec<_> = chunks.iter().map(Value::to_string).collect();
        let (wire, _) = stream(thinking(), &data);
        grammar::check(&wire);
        for data in &data {
            let mut out = BytesMut::new();
            if transcoder(thinking()).whole_as_stream(data.as_bytes(), &mut out).is_ok() {
                grammar::check(&out);
                let whole = transcoder(thinking()).whole(data.as_bytes()).unwrap();
                prop_assert!(serde_json::from_slice::<Value>(&whole.body).is_ok());
            }
        }
    }

    #[test]
    fn random_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&bytes, &TARGET);
        let _ = transcoder(thinking()).whole(&bytes);
        let _ = vandamme_protocol::openai::error::read(400, &bytes);
        let mut out = BytesMut::new();
        transcoder(thinking()).push_data(&bytes, &mut out);
    }
}

/// JSON with the keys and words of chunks at any position.
fn chunk() -> impl Strategy<Value = Value> {
    const KEYS: [&str; 17] = [
        "choices",
        "delta",
        "message",
        "content",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "index",
        "id",
        "finish_reason",
        "usage",
        "text",
        "reasoning",
        "refusal",
        "function_call",
        "prompt_tokens",
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        (-2..3).prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        "[a-z{}\"\\\\]{0,4}".prop_map(|value| json!(value)),
        Just(json!("stop")),
    ];
    let any_json = leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| json!(values)),
            prop::collection::btree_map(prop::sample::select(&KEYS[..]), inner, 0..6)
                .prop_map(|map| json!(map)),
        ]
    });
    prop_oneof![
        any_json.clone(),
        any_json.clone().prop_map(|inner| json!({"choices": [inner]})),
        any_json.clone().prop_map(|inner| json!({"choices": [{"delta": inner}]})),
        any_json.clone().prop_map(|inner| json!({"choices": [{"message": {"tool_calls": [inner]}}]})),
        any_json.prop_map(|inner| json!({"choices": [{"delta": {"tool_calls": [inner]}}]})),
    ]
}
