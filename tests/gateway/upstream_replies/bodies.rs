//! Bodies that do not match their content type or their status.

use super::{WAYS, impatient};
use crate::support::upstream::{Answer, Dialect};

#[test]
fn a_page_labelled_as_json_is_not_reported_as_truncated() {
    let pages = [
        ("<!DOCTYPE html><html><title>Log in</title>internals</html>", "HTML"),
        ("\n <html>internals", "HTML"),
        ("internals", "no JSON"),
        ("\u{1f}\u{8b}\u{8}internals", "no JSON"),
    ];
    for way in WAYS {
        for (page, what) in pages {
            for reply in [way.before(Answer::json(200, page)), way.whole_before(Answer::json(200, page))] {
                let message = way.failure(&reply);
                assert_eq!(reply.status(), 502, "{way:?}: {reply}");
                assert!(message.contains(what) && message.contains("base URL"), "{way:?}: {message}");
                assert!(!message.contains("cut") && !message.contains("internals"), "{way:?}: {message}");
            }
        }
    }
}

#[test]
fn json_that_ends_too_early_is_reported_as_truncated() {
    for way in WAYS {
        let whole = way.whole("Hello");
        for page in [&whole[..whole.len() - 1], &whole[..20], "{", " "] {
            let reply = way.whole_before(Answer::json(200, page));
            assert_eq!(reply.status(), 502, "{way:?}: {reply}");
            assert!(way.failure(&reply).contains("cut"), "{way:?}: {reply}");
        }
    }
}

#[test]
fn an_error_status_is_an_answer_however_long_its_body_takes() {
    for way in WAYS {
        let error = way.error("Broken here");
        let answers = [
            Answer::json(500, error.clone()).silent_after(0),
            Answer::json(500, error.clone()).silent_after(10),
            Answer::json(500, error.clone()).claiming_length(error.len() + 1).silent_after(error.len()),
            Answer::whole(500, "text/html", "<title>Broken here</title>")
                .claiming_length(99)
                .silent_after(26),
        ];
        for (number, answer) in answers.into_iter().enumerate() {
            let upstream = way.upstream().always(answer);
            let gateway =
                impatient(&upstream).limit("first-byte-timeout", 0.4).limit("whole-timeout", 0.4).start();
            for reply in [way.streamed(&gateway), way.asked_whole(&gateway)] {
                assert_eq!(reply.status(), 500, "{way:?}: {reply}");
                // The bytes that have arrived are enough if they can be read.
                assert_eq!(
                    way.failure(&reply).contains("Broken here"),
                    number >= 2,
                    "{way:?}, {number}: {reply}"
                );
            }
        }
    }
}

#[test]
fn an_error_body_that_is_no_text_is_not_quoted() {
    for way in WAYS {
        let reply =
            way.whole_before(Answer::whole(500, "application/json", b"\x1f\x8b\x08\x00\xff\x01z".to_vec()));
        assert_eq!(reply.status(), 500, "{reply}");
        assert!(way.failure(&reply).ends_with("' answered 500 without a message"), "{way:?}: {reply}");
    }
}

#[test]
fn text_of_an_upstream_is_shortened_in_messages() {
    let long = "x".repeat(200_000);
    for way in WAYS {
        let gateway_says = |answer: Answer| {
            let upstream = way.upstream().always(answer);
            let gateway = impatient(&upstream).start();
            let reply = way.asked_whole(&gateway);
            (reply, gateway.stop())
        };
        let (_, log) = gateway_says(Answer::json(500, way.error(&long)));
        assert!(!log.contains(&"x".repeat(3000)), "{way:?}: {} bytes in the log", log.len());
        let (reply, log) = gateway_says(Answer::whole(200, &format!("text/{}", &long[..20_000]), "x"));
        assert!(reply.body.len() < 1000 && !log.contains(&"x".repeat(1000)), "{way:?}: {reply}");
        let (reply, _) = gateway_says(Answer::json(200, "{}").header("content-encoding", &long[..20_000]));
        assert!(reply.body.len() < 1000, "{way:?}: {reply}");
    }
    let way = WAYS[0];
    let mut events = way.begun("first");
    let error = format!(
        "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{long}\",\"message\":\"{long}\"}}}}\n\n"
    );
    events.push(error.into_bytes());
    let upstream = way.upstream().always(Answer::events(events));
    assert_eq!(way.upstream, Dialect::Anthropic);
    let gateway = impatient(&upstream).start();
    assert!(way.streamed(&gateway).raw().contains(&long), "a passthrough is byte-identical");
    let log = gateway.stop();
    assert!(!log.contains(&"x".repeat(3000)), "{} bytes in the log", log.len());
}
