//! What counts as lost, doubled or cut off, and what a fault excuses.

use std::time::{Duration, Instant};

use crate::client::{Outcome, Waits};
use crate::history::{Excuse, History, Suspect};
use crate::order::{Endpoint, Form, Order, Script};

/// A stream of three events that should be complete.
fn suspect(id: u64, outcome: Outcome, calls: usize) -> Suspect {
    let (endpoint, form, script) = (Endpoint::Passthrough, Form::Stream, Script::Answers);
    let order = Order { id, endpoint, form, script, events: 3, pause: Duration::ZERO, leaves_after: None };
    let now = Instant::now();
    Suspect { order, outcome, calls, opened: None, started: now, ended: now }
}

fn lost() -> Outcome {
    Outcome::Lost("closed".to_owned())
}

fn violations(history: &History) -> Vec<String> {
    history.conclude().violations
}

/// Requirement (issue 15, 7): of many good replies, one that is lost, doubled, cut off or wrong fails the run.
#[test]
fn one_bad_reply_among_good_ones_is_found() {
    let bad = [
        suspect(7, lost(), 1),
        suspect(7, Outcome::Complete, 2),
        suspect(7, Outcome::Broken, 1),
        suspect(7, Outcome::Wrong("an incomplete stream that ends as a complete one".to_owned()), 1),
        suspect(7, Outcome::Refused { status: 503, waits: Waits::Stated }, 0),
        suspect(7, Outcome::Left, 1),
    ];
    for bad in bad {
        let history = History::new();
        (10..1000).for_each(|id| history.record(suspect(id, Outcome::Complete, 1)));
        assert_eq!(violations(&history), [""; 0]);
        history.record(bad.clone());
        let found = violations(&history);
        assert_eq!(found.len(), 1, "{bad:?}: {found:?}");
        assert!(found[0].contains("id: 7,"), "{found:?}");
    }
}

/// Requirement: a fault excuses what it causes, and nothing else.
#[test]
fn an_excuse_covers_no_other_fault() {
    let judged = |excuse, suspect: &Suspect| {
        let history = History::new();
        history.excuse(excuse, Instant::now(), Duration::from_secs(1));
        history.record(suspect.clone());
        violations(&history).is_empty()
    };
    let doubled = suspect(1, Outcome::Complete, 2);
    let cut = suspect(1, Outcome::Broken, 1);
    let wrong = suspect(1, Outcome::Wrong(String::new()), 1);
    for excuse in [Excuse::Killed, Excuse::MasterKilled, Excuse::Overload, Excuse::ActorFault] {
        assert!(!judged(excuse, &doubled) && !judged(excuse, &cut), "{excuse:?}");
    }
    for excuse in [Excuse::Killed, Excuse::MasterKilled, Excuse::UpstreamDown, Excuse::OneReply] {
        assert!(!judged(excuse, &wrong), "{excuse:?}");
    }
    assert!(judged(Excuse::Killed, &suspect(1, lost(), 1)));
    assert!(judged(Excuse::MasterKilled, &suspect(1, lost(), 0)));
    assert!(!judged(Excuse::MasterKilled, &suspect(1, lost(), 1)), "the old worker finishes it");
    assert!(!judged(Excuse::Overload, &suspect(1, lost(), 0)));
}

/// Requirement: a request outside of the time of a fault is not excused, and one converter panic excuses one reply.
#[test]
fn an_excuse_has_a_time_and_a_number() {
    let history = History::new();
    let mut late = suspect(1, lost(), 1);
    history.excuse(Excuse::Killed, Instant::now(), Duration::ZERO);
    late.started += Duration::from_secs(2);
    late.ended = late.started;
    history.record(late);
    assert_eq!(violations(&history).len(), 1);

    let history = History::new();
    history.excuse(Excuse::OneReply, Instant::now(), Duration::from_secs(1));
    (0..2).for_each(|id| history.record(suspect(id, Outcome::Broken, 1)));
    assert_eq!(violations(&history).len(), 1);
}
