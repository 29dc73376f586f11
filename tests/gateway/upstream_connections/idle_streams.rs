//! What an open stream costs while its upstream is silent, and the date of a request.

use std::fs;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::support::canned::anthropic;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

/// How often a thread of the gateway has waited for something and was woken.
#[cfg(target_os = "linux")]
fn wake_ups(gateway: &Gateway) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", gateway.worker())).expect("Linux");
    let statuses = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let count = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<usize>().ok()
    };
    statuses.filter_map(count).sum()
}

/// Requirement (issue 17, 1): an open stream sets no timer of its own. With the published awc, each wakes its thread twice
/// a second.
#[test]
#[cfg(target_os = "linux")]
fn idle_streams_do_not_wake_the_gateway() {
    const STREAMS: usize = 60;
    const TIME: Duration = Duration::from_secs(3);
    let events = anthropic::text(&["first", "second"]);
    let begun = events[..4].concat().len();
    let upstream = Upstream::anthropic().always(Answer::events(events).silent_after(begun));
    let gateway = Gateway::before(&upstream).start();
    let in_some_seconds = || {
        let before = wake_ups(&gateway);
        thread::sleep(TIME);
        wake_ups(&gateway) - before
    };
    let open = || {
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        // Timers that are set in the same moment would fire in the same moment.
        thread::sleep(Duration::from_millis(7));
        exchange
    };
    let first = open();
    let with_one = in_some_seconds();
    let streams: Vec<_> = (0..STREAMS).map(|_| open()).collect();
    let with_all = in_some_seconds();
    assert!(
        with_all < with_one + STREAMS,
        "{with_all} wake-ups with {STREAMS} more streams, {with_one} without"
    );
    drop((first, streams));
}

/// Requirement (issue 17, 1): a request to an upstream has the date of the second in which it is sent.
#[test]
fn requests_have_the_current_date() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    for number in 0..3 {
        let before = Timestamp::now().as_second();
        assert_eq!(gateway.ask("hi").status(), 200);
        let seen = upstream.request(number);
        let date = seen.head.header("date").expect("a date");
        let date = rfc2822::parse(date).expect("a date").timestamp().as_second();
        assert!((before..=Timestamp::now().as_second()).contains(&date), "{date}, not {before}");
        thread::sleep(Duration::from_millis(1100));
    }
}
