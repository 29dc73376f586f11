//! When a client disconnects, or an operator stops the request, its upstream call is cancelled in every phase.

use super::{call, impatient, over_responses};
use crate::support::await_that;
use crate::support::canned::{anthropic, responses as canned};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::responses;
use crate::support::upstream::{Answer, Upstream};

#[test]
fn before_the_head() {
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = over_responses(&upstream).start();
    for (number, body) in
        [responses::prompt(MODEL, "hi"), responses::whole_prompt(MODEL, "hi")].iter().enumerate()
    {
        let exchange = call(&gateway, body).send();
        upstream.request(number);
        exchange.hang_up();
        upstream.closed(number);
    }
    assert_eq!(upstream.count(), 2, "nothing is tried again for nobody");
}

#[test]
fn after_the_first_event_over_each_upstream() {
    let events = canned::text(&["first", "second"]);
    let begun = events[..5].concat().len();
    let upstream = Upstream::openai().always(Answer::events(events).silent_after(begun));
    let gateway = over_responses(&upstream).start();
    let mut exchange = call(&gateway, &responses::prompt(MODEL, "hi")).open();
    exchange.event().expect("an event");
    exchange.hang_up();
    upstream.closed(0);

    let events = anthropic::text(&["first", "second"]);
    let begun = events[..4].concat().len();
    let upstream = Upstream::anthropic().always(Answer::events(events).silent_after(begun));
    let gateway = Gateway::before(&upstream).start();
    let mut exchange = call(&gateway, &responses::prompt(MODEL, "hi")).open();
    exchange.event().expect("an event");
    exchange.hang_up();
    upstream.closed(0);
}

/// Requirement: a gateway that drains lets a running reply end, and ends the rest with an error that clients read.
#[test]
fn a_stop_ends_a_running_stream_with_an_error() {
    let events = canned::text(&["first", "second"]);
    let begun = events[..5].concat().len();
    let upstream = Upstream::openai().always(Answer::events(events).silent_after(begun));
    let gateway = impatient(&upstream).limit("drain", 0.2).start();
    let mut exchange = call(&gateway, &responses::prompt(MODEL, "hi")).open();
    exchange.event().expect("an event");
    gateway.run.signal("TERM");
    let reply = exchange.finish();
    assert_eq!(responses::error(&reply).1.as_deref(), Some("server_error"), "{reply}");
    await_that("the upstream's connection is closed", || upstream.is_closed(0));
}
