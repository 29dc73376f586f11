//! More than anybody wants: memory stays bounded, and every flood ends.

use super::{WAYS, Way, impatient};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Dialect, Piece};

/// What a flood may cost at most. The floods here are several times as large.
const ROOM: usize = 12 << 20;
const FLOOD: usize = 24 << 20;

/// What the gateway uses of memory, and the most it ever used, bytes.
#[cfg(target_os = "linux")]
fn memory(gateway: &Gateway) -> (usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.worker())).expect("it runs");
    let kilobytes = |name: &str| -> usize {
        let line = status.lines().find(|line| line.starts_with(name)).expect("there");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    };
    (kilobytes("VmRSS:") << 10, kilobytes("VmHWM:") << 10)
}

#[cfg(not(target_os = "linux"))]
fn memory(_: &Gateway) -> (usize, usize) {
    (0, 0)
}

/// Fails if the gateway's memory grows by more than [`ROOM`] meanwhile.
pub(super) fn bounded<T>(gateway: &Gateway, run: impl FnOnce() -> T) -> T {
    let before = memory(gateway).0;
    let done = run();
    let most = memory(gateway).1;
    assert!(most < before + ROOM, "{} MiB more", (most - before) >> 20);
    done
}

/// What is sent again and again while there is nothing to say.
fn signs_of_life(way: Way) -> Vec<&'static str> {
    let mut signs = vec![": still thinking\n\n", ":\r\n\r\n", "event: ping\n\n", "data:\n\n"];
    if way.upstream == Dialect::Anthropic {
        signs.extend(["event: ping\ndata: {\"type\": \"ping\"}\n\n", "data: {\"type\": \"ping\"}\n\n"]);
    }
    signs
}

/// So many bytes of it.
fn much(sign: &str, length: usize) -> Vec<u8> {
    sign.repeat(length / sign.len()).into_bytes()
}

#[test]
fn before_the_first_event_only_so_many_pings_are_kept() {
    const KEPT: usize = 4 << 10;
    for way in WAYS {
        let upstream = way.upstream();
        let gateway = impatient(&upstream).limit("before-first-event", KEPT).start();
        // Large ones for what they would cost in memory, small ones for their kinds.
        let large = format!(": {}\n\n", "still thinking ".repeat(70));
        let floods = [(large.as_str(), FLOOD)].into_iter();
        for (sign, length) in floods.chain(signs_of_life(way).into_iter().map(|sign| (sign, 1 << 20))) {
            let mut pieces = vec![Piece::Bytes(much(sign, 1 << 10)); 3];
            pieces.extend(vec![Piece::Bytes(much(sign, 64 << 10)); length / (64 << 10)]);
            pieces.extend(way.events(&["at last"]).into_iter().map(Piece::Bytes));
            upstream.then(Answer::pieces(pieces));
            let reply = bounded(&gateway, || way.streamed(&gateway));
            way.assert_streamed(&reply, "at last");
            let length = way.events(&["at last"]).concat().len();
            assert!(reply.body.len() <= 2 * length + KEPT + 1024, "{way:?}: {} bytes", reply.body.len());
        }
    }
}

#[test]
fn by_default_64_kib_of_pings_are_kept() {
    for way in WAYS.into_iter().filter(|way| way.is_passthrough()) {
        let ping = b": still thinking\n\n".repeat(100);
        let events = way.events(&["at last"]).concat();
        let mut pieces = vec![Piece::Bytes(ping.clone()); 100];
        pieces.push(Piece::Bytes(events.clone()));
        let reply = way.before(Answer::pieces(pieces));
        let kept = reply.body.len() - events.len();
        assert!((60 << 10..=64 << 10).contains(&kept), "{way:?}: {kept} bytes");
        assert!(reply.body.ends_with(&events));
    }
}

#[test]
fn a_flood_of_pings_ends_when_the_first_event_is_overdue() {
    for way in WAYS {
        let upstream = way.upstream();
        let gateway = impatient(&upstream).limit("first-byte-timeout", 0.4).start();
        for (number, sign) in signs_of_life(way).into_iter().chain(["\n"]).enumerate() {
            upstream.then(Answer::pieces(vec![Piece::Flood(much(sign, 64 << 10))]));
            let reply = bounded(&gateway, || way.streamed(&gateway));
            assert_eq!(reply.status(), 504, "{way:?}: {reply}");
            upstream.closed(number);
        }
    }
}

#[test]
fn pings_that_come_one_by_one_end_when_the_first_event_is_overdue() {
    let pause = Piece::Pause(std::time::Duration::from_millis(20));
    for way in WAYS {
        let ping = [Piece::Bytes(b": still thinking\n\n".to_vec()), pause.clone()];
        let mut pieces: Vec<Piece> = std::iter::repeat_n(ping, 100).flatten().collect();
        pieces.extend(way.events(&["too late"]).into_iter().map(Piece::Bytes));
        let upstream = way.upstream().always(Answer::pieces(pieces));
        let reply = way.streamed(&impatient(&upstream).limit("first-byte-timeout", 0.5).start());
        assert_eq!(reply.status(), 504, "{way:?}: {reply}");
    }
}

#[test]
fn an_event_without_end_is_an_error_at_its_bound_before_the_first_event_and_after() {
    for way in WAYS {
        for begun in [vec![], way.begun("first")] {
            let mut pieces: Vec<Piece> = begun.into_iter().map(Piece::Bytes).collect();
            pieces.extend([Piece::Bytes(b"data: ".to_vec()), Piece::Flood(b"x".repeat(64 << 10))]);
            let upstream = way.upstream().always(Answer::pieces(pieces));
            let gateway = impatient(&upstream).limit("event", 2 << 20).start();
            let reply = bounded(&gateway, || way.streamed(&gateway));
            assert!(way.failure(&reply).contains("2097152 bytes"), "{way:?}: {reply}");
            upstream.closed(0);
        }
    }
}

#[test]
fn a_body_without_end_is_an_error_at_its_bound_whole_or_as_an_error() {
    let flood = |answer: Answer, text: &str| answer.flooding(text.as_bytes().repeat(64 << 10));
    for way in WAYS {
        let upstream = way.upstream();
        let gateway = impatient(&upstream).limit("whole-reply", 2 << 20).start();
        for text in [" ", "{\"x\":["] {
            upstream.then(flood(Answer::json(200, "").claiming_length(1 << 40), text));
            let reply = bounded(&gateway, || way.asked_whole(&gateway));
            assert_eq!(reply.status(), 502, "{way:?}: {reply}");
            upstream.then(flood(Answer::whole(500, "text/plain", "").claiming_length(1 << 40), text));
            let reply = bounded(&gateway, || way.asked_whole(&gateway));
            assert_eq!(reply.status(), 500, "{way:?}: {reply}");
        }
    }
}
