//! The bridge as its callers use it: random upstream replies against the grammar of Anthropic's stream.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

#[path = "grammar/stream.rs"]
mod grammar;

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::{
        ReplyCodec as _, ReplySummary, Step, Transcoder,
        client::messages::MessagesEncoder,
        upstream::chat::{ChatDecoder, Dialect, PLAIN, Replay, ReplyContext, Target, request},
    },
    fault::Fault,
    vocabulary::{ErrorKind, StopReason, Usage},
};

const SEED: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
const TARGET: Target<'_> =
    Target { provider: "p", model: "up/m", requested_model: "p:m", dialect: &PLAIN, session: None };

type ToMessages = Transcoder<ChatDecoder, MessagesEncoder>;

fn transcoder(context: ReplyContext) -> ToMessages {
    Transcoder::new(ChatDecoder::new(context, SEED), MessagesEncoder::new())
}

fn context(request_fields: Value) -> ReplyContext {
    let mut body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(request_fields.as_object().unwrap().clone());
    request(body.to_string().as_bytes(), &TARGET).unwrap().reply
}

fn thinking() -> ReplyContext {
    context(json!({"thinking": {"type": "adaptive"}}))
}

/// Pushes all data and finishes.
fn stream(context: ReplyContext, data: &[String]) -> (Vec<u8>, ReplySummary) {
    let mut machine = transcoder(context);
    let mut out = BytesMut::new();
    for data in data {
        match machine.push_data(data.as_bytes(), &mut out) {
            Step::More => {}
            Step::End => break,
            Step::Fault(fault) => {
                let outcome = machine.fail(fault, &mut out);
                return (out.to_vec(), outcome);
            }
        }
    }
    let outcome = machine.finish(&mut out);
    (out.to_vec(), outcome)
}

fn delta(delta: Value) -> String {
    json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]})
        .to_string()
}

fn finish(reason: &str) -> String {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}).to_string()
}

fn done() -> String {
    "[DONE]".to_owned()
}

/// The message of a stream that must be complete.
fn message(data: &[String]) -> Value {
    let (wire, outcome) = stream(thinking(), data);
    assert_eq!(outcome.fault, None);
    grammar::check(&wire).message
}

fn tool(fragment: Value) -> String {
    delta(json!({"tool_calls": [fragment]}))
}

#[test]
fn text_goes_out_as_it_came() {
    let data = [
        delta(json!({"role": "assistant", "content": ""})),
        r#"{"choices":[{"index":0,"delta":{"content":"h\u00e9 \"x\"\n"}}]}"#.to_owned(),
        delta(json!({"content": "ü\u{1F600}\u{0}"})),
        finish("stop"),
        json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 4}}})
        .to_string(),
        done(),
    ];
    let (wire, outcome) = stream(thinking(), &data);
    let reply = grammar::check(&wire);
    assert_eq!(reply.message["content"], json!([{"type": "text", "text": "hé \"x\"\nü\u{1F600}\u{0}"}]));
    assert_eq!(reply.message["model"], "p:m");
    let usage = Usage { input: 6, output: 3, cache_read: 4, cache_creation: 0 };
    assert_eq!(
        outcome,
        ReplySummary {
            stop_reason: Some(StopReason::EndTurn),
            usage: Some(usage),
            tool_calls: 0,
            fault: None
        }
    );
    assert_eq!(reply.message["usage"]["cache_read_input_tokens"], 4);
    assert!(
        String::from_utf8(wire).unwrap().contains(r#""text":"h\u00e9 \"x\"\n""#),
        "the literal is not rewritten"
    );
}

#[test]
fn usage_is_read_wherever_the_vendor_puts_it() {
    let counts = json!({"prompt_tokens": 7, "completion_tokens": 2});
    for finish in [
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": counts}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": counts}], "usage": null}),
    ] {
        let message = message(&[delta(json!({"content": "x"})), finish.to_string(), done()]);
        assert_eq!(
            (&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]),
            (&json!(7), &json!(2))
        );
    }
}

#[test]
fn reasoning_is_a_signed_block_if_thinking_was_asked_for_and_nothing_else() {
    let data = [
        delta(json!({"reasoning_content": "let me"})),
        delta(json!({"reasoning": " see"})),
        delta(json!({"reasoning_details": [{"type": "reasoning.text", "text": "!"}]})),
        delta(json!({"content": "42"})),
        finish("stop"),
        done(),
    ];
    let content = message(&data)["content"].clone();
    assert_eq!(
        content[0],
        json!({"type": "thinking", "thinking": "let me see!", "signature": "vdm1.p~up%2Fm"})
    );
    assert_eq!(content[1], json!({"type": "text", "text": "42"}));
    for fields in [json!({}), json!({"thinking": {"type": "disabled"}})] {
        let (wire, _) = stream(context(fields), &data);
        assert_eq!(grammar::check(&wire).message["content"], json!([{"type": "text", "text": "42"}]));
    }
}

#[test]
fn interleaved_calls_leave_one_after_the_other() {
    let data = [
        tool(json!({"index": 0, "id": "a", "type": "function", "function": {"name": "get_"}})),
        tool(json!({"index": 0, "function": {"name": "weather", "arguments": ""}})),
        tool(json!({"index": 0, "function": {"arguments": "{\"x\":"}})),
        tool(json!({"index": 1, "id": "b", "function": {"name": "time", "arguments": "{"}})),
        delta(json!({"content": "meanwhile"})),
        tool(json!({"index": 0, "function": {"arguments": "1}"}})),
        tool(json!({"index": 1, "function": {"arguments": "}"}})),
        finish("stop"),
        done(),
    ];
    let message = message(&data);
    assert_eq!(
        message["content"],
        json!([
            {"type": "tool_use", "id": "a", "name": "get_weather", "input": "{\"x\":1}"},
            {"type": "text", "text": "meanwhile"},
            {"type": "tool_use", "id": "b", "name": "time", "input": "{}"},
        ])
    );
    assert_eq!(message["stop_reason"], "tool_use");
}

#[test]
fn calls_that_share_an_index_or_lack_one_stay_apart() {
    let inputs = |data: &[String]| -> Vec<Value> {
        let content = message(data)["content"].clone();
        content.as_array().unwrap().iter().map(|block| json!([block["name"], block["input"]])).collect()
    };
    let expected = [json!(["f", "{\"a\":1}"]), json!(["g", "{}"])];
    let first = json!({"id": "a", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    let second = json!({"id": "b", "function": {"name": "g", "arguments": "{}"}});
    let with = |value: &Value, field: &str, new: Value| {
        let mut value = value.clone();
        value[field] = new;
        value
    };
    for (field, new) in [
        ("index", json!(0)),
        ("index", json!(null)),
        ("index", json!(-1)),
        ("index", json!(0.5)),
        ("id", json!(null)),
        ("id", json!("")),
    ] {
        let data = [
            tool(with(&first, field, new.clone())),
            tool(with(&second, field, new)),
            finish("tool_calls"),
            done(),
        ];
        assert_eq!(inputs(&data), expected, "{field}");
    }
}

#[test]
fn a_hundred_calls_with_long_arguments_arrive_in_order() {
    let long = json!({"text": "é\u{1}\"{[".repeat(20_000)}).to_string();
    let call = |at: usize| json!({"index": at, "id": format!("c{at}"), "function": {"name": "f", "arguments": long}});
    let mut data: Vec<_> = (0..100).map(|at| tool(call(at))).collect();
    data.extend([finish("tool_calls"), done()]);
    let message = message(&data);
    let content = message["content"].as_array().unwrap();
    assert_eq!(content.len(), 100);
    for (at, block) in content.iter().enumerate() {
        assert_eq!((&block["id"], &block["input"]), (&json!(format!("c{at}")), &json!(long)));
    }
}

#[test]
fn one_call_stays_one_whatever_its_vendor_repeats() {
    let pieces = ["{\"a\":", "\"b\"", "}"];
    let repeats: [fn(usize) -> Value; 4] = [
        |_| json!({"index": 0, "id": "a", "function": {"name": "f"}}),
        |at| json!({"index": 0, "id": format!("fresh{at}"), "function": {"name": if at == 0 { "f" } else { "" }}}),
        |at| json!({"id": format!("fresh{at}"), "function": {"name": if at == 0 { json!("f") } else { json!(null) }}}),
        |at| if at == 0 { json!({"id": "a", "function": {"name": "f"}}) } else { json!({"function": {}}) },
    ];
    for repeat in repeats {
        let mut data = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let mut fragment = repeat(at);
            fragment["function"]["arguments"] = json!(piece);
            data.push(tool(fragment));
        }
        let mut again = repeat(0);
        again["id"] = json!(null);
        again["function"]["arguments"] = json!("");
        data.extend([tool(again), finish("tool_calls"), done()]);
        let content = message(&data)["content"].clone();
        assert_eq!(content.as_array().unwrap().len(), 1, "{content}");
        assert_eq!((&content[0]["name"], &content[0]["input"]), (&json!("f"), &json!("{\"a\":\"b\"}")));
    }
}

/// The arguments of every call, as they went out.
fn all_inputs(data: &[String]) -> Vec<String> {
    let message = message(data);
    let blocks = message["content"].as_array().unwrap();
    blocks.iter().map(|block| block["input"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn parallel_calls_that_begin_the_same_and_are_as_long_all_go_out() {
    let path = |name: &str| json!({"file_path": format!("/{}/{name}.rs", "work/".repeat(20))}).to_string();
    let inputs_wanted = ["a", "b", "c"].map(path);
    for shape in [json!({}), json!({"id": ""}), json!({"index": 0}), json!({"index": 0, "id": ""})] {
        let calls = inputs_wanted.each_ref().map(|arguments| {
            let mut call = shape.clone();
            call["function"] = json!({"name": "Read", "arguments": arguments});
            call
        });
        // Some repeat one whole.
        let repeated = [&calls[0], &calls[0], &calls[1], &calls[2], &calls[2]];
        for mut data in [
            calls.iter().cloned().map(tool).collect(),
            vec![delta(json!({"tool_calls": calls}))],
            repeated.into_iter().cloned().map(tool).collect::<Vec<_>>(),
        ] {
            data.extend([finish("tool_calls"), done()]);
            assert_eq!(all_inputs(&data), inputs_wanted, "{shape}");
            let mut collector = transcoder(thinking()).collector();
            data.iter().for_each(|data| drop(collector.push(data.as_bytes())));
            let whole: Value = serde_json::from_slice(&collector.finish().unwrap().body).unwrap();
            assert_eq!(whole["content"].as_array().unwrap().len(), 3, "{shape}");
        }
    }
    // The same twice is two where that is said.
    for (first, second) in
        [(json!({"id": "x"}), json!({"id": "y"})), (json!({"index": 0}), json!({"index": 1}))]
    {
        let call = |mut call: Value| {
            call["function"] = json!({"name": "Read", "arguments": inputs_wanted[0]});
            tool(call)
        };
        let data = [call(first), call(second), finish("tool_calls"), done()];
        assert_eq!(all_inputs(&data), [&*inputs_wanted[0]; 2]);
    }
}

/// A reply that is to be cut at `</block>`.
fn to_be_cut() -> ReplyContext {
    let mut context = context(json!({"stop_sequences": ["</block>"]}));
    context.cut_at_stop_sequences();
    context
}

fn counts() -> String {
    json!({"choices": [], "usage": {"prompt_tokens": 47_000, "completion_tokens": 12}}).to_string()
}

fn text_delta(text: &str) -> String {
    delta(json!({"content": text}))
}

#[test]
fn behind_a_cut_only_the_usage_counts() {
    let later = delta(json!({"content": "LATER", "reasoning_content": "LATER", "refusal": "LATER",
        "tool_calls": [{"index": 0, "id": "a", "function": {"name": "LATER", "arguments": "{}"}}]}));
    let data =
        [text_delta("no</block>"), later.clone(), finish("tool_calls"), counts(), "{\"no JSON".to_owned()];
    let mut machine = transcoder(to_be_cut());
    let mut out = BytesMut::new();
    for (at, data) in data[..4].iter().enumerate() {
        let step = machine.push_data(data.as_bytes(), &mut out);
        assert_eq!(step, if at == 3 { Step::End } else { Step::More }, "{data}");
        assert!(machine.finishing());
    }
    machine.finish(&mut out);
    let reply = grammar::check(&out).message;
    assert_eq!(reply["content"], json!([{"type": "text", "text": "no"}]));
    assert_eq!(
        (&reply["stop_reason"], &reply["stop_sequence"]),
        (&json!("stop_sequence"), &json!("</block>"))
    );
    assert_eq!(reply["usage"]["input_tokens"], 47_000);
    // However the upstream breaks there, the reply is complete.
    let error = json!({"error": {"message": "m", "code": 500}}).to_string();
    for broken in [&data[4], &error] {
        let (wire, outcome) = stream(to_be_cut(), &[data[0].clone(), broken.clone()]);
        assert_eq!((outcome.fault, outcome.stop_reason), (None, Some(StopReason::StopSequence)), "{broken}");
        grammar::check(&wire);
    }
    let mut machine = transcoder(to_be_cut());
    machine.push_data(data[0].as_bytes(), &mut out);
    assert_eq!(machine.fail(Fault::cut(), &mut out).fault, None);
}

#[test]
fn an_upstream_that_never_tells_its_usage_is_not_read_forever() {
    for (size, most) in [(1, 4097), (1 << 14, 65)] {
        let mut machine = transcoder(to_be_cut());
        let mut out = BytesMut::new();
        assert_eq!(machine.push_data(text_delta("a</block>").as_bytes(), &mut out), Step::More);
        let before = out.len();
        let later = text_delta(&"x".repeat(size));
        let read = (1..=most).find(|_| machine.push_data(later.as_bytes(), &mut out) == Step::End).unwrap();
        assert!(read + 4 > most, "{read}");
        assert_eq!(out.len(), before);
        assert_eq!(machine.finish(&mut out).stop_reason, Some(StopReason::StopSequence));
    }
    // One that has told it is left at once; zeros tell nothing.
    for (count, step) in [(0, Step::More), (5, Step::End)] {
        let mut machine = transcoder(to_be_cut());
        let usage =
            json!({"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": 0}}).to_string();
        machine.push_data(usage.as_bytes(), &mut BytesMut::new());
        assert_eq!(machine.push_data(text_delta("a</block>").as_bytes(), &mut BytesMut::new()), step);
    }
}

proptest! {
    #[test]
    fn wherever_a_reply_is_cut_its_usage_is_right(
        front in "[a-z<é]{0,12}", behind in "[a-z</>é]{0,20}", early in any::<bool>(),
        cuts in proptest::collection::vec(0..60_usize, 0..8),
    ) {
        prop_assume!(!front.contains("</block>"));
        let text = format!("{front}</block>{behind}");
        let mut ends: Vec<usize> = cuts.into_iter().filter(|&at| text.is_char_boundary(at)).collect();
        ends.extend([0, text.len()]);
        ends.sort_unstable();
        let mut data: Vec<String> = ends.windows(2).map(|ends| text_delta(&text[ends[0]..ends[1]])).collect();
        data.push(finish("length"));
        data.insert(if early { 0 } else { data.len() }, counts());
        data.push(done());
        let (wire, outcome) = stream(to_be_cut(), &data);
        let reply = grammar::check(&wire).message;
        prop_assert_eq!(outcome.usage, Some(Usage { input: 47_000, output: 12, cache_read: 0, cache_creation: 0 }));
        prop_assert_eq!(&reply["stop_sequence"], "</block>");
        prop_assert_eq!(&reply["usage"]["output_tokens"], 12);
        let text = reply["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        prop_assert_eq!(text, front);
    }
}

#[test]
fn odd_tool_deltas_do_no_harm() {
    let data = [
        delta(json!({"tool_calls": [null, 3, {"index": 0, "function": "x"}, {"index": 0}]})),
        tool(json!({"index": 0, "function": {"arguments": "{\"a\""}})),
        tool(json!({"index": 0, "function": {"name": "f", "arguments": null}})),
        tool(json!({"index": 0, "id": "late", "function": {"name": "f", "arguments": ":2}"}})),
        tool(json!({"index": 1, "id": "late", "function": {"name": "obj", "arguments": {"k": ["v\n"]}}})),
        tool(json!({"index": 2, "id": "c", "function": {"name": "none"}})),
        finish("tool_calls"),
        finish("length"),
        done(),
    ];
    let message = message(&data);
    let content = message["content"].as_array().unwrap();
    let inputs: Vec<_> = content.iter().map(|block| block["input"].as_str().unwrap()).collect();
    assert_eq!(inputs, ["{\"a\":2}", "{\"k\":[\"v\\n\"]}", "{}"]);
    assert!(content[0]["id"] != content[1]["id"] && content[1]["id"].as_str().unwrap().len() > 5);
    assert_eq!(message["stop_reason"], "max_tokens", "the later finish_reason wins");
}

#[test]
fn stop_reasons_follow_what_was_sent() {
    let text = delta(json!({"content": "x"}));
    let call = tool(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}));
    for (first, reason, expected) in [
        (&text, "stop", "end_turn"),
        (&text, "tool_calls", "end_turn"),
        (&text, "length", "max_tokens"),
        (&text, "content_filter", "refusal"),
        (&text, "whatever", "end_turn"),
        (&call, "stop", "tool_use"),
        (&call, "STOP", "tool_use"),
        (&call, "length", "max_tokens"),
        (&delta(json!({"function_call": {"name": "f", "arguments": "{}"}})), "function_call", "tool_use"),
        (&delta(json!({"refusal": "no"})), "stop", "refusal"),
    ] {
        let message = message(&[first.clone(), finish(reason), done()]);
        assert_eq!(message["stop_reason"], expected, "{reason}");
    }
}

#[test]
fn a_stop_sequence_that_the_upstream_names_is_passed_on() {
    let data =
        [json!({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop", "stop_reason": "EN\u{44}"}]})
            .to_string()];
    let (wire, outcome) = stream(context(json!({"stop_sequences": ["END"]})), &data);
    assert_eq!(grammar::check(&wire).message["stop_sequence"], "END");
    assert_eq!(outcome.stop_reason, Some(StopReason::StopSequence));
    let (wire, _) = stream(context(json!({})), &data);
    assert_eq!(grammar::check(&wire).message["stop_reason"], "end_turn", "nobody asked for that sequence");
}

#[test]
fn an_upstream_that_never_finishes_is_an_error_and_one_that_never_starts_too() {
    for data in [
        vec![],
        vec![done()],
        vec![delta(json!({"content": "x"}))],
        vec!["{\"choices\":[]}".to_owned(), done()],
    ] {
        let (wire, outcome) = stream(thinking(), &data);
        let reply = grammar::check(&wire);
        assert!(reply.error.is_some() && !reply.has_stopped);
        assert_eq!(outcome.fault.unwrap().status, 502);
    }
    let message = message(&[delta(json!({"role": "assistant"})), done()]);
    assert_eq!(message["content"], json!([{"type": "text", "text": ""}]));
}

#[test]
fn errors_inside_a_stream_keep_their_kind_and_write_nothing_by_themselves() {
    for (data, kind) in [
        (r#"{"error":{"message":"slow down","code":429}}"#, ErrorKind::RateLimit),
        (r#"{"error":{"message":"busy","type":"overloaded_error"}}"#, ErrorKind::Overloaded),
        (r#"{"code":500,"msg":"broken"}"#, ErrorKind::Api),
        (r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#, ErrorKind::Api),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
            ErrorKind::Overloaded,
        ),
        (r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#, ErrorKind::InvalidRequest),
        ("{nonsense", ErrorKind::Api),
        ("\u{fffd}", ErrorKind::Api),
    ] {
        let mut machine = transcoder(thinking());
        let mut out = BytesMut::new();
        let Step::Fault(fault) = machine.push_data(data.as_bytes(), &mut out) else {
            panic!("{data} is a fault")
        };
        assert_eq!(fault.kind, kind, "{data}");
        assert!(out.is_empty() && !machine.started());
        assert_eq!(machine.finish(&mut out).fault, Some(fault), "finish after a fault is no happy end");
    }
}

#[test]
fn a_whole_reply_is_one_message() {
    let upstream = json!({"id": "c", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "thinking", "text": "x"}, {"type": "text", "text": "b"}],
        "reasoning_content": "r", "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{\"a\": [1,\n2]}"}},
            {"id": "y", "function": {"name": "f", "arguments": ""}},
            {"function": {"name": "f", "arguments": "{\"cut"}}]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    .to_string();
    let whole = transcoder(thinking()).whole(upstream.as_bytes()).unwrap();
    let message: Value = serde_json::from_slice(&whole.body).unwrap();
    let made_up = message["content"][4]["id"].as_str().unwrap().to_owned();
    assert!(made_up.strip_prefix("toolu_").is_some_and(|hex| hex.len() == 24));
    assert_eq!(
        message,
        json!({"id": "msg_89abcdef0123456789abcdef", "type": "message", "role": "assistant", "model": "p:m",
            "content": [
                {"type": "thinking", "thinking": "r", "signature": "vdm1.p~up%2Fm"},
                {"type": "text", "text": "ab"},
                {"type": "tool_use", "id": "x", "name": "f", "input": {"a": [1, 2]}},
                {"type": "tool_use", "id": "y", "name": "f", "input": {}},
                {"type": "tool_use", "id": made_up, "name": "f", "input": {"raw_arguments": "{\"cut"}}],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0}})
    );
    assert_eq!(whole.summary.tool_calls, 3);
}

#[test]
fn the_choices_of_one_answer_are_one_message_and_other_answers_are_ignored() {
    let call = json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}});
    let choice = |index: u8, said: &str, text: Value, calls: Value, reason: Value| json!({"index": index, said: {"content": text, "tool_calls": calls}, "finish_reason": reason});
    let told = |choices: &[Value]| -> (String, usize) {
        let choices = |said: &str| -> Vec<Value> {
            let renamed = choices.iter().map(|choice| choice.to_string().replace("said", said));
            renamed.map(|choice| serde_json::from_str(&choice).unwrap()).collect()
        };
        let body = json!({"choices": choices("message")}).to_string();
        let reply: Value =
            serde_json::from_slice(&transcoder(thinking()).whole(body.as_bytes()).unwrap().body).unwrap();
        let split = choices("delta")
            .iter()
            .map(|choice| json!({"choices": [choice]}).to_string())
            .collect::<Vec<_>>();
        for data in
            [vec![json!({"choices": choices("delta")}).to_string(), done()], [split, vec![done()]].concat()]
        {
            let streamed = message(&data);
            assert_eq!(joined(&streamed, "text"), joined(&reply, "text"), "{data:?}");
            assert_eq!(streamed["stop_reason"], reply["stop_reason"], "{data:?}");
        }
        let calls = reply["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
        (joined(&reply, "text"), calls.count())
    };
    let nothing = || json!(null);
    let calls = || json!([call]);
    let (stop, called) = (|| json!("stop"), || json!("tool_calls"));
    let expect = |choices: &[Value], text: &str, calls: usize| {
        assert_eq!(told(choices), (text.to_owned(), calls), "{choices:?}");
    };
    let first = || choice(0, "said", json!("a"), nothing(), called());
    expect(&[first(), choice(1, "said", nothing(), calls(), called())], "a", 1);
    expect(&[first(), choice(1, "said", json!("b"), nothing(), called())], "ab", 0);
    expect(
        &[
            first(),
            choice(1, "said", nothing(), calls(), called()),
            choice(2, "said", nothing(), calls(), called()),
        ],
        "a",
        2,
    );
    expect(
        &[
            choice(0, "said", nothing(), calls(), called()),
            choice(1, "said", json!("b"), nothing(), called()),
        ],
        "b",
        1,
    );
    expect(
        &[choice(1, "said", json!("b"), nothing(), stop()), choice(0, "said", json!("a"), nothing(), stop())],
        "a",
        0,
    );
    expect(
        &[choice(0, "said", json!("a"), nothing(), stop()), choice(1, "said", nothing(), calls(), stop())],
        "a",
        1,
    );
}

#[test]
fn bad_whole_replies_are_faults() {
    for (upstream, status) in [
        ("", 502),
        ("<html>", 502),
        ("[]", 502),
        ("{}", 502),
        (r#"{"choices":[]}"#, 502),
        (r#"{"choices":[{"message":null}],"msg":"ok"}"#, 502),
        (r#"{"error":{"message":"slow","code":429}}"#, 429),
        (r#"{"code":503,"msg":"busy"}"#, 503),
    ] {
        let fault: Fault = transcoder(thinking()).whole(upstream.as_bytes()).unwrap_err();
        assert_eq!(fault.status, status, "{upstream}");
        let mut out = BytesMut::new();
        assert!(
            transcoder(thinking()).whole_as_stream(upstream.as_bytes(), &mut out).is_err() && out.is_empty()
        );
    }
}

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
    /// All its deltas: those of the name, then those of the arguments.
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
        // Anything, except what reads like a whole object: after one, other calls may begin, and what a vendor adds to it
        // later has no place to go. Two braces are no beginning of an object, but of one that is sent again.
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

/// An upstream's stream up to its finish, and what must arrive at the client.
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

/// What all blocks of a kind hold, joined.
fn joined(message: &Value, kind: &str) -> String {
    let blocks = message["content"].as_array().unwrap().iter().filter(|block| block["type"] == kind);
    blocks.map(|block| block[kind].as_str().unwrap()).collect()
}

/// A text without its white space, of which only that inside of blocks arrives.
fn words(text: &str) -> String {
    text.split_whitespace().collect()
}

/// An accumulated input as a whole reply shows it.
fn input(arguments: &str) -> Value {
    let parsed = serde_json::from_str::<Value>(arguments).ok().filter(Value::is_object);
    parsed.unwrap_or_else(|| json!({"raw_arguments": arguments}))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_in_a_valid_stream_and_whole_alike(upstream in upstream()) {
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
    fn broken_off_after_any_event_it_ends_with_an_error(upstream in upstream()) {
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

    #[test]
    fn random_chunks_neither_panic_nor_break_the_grammar(chunks in prop::collection::vec(chunk(), 0..12)) {
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
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&bytes, &TARGET);
        let _ = transcoder(thinking()).whole(&bytes);
        let _ = vandamme_protocol::openai::error::read(400, &bytes);
        let mut out = BytesMut::new();
        transcoder(thinking()).push_data(&bytes, &mut out);
    }
}

/// JSON whose keys and words are those of chunks, in any place.
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

/// The reply to a request with these fields through an upstream of these ways.
fn reply(fields: &Value, dialect: &Dialect, chunks: &[Value]) -> Vec<Value> {
    reply_of(fields, &Target { dialect, ..TARGET }, chunks)
}

fn reply_of(fields: &Value, target: &Target<'_>, chunks: &[Value]) -> Vec<Value> {
    let mut body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": true});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let context = request(body.to_string().as_bytes(), target).unwrap().reply;
    let mut collector = transcoder(context).collector();
    for chunk in chunks {
        assert_eq!(collector.push(json!({"choices": [chunk]}).to_string().as_bytes()), Step::More);
    }
    let whole: Value = serde_json::from_slice(&collector.finish().unwrap().body).unwrap();
    whole["content"].as_array().unwrap().clone()
}

#[test]
fn thinking_between_tags_is_thinking_where_the_upstream_is_known_for_it() {
    let chunks = [
        json!({"delta": {"content": "<thi"}}),
        json!({"delta": {"content": "nk>Hm.</th"}}),
        json!({"delta": {"content": "ink>\n\nYes."}, "finish_reason": "stop"}),
    ];
    let tagged = Dialect { think_tags: true, ..Dialect::default() };
    let asked = json!({"thinking": {"type": "adaptive"}});
    let told = reply(&asked, &tagged, &chunks);
    assert_eq!((&told[0]["thinking"], &told[1]["text"]), (&json!("Hm."), &json!("Yes.")));
    assert_eq!(reply(&json!({}), &tagged, &chunks), [json!({"type": "text", "text": "Yes."})]);
    assert_eq!(reply(&asked, &PLAIN, &chunks)[0]["text"], "<think>Hm.</think>\n\nYes.");
    let open = [json!({"delta": {"content": "<thi"}, "finish_reason": "stop"})];
    assert_eq!(reply(&asked, &tagged, &open), [json!({"type": "text", "text": "<thi"})]);
}

#[test]
fn geminis_thoughts_are_thinking_in_its_own_tags() {
    let chunks = [
        json!({"delta": {"content": "<thought>Hm", "extra_content": {"google": {"thought": true}}}}),
        json!({"delta": {"content": ".</thought>Yes."}, "finish_reason": "stop"}),
    ];
    let asked = json!({"thinking": {"type": "adaptive"}});
    let gemini = Target { model: "google/Gemini-3-flash", ..TARGET };
    let told = reply_of(&asked, &gemini, &chunks);
    assert_eq!((&told[0]["thinking"], &told[1]["text"]), (&json!("Hm."), &json!("Yes.")));
    assert_eq!(reply_of(&json!({}), &gemini, &chunks), [json!({"type": "text", "text": "Yes."})]);
    assert_eq!(reply(&asked, &PLAIN, &chunks)[0]["text"], "<thought>Hm.</thought>Yes.");
}

/// What goes back to the upstream of a reply, and what the client has of it.
fn there_and_back(target: &Target<'_>, chunks: &[Value]) -> (Value, Vec<Value>) {
    let asked = json!({"thinking": {"type": "enabled", "budget_tokens": 5000}});
    let content = reply_of(&asked, target, chunks);
    let body = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": content}, {"role": "user", "content": "more"}]});
    let sent: Value =
        serde_json::from_slice(&request(body.to_string().as_bytes(), target).unwrap().body).unwrap();
    (sent["messages"][1].clone(), content)
}

#[test]
fn encrypted_reasoning_comes_back_though_nobody_can_read_it() {
    let details = Dialect { replay: Replay::Details, ..Dialect::default() };
    let target = Target { dialect: &details, ..TARGET };
    let secret =
        json!({"type": "reasoning.encrypted", "data": "x", "id": "rs_1", "format": "openai-responses-v1"});
    let call =
        json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    for chunks in [
        vec![
            json!({"delta": {"reasoning_details": [secret]}}),
            json!({"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}),
        ],
        vec![
            json!({"delta": {"reasoning_details": [secret], "tool_calls": [call]}, "finish_reason": "tool_calls"}),
        ],
        // What comes behind the thought has one to travel in, too.
        vec![
            json!({"delta": {"content": "Working."}}),
            json!({"delta": {"reasoning_details": [secret]}}),
            json!({"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}),
        ],
    ] {
        let (message, content) = there_and_back(&target, &chunks);
        assert_eq!(message["reasoning_details"], json!([secret]), "{content:?}");
        assert_eq!(message["tool_calls"][0]["id"], "c");
        let carriers: Vec<_> = content.iter().filter(|block| block["type"] == "thinking").collect();
        assert_eq!((carriers.len(), &carriers[0]["thinking"]), (1, &json!("")));
        // Nothing of it for a client that does not think.
        let kinds = reply(&json!({}), &details, &chunks);
        assert!(kinds.iter().all(|block| block["type"] != "thinking"), "{kinds:?}");
    }
}

#[test]
fn geminis_signatures_come_back_though_openrouter_sends_them_behind_the_calls() {
    let details = Dialect { replay: Replay::Details, ..Dialect::default() };
    let target = Target { model: "google/gemini-3-pro", dialect: &details, ..TARGET };
    let call = |index: u32, id: &str| {
        json!({"delta": {"tool_calls": [
        {"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]}})
    };
    let secret = json!({"type": "reasoning.encrypted", "data": "SIG", "id": "c0", "format": "google-gemini-v1", "index": 0});
    let chunks = [
        json!({"delta": {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}]}}),
        call(0, "c0"),
        call(1, "c1"),
        json!({"delta": {"reasoning_details": [secret]}, "finish_reason": "tool_calls"}),
    ];
    let (message, content) = there_and_back(&target, &chunks);
    let sent = message["reasoning_details"].as_array().unwrap();
    assert_eq!((sent.len(), sent.last()), (2, Some(&secret)), "{content:?}");
    let kinds: Vec<_> = content.iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["thinking", "tool_use", "tool_use"]);
    assert_eq!(content[2]["input"], json!({"a": 1}));
}

#[test]
fn a_shortened_tool_name_is_the_clients_own_again() {
    let long = format!("mcp__server__{}", "x".repeat(70));
    let tools = json!({"tools": [{"name": long, "input_schema": {"type": "object"}}]});
    let mut body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(tools.as_object().unwrap().clone());
    let sent: Value =
        serde_json::from_slice(&request(body.to_string().as_bytes(), &TARGET).unwrap().body).unwrap();
    let name = sent["tools"][0]["function"]["name"].as_str().unwrap();
    let call = json!({"delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": name, "arguments": "{}"}}]},
        "finish_reason": "tool_calls"});
    assert_eq!(reply(&tools, &PLAIN, &[call])[0]["name"], json!(long));
}

#[test]
fn reasoning_details_come_back_as_they_were() {
    let details = Dialect { replay: Replay::Details, ..Dialect::default() };
    let asked = json!({"thinking": {"type": "enabled", "budget_tokens": 5000}});
    let chunks = [
        json!({"delta": {"reasoning": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}]}}),
        json!({"delta": {"reasoning": ".", "reasoning_details": [{"type": "reasoning.text", "text": ".", "index": 0, "signature": "sig"}]}}),
        json!({"delta": {"content": "Yes."}, "finish_reason": "stop"}),
    ];
    let content = reply(&asked, &details, &chunks);
    assert_eq!(content[0]["thinking"], "Hm.");
    let body = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": content}, {"role": "user", "content": "more"}]});
    let sent = |target: &Target<'_>| -> Value {
        serde_json::from_slice(&request(body.to_string().as_bytes(), target).unwrap().body).unwrap()
    };
    let turn = &sent(&Target { dialect: &details, ..TARGET })["messages"][1];
    assert_eq!(
        turn["reasoning_details"],
        json!([{"type": "reasoning.text", "text": "Hm.", "index": 0, "signature": "sig"}])
    );
    assert!(turn["reasoning_content"].is_null());
    assert_eq!(sent(&TARGET)["messages"][1]["reasoning_content"], "Hm.");
    let elsewhere = &sent(&Target { provider: "q", dialect: &details, ..TARGET })["messages"][1];
    assert_eq!(elsewhere, &json!({"role": "assistant", "content": "Yes."}));
    let nothing = Dialect { replay: Replay::Nothing, ..Dialect::default() };
    assert_eq!(&sent(&Target { dialect: &nothing, ..TARGET })["messages"][1], elsewhere);
}
