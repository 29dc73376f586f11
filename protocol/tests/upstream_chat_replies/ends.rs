//! Stop reasons, stop sequences, and errors.

use super::*;

/// A reply that the gateway truncates at `</block>`.
fn to_be_cut() -> ChatReplyContext {
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
fn after_a_stop_sequence_only_the_usage_counts() {
    let later = delta(json!({"content": "LATER", "reasoning_content": "LATER", "refusal": "LATER",
        "tool_calls": [{"index": 0, "id": "a", "function": {"name": "LATER", "arguments": "{}"}}]}));
    let data =
        [text_delta("no</block>"), later.clone(), finish("tool_calls"), counts(), "{\"no JSON".to_owned()];
    let mut machine = transcoder(to_be_cut());
    let mut out = BytesMut::new();
    for (at, data) in data[..4].iter().enumerate() {
        let step = machine.push_data(data.as_bytes(), &mut out);
        assert_eq!(step, if at == 3 { CodecStep::End } else { CodecStep::More }, "{data}");
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
    // However the upstream fails there, the reply is complete.
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
fn a_reply_without_usage_is_not_read_forever() {
    for (size, most) in [(1, 4097), (1 << 14, 65)] {
        let mut machine = transcoder(to_be_cut());
        let mut out = BytesMut::new();
        assert_eq!(machine.push_data(text_delta("a</block>").as_bytes(), &mut out), CodecStep::More);
        let before = out.len();
        let later = text_delta(&"x".repeat(size));
        let read =
            (1..=most).find(|_| machine.push_data(later.as_bytes(), &mut out) == CodecStep::End).unwrap();
        assert!(read + 4 > most, "{read}");
        assert_eq!(out.len(), before);
        assert_eq!(machine.finish(&mut out).stop_reason, Some(StopReason::StopSequence));
    }
    // A reply with usage ends at once. Zeros do not count.
    for (count, step) in [(0, CodecStep::More), (5, CodecStep::End)] {
        let mut machine = transcoder(to_be_cut());
        let usage =
            json!({"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": 0}}).to_string();
        machine.push_data(usage.as_bytes(), &mut BytesMut::new());
        assert_eq!(machine.push_data(text_delta("a</block>").as_bytes(), &mut BytesMut::new()), step);
    }
}

proptest! {
    #[test]
    fn a_truncated_reply_has_the_right_usage_at_any_position(
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
        prop_assert_eq!(outcome.usage, Some(Usage { input: 47_000, output: 12, cache_read: 0, cache_creation: 0, ..Usage::default() }));
        prop_assert_eq!(&reply["stop_sequence"], "</block>");
        prop_assert_eq!(&reply["usage"]["output_tokens"], 12);
        let text = reply["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        prop_assert_eq!(text, front);
    }
}

/// Complaint of gateway users: turns end silently or for the wrong reason.
#[test]
fn stop_reasons_follow_the_content() {
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
fn a_stop_sequence_named_by_the_upstream_is_forwarded() {
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
fn a_stream_without_end_or_without_start_is_an_error() {
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
fn errors_inside_a_stream_keep_their_kind_and_write_no_bytes() {
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
        let CodecStep::Fault(fault) = machine.push_data(data.as_bytes(), &mut out) else {
            panic!("{data} is a fault")
        };
        assert_eq!(fault.kind, kind, "{data}");
        assert!(out.is_empty() && !machine.started());
        assert_eq!(machine.finish(&mut out).fault, Some(fault), "finish after a fault is no happy end");
    }
}
