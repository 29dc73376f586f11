//! Properties of every request body that is scanned without parsing, compared with a parser.

use bytes::Bytes;
use serde_json::{Map, Value};
use vandamme_protocol::convert::passthrough::{parsed_completion, parsed_message};
use vandamme_protocol::request::{
    RequestHead, RequestScanError, Streaming, UsageAsked, head, is_complete_json, without_own_thinking,
};

type Object = Map<String, Value>;

/// Checks the scan of this body, and its form for an upstream with this name of the model.
pub(crate) fn check(body: &[u8], model: &str) {
    let body = Bytes::copy_from_slice(body);
    if serde_json::from_slice::<Value>(&body).is_ok() {
        assert!(is_complete_json(&body), "what a parser reads is whole");
    }
    if parsed_message(&body).is_some() || parsed_completion(&body).is_some() {
        assert!(is_complete_json(&body), "a reply that was summed up needs no other check of its end");
    }
    let pruned = without_own_thinking(&body);
    assert_eq!(without_own_thinking(&pruned), pruned, "there is nothing to remove twice");
    if let Ok(found) = head(&body) {
        assert!(found.own_thinking || pruned == body, "what is to be removed was seen");
    }
    let parsed: Option<Object> = serde_json::from_slice(&body).ok();
    match (head(&body), parsed) {
        (Ok(head), parsed) => check_edits(&body, &head, (model, parsed)),
        (Err(error), Some(parsed)) => check_refusal(&error, &parsed),
        (Err(_), None) => {}
    }
}

fn check_refusal(error: &RequestScanError, parsed: &Object) {
    match error {
        RequestScanError::NoModel => assert!(!parsed.contains_key("model")),
        RequestScanError::ModelNotAString => assert!(!parsed["model"].is_string()),
        RequestScanError::StreamNotABoolean => assert!(!parsed["stream"].is_boolean()),
        RequestScanError::NotUtf8 { .. }
        | RequestScanError::NotJson { .. }
        | RequestScanError::NotAnObject => {
            panic!("{error}, but a parser reads {parsed:?}")
        }
    }
}

fn check_edits(body: &Bytes, found: &RequestHead<'_>, (model, parsed): (&str, Option<Object>)) {
    let edited = found.with_model(body, model).joined();
    let again = head(&edited).expect("an edited body is a request");
    assert_eq!((&*again.model, again.delivery), (model, found.delivery));
    assert_eq!(
        again.with_model(&edited, "other").joined(),
        found.with_model(body, "other").joined(),
        "only the value changed"
    );
    let (asking, asked) = found.with_model_and_usage(body, model);
    let asking = asking.joined();
    head(&asking).expect("a body that asks for usage is a request");
    let Some(mut expected) = parsed else { return };
    assert_eq!(expected.get("model").and_then(Value::as_str), Some(&*found.model));
    let is_streamed = expected.get("stream") == Some(&Value::Bool(true));
    assert_eq!(found.delivery == Streaming::Yes, is_streamed);
    expected.insert("model".to_owned(), Value::from(model));
    assert_eq!(read(&edited), expected);
    check_usage((&asking, asked), expected);
}

fn check_usage((asking, asked): (&[u8], UsageAsked), mut expected: Object) {
    let mut sent = read(asking);
    if asked == UsageAsked::ByGateway {
        assert_eq!(sent["stream_options"]["include_usage"], true);
        let options = expected.remove("stream_options").unwrap_or_default();
        let mut told = sent.remove("stream_options").expect("just read");
        if let (Some(told), Some(options)) = (told.as_object_mut(), options.as_object()) {
            told.remove("include_usage");
            assert!(
                options.iter().all(|(name, value)| name == "include_usage" || told.get(name) == Some(value))
            );
        }
    }
    assert_eq!(sent, expected, "nothing else changed");
}

fn read(body: &[u8]) -> Object {
    serde_json::from_slice(body).expect("an edited body is still read by a parser")
}
