//! Time: what the gateway says while nothing comes, when it gives up, and who is told that the client has left.

use std::time::Duration;

use serde_json::json;

use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::upstream::{Answer, Deaf, Ending, Piece, Upstream};

/// Both paths, each with an upstream that says this much of an answer in these steps.
fn both(script: impl Fn(Answer) -> Answer) -> [Upstream; 2] {
    [
        Upstream::anthropic().always(script(Answer::events(anthropic::text(&["first", "second"])))),
        Upstream::openai().always(script(Answer::events(openai::text(&["first", "second"])))),
    ]
}

fn impatient(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("MAX_RETRIES", "0")
}

/// Both paths, with something that happens once the first word is out.
fn both_after_the_first_word(script: impl Fn(Answer, usize) -> Answer) -> [Upstream; 2] {
    let [anthropic, openai] = [anthropic::text(&["first", "second"]), openai::text(&["first", "second"])];
    let [through_anthropic, through_openai] = [anthropic[..4].concat().len(), openai[..2].concat().len()];
    [
        Upstream::anthropic().always(script(Answer::events(anthropic), through_anthropic)),
        Upstream::openai().always(script(Answer::events(openai), through_openai)),
    ]
}

/// Both paths, silent for ever after the first word.
fn both_silent_after_the_first_word() -> [Upstream; 2] {
    both_after_the_first_word(Answer::silent_after)
}

#[test]
fn a_silent_stream_is_kept_alive_with_pings() {
    for upstream in both_silent_after_the_first_word() {
        let gateway = impatient(&upstream).limit("ping-interval", 0.1).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        for _ in 0..3 {
            let ping = exchange.event().expect("a ping");
            assert_eq!((ping.name.as_str(), &ping.data), ("ping", &json!({"type": "ping"})));
        }
    }
}

#[test]
fn a_late_head_keeps_its_status_within_the_patience() {
    for upstream in both(|answer| answer.head_after(Duration::from_millis(300))) {
        let gateway = impatient(&upstream).limit("head-patience", 30).limit("ping-interval", 0.05).start();
        let reply = gateway.ask("hi");
        assert_eq!(reply.text(), "firstsecond");
    }
    let refusal = Answer::json(400, anthropic::error("invalid_request_error", "late no"));
    let upstream = Upstream::anthropic().always(refusal.head_after(Duration::from_millis(300)));
    let reply = impatient(&upstream).limit("ping-interval", 0.05).start().ask("hi");
    assert_eq!((reply.status(), reply.error_message().as_str()), (400, "late no"));
}

#[test]
fn beyond_the_patience_there_are_pings_and_then_the_answer() {
    for upstream in both(Answer::head_on_permit) {
        let gateway = impatient(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        assert_eq!(exchange.status(), 200);
        for _ in 0..2 {
            assert_eq!(exchange.event().expect("a ping").name, "ping");
        }
        upstream.permit();
        let reply = exchange.finish();
        assert_eq!(reply.text(), "firstsecond");
        assert!(reply.pings() >= 2);
    }
}

#[test]
fn beyond_the_patience_an_error_of_the_upstream_is_an_error_event_of_its_type() {
    let table = [
        (Upstream::anthropic(), anthropic::error("overloaded_error", "Overloaded"), 529, "overloaded_error"),
        (
            Upstream::anthropic(),
            anthropic::error("invalid_request_error", "no"),
            400,
            "invalid_request_error",
        ),
        (Upstream::openai(), openai::error("no such model", "x", "model_not_found"), 404, "not_found_error"),
        (Upstream::openai(), "<html>".to_owned(), 502, "api_error"),
    ];
    for (upstream, body, status, kind) in table {
        let upstream = upstream.always(Answer::json(status, body).head_on_permit());
        let gateway = impatient(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        assert_eq!(exchange.event().expect("a ping").name, "ping");
        upstream.permit();
        let reply = exchange.finish();
        assert_eq!((reply.status(), reply.error_type().as_str()), (200, kind), "{reply}");
    }
}

#[test]
fn a_whole_reply_is_never_preceded_by_pings() {
    let upstream = Upstream::openai()
        .always(Answer::json(200, openai::whole("late")).head_after(Duration::from_millis(400)));
    let gateway = impatient(&upstream).limit("head-patience", 0.05).limit("ping-interval", 0.05).start();
    assert_eq!(gateway.ask_whole("hi").text(), "late");
}

#[test]
fn no_head_within_the_deadline_is_a_504_and_not_tried_again() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let upstream = upstream.always(Answer::silence());
        let gateway = Gateway::before(&upstream)
            .limit("first-byte-timeout", 0.3)
            .limit("whole-timeout", 0.3)
            .env("MAX_RETRIES", "2")
            .start();
        for (asked, reply) in [gateway.ask("hi"), gateway.ask_whole("hi")].into_iter().enumerate() {
            assert_eq!((reply.status(), reply.error_type().as_str()), (504, "timeout_error"), "{reply}");
            upstream.closed(asked);
        }
        assert_eq!(upstream.count(), 2);
    }
}

#[test]
fn request_timeout_of_the_environment_is_that_deadline() {
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = Gateway::before(&upstream).env("REQUEST_TIMEOUT", "1").start();
    assert_eq!(gateway.ask("hi").status(), 504);
    upstream.closed(0);
}

#[test]
fn a_deadline_after_the_patience_is_a_timeout_event() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = impatient(&upstream)
        .limit("head-patience", 0.1)
        .limit("ping-interval", 0.1)
        .limit("first-byte-timeout", 0.5)
        .start();
    let reply = gateway.ask("hi");
    assert_eq!((reply.status(), reply.error_type().as_str()), (200, "timeout_error"), "{reply}");
    assert!(reply.pings() > 0);
}

#[test]
fn a_stall_in_the_middle_ends_with_an_error_and_closes_the_upstream() {
    for upstream in both_silent_after_the_first_word() {
        let gateway = impatient(&upstream).limit("idle-timeout", 0.4).limit("ping-interval", 0.1).start();
        let reply = gateway.ask("hi");
        assert_eq!(reply.error_type(), "timeout_error", "{reply}");
        assert!(reply.raw().contains("first"));
        upstream.closed(0);
    }
}

#[test]
fn a_slow_stream_that_never_stalls_is_left_alone() {
    let slow = |events: Vec<Vec<u8>>| {
        let pause = Piece::Pause(Duration::from_millis(80));
        events.into_iter().flat_map(|event| [Piece::Bytes(event), pause.clone()]).collect()
    };
    let upstream = Upstream::openai().always(Answer::pieces(slow(openai::text(&["a"; 12]))));
    let gateway = impatient(&upstream).limit("idle-timeout", 0.5).limit("first-byte-timeout", 0.5).start();
    assert_eq!(gateway.ask("hi").text(), "a".repeat(12));
}

#[test]
fn a_total_deadline_ends_even_a_lively_stream() {
    let word = |bytes: Vec<u8>| [Piece::Bytes(bytes), Piece::Pause(Duration::from_millis(50))];
    let mut pieces = vec![Piece::Bytes(openai::role())];
    pieces.extend((0..200).flat_map(|_| word(openai::content("a"))));
    let upstream = Upstream::openai().always(Answer::pieces(pieces));
    let reply = impatient(&upstream).limit("total-timeout", 0.5).start().ask("hi");
    assert_eq!(reply.error_type(), "timeout_error", "{reply}");
    upstream.closed(0);
}

#[test]
fn a_client_that_leaves_before_the_head_closes_the_upstream() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let upstream = upstream.always(Answer::silence());
        let gateway = Gateway::before(&upstream).start();
        for (number, body) in [prompt(MODEL, "hi"), whole_prompt(MODEL, "hi")].iter().enumerate() {
            let exchange = gateway.messages(body).send();
            upstream.request(number);
            exchange.hang_up();
            upstream.closed(number);
        }
        assert_eq!(upstream.count(), 2, "nothing is tried again for nobody");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_closes_the_upstream() {
    for upstream in both_silent_after_the_first_word() {
        let gateway = Gateway::before(&upstream).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        exchange.hang_up();
        upstream.closed(0);
    }
}

#[test]
fn a_client_that_leaves_while_a_whole_body_comes_closes_the_upstream() {
    let answers =
        [(Upstream::anthropic(), anthropic::whole("Hello")), (Upstream::openai(), openai::whole("Hello"))];
    for (upstream, body) in answers {
        let upstream = upstream.always(Answer::json(200, body).silent_after(20));
        let gateway = Gateway::before(&upstream).start();
        let exchange = gateway.messages(&whole_prompt(MODEL, "hi")).send();
        upstream.request(0);
        exchange.hang_up();
        upstream.closed(0);
    }
}

#[test]
fn a_client_that_leaves_during_the_patience_closes_the_upstream() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    assert_eq!(exchange.event().expect("a ping").name, "ping");
    exchange.hang_up();
    upstream.closed(0);
}

#[test]
fn a_client_that_leaves_in_a_retry_wait_ends_the_retries() {
    let busy = Answer::json(503, openai::error("busy", "x", "y")).header("retry-after", "1");
    let upstream = Upstream::openai().always(busy);
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "3").start();
    let exchange = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(0);
    exchange.hang_up();
    // That something does not happen can only be seen by waiting past the time when it would.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_client_that_only_stops_writing_has_left_too() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();
    let exchange = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(0);
    exchange.half_close();
    upstream.closed(0);
}

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
        // The kernel's buffers on both sides of the gateway, and the gateway's own 64 KiB: far from unbounded.
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
fn an_upstream_that_cannot_be_reached_is_a_502_that_names_the_provider() {
    let deaf = Deaf::new();
    for (name, format) in [("ALPHA", "openai"), ("BETA", "anthropic")] {
        let gateway = Gateway::bare()
            .env(&format!("{name}_API_KEY"), "sk-test")
            .env(&format!("{name}_BASE_URL"), format!("http://{}", deaf.address))
            .env(&format!("{name}_API_FORMAT"), format)
            .env("MAX_RETRIES", "0")
            .start();
        for reply in [gateway.ask("hi"), gateway.ask_whole("hi")] {
            assert_eq!((reply.status(), reply.error_type().as_str()), (502, "api_error"), "{reply}");
            assert!(reply.error_message().contains(&name.to_lowercase()), "{reply}");
        }
    }
}

#[test]
fn an_upstream_that_hangs_up_or_talks_nonsense_is_a_502() {
    let answers = [
        Answer::hang_up(),
        Answer::hang_up().ending(Ending::Reset),
        Answer::json(200, "{").claiming_length(900).ending(Ending::Cut),
        Answer::bare("SSH-2.0-OpenSSH_9.9\r\n"),
        Answer::bare("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\ncontent-le"),
    ];
    for answer in answers {
        for upstream in [Upstream::anthropic(), Upstream::openai()] {
            let upstream = upstream.always(answer.clone());
            let reply = impatient(&upstream).start().ask("hi");
            assert_eq!(
                (reply.status(), reply.error_type().as_str()),
                (502, "api_error"),
                "{answer:?}: {reply}"
            );
        }
    }
}

#[test]
fn after_the_first_event_nothing_is_ever_tried_again() {
    for upstream in both_after_the_first_word(|answer, bytes| answer.broken_after(bytes, Ending::Cut)) {
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "3").keys(["k1", "k2"]).start();
        assert_eq!(gateway.ask("hi").error_type(), "api_error");
        assert_eq!(upstream.count(), 1);
    }
}

#[test]
fn sigterm_lets_streams_finish_and_then_leaves() {
    let events = anthropic::text(&["first", "second"]);
    let mut pieces: Vec<Piece> = events[..4].iter().cloned().map(Piece::Bytes).collect();
    pieces.push(Piece::Permit);
    pieces.extend(events[4..].iter().cloned().map(Piece::Bytes));
    let upstream = Upstream::anthropic().always(Answer::pieces(pieces));
    let mut gateway = Gateway::before(&upstream).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");
    gateway.run.signal("TERM");
    gateway.run.await_refusal(gateway.address);
    upstream.permit();
    assert_eq!(exchange.finish().text(), "firstsecond");
    assert_eq!(gateway.run.wait().code(), Some(0));
}

#[test]
fn a_stream_that_outlives_the_drain_ends_with_an_error_event() {
    for upstream in both_silent_after_the_first_word() {
        let mut gateway = Gateway::before(&upstream).limit("drain", 0.5).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        gateway.run.signal("TERM");
        let reply = exchange.finish();
        assert!(["api_error", "overloaded_error"].contains(&reply.error_type().as_str()), "{reply}");
        assert_eq!(gateway.run.wait().code(), Some(0));
    }
}

#[test]
fn too_many_requests_in_flight_are_a_529_that_says_when_to_come_back() {
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
        assert_eq!((reply.status(), reply.error_type().as_str()), (529, "overloaded_error"), "{reply}");
        assert!((1..=5).contains(&reply.integer("retry-after")), "{reply}");
        assert_eq!(upstream.count(), before + 1);
    }
}

#[test]
fn one_who_waits_in_the_queue_is_served_when_a_place_is_free() {
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

#[test]
fn a_place_is_free_again_when_its_client_has_left() {
    let upstream = Upstream::anthropic().answering(Answer::silence());
    let gateway =
        Gateway::before(&upstream).limit("provider-in-flight", 1).limit("provider-queue-wait", 15).start();
    let first = gateway.messages(&prompt(MODEL, "one")).send();
    upstream.request(0);
    first.hang_up();
    assert_eq!(gateway.ask("two").text(), "Hello there!");
}
