//! Valid replies with a wrong content type: their first bytes decide.

use super::{WAYS, impatient};
use crate::support::upstream::{Answer, Piece};

const LABELS: [&str; 4] = ["application/json", "application/octet-stream", "text/plain", ""];

fn labelled(answer: Answer, label: &str) -> Answer {
    if label.is_empty() { answer.unlabelled() } else { answer.typed(label) }
}

#[test]
fn a_stream_with_another_content_type_is_a_stream() {
    for way in WAYS {
        for label in LABELS {
            let answer = || labelled(Answer::events(way.events(&["Hel", "lo"])), label);
            let reply = way.before(answer());
            assert_eq!(way.text(&reply), "Hello", "{way:?} {label}: {reply}");
            let kind = reply.header("content-type").unwrap_or_default();
            assert!(kind.starts_with("text/event-stream"), "{way:?} {label}: {kind}");

            let reply = way.whole_before(answer());
            assert_eq!(way.text(&reply), "Hello", "{way:?} {label}: {reply}");
            assert_eq!(reply.header("content-type"), Some("application/json"), "{way:?} {label}");
        }
    }
}

#[test]
fn the_start_of_a_stream_is_recognised_wherever_its_bytes_are_split() {
    for way in WAYS {
        let upstream = way.upstream();
        let gateway = impatient(&upstream).start();
        let body = way.events(&["Hel", "lo"]).concat();
        for front in ["", "\n\n", ": keep-alive\n\n", "\u{feff}", "retry: 3\n\n"] {
            let body = [front.as_bytes(), &body].concat();
            for cut in [1, 2, 3, 5, 7, 9] {
                let pieces = [&body[..cut], &body[cut..]].map(|piece| Piece::Bytes(piece.to_vec()));
                upstream.then(Answer::pieces(pieces.to_vec()).typed("application/json"));
                let reply = way.streamed(&gateway);
                way.assert_streamed(&reply, "lo");
            }
        }
    }
}

#[test]
fn json_with_another_content_type_is_json() {
    for way in WAYS {
        for label in ["text/event-stream", "text/plain", ""] {
            let answer = || labelled(Answer::json(200, format!("\n {}", way.whole("Hello"))), label);
            let reply = way.whole_before(answer());
            assert_eq!(way.text(&reply), "Hello", "{way:?} {label}: {reply}");
            assert_eq!(reply.header("content-type"), Some("application/json"), "{way:?} {label}");
            way.assert_streamed(&way.before(answer()), "Hello");
        }
    }
}

#[test]
fn a_web_page_is_a_502_with_any_content_type() {
    for way in WAYS {
        for label in ["text/html", "application/json", "text/plain", "application/xml", ""] {
            let page = labelled(Answer::json(200, "<!DOCTYPE html><html>internals</html>"), label);
            for reply in [way.before(page.clone()), way.whole_before(page)] {
                assert_eq!(reply.status(), 502, "{way:?} {label}: {reply}");
                assert!(!reply.raw().contains("internals"), "{way:?} {label}: {reply}");
            }
        }
    }
}
