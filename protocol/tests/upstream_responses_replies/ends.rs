//! How replies end.

use super::*;

fn incomplete(reason: Value, output: Value) -> Value {
    let mut response = response("incomplete", output);
    response["incomplete_details"] = json!({"reason": reason});
    response
}

#[test]
fn an_incomplete_reply_says_why() {
    for (reason, expected) in [
        (json!("max_output_tokens"), "max_tokens"),
        (json!("content_filter"), "refusal"),
        (json!("max_messages"), "max_tokens"),
        (json!(null), "max_tokens"),
    ] {
        let response = incomplete(reason.clone(), json!([said(0, &["x"])]));
        let body: Value = serde_json::from_slice(&whole(plain(), &response).unwrap().body).unwrap();
        assert_eq!(body["stop_reason"], expected, "{reason}");
        let events = [text_delta(0, 0, "x"), json!({"type": "response.incomplete", "response": response})];
        assert_eq!(message(&events)["stop_reason"], expected, "{reason}");
    }
    // The type of the event, or the status alone.
    assert_eq!(
        message(&[text_delta(0, 0, "x"), json!({"type": "response.incomplete"})])["stop_reason"],
        "max_tokens"
    );
    let by_status =
        json!({"type": "response.completed", "response": incomplete(json!("max_output_tokens"), json!([]))});
    assert_eq!(message(&[by_status])["stop_reason"], "max_tokens");
    // A call that was cut is not run.
    let events = [
        added(0, call(0, "f", "")),
        arguments_delta(0, "{\"a\":"),
        json!({"type": "response.incomplete", "response": incomplete(json!("max_output_tokens"), json!([]))}),
    ];
    let cut = message(&events);
    assert_eq!((&cut["stop_reason"], &cut["content"][0]["input"]), (&json!("max_tokens"), &json!("{\"a\":")));
}

#[test]
fn a_refusal_is_text_with_its_own_reason() {
    let refusal = json!({"type": "message", "id": "msg_0", "role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]});
    let delta = |delta: &str| json!({"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": delta});
    for events in [
        vec![
            added(0, said(0, &[])),
            delta("I "),
            delta("cannot."),
            done(0, refusal.clone()),
            completed(json!([refusal])),
        ],
        vec![done(0, refusal.clone()), completed(json!([]))],
        vec![completed(json!([refusal]))],
        vec![
            json!({"type": "response.refusal.done", "output_index": 0, "content_index": 0, "refusal": "I cannot."}),
            completed(json!([])),
        ],
    ] {
        let message = message(&events);
        assert_eq!(message["content"], json!([{"type": "text", "text": "I cannot."}]), "{events:?}");
        assert_eq!(message["stop_reason"], "refusal", "{events:?}");
    }
}

#[test]
fn an_error_is_the_fault_that_it_names() {
    for (code, status, kind) in [
        ("rate_limit_exceeded", 429, ErrorKind::RateLimit),
        ("insufficient_quota", 429, ErrorKind::RateLimit),
        ("usage_not_included", 429, ErrorKind::RateLimit),
        ("server_error", 502, ErrorKind::Api),
        ("server_is_overloaded", 529, ErrorKind::Overloaded),
        ("slow_down", 503, ErrorKind::Api),
        ("invalid_prompt", 400, ErrorKind::InvalidRequest),
        ("context_length_exceeded", 400, ErrorKind::InvalidRequest),
        ("invalid_image_url", 400, ErrorKind::InvalidRequest),
        ("failed_to_download_image", 400, ErrorKind::InvalidRequest),
        ("bio_policy", 400, ErrorKind::InvalidRequest),
        ("data_residency_mismatch", 400, ErrorKind::InvalidRequest),
        ("vector_store_timeout", 504, ErrorKind::Timeout),
        ("something_new", 502, ErrorKind::Api),
    ] {
        let error = json!({"code": code, "message": "Sorry."});
        let mut failed = response("failed", json!([]));
        failed["error"] = error.clone();
        let mut bare = json!({"type": "error", "sequence_number": 1, "param": null});
        bare["code"] = json!(code);
        bare["message"] = json!("Sorry.");
        for event in [
            json!({"type": "response.failed", "response": failed}),
            bare,
            json!({"type": "error", "error": error}),
            json!({"error": error}),
        ] {
            let mut codec = transcoder(plain());
            let mut out = BytesMut::new();
            codec.push_data(created().to_string().as_bytes(), &mut out);
            let step = codec.push_data(event.to_string().as_bytes(), &mut out);
            let CodecStep::Fault(fault) = step else { panic!("{event} led to {step:?}") };
            assert_eq!((fault.status, fault.kind), (status, kind), "{event}");
            assert!(!codec.started() && out.is_empty(), "another upstream can be tried");
        }
        assert_eq!(whole(plain(), &failed).unwrap_err().status, status);
        assert_eq!(whole(plain(), &json!({"error": error})).unwrap_err().status, status);
    }
}

#[test]
fn a_prompt_that_is_too_long_makes_the_client_compact() {
    let error = json!({"code": "context_length_exceeded",
        "message": "Your input exceeds the context window of this model. Please adjust your input and try again."});
    let mut failed = response("failed", json!([]));
    failed["error"] = error;
    let (wire, summary) =
        stream(plain(), &[created(), json!({"type": "response.failed", "response": failed})]);
    let error = grammar::check(&wire).error.unwrap();
    assert!(
        error["message"].as_str().unwrap().to_ascii_lowercase().contains("prompt is too long"),
        "{error}"
    );
    assert_eq!(summary.fault.unwrap().status, 400);
}

/// Complaint of gateway users: a truncated answer looks complete.
#[test]
fn a_stream_without_its_last_event_is_cut() {
    let events = [created(), added(0, said(0, &[])), text_delta(0, 0, "x"), done(0, said(0, &["x"]))];
    for end in 0..=events.len() {
        let (wire, summary) = stream(plain(), &events[..end]);
        assert_eq!(summary.fault, Some(Fault::cut()));
        assert!(grammar::check(&wire).error.is_some());
    }
    let mut codec = transcoder(plain());
    let mut out = BytesMut::new();
    codec.push_data(text_delta(0, 0, "x").to_string().as_bytes(), &mut out);
    codec.push_data(b"[DONE]", &mut out);
    assert_eq!(codec.finish(&mut out).fault, Some(Fault::cut()), "[DONE] says nothing");
}

#[test]
fn a_reply_that_failed_in_the_middle_is_not_complete() {
    let failed = json!({"type": "response.failed", "response": response("failed", json!([]))});
    let (wire, summary) = stream(plain(), &[text_delta(0, 0, "x"), failed]);
    let reply = grammar::check(&wire);
    assert!(reply.error.is_some() && !reply.has_stopped);
    assert_eq!((summary.stop_reason, summary.fault.unwrap().status), (None, 502));
}

#[test]
fn what_is_no_reply_is_a_fault() {
    for (body, status) in [
        (json!({"object": "response", "status": "in_progress", "output": []}), 502),
        (json!({"object": "response", "status": "cancelled", "output": []}), 502),
        (json!({"object": "response"}), 502),
        (json!([]), 502),
        (json!({"error": "no"}), 502),
    ] {
        assert_eq!(whole(plain(), &body).unwrap_err().status, status, "{body}");
    }
    assert!(transcoder(plain()).whole(b"<html>").is_err());
    let step = transcoder(plain()).push_data(b"{\"type\":", &mut BytesMut::new());
    assert!(matches!(step, CodecStep::Fault(_)));
}

#[test]
fn the_gateway_cuts_at_a_stop_sequence() {
    let context = || plain().with_stop_sequences(vec!["</end>".to_owned(), String::new()]);
    let events = [
        added(0, said(0, &[])),
        text_delta(0, 0, "a</e"),
        text_delta(0, 0, "nd>b"),
        text_delta(0, 0, "c"),
        done(0, said(0, &["a</end>bc"])),
        done(1, call(1, "f", "{}")),
        completed(json!([said(0, &["a</end>bc"]), call(1, "f", "{}")])),
    ];
    let (message, summary) = ended(context(), &events);
    assert_eq!(message["content"], json!([{"type": "text", "text": "a"}]));
    assert_eq!(
        (&message["stop_reason"], &message["stop_sequence"]),
        (&json!("stop_sequence"), &json!("</end>"))
    );
    assert_eq!(summary.usage.unwrap().output, 5, "the usage is waited for");
    let cut = ended(context(), &events[..3]).0;
    assert_eq!(cut["stop_reason"], "stop_sequence", "nothing else is");
    let reply =
        whole(context(), &response("completed", json!([said(0, &["a</end>bc"]), call(1, "f", "{}")])))
            .unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap()["content"], message["content"]);
    let failed = json!({"type": "error", "message": "late"});
    assert_eq!(ended(context(), &[text_delta(0, 0, "a</end>"), failed]).0["stop_reason"], "stop_sequence");
}

#[test]
fn a_cost_that_the_upstream_reports_is_known() {
    let mut response = response("completed", json!([said(0, &["x"])]));
    response["usage"]["cost"] = json!(0.0025);
    assert_eq!(whole(plain(), &response).unwrap().summary.reported.cost, Some(2500));
}
