//! Very slow replies: the difference between silence and a large event that takes long.

use std::time::Duration;

use super::{WAYS, Way, impatient};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Piece};

/// These pieces, with a pause between any two, after the first word and before the last.
fn slowly(way: Way, pieces: impl IntoIterator<Item = Vec<u8>>, pause: u64) -> Reply {
    let pause = Piece::Pause(Duration::from_millis(pause));
    let mut events = way.events(&["first", "last"]).into_iter();
    let begun = way.begun("first").len();
    let mut all: Vec<Piece> = events.by_ref().take(begun).map(Piece::Bytes).collect();
    all.extend(pieces.into_iter().flat_map(|piece| [Piece::Bytes(piece), pause.clone()]));
    all.extend(events.map(Piece::Bytes));
    let upstream = way.upstream().always(Answer::pieces(all));
    way.streamed(&impatient(&upstream).limit("idle-timeout", 1).start())
}

#[test]
fn a_byte_now_and_then_counts_as_silence() {
    let byte_by_byte = |bytes: Vec<u8>| bytes.into_iter().map(|byte| vec![byte]);
    for way in WAYS {
        for dribble in [way.delta("x"), b"\n".repeat(60), b"\r\n".repeat(30)] {
            let reply = slowly(way, byte_by_byte(dribble), 40);
            assert!(reply.raw().contains("silent for too long"), "{way:?}: {reply}");
            assert!(!reply.raw().contains("last"), "{way:?}: {reply}");
        }
    }
}

#[test]
fn a_large_event_can_take_long() {
    for way in WAYS {
        let delta = way.delta(&"x".repeat(8 << 10));
        let reply = slowly(way, delta.chunks(512).map(<[u8]>::to_vec), 120);
        assert_eq!(way.text(&reply).len(), "firstlast".len() + (8 << 10), "{way:?}");
    }
}

#[test]
fn pings_and_comments_do_not_count_as_silence() {
    for way in WAYS {
        let reply = slowly(way, vec![b": still there\n\n".to_vec(); 8], 300);
        way.assert_streamed(&reply, "last");
    }
}

#[test]
fn the_minimum_rate_of_an_event_is_configurable() {
    let way = WAYS[0];
    let dribble = || way.delta("x").into_iter().map(|byte| [Piece::Bytes(vec![byte]), pause()]);
    fn pause() -> Piece {
        Piece::Pause(Duration::from_millis(20))
    }
    for (rate, survives) in [(1, true), (20, true), (1000, false)] {
        let mut pieces: Vec<Piece> = way.begun("first").into_iter().map(Piece::Bytes).collect();
        pieces.extend(dribble().flatten());
        pieces.extend(way.events(&[]).into_iter().skip(3).map(Piece::Bytes));
        let upstream = way.upstream().always(Answer::pieces(pieces));
        let gateway = impatient(&upstream).limit("idle-timeout", 1).limit("event-min-rate", rate).start();
        let reply = way.streamed(&gateway);
        assert_eq!(reply.raw().contains("message_stop"), survives, "{rate}: {reply}");
    }
}
