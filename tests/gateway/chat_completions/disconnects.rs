//! When a client disconnects, its upstream call is cancelled, in every phase.

use std::time::Duration;

use super::{call, impatient, refusal, silent_after_the_first_word};
use crate::support::canned::openai;
use crate::support::chat;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

#[test]
fn before_the_head() {
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();
    for (number, body) in [chat::prompt(MODEL, "hi"), chat::whole_prompt(MODEL, "hi")].iter().enumerate() {
        let exchange = call(&gateway, body).send();
        upstream.request(number);
        exchange.hang_up();
        upstream.closed(number);
    }
    assert_eq!(upstream.count(), 2, "nothing is tried again for nobody");
}

#[test]
fn after_the_first_word() {
    let upstream = silent_after_the_first_word();
    let gateway = Gateway::before(&upstream).start();
    let mut exchange = call(&gateway, &chat::prompt(MODEL, "hi")).open();
    exchange.event().expect("the role");
    exchange.hang_up();
    upstream.closed(0);
}

#[test]
fn while_a_whole_body_arrives() {
    let upstream = Upstream::openai().always(Answer::json(200, openai::whole("Hello")).silent_after(20));
    let gateway = Gateway::before(&upstream).start();
    let exchange = call(&gateway, &chat::whole_prompt(MODEL, "hi")).send();
    upstream.request(0);
    exchange.hang_up();
    upstream.closed(0);
}

#[test]
fn after_early_comments() {
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = impatient(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
    let mut exchange = call(&gateway, &chat::prompt(MODEL, "hi")).open();
    assert_eq!(exchange.event().expect("a comment").raw, ": keep-alive\n\n");
    exchange.hang_up();
    upstream.closed(0);
}

#[test]
fn in_the_pause_before_a_retry() {
    let upstream = Upstream::openai().always(refusal(503).header("retry-after", "1"));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "3").start();
    let exchange = call(&gateway, &chat::prompt(MODEL, "hi")).send();
    upstream.request(0);
    exchange.hang_up();
    // Waits longer than the retry would take, to see that it does not happen.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(upstream.count(), 1);
}
