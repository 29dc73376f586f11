//! Stop reasons and errors.

use super::*;

#[test]
fn stop_reasons_become_finish_reasons() {
    let (said, called) = (text(0, &["x"]), tool(0, ["a", "f"], &["{}"]));
    for (block, stop_reason, expected, reason) in [
        (&said, "end_turn", "stop", StopReason::EndTurn),
        (&said, "stop_sequence", "stop", StopReason::StopSequence),
        (&said, "pause_turn", "length", StopReason::PauseTurn),
        (&said, "max_tokens", "length", StopReason::MaxTokens),
        (&said, "model_context_window_exceeded", "length", StopReason::ModelContextWindowExceeded),
        (&said, "refusal", "stop", StopReason::Refusal),
        (&said, "from_the_future", "stop", StopReason::EndTurn),
        (&called, "tool_use", "tool_calls", StopReason::ToolUse),
        (&called, "end_turn", "tool_calls", StopReason::ToolUse),
        (&called, "max_tokens", "length", StopReason::MaxTokens),
        (&called, "refusal", "content_filter", StopReason::Refusal),
    ] {
        let data = reply(std::slice::from_ref(block), stop_reason);
        let (wire, outcome) = stream(curious(), &data);
        let client = grammar::check(&wire);
        assert_eq!(client.finish_reason.as_deref(), Some(expected), "{stop_reason}");
        // A refusal without an explanation is none for OpenAI's libraries, and calls of a refused reply must not run.
        let refuses = stop_reason == "refusal" && expected == "stop";
        assert_eq!(!client.refusal.is_empty(), refuses, "{stop_reason}");
        assert_eq!(outcome.stop_reason, Some(reason));
    }
}

#[test]
fn pings_and_the_end_of_another_api_are_ignored() {
    let mut data = reply(&[text(0, &["x"])], "end_turn");
    for at in [0, 2, 4] {
        data.insert(at, json!({"type": "ping"}).to_string());
        data.insert(at, "[DONE]".to_owned());
        data.insert(at, " ".to_owned());
        data.insert(at, "[]".to_owned());
    }
    assert_eq!(complete(&data).text, "x");
    let mut machine = transcoder(curious());
    let mut out = BytesMut::new();
    assert_eq!(machine.push_data(br#"{"type": "ping"}"#, &mut out), CodecStep::More);
    assert!(out.is_empty() && !machine.started() && !machine.finishing());
}

#[test]
fn errors_inside_a_stream_keep_their_kind_and_write_no_bytes() {
    for (data, kind, status) in [
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
            ErrorKind::Overloaded,
            529,
        ),
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#,
            ErrorKind::RateLimit,
            429,
        ),
        (r#"{"type":"error","error":{"type":"api_error","message":"broken"}}"#, ErrorKind::Api, 502),
        (r#"{"type":"error","error":{"type":"teapot","message":"short"}}"#, ErrorKind::Api, 502),
        (r#"{"error":{"message":"slow","code":429}}"#, ErrorKind::RateLimit, 429),
        (r#"{"type":"error"}"#, ErrorKind::Api, 502),
        ("{nonsense", ErrorKind::Api, 502),
        ("\u{fffd}", ErrorKind::Api, 502),
    ] {
        let mut machine = transcoder(curious());
        let mut out = BytesMut::new();
        let CodecStep::Fault(fault) = machine.push_data(data.as_bytes(), &mut out) else {
            panic!("{data} is a fault")
        };
        assert_eq!((fault.kind, fault.status), (kind, status), "{data}");
        assert!(out.is_empty() && !machine.started());
        assert_eq!(machine.finish(&mut out).fault, Some(fault), "finish after a fault is no happy end");
    }
}

#[test]
fn a_stream_without_its_last_event_is_a_fault() {
    let data = reply(&[text(0, &["x"])], "end_turn");
    for end in 0..data.len() {
        let (wire, outcome) = stream(curious(), &data[..end]);
        let reply = grammar::check(&wire);
        assert_eq!((&reply.error.unwrap()["type"], reply.finish_reason), (&json!("server_error"), None));
        assert_eq!(outcome.fault.unwrap().status, 502);
    }
    let (wire, _) = stream(curious(), &[r#"{"type":"message_stop"}"#.to_owned()]);
    assert!(grammar::check(&wire).error.is_some(), "an end without a beginning");
}
