//! Replies that are compressed although the request has `identity`: decoded within the limits, checked to their end, or
//! a clear error. `protocol/tests/content_coding.rs` splits them at every byte; these tests use whole requests.

use serde_json::{Value, json};

use super::floods::bounded;
use super::{WAYS, Way, impatient};
use crate::support::canned::anthropic;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Ending, Piece, Upstream};

type Encode = fn(&[&[u8]]) -> Vec<u8>;

/// The names of codings that servers send, and the codings themselves.
const CODINGS: [(&str, Encode); 6] = [
    ("gzip", gzip),
    ("X-GZIP", gzip),
    ("deflate", zlib),
    ("deflate", bare_deflate),
    ("br", brotli),
    ("zstd", zstd),
];

fn gzip(pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    flushed(&mut encoder, pieces);
    encoder.finish().expect("memory")
}

fn zlib(pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    flushed(&mut encoder, pieces);
    encoder.finish().expect("memory")
}

fn bare_deflate(pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    flushed(&mut encoder, pieces);
    encoder.finish().expect("memory")
}

fn brotli(pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    flushed(&mut encoder, pieces);
    encoder.into_inner()
}

fn zstd(pieces: &[&[u8]]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(&pieces.concat()[..], ruzstd::encoding::CompressionLevel::Fastest)
}

/// Encoded like a server that streams: each piece can be decoded when it has arrived.
fn flushed(encoder: &mut impl std::io::Write, pieces: &[&[u8]]) {
    for piece in pieces {
        encoder.write_all(piece).and_then(|()| encoder.flush()).expect("memory");
    }
}

/// In chunks, so that only the coding marks the end of the body.
fn in_chunks(answer: Answer, bytes: &[u8], coding: &str) -> Answer {
    let pieces = bytes.chunks(50).map(|piece| Piece::Bytes(piece.to_vec())).collect();
    answer.in_pieces(pieces).header("content-encoding", coding)
}

fn events(way: Way, (coding, encode): (&str, Encode)) -> (Vec<u8>, Answer) {
    let events = way.events(&["Hé", "llo\u{1F600}"]);
    let bytes = encode(&events.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let answer = in_chunks(Answer::events(vec![]), &bytes, coding);
    (bytes, answer)
}

fn whole(way: Way, (coding, encode): (&str, Encode)) -> (Vec<u8>, Answer) {
    // As a number of a stream's events, 9.0 would violate their grammar.
    let bytes = encode(&[way.whole("Héllo\u{1F600}").replace("9.0", "9").as_bytes()]);
    let answer = in_chunks(Answer::events(vec![]).typed("application/json"), &bytes, coding);
    (bytes, answer)
}

#[test]
fn a_compressed_reply_is_decoded() {
    for way in WAYS {
        let upstream = way.upstream();
        let gateway = impatient(&upstream).start();
        for coding in CODINGS {
            // Replies in both forms for both clients. Those in the other form are converted.
            let forms = [
                (events(way, coding).1, Way::streamed as fn(Way, &Gateway) -> _),
                (events(way, coding).1, Way::asked_whole),
                (whole(way, coding).1, Way::streamed),
                (whole(way, coding).1, Way::asked_whole),
            ];
            for (answer, ask) in forms {
                upstream.then(answer);
                let reply = ask(way, &gateway);
                assert_eq!(way.text(&reply), "Héllo\u{1F600}", "{way:?}, {coding:?}");
                assert_eq!(reply.header("content-encoding"), None, "{reply}");
            }
            upstream.then(events(way, coding).1);
            if way.is_passthrough() {
                let reply = way.streamed(&gateway);
                assert_eq!(reply.body, way.events(&["Hé", "llo\u{1F600}"]).concat(), "{way:?}, {coding:?}");
            } else {
                way.streamed(&gateway);
            }
        }
    }
}

#[test]
fn an_event_of_a_compressed_stream_is_delivered_once_the_upstream_has_flushed_it() {
    for way in WAYS {
        // Bytes that zstd has flushed are only known to be valid at the end of their frame.
        for (coding, encode) in CODINGS.into_iter().filter(|(coding, _)| *coding != "zstd") {
            let begun = way.begun("first");
            let all = encode(&[&begun.concat(), &way.events(&["first"])[begun.len()..].concat()]);
            let front = encode(&[&begun.concat()]);
            let same = all.iter().zip(&front).take_while(|(all, front)| all == front).count();
            let (front, back) = all.split_at(same);
            let pieces = vec![Piece::Bytes(front.to_vec()), Piece::Permit, Piece::Bytes(back.to_vec())];
            let answer = Answer::pieces(pieces).header("content-encoding", coding);
            let upstream = way.upstream().always(answer);
            let gateway = impatient(&upstream).start();
            let mut exchange = way.call(&gateway).open();
            while !exchange.event().expect("the first word").raw.contains("first") {}
            upstream.permit();
            assert_eq!(way.text(&exchange.finish()), "first", "{way:?}, {coding}");
        }
    }
}

#[test]
fn a_truncated_compressed_reply_never_looks_complete() {
    for way in WAYS {
        let upstream = way.upstream();
        let gateway = impatient(&upstream).start();
        for coding in CODINGS {
            for (form, ask) in [
                (
                    events as fn(Way, (&'static str, Encode)) -> (Vec<u8>, Answer),
                    Way::streamed as fn(Way, &Gateway) -> _,
                ),
                (whole, Way::asked_whole),
                (events, Way::asked_whole),
                (whole, Way::streamed),
            ] {
                let (bytes, answer) = form(way, coding);
                let half = bytes.len() / 2;
                for (missing, ending) in [
                    (1, Ending::KeepAlive),
                    (9, Ending::KeepAlive),
                    (half, Ending::KeepAlive),
                    (half, Ending::Cut),
                ] {
                    upstream.then(answer.clone().broken_after(bytes.len() - missing, ending));
                    way.failure(&ask(way, &gateway));
                    // Two valid answers for each truncated one keep the provider healthy.
                    let good = [0; 2].map(|_| way.text(&way.asked_whole(&gateway)));
                    assert_eq!(good, ["Hello there!"; 2]);
                }
            }
        }
    }
}

#[test]
fn damage_in_a_compressed_reply_and_bytes_after_it_are_errors() {
    // Raw deflate and Brotli have no checksum.
    let has_checksum = |index: usize| !matches!(index, 3 | 4);
    for way in WAYS {
        for (index, coding) in CODINGS.into_iter().enumerate() {
            let (bytes, _) = whole(way, coding);
            let mut broken = vec![[&bytes[..], b"x"].concat()];
            if has_checksum(index) {
                let mut damaged = bytes.clone();
                damaged[bytes.len() / 2] ^= 0x55;
                broken.push(damaged);
            }
            for bytes in broken {
                let answer = in_chunks(Answer::events(vec![]).typed("application/json"), &bytes, coding.0);
                let reply = way.whole_before(answer);
                assert_eq!(reply.status(), 502, "{way:?}, {coding:?}: {reply}");
                way.failure(&reply);
            }
        }
    }
}

#[test]
fn a_reply_that_expands_a_thousandfold_is_an_error_at_the_limit() {
    const BOMB: usize = 24 << 20;
    let comment = [b":".to_vec(), b"x".repeat(998), b"\n".to_vec()].concat();
    for (way, (coding, encode)) in WAYS.into_iter().zip([CODINGS[0], CODINGS[2], CODINGS[4], CODINGS[5]]) {
        let upstream = way.upstream();
        let gateway = impatient(&upstream).limit("whole-reply", 1 << 20).limit("event", 1 << 20).start();
        let spaces = encode(&[&b" ".repeat(BOMB)]);
        let event = encode(&[&[&way.begun("first").concat()[..], b"data: ", &b"x".repeat(BOMB)].concat()]);
        let comments = encode(&[&comment.repeat(BOMB / 1000)]);
        let whole = |bytes: &Vec<u8>| Answer::whole(200, "application/json", bytes.clone());
        let stream = |bytes: &Vec<u8>| Answer::whole(200, "text/event-stream", bytes.clone());
        let error = |bytes: &Vec<u8>| Answer::whole(400, "application/json", bytes.clone());
        for (answer, status) in
            [(whole(&spaces), 502), (error(&spaces), 400), (stream(&event), 200), (stream(&comments), 502)]
        {
            upstream.then(answer.header("content-encoding", coding));
            let reply = bounded(&gateway, || way.streamed(&gateway));
            assert_eq!(reply.status(), status, "{way:?}, {coding}: {reply}");
            way.failure(&reply);
        }
    }
}

#[test]
fn an_unsupported_encoding_is_a_502_that_names_it() {
    for way in WAYS {
        for coding in ["compress", "gzip, br", "gzip,gzip", "aes128gcm"] {
            for answer in [Answer::json(200, way.whole("x")), Answer::events(way.events(&["x"]))] {
                for ask in [Way::before as fn(Way, Answer) -> _, Way::whole_before] {
                    let reply = ask(way, answer.clone().header("content-encoding", coding));
                    assert_eq!(reply.status(), 502, "{way:?}: {reply}");
                    let message = way.failure(&reply);
                    assert!(message.contains(coding), "{way:?}: {message}");
                }
            }
            let refusal = Answer::json(400, way.error("no")).header("content-encoding", coding);
            let reply = way.before(refusal);
            assert_eq!(reply.status(), 400, "{way:?}: {reply}");
            assert!(way.failure(&reply).contains(coding), "{way:?}: {reply}");
        }
    }
}

#[test]
fn a_compressed_error_keeps_its_message() {
    for way in WAYS {
        for (coding, encode) in CODINGS {
            let body = way.error("No such thing");
            let bytes = encode(&[body.as_bytes()]);
            let answer = |bytes: &[u8]| {
                Answer::whole(400, "application/json", bytes).header("content-encoding", coding)
            };
            let reply = way.before(answer(&bytes));
            assert_eq!((reply.status(), reply.header("content-encoding")), (400, None), "{way:?}: {reply}");
            assert_eq!(way.failure(&reply), "No such thing", "{way:?}, {coding}");
            if way.is_passthrough() {
                assert_eq!(reply.raw(), body);
            }
            for broken in [&bytes[..bytes.len() / 2], b"no such coding"] {
                let reply = way.before(answer(broken));
                assert_eq!(reply.status(), 400, "{way:?}: {reply}");
                let message = way.failure(&reply);
                assert!(
                    message.chars().all(|letter| !letter.is_control() && letter != '\u{FFFD}'),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn token_counts_and_lists_are_decoded_too() {
    for (coding, encode) in CODINGS {
        let compressed = |body: &Value| {
            Answer::whole(200, "application/json", encode(&[body.to_string().as_bytes()]))
                .header("content-encoding", coding)
        };
        let list = json!({"data": [{"type": "model", "id": "listed", "display_name": "Listed",
                                     "created_at": "2026-01-01T00:00:00Z"}], "has_more": false});
        let upstream = Upstream::anthropic()
            .answering(compressed(&json!({"input_tokens": 4711})))
            .answering(compressed(&list));
        let gateway = impatient(&upstream).start();
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        let reply = gateway.call("POST", "/v1/messages/count_tokens").json(&body).reply();
        assert_eq!((reply.status(), &reply.json()["input_tokens"]), (200, &json!(4711)), "{coding}: {reply}");
        let reply = gateway.get("/v1/models?provider=anthropic");
        assert!(reply.raw().contains("listed"), "{coding}: {reply}");
    }
}

#[test]
fn a_compressed_stream_without_end_never_looks_complete() {
    let way = WAYS[0];
    let (bytes, answer) = events(way, CODINGS[0]);
    let upstream = way.upstream().always(answer.silent_after(bytes.len() - 8));
    let gateway = impatient(&upstream).limit("idle-timeout", 0.5).start();
    let reply = way.streamed(&gateway);
    way.failure(&reply);
    assert!(!reply.raw().contains("message_stop"), "{reply}");
    assert!(reply.raw().contains(std::str::from_utf8(&anthropic::text_delta("Hé")).expect("text")));
}
