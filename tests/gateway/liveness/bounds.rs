//! Memory: the cost of slow clients, huge replies and too many requests.

use std::time::{Duration, Instant};

use super::impatient;
use crate::support::PATIENCE;
use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Piece, Upstream};

#[test]
fn an_upstream_that_floods_is_read_no_faster_than_the_client_reads() {
    let word = "x".repeat(16 * 1024);
    let floods = [
        (Upstream::anthropic(), anthropic::text(&[""])[..2].concat(), anthropic::text_delta(&word)),
        (Upstream::openai(), openai::role(), openai::content(&word)),
    ];
    for (upstream, start, flood) in floods {
        let upstream = upstream.always(Answer::pieces(vec![Piece::Bytes(start), Piece::Flood(flood)]));
        let gateway = Gateway::before(&upstream).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        let held = upstream.written_until_it_rests(0);
        // The buffers of the kernel on both sides of the gateway, and the gateway's own 64 KiB: a clear limit.
        assert!(held < 30 << 20, "{held} bytes were taken from the upstream for a client that reads nothing");
        for _ in 0..2000 {
            exchange.event_named("content_block_delta");
        }
        assert!(upstream.written(0) > held, "reading on makes the upstream go on");
        exchange.hang_up();
        upstream.closed(0);
    }
}

#[test]
fn an_event_over_the_limit_ends_the_stream_with_an_error() {
    let huge = "x".repeat(200_000);
    let streams = [
        (Upstream::anthropic(), anthropic::text(&["first", &huge])),
        (Upstream::openai(), openai::text(&["first", &huge])),
    ];
    for (upstream, events) in streams {
        let upstream = upstream.always(Answer::events(events));
        let gateway = impatient(&upstream).limit("event", 65536).start();
        let reply = gateway.ask("hi");
        assert_eq!(reply.error_type(), "api_error");
        assert!(reply.raw().contains("first") && !reply.raw().contains("xxxx"));
    }
}

#[test]
fn a_whole_reply_over_the_limit_is_a_502() {
    let huge = "x".repeat(200_000);
    let replies =
        [(Upstream::anthropic(), anthropic::whole(&huge)), (Upstream::openai(), openai::whole(&huge))];
    for (upstream, body) in replies {
        let upstream = upstream.always(Answer::json(200, body));
        let reply = impatient(&upstream).limit("whole-reply", 65536).start().ask_whole("hi");
        assert_eq!((reply.status(), reply.error_type().as_str()), (502, "api_error"));
    }
}

#[test]
fn too_many_requests_in_flight_are_a_503_with_retry_after() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let bounded = [
        Gateway::before(&upstream).limit("in-flight", 1),
        Gateway::before(&upstream).limit("provider-in-flight", 1).limit("provider-queue", 0),
        Gateway::before(&upstream).limit("provider-in-flight", 1).limit("provider-queue-wait", 0.2),
    ];
    for setup in bounded {
        let gateway = setup.start();
        let before = upstream.count();
        let _first = gateway.messages(&prompt(MODEL, "hi")).send();
        upstream.request(before);
        let reply = gateway.ask("hi");
        assert_eq!((reply.status(), reply.error_type().as_str()), (503, "api_error"), "{reply}");
        assert!((1..=5).contains(&reply.integer("retry-after")), "{reply}");
        assert_eq!(upstream.count(), before + 1);
    }
}

#[test]
fn a_queued_request_is_served_when_a_permit_is_free() {
    let upstream =
        Upstream::anthropic().always(Answer::events(anthropic::text(&["served"])).head_on_permit());
    let gateway =
        Gateway::before(&upstream).limit("provider-in-flight", 1).limit("provider-queue-wait", 15).start();
    let first = gateway.messages(&prompt(MODEL, "one")).send();
    upstream.request(0);
    let second = gateway.messages(&prompt(MODEL, "two")).send();
    upstream.permit();
    assert_eq!(first.finish().text(), "served");
    upstream.request(1);
    upstream.permit();
    assert_eq!(second.finish().text(), "served");
}

/// Complaint of gateway users: a client that left is still generated for.
#[test]
fn the_permit_is_free_again_when_the_client_has_disconnected() {
    let upstream = Upstream::anthropic().answering(Answer::silence());
    let gateway =
        Gateway::before(&upstream).limit("provider-in-flight", 1).limit("provider-queue-wait", 15).start();
    let first = gateway.messages(&prompt(MODEL, "one")).send();
    upstream.request(0);
    first.hang_up();
    assert_eq!(gateway.ask("two").text(), "Hello there!");
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_reads_nothing_loses_its_permit_after_a_time() {
    let flood = Piece::Flood(anthropic::text_delta(&"x".repeat(16 << 10)));
    let start = Piece::Bytes(anthropic::text(&[""])[..2].concat());
    let upstream = Upstream::anthropic().answering(Answer::pieces(vec![start, flood]));
    let gateway = Gateway::before(&upstream).limit("client-timeout", 1).limit("in-flight", 1).start();
    let deaf = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.closed(0);
    let until = Instant::now() + PATIENCE;
    while gateway.ask("hi").status() == 529 {
        assert!(Instant::now() < until, "its place is taken for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
    drop(deaf);
}
