//! An operator cancels a request in flight, in every phase of it.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::canned::{anthropic, openai};
use crate::support::client::{Exchange, connect, prompt};
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Upstream};
use crate::support::{PATIENCE, await_that};

const ADMIN: &str = "vdm_admin_0123456789abcdef";
const MESSAGE: &str = "this request was cancelled by an operator of the gateway";

fn with_admin_key(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("VDM_ADMIN_KEY", ADMIN)
}

fn cancel(gateway: &Gateway, id: &str) -> Reply {
    let path = format!("/admin/requests/{id}/cancel");
    gateway.call("POST", &path).header("x-api-key", ADMIN).reply()
}

fn in_flight(gateway: &Gateway) -> Vec<Value> {
    let report = gateway.get("/metrics/active-requests").json();
    report["active_requests"].as_array().expect("a list").clone()
}

/// Cancels the only request in flight, and checks that it ends and how it is recorded.
fn cancel_the_only_one(gateway: &Gateway) {
    let until = Instant::now() + PATIENCE;
    let id = loop {
        if let [row] = &in_flight(gateway)[..] {
            break row["request_id"].as_str().expect("an id").to_owned();
        }
        assert!(Instant::now() < until, "no request is in flight");
        thread::sleep(Duration::from_millis(20));
    };
    let reply = cancel(gateway, &id);
    assert_eq!((reply.status(), reply.json()), (200, json!({"cancelled": id})), "{reply}");
    await_that("no request is in flight", || in_flight(gateway).is_empty());
    let traces = gateway.get("/metrics/logs").json();
    let last = &traces["traces"][0];
    assert_eq!(
        (&last["request_id"], &last["error_type"], &last["error"]),
        (&json!(id), &json!("cancelled"), &json!(MESSAGE)),
        "{traces}"
    );
    assert_eq!(traces["errors"], json!([]), "it is not a failure");
    gateway.run.await_log(&format!("{id} was cancelled by an operator"));
    let again = cancel(gateway, &id);
    assert_eq!(again.status(), 404, "{again}");
}

fn assert_cancelled(reply: &Reply) {
    assert_eq!((reply.status(), reply.header("x-should-retry")), (499, Some("false")), "{reply}");
    assert_eq!(reply.error_message(), MESSAGE, "{reply}");
}

/// The upstream and its key serve as before.
fn assert_healthy(gateway: &Gateway) {
    let report = gateway.get("/health?format=json").json();
    assert_eq!(report["status"], "healthy", "{report}");
    assert!(!report.to_string().contains("\"preferred\":false"), "{report}");
}

fn both(answer: impl Fn(Dialect) -> Answer) -> [Upstream; 2] {
    [
        Upstream::anthropic().always(answer(Dialect::Anthropic)),
        Upstream::openai().always(answer(Dialect::OpenAi)),
    ]
}

/// Requirement: a request that waits for its upstream's head is cancelled: the upstream connection is closed, and the client gets
/// an error that it does not retry.
#[test]
fn before_the_head_the_client_gets_a_final_error() {
    for upstream in both(|_| Answer::silence()) {
        let gateway = with_admin_key(&upstream).start();
        for (number, body) in [prompt(MODEL, "hi"), whole_prompt(MODEL, "hi")].iter().enumerate() {
            let exchange = gateway.messages(body).send();
            upstream.request(number);
            cancel_the_only_one(&gateway);
            upstream.closed(number);
            assert_cancelled(&exchange.finish());
        }
        assert_eq!(upstream.count(), 2, "a cancelled request is not tried again");
        assert_healthy(&gateway);
    }
}

/// Requirement: a stream that has begun ends with `event: error`.
#[test]
fn a_stream_ends_with_an_error_event() {
    let script = |dialect| {
        let (events, begun) = match dialect {
            Dialect::Anthropic => (anthropic::text(&["first", "second"]), 4),
            Dialect::OpenAi => (openai::text(&["first", "second"]), 2),
        };
        let bytes = events[..begun].concat().len();
        Answer::events(events).silent_after(bytes)
    };
    for upstream in both(script) {
        let gateway = with_admin_key(&upstream).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        cancel_the_only_one(&gateway);
        upstream.closed(0);
        let reply = exchange.finish();
        let events = reply.events();
        let last = events.last().expect("an event");
        assert_eq!(last.name, "error", "{reply}");
        assert_eq!(last.data["error"], json!({"type": "api_error", "message": MESSAGE}), "{reply}");
        assert!(reply.raw().contains("first"), "what was sent before stays: {reply}");
        assert_healthy(&gateway);
    }
}

/// Requirement: after early pings the client has status 200 and gets the error as an event.
#[test]
fn after_early_pings_the_error_is_an_event() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = with_admin_key(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.1).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    assert_eq!(exchange.event().expect("a ping").name, "ping");
    cancel_the_only_one(&gateway);
    upstream.closed(0);
    assert_eq!(exchange.event_named("error").data["error"]["message"], MESSAGE);
}

/// Requirement: a request that waits for a place at its provider is cancelled without a call.
#[test]
fn a_request_in_the_queue_leaves_it() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let limited = with_admin_key(&upstream).limit("provider-in-flight", 1).limit("provider-queue-wait", 300);
    let gateway = limited.start();
    let first = gateway.messages(&prompt(MODEL, "one")).send();
    upstream.request(0);
    let [earlier] = &in_flight(&gateway)[..] else { panic!("one") };
    let waiting = gateway.messages(&prompt(MODEL, "two")).send();
    await_that("the second request waits", || in_flight(&gateway).len() == 2);
    let rows = in_flight(&gateway);
    let row = rows.iter().find(|row| row["request_id"] != earlier["request_id"]).expect("the second");
    assert_eq!(cancel(&gateway, row["request_id"].as_str().expect("an id")).status(), 200);
    assert_cancelled(&waiting.finish());
    assert_eq!(upstream.count(), 1, "it was not called");
    cancel_the_only_one(&gateway);
    assert_cancelled(&first.finish());
}

/// Requirement: a request whose body still arrives is cancelled, too.
#[test]
fn a_request_whose_body_arrives_is_cancelled() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    let mut stream = connect(gateway.address);
    let head = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).expect("the connection is open");
    cancel_the_only_one(&gateway);
    assert_cancelled(&Exchange::new(stream).finish());
    assert_eq!(upstream.count(), 0);
}

/// Requirement: an unknown id is 404; without records of requests in flight, the answer names the setting.
#[test]
fn an_unknown_id_is_not_found() {
    let upstream = Upstream::anthropic();
    let gateway = with_admin_key(&upstream).start();
    let reply = cancel(&gateway, "req_unknown");
    assert_eq!((reply.status(), reply.error_type().as_str()), (404, "not_found_error"), "{reply}");
    let get = gateway.call("GET", "/admin/requests/req_1/cancel").header("x-api-key", ADMIN).reply();
    assert_eq!(get.status(), 405, "no request with GET changes anything");
    let gateway = with_admin_key(&upstream).env("LOG_REQUEST_METRICS", "false").start();
    let reply = cancel(&gateway, "req_unknown");
    assert_eq!(reply.status(), 409, "{reply}");
    assert!(reply.error_message().contains("LOG_REQUEST_METRICS"), "{reply}");
}
