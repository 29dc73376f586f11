//! When a client disconnects, its upstream call is cancelled, in every phase.

use std::time::Duration;

use super::both_silent_after_the_first_word;
use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Upstream};

/// Requirement: Client closes → upstream connection closed within 1 s (streaming and not, and during a retry
/// wait); trace `client_disconnect`.
/// Complaint of gateway users: a client that left is still generated for.
#[test]
fn a_disconnect_before_the_head_closes_the_upstream_connection() {
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

/// Requirement: Client closes → upstream connection closed within 1 s (streaming and not, and during a retry
/// wait); trace `client_disconnect`.
/// Complaint of gateway users: a client that left is still generated for.
#[test]
fn a_disconnect_in_mid_stream_closes_the_upstream_connection() {
    for upstream in both_silent_after_the_first_word() {
        let gateway = Gateway::before(&upstream).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        exchange.hang_up();
        upstream.closed(0);
    }
}

/// Requirement: Client closes → upstream connection closed within 1 s (streaming and not, and during a retry
/// wait); trace `client_disconnect`.
/// Complaint of gateway users: a client that left is still generated for.
#[test]
fn a_disconnect_while_a_whole_body_arrives_closes_the_upstream_connection() {
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
fn a_disconnect_after_early_pings_closes_the_upstream_connection() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    assert_eq!(exchange.event().expect("a ping").name, "ping");
    exchange.hang_up();
    upstream.closed(0);
}

/// Requirement: Client closes → upstream connection closed within 1 s (streaming and not, and during a retry
/// wait); trace `client_disconnect`.
/// Complaint of gateway users: a client that left is still generated for.
#[test]
fn a_disconnect_during_a_retry_wait_ends_the_retries() {
    let busy = Answer::json(503, openai::error("busy", "x", "y")).header("retry-after", "1");
    let upstream = Upstream::openai().always(busy);
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "3").start();
    let exchange = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(0);
    exchange.hang_up();
    // Waits longer than the retry would take, to see that it does not happen.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_client_that_shuts_down_its_sending_side_counts_as_disconnected() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();
    let exchange = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(0);
    exchange.half_close();
    upstream.closed(0);
}
