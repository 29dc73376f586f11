//! Which replies count as complete.

use std::time::Duration;

use crate::client::{Outcome, Reply};
use crate::order::{Endpoint, Form, Order, Script};
use crate::words::{Api, Words};

fn judged(body: String) -> Outcome {
    let (endpoint, form, script) = (Endpoint::Passthrough, Form::Stream, Script::Answers);
    let order = Order { id: 5, endpoint, form, script, events: 3, pause: Duration::ZERO, leaves_after: None };
    Reply { status: 200, head: String::new(), body: body.into_bytes() }.judge(&order)
}

/// Requirement (issue 15, 7): a stream counts as complete only with all of its own events, once each, in order, and its end.
#[test]
fn a_cut_or_mixed_stream_is_not_complete() {
    let words = |id| Words { api: Api::Messages, id };
    let stream = |id, numbers: &[usize], ending: &str| {
        let events: String = numbers.iter().map(|number| words(id).event(*number)).collect();
        words(id).opening() + &events + ending
    };
    let ending = words(5).ending();
    assert_eq!(judged(stream(5, &[0, 1, 2], &ending)), Outcome::Complete);
    for (numbers, id, ending) in [
        (&[0, 1][..], 5, ending.as_str()),
        (&[0, 1, 1, 2], 5, &ending),
        (&[0, 2, 1], 5, &ending),
        (&[0, 1, 2], 6, &ending),
        (&[0, 1, 2], 5, ""),
    ] {
        let judged = judged(stream(id, numbers, ending));
        assert!(matches!(judged, Outcome::Wrong(_)), "{numbers:?} of {id}: {judged:?}");
    }
    let error = "event: error\ndata: {\"type\":\"error\"}\n\n";
    assert_eq!(judged(stream(5, &[0, 1], error)), Outcome::Broken);
}
