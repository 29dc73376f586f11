//! Clients that take next to nothing of their reply, and what they cost.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::canned::{anthropic, openai};
use crate::support::chat;
use crate::support::client::{connect, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Piece, Upstream};

/// Both paths, with an upstream that never stops.
fn floods() -> [Upstream; 2] {
    let word = "x".repeat(4 << 10);
    let start = anthropic::text(&[""])[..2].concat();
    let messages = vec![Piece::Bytes(start), Piece::Flood(anthropic::text_delta(&word))];
    let chat = vec![Piece::Bytes(openai::role()), Piece::Flood(openai::content(&word))];
    [Upstream::anthropic().always(Answer::pieces(messages)), Upstream::openai().always(Answer::pieces(chat))]
}

#[test]
fn a_client_that_takes_a_byte_now_and_then_is_cut_off() {
    for upstream in floods() {
        let gateway =
            Gateway::before(&upstream).limit("reply-grace", 1).limit("reply-min-rate", "'1KiB'").start();
        let calls = [
            gateway.messages(&prompt(MODEL, "hi")),
            gateway.call("POST", "/v1/chat/completions").json(&chat::prompt(MODEL, "hi")),
        ];
        for (number, call) in calls.iter().enumerate() {
            let mut stream = connect(gateway.address);
            stream.write_all(&call.bytes()).expect("the gateway takes it");
            upstream.request(number);
            let until = Instant::now() + PATIENCE;
            while !upstream.is_closed(number) {
                assert!(Instant::now() < until, "a byte a moment holds a stream for ever");
                let _ = stream.read(&mut [0; 1]);
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        assert!(gateway.log().contains("limits.reply-min-rate"), "{}", gateway.log());
    }
}

#[test]
fn a_client_that_reads_slowly_but_reads_is_left_alone() {
    for upstream in floods() {
        let gateway =
            Gateway::before(&upstream).limit("reply-grace", 1).limit("reply-min-rate", "'1KiB'").start();
        let mut stream = connect(gateway.address);
        stream.write_all(&gateway.messages(&prompt(MODEL, "hi")).bytes()).expect("the gateway takes it");
        let mut buffer = vec![0; 64 << 10];
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            assert_ne!(stream.read(&mut buffer).expect("a stream"), 0, "the stream was cut");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!upstream.is_closed(0));
    }
}

#[test]
fn a_stream_with_nothing_to_take_is_left_alone() {
    let upstream = Upstream::anthropic().always(
        Answer::events(anthropic::text(&["first", "second"]))
            .silent_after(anthropic::text(&["first", "second"])[..4].concat().len()),
    );
    let gateway =
        Gateway::before(&upstream).limit("reply-grace", 0.2).limit("reply-min-rate", "'1GiB'").start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");
    std::thread::sleep(Duration::from_secs(2));
    assert!(!upstream.is_closed(0));
    exchange.hang_up();
}

#[test]
#[cfg(target_os = "linux")]
fn a_stream_that_nobody_reads_costs_little_memory() {
    const STREAMS: usize = 150;
    for upstream in floods() {
        let gateway = Gateway::before(&upstream).start();
        let resident = || {
            let status =
                std::fs::read_to_string(format!("/proc/{}/status", gateway.worker())).expect("Linux");
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
            line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number")
        };
        assert_eq!(gateway.get("/health").status(), 200);
        let before = resident();
        let streams: Vec<_> = (0..STREAMS).map(|_| gateway.messages(&prompt(MODEL, "hi")).send()).collect();
        upstream.request(STREAMS - 1);
        for number in [0, STREAMS - 1] {
            upstream.written_until_it_rests(number);
        }
        let each = resident().saturating_sub(before) / STREAMS;
        drop(streams);
        // Its channel of 64 KiB, what HTTP holds on both sides, and a debug build's own.
        assert!(each < 260, "{each} KiB for a stream that nobody reads");
    }
}
