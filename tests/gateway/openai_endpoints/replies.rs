//! How replies come back: JSON, audio and other bytes, and streams of events.

use std::time::Duration;

use serde_json::json;

use super::{EMBEDDED, embed, post, trace};
use crate::support::chat::Error;
use crate::support::client::Exchange;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Ending, Piece, Upstream};

const SPOKEN: usize = 100_000;

fn audio() -> Vec<u8> {
    (0..=255).cycle().take(SPOKEN).collect()
}

fn speech() -> Answer {
    Answer::whole(200, "audio/mpeg", audio())
}

fn speak(gateway: &Gateway) -> Exchange {
    let body = json!({"model": "tts-1", "input": "hi", "voice": "alloy"});
    post(gateway, "audio/speech").header("accept", "application/octet-stream").json(&body).send()
}

fn before(answer: Answer) -> (Upstream, Setup) {
    let upstream = Upstream::openai().always(answer);
    let setup = Gateway::before(&upstream).env("MAX_RETRIES", "0");
    (upstream, setup)
}

/// Requirement: binary replies pass byte by byte, with their type and the upstream's id.
#[test]
fn audio_passes_as_it_is() {
    let answer = speech().header("x-request-id", "req_up").header("set-cookie", "c=1");
    let (upstream, setup) = before(answer);
    let gateway = setup.start();
    let reply = speak(&gateway).finish();
    assert_eq!((reply.status(), reply.header("content-type")), (200, Some("audio/mpeg")), "{:?}", reply.head);
    assert!(reply.complete && reply.body == audio());
    assert_eq!(reply.header("x-request-id"), Some("req_up"));

    assert_eq!(reply.header("set-cookie"), None);
    assert_eq!(upstream.only_request().head.header("accept"), Some("application/octet-stream"));
    let trace = trace(&gateway, "speech");
    assert_eq!((&trace["status"], &trace["http_status"]), (&json!("ok"), &json!(200)));
}

/// Requirement: bytes go on as they come; a reply without a length has chunks.
#[test]
fn audio_passes_before_it_is_complete() {
    let pieces =
        vec![Piece::Bytes(b"first bytes".to_vec()), Piece::Permit, Piece::Bytes(b" and last".to_vec())];
    let (upstream, setup) = before(speech().in_pieces(pieces));
    let gateway = setup.start();
    let mut exchange = speak(&gateway);
    assert_eq!(exchange.status(), 200);
    upstream.permit();
    let reply = exchange.finish();
    assert!(reply.complete);
    assert_eq!(reply.raw(), "first bytes and last");
}

/// Requirement: a transcript that is text passes, whatever it begins with.
#[test]
fn text_is_no_json_and_no_events() {
    for text in
        ["data: of the meeting\n\n", "{not JSON", ": x", "1\n00:00:00,000 --> 00:00:01,000\nHi\n", "", " "]
    {
        let (_upstream, setup) = before(Answer::whole(200, "text/plain; charset=utf-8", text));
        let reply = speak(&setup.start()).finish();
        let found = (reply.status(), reply.header("content-type"), reply.raw());
        assert_eq!(found, (200, Some("text/plain; charset=utf-8"), text.to_owned()));
    }
    let (_upstream, setup) = before(Answer::whole(200, "text/html", "<html>portal</html>"));
    let page = speak(&setup.start()).finish();
    assert_eq!(page.status(), 502, "{page}");
}

/// Requirement: a reply that breaks off does not look complete, and is recorded as broken.
#[test]
fn audio_that_breaks_off_is_not_complete() {
    for answer in [
        speech().broken_after(500, Ending::Cut),
        speech().broken_after(500, Ending::Reset),
        speech().in_pieces(vec![Piece::Bytes(audio())]).ending(Ending::Cut),
    ] {
        let (_upstream, setup) = before(answer);
        let gateway = setup.start();
        let reply = speak(&gateway).finish();
        assert!(reply.status() == 200 && !reply.complete, "{:?}", reply.head);
        let trace = trace(&gateway, "speech");
        assert_eq!(trace["status"], "error", "{trace}");
    }
}

/// Requirement: before its first byte a failed call is repeated.
#[test]
fn audio_that_breaks_off_before_its_first_byte_is_asked_for_again() {
    let upstream = Upstream::openai().answering(Answer::hang_up()).answering(speech());
    let gateway = Gateway::before(&upstream).start();
    let reply = speak(&gateway).finish();
    assert!(reply.complete && reply.body == audio());
    assert_eq!(upstream.count(), 2);
}

/// Requirement: the bounds on silence hold.
#[test]
fn audio_that_goes_silent_ends() {
    let (upstream, setup) = before(speech().silent_after(500));
    let gateway = setup.limit("idle-timeout", 1).start();
    let reply = speak(&gateway).finish();
    assert!(!reply.complete && reply.body.len() == 500);
    upstream.closed(0);
    assert!(trace(&gateway, "speech").to_string().contains("silent"));
}

/// Requirement: when a client disconnects, its upstream request is cancelled, before and after the head.
#[test]
fn a_client_that_goes_away_takes_the_upstream_along() {
    for answer in [speech().silent_after(500), Answer::silence()] {
        let (upstream, setup) = before(answer);
        let gateway = setup.start();
        let exchange = speak(&gateway);
        upstream.request(0);
        std::thread::sleep(Duration::from_millis(300));
        exchange.hang_up();
        upstream.closed(0);
    }
}

/// Requirement: an upstream is read no faster than its client reads.
#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    let (upstream, setup) = before(speech().in_pieces(vec![Piece::Flood(vec![7; 64 << 10])]));
    let gateway = setup.start();
    let mut exchange = speak(&gateway);
    assert_eq!(exchange.status(), 200);
    let written = upstream.written_until_it_rests(0);
    assert!(written < 32 << 20, "{written} bytes are somewhere between");
    exchange.hang_up();
    upstream.closed(0);
}

/// Requirement: streams of these endpoints pass as they are; their usage counts.
#[test]
fn events_pass_as_they_are() {
    let events = [
        "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA==\"}\n\n",
        "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"AA==\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}\n\n",
    ];
    let (upstream, setup) = before(Answer::events(events.map(|event| event.as_bytes().to_vec()).into()));
    let gateway = setup.start();
    let body = json!({"model": "openai:gpt-image-1", "prompt": "a cat", "stream": true, "partial_images": 1});
    let reply = post(&gateway, "images/generations").json(&body).reply();
    assert!(reply.is_stream() && reply.complete, "{reply}");
    assert_eq!(reply.raw(), events.concat());
    assert_eq!(upstream.only_request().json()["model"], "gpt-image-1");
    assert_eq!(trace(&gateway, "image-generations")["output_tokens"], 6);
}

#[test]
fn legacy_completions_stream() {
    let chunk = |text: &str, finish: &str| {
        format!(
            "data: {{\"object\":\"text_completion\",\"choices\":[{{\"text\":\"{text}\",\"index\":0,\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let stream = [chunk("Hel", "null"), chunk("lo", "\"stop\""), "data: [DONE]\n\n".to_owned()].concat();
    let (_upstream, setup) = before(Answer::events(vec![stream.clone().into_bytes()]));
    let gateway = setup.start();
    let body = json!({"model": "m", "prompt": "Say", "stream": true});
    let reply = post(&gateway, "completions").json(&body).reply();
    assert_eq!(reply.raw(), stream);
    assert_eq!(trace(&gateway, "completions")["stop_reason"], "end_turn");
    let (_upstream, setup) = before(Answer::events(vec![chunk("Hel", "null").into_bytes()]));
    let cut = post(&setup.start(), "completions").json(&body).reply();
    assert!(cut.raw().ends_with("}}\n\n") && cut.raw().contains("\"error\""), "{cut}");
}

/// Requirement: JSON errors of the upstream pass as they are; other failures have OpenAI's shape.
#[test]
fn errors_have_openais_shape() {
    let error = "{ \"error\": {\"message\":\"bad dimensions\",\"type\":\"invalid_request_error\",\"param\":\"dimensions\",\"code\":null}}";
    let (_upstream, setup) = before(Answer::json(400, error));
    let reply = embed(&setup.start(), "m");
    assert_eq!((reply.status(), reply.raw().as_str()), (400, error));
    let (_upstream, setup) = before(Answer::json(200, "{\"error\":{\"message\":\"busy\",\"code\":429}}"));
    let reply = embed(&setup.start(), "m");
    assert_eq!((reply.status(), Error::of(&reply).kind.as_str()), (429, "rate_limit_error"), "{reply}");
    let (_upstream, setup) = before(Answer::json(200, &EMBEDDED[..40]));
    let reply = embed(&setup.start(), "m");
    assert_eq!((reply.status(), Error::of(&reply).kind.as_str()), (502, "server_error"), "{reply}");
}
