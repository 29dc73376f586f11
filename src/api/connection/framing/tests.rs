//! Splits the bytes of a connection into requests, and compares the result with the HTTP server's.

use actix_codec::Decoder as _;
use actix_http::h1::{Codec, Message};
use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

/// Splits a connection's bytes into requests. `sizes` are the lengths of the pieces in which they arrive.
fn cut(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let (mut found, mut held, mut current) = (Vec::new(), Vec::new(), None);
    let mut one: Vec<u8> = Vec::new();
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((*sizes.next().unwrap_or(&1)).clamp(1, rest.len()));
        rest = behind;
        held.extend_from_slice(piece);
        loop {
            if current.is_none() {
                let Head::Complete { request, .. } = head(&mut held) else { break };
                current = Some(request);
            }
            let Some(request) = &mut current else { break };
            let taken = request.take(&held);
            one.extend(held.drain(..taken));
            if !request.is_complete() {
                break;
            }
            found.push(std::mem::take(&mut one));
            current = None;
        }
    }
    found
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..60);
    let chunks = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..4);
    let fields = prop_oneof![
        Just(""),
        Just("accept: */*\r\n"),
        Just("Expect: 100-continue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    ];
    let extension = prop_oneof![Just(""), Just(" "), Just(";a=b"), Just(" ;a=\"b;c\"")];
    let trailer = prop_oneof![Just(""), Just("x-a: 1\r\n"), Just("x-a: 1\r\ny: 2\r\n")];
    (body, chunks, fields, extension, trailer, 0..4_u8).prop_map(
        |(body, chunks, fields, extension, trailer, kind)| {
            let mut bytes = format!("POST /v1/messages HTTP/1.1\r\nHost: x\r\n{fields}").into_bytes();
            match kind {
                0 => bytes.extend(b"\r\n"),
                1 => bytes = b"HEAD / HTTP/1.0\r\n\r\n".to_vec(),
                2 => {
                    bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).into_bytes());
                    bytes.extend(body);
                }
                _ => {
                    bytes.extend(b"Transfer-Encoding: Chunked\r\n\r\n");
                    for chunk in chunks {
                        bytes.extend(format!("{:x}{extension}\r\n", chunk.len()).into_bytes());
                        bytes.extend(chunk);
                        bytes.extend(b"\r\n");
                    }
                    bytes.extend(format!("0{extension}\r\n{trailer}\r\n").into_bytes());
                }
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn requests_are_split_where_they_end(
        requests in proptest::collection::vec(request(), 1..6),
        sizes in proptest::collection::vec(1..70_usize, 1..8),
    ) {
        let found = cut(&requests.concat(), &sizes);
        prop_assert_eq!(found.len(), requests.len());
        for (found, sent) in found.iter().zip(&requests) {
            prop_assert_eq!(found.len(), sent.len());
        }
    }

    #[test]
    fn the_http_server_finds_the_same_requests(requests in proptest::collection::vec(request(), 1..4)) {
        // Its clock runs in a task.
        let runtime = actix_rt::Runtime::new().unwrap();
        for bytes in cut(&requests.concat(), &[17]) {
            let mut bytes = BytesMut::from(&bytes[..]);
            let (items, upgrade) = runtime.block_on(async {
                let (mut codec, mut items) = (Codec::default(), 0);
                while let Some(message) = codec.decode(&mut bytes).unwrap() {
                    items += usize::from(matches!(message, Message::Item(_)));
                }
                (items, codec.upgrade())
            });
            prop_assert_eq!((items, bytes.len(), upgrade), (1, 0, false));
        }
    }

    #[test]
    fn any_bytes_are_handled_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let length = bytes.len();
        if let Head::Complete { mut request, .. } = head(&mut bytes) {
            prop_assert!(request.take(&bytes) <= length);
        }
    }
}

fn framed(fields: &str) -> RequestFraming {
    let mut bytes = format!("POST / HTTP/1.1\r\nhost: x\r\n{fields}\r\n").into_bytes();
    let Head::Complete { request, .. } = head(&mut bytes) else { panic!("no head: {fields}") };
    request
}

#[test]
fn ambiguous_framing_is_treated_as_unframed() {
    let doubtful = [
        "content-length: 5\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "content-length: 1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "content-length: +5\r\n",
        "content-length: 5, 5\r\n",
        "content-length: 0x5\r\n",
        "content-length: 99999999999999999999\r\n",
    ];
    for fields in doubtful {
        assert_eq!(framed(fields).body, RequestBodyLength::Unframed, "{fields}");
    }
    let mut connect = b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\nGET".to_vec();
    let Head::Complete { mut request, .. } = head(&mut connect) else { panic!("no head") };
    assert_eq!((request.take(&connect), request.is_complete()), (connect.len(), false));
    let mut request = framed("transfer-encoding: chunked\r\n");
    request.head = 0;
    assert_eq!((request.take(b"zz\r\nGET"), request.body), (7, RequestBodyLength::Unframed));
}

#[test]
fn only_upgrade_and_expect_are_blanked_out() {
    let sent = "POST / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: keep-alive, Upgrade,close\r\nExpect: 100-Continue\r\ncontent-length: 2\r\n\r\n{}";
    let mut bytes = sent.as_bytes().to_vec();
    let Head::Complete { interim, .. } = head(&mut bytes) else { panic!("no head") };
    let seen = "POST / HTTP/1.1\r\nUpgrade:    \r\nConnection: keep-alive,        ,close\r\nExpect:             \r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!((String::from_utf8(bytes).unwrap().as_str(), interim), (seen, Interim::Expected));

    for no_reason in [sent.replace("HTTP/1.1", "HTTP/1.0"), sent.replace("length: 2", "length: 0")] {
        let mut bytes = no_reason.into_bytes();
        assert!(matches!(head(&mut bytes), Head::Complete { interim: Interim::None, .. }));
    }
}

/// Requirement: an upgrade reaches the HTTP server only on the path that has WebSockets, and all bytes after it belong to it.
#[test]
fn an_upgrade_passes_only_where_a_websocket_can_be_opened() {
    let head_of = |first: &str, more: &str| {
        let mut bytes =
            format!("{first}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n{more}\r\n")
                .into_bytes();
        let Head::Complete { request, .. } = head(&mut bytes) else { panic!("{first}") };
        (String::from_utf8(bytes).unwrap().contains("WebSocket"), request)
    };
    for path in ["/v1/responses", "/v1/responses/", "/responses?a=/b", "//v1/v1//responses"] {
        let (passes, mut request) = head_of(&format!("GET {path} HTTP/1.1"), "");
        assert!(passes, "{path}");
        let _head = request.take(&[0; 10_000]);
        assert_eq!((request.take(b"GET / HTTP/1.1\r\n\r\n"), request.is_complete()), (18, false));
    }
    for (first, more) in [
        ("GET /v1/messages HTTP/1.1", ""),
        ("GET /v1/responses/x HTTP/1.1", ""),
        ("GET /v1/%72esponses HTTP/1.1", ""),
        ("GET /x?/v1/responses HTTP/1.1", ""),
        ("GET http://h/v1/responses HTTP/1.1", ""),
        ("POST /v1/responses HTTP/1.1", ""),
        ("GET /v1/responses HTTP/1.0", ""),
        ("GET /v1/responses HTTP/1.1", "content-length: 5\r\n"),
        ("GET /v1/responses HTTP/1.1", "transfer-encoding: chunked\r\n"),
        ("GET /v1/responses HTTP/1.1", "expect: 100-continue\r\n"),
    ] {
        assert!(!head_of(first, more).0, "{first} {more}");
    }
}
