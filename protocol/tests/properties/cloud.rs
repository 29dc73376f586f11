//! Properties of what clouds change, compared with a parser: frames are read the same wherever they are cut, a body keeps every
//! member that is not the cloud's, and no error or id makes a reader fail.

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};
use vandamme_protocol::cloud::betas::{BetaEndpoint, FittedBetas};
use vandamme_protocol::cloud::eventstream::{EventStreamDecoder, EventStreamEncoder};
use vandamme_protocol::cloud::request::{
    CloudBodyUse, from_cloud, to_bedrock_count, to_cloud, to_vertex_count,
};
use vandamme_protocol::cloud::{CloudForm, error, model_ids, request};
use vandamme_protocol::request::Streaming;

/// The largest frame.
const LARGEST: usize = 1 << 16;

/// Checks bytes as frames, as a body, as an error and as a model.
pub(crate) fn check(bytes: &[u8]) {
    frames(bytes);
    let _faults = (
        error::of_bedrock(400, Some("ValidationException"), bytes),
        error::of_bedrock(403, None, bytes),
        error::of_vertex(403, bytes),
        error::exception(bytes),
        request::invoke_body_of_count(bytes),
    );
    if let Ok(model) = std::str::from_utf8(bytes) {
        ids(model);
    }
    if let Ok(body) = serde_json::from_slice::<Map<String, Value>>(bytes) {
        bodies(bytes, &body);
        round_trip(bytes, &body);
    }
}

fn decoded(pieces: &[&[u8]]) -> (BytesMut, bool) {
    let (mut decoder, mut events) = (EventStreamDecoder::new(LARGEST), BytesMut::new());
    let is_read = pieces.iter().all(|piece| decoder.push(piece, &mut events).is_ok());
    (events, is_read)
}

fn frames(bytes: &[u8]) {
    let whole = decoded(&[bytes]);
    for size in [1, 7, bytes.len() / 2 + 1] {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        assert_eq!(decoded(&pieces), whole, "in pieces of {size}");
    }
}

/// An event passes the encoder and the decoder, if it is one.
fn round_trip(bytes: &[u8], event: &Map<String, Value>) {
    let Some(Value::String(kind)) = event.get("type") else { return };
    if bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n')) || kind.contains(['\r', '\n']) {
        return;
    }
    let (mut encoder, mut frames) = (EventStreamEncoder::default(), BytesMut::new());
    for piece in [b"event: x\ndata: ", bytes, b"\n\n"] {
        encoder.push(piece, &mut frames);
    }
    let (events, is_read) = decoded(&[&frames]);
    assert!(is_read);
    let data = events.windows(7).position(|window| window == b"\ndata: ").map_or(0, |at| at + 7);
    let read: Map<String, Value> = serde_json::from_slice(&events[data..]).expect("the event");
    assert_eq!(read, *event);
}

fn bodies(bytes: &[u8], body: &Map<String, Value>) {
    let bytes = Bytes::copy_from_slice(bytes);
    for form in [CloudForm::Bedrock, CloudForm::Vertex] {
        let made = to_cloud(form, &bytes, &["b"]).joined();
        let mut made: Map<String, Value> = serde_json::from_slice(&made).expect("an object");
        assert!(made.remove("anthropic_version").is_some());
        if form == CloudForm::Bedrock {
            let betas = made.remove("anthropic_beta").expect("a list");
            assert!(betas.as_array().is_some_and(|betas| betas.contains(&"b".into())));
        }
        let mut expected = body.clone();
        let moved = ["model", "stream", "anthropic_version"].into_iter();
        let moved = moved.chain((form == CloudForm::Bedrock).then_some("anthropic_beta"));
        moved.for_each(|name| drop(expected.remove(name)));
        assert_eq!(made, expected, "{form:?}");
    }
    let fitted = FittedBetas::new(BetaEndpoint::InvokeModel, ["fast-mode-2026-02-01", "effort"]).fit(&bytes);
    let fitted: Map<String, Value> = serde_json::from_slice(&fitted).expect("an object");
    let mut expected = body.clone();
    expected.remove("speed");
    assert_eq!(fitted, expected);
    let counted = to_vertex_count(&bytes, "m").joined();
    let counted: Value = serde_json::from_slice(&counted).expect("an object");
    assert_eq!(counted["model"], "m");
    let counted = request::invoke_body_of_count(&to_bedrock_count(&bytes, &[])).expect("our own");
    let counted: Value = serde_json::from_slice(&counted).expect("an object");
    assert!(counted.get("max_tokens").is_some() && counted.get("model").is_none());
    for (purpose, is_counted) in [(CloudBodyUse::Reply(Streaming::Yes), false), (CloudBodyUse::Count, true)] {
        // Betas that are no list of names are refused.
        let Ok(made) = from_cloud(&bytes, Some("m\"é"), purpose) else { continue };
        let made: Map<String, Value> = serde_json::from_slice(&made.body).expect("an object");
        let mut expected = body.clone();
        ["anthropic_version", "anthropic_beta", "stream"]
            .into_iter()
            .for_each(|name| drop(expected.remove(name)));
        expected.insert("model".to_owned(), "m\"é".into());
        if is_counted {
            let members = ["max_tokens", "metadata", "service_tier", "stop_sequences"].into_iter();
            let members = members.chain(["temperature", "top_k", "top_p"]);
            members.for_each(|name| drop(expected.remove(name)));
        } else {
            expected.insert("stream".to_owned(), true.into());
        }
        assert_eq!(made, expected, "{purpose:?}");
    }
    there_and_back(&bytes);
}

/// What a cloud's form does to a request, the other direction undoes.
fn there_and_back(bytes: &Bytes) {
    let there = to_cloud(CloudForm::Bedrock, bytes, &["b"]).joined();
    let reply = CloudBodyUse::Reply(Streaming::No);
    let back = from_cloud(&there, Some("m"), reply).expect("our own");
    assert!(back.betas.split(',').any(|beta| beta == "b"));
    let again = to_cloud(CloudForm::Bedrock, &back.body, &[]).joined();
    let (again, there) = [&again, &there]
        .map(|bytes| {
            let mut members: Map<String, Value> = serde_json::from_slice(bytes).expect("an object");
            ["anthropic_version", "anthropic_beta"].into_iter().for_each(|name| drop(members.remove(name)));
            members
        })
        .into();
    assert_eq!(again, there);
}

fn ids(model: &str) {
    let plain = model_ids::plain(model);
    assert_eq!(model_ids::plain(&model_ids::for_bedrock(&plain, "us")), model_ids::plain(&plain), "{model}");
    let _ids = (model_ids::for_vertex(model), model_ids::for_mantle(model), model_ids::is_of_cloud(model));
}
