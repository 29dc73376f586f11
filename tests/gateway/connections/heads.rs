//! The time limit for the head of a request, the first one or a later one.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{closed, reply};
use crate::support::client::{connect, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};
use crate::support::wire::Wire;

#[test]
fn every_head_has_its_time_limit() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).limit("request-head-timeout", 0.5).start();
    let health = gateway.call("GET", "/health").bytes();
    let model = gateway.messages(&prompt(MODEL, "hi")).bytes();
    let chunked = b"POST /health HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe".to_vec();
    // The bytes sent before, the number of replies to them, the bytes in the same segment, and later bytes.
    type Case<'c> = (&'c [u8], usize, &'c [u8], &'c [u8]);
    let cases: [Case<'_>; 7] = [
        (b"", 0, b"", b""),
        (b"", 0, b"G", b""),
        (&health, 1, b"", b"G"),
        (&health, 1, b"GET / HTTP/1.1\r\nhost: x\r\n", b""),
        (&model, 1, b"P", b"OST /v1/messages HTTP/1.1\r\nx: "),
        (&[health.clone(), model.clone()].concat(), 2, b"\r\n", b"G"),
        (&chunked, 1, b"", b"llo"),
    ];
    for (before, replies, same, later) in cases {
        let mut stream = connect(gateway.address);
        stream.write_all(&[before, same].concat()).expect("the gateway takes it");
        let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
        for _ in 0..replies {
            reply(&mut wire, "GET");
        }
        let started = Instant::now();
        let _ = stream.write_all(later);
        let said = closed(&mut stream);
        assert!(started.elapsed() >= Duration::from_millis(300), "closed too early");
        let head = !before.ends_with(b"he");
        assert_eq!(said.starts_with("HTTP/1.1 408 "), head, "{:?}: {said}", String::from_utf8_lossy(same));
    }
    // Without a byte of another request the connection is kept.
    let mut stream = connect(gateway.address);
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    for _ in 0..2 {
        stream.write_all(&health).expect("the gateway takes it");
        reply(&mut wire, "GET");
        std::thread::sleep(Duration::from_millis(1200));
    }
}

#[test]
fn a_request_in_progress_has_no_head_timeout() {
    let answer = Answer::events(crate::support::canned::anthropic::text(&["late"])).head_on_permit();
    let upstream = Upstream::anthropic().answering(answer);
    let gateway = Gateway::before(&upstream).limit("request-head-timeout", 0.3).start();
    let mut stream = connect(gateway.address);
    let bytes = [gateway.messages(&prompt(MODEL, "hi")).bytes(), b"GET /health HT".to_vec()].concat();
    stream.write_all(&bytes).expect("the gateway takes it");
    upstream.request(0);
    std::thread::sleep(Duration::from_millis(1000));
    upstream.permit();
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    assert!(reply(&mut wire, "POST").1.contains("late"));
    stream.write_all(b"TP/1.1\r\nhost: x\r\n\r\n").expect("the gateway takes it");
    assert!(reply(&mut wire, "GET").1.contains("status: healthy"));
}

/// As many connections as the requirement names, or as the limit of open files allows.
fn crowd() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = maximum.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    // The gateway needs two descriptors for each, and other tests run at the same time.
    (limit / 3).min(5_000)
}

/// Requirement (issue 15, 5): 5,000 connections whose heads arrive slowly do not disturb a healthy client, whether it is
/// the first head of each connection or the second.
#[test]
fn thousands_of_slow_heads_do_not_affect_other_clients() {
    for requests_before in [0, 1] {
        let upstream = Upstream::anthropic();
        let gateway = Gateway::before(&upstream).limit("request-head-timeout", 3).start();
        let health = gateway.call("GET", "/health").bytes();
        let mut dribblers: Vec<TcpStream> = Vec::new();
        for _ in 0..crowd() {
            let mut stream = connect(gateway.address);
            stream.write_all(&health.repeat(requests_before)).expect("the gateway takes it");
            dribblers.push(stream);
        }
        for stream in &mut dribblers {
            if requests_before > 0 {
                reply(&mut Wire::new(stream.try_clone().expect("a descriptor")), "GET");
            }
            // The first ones may be closed before the last ones have begun.
            let _ = stream.write_all(b"G");
        }
        for _ in 0..5 {
            assert_eq!(gateway.get("/health").status(), 200);
            assert_eq!(gateway.ask("hi").text(), "Hello there!");
            for stream in &mut dribblers {
                let _ = stream.write_all(b"E");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        for stream in &mut dribblers {
            closed(stream);
        }
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
    }
}
