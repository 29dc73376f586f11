//! WebSockets while the gateway stops or restarts: the response in progress finishes, then the connection is closed.

use serde_json::{Value, json};

use super::{before, create, create_after, data, user};
use crate::master::{restart, runs};
use crate::support::await_that;
use crate::support::websocket::{Socket, upgrade};

/// Requirement: at a stop no new response begins, the one in progress finishes, then the connection is closed with 1001.
#[test]
fn at_a_stop_the_response_in_progress_finishes() {
    let (upstream, events) = super::paused("resp_1");
    let mut gateway = before(&upstream).start();
    let mut idle = Socket::open(gateway.address);
    let mut busy = Socket::open(gateway.address);
    busy.send(&create(&json!([user("hi")])));
    assert_eq!(busy.text(), data(&events)[0]);

    gateway.run.signal("TERM");

    assert_eq!(idle.close_code(), Some(1001));
    assert!(idle.is_at_end());
    busy.send(&create_after("resp_1", &json!([user("more")])));
    busy.assert_silent();
    upstream.permit();
    assert_eq!(busy.response(), data(&events)[1..]);
    let refused = busy.json();
    assert_eq!((&refused["type"], &refused["status"]), (&json!("error"), &json!(503)));
    assert_eq!(busy.close_code(), Some(1001));
    assert!(busy.is_at_end());
    assert_eq!((gateway.run.wait().code(), upstream.count()), (Some(0), 1));
}

/// Requirement: a response that outlives the drain ends with an error.
#[test]
fn a_response_that_outlives_the_drain_ends_with_an_error() {
    let (upstream, _) = super::paused("resp_1");
    let mut gateway = before(&upstream).limit("drain", 0.5).start();
    let mut socket = Socket::open(gateway.address);
    socket.send(&create(&json!([user("hi")])));
    socket.text();
    gateway.run.signal("TERM");
    let last: Value =
        socket.response().last().and_then(|text| serde_json::from_str(text).ok()).expect("JSON");
    assert!(last["type"] == "error" || last["type"] == "response.failed", "{last}");
    assert_eq!(gateway.run.wait().code(), Some(0));
}

/// Requirement: a restart closes idle connections with 1001, so that clients connect to the new worker, lets the response in
/// progress finish, and the old worker exits.
#[test]
fn a_restart_moves_connections_to_the_new_worker() {
    let (upstream, events) = super::paused("resp_1");
    let gateway = before(&upstream).start();
    let first = gateway.worker();
    let mut idle = Socket::open(gateway.address);
    let mut busy = Socket::open(gateway.address);
    busy.send(&create(&json!([user("hi")])));
    assert_eq!(busy.text(), data(&events)[0]);

    restart(&gateway);

    assert_eq!(idle.close_code(), Some(1001));
    let mut moved = Socket::open(gateway.address);
    moved.send(&create(&json!([user("hi")])));
    assert_eq!(moved.text(), data(&events)[0]);
    assert!(runs(first), "the old worker finishes its response");
    upstream.permit();
    upstream.permit();
    assert_eq!(busy.response(), data(&events)[1..]);
    assert_eq!(busy.close_code(), Some(1001));
    assert_eq!(moved.response(), data(&events)[1..]);
    moved.send(&create_after("resp_1", &json!([user("more")])));
    assert_eq!(moved.text(), data(&events)[0]);
    await_that("the old worker exits", || !runs(first));
}

/// Requirement: a worker that does not accept connections opens no WebSocket on a connection that is still open.
#[test]
fn a_retired_worker_opens_no_websocket() {
    let (upstream, _) = super::paused("resp_1");
    let gateway = before(&upstream).start();
    let first = gateway.worker();
    // Keeps the old worker.
    let mut busy = Socket::open(gateway.address);
    busy.send(&create(&json!([user("hi")])));
    busy.text();
    let kept = upgrade(gateway.address);
    let stream = crate::support::client::connect(gateway.address);
    std::io::Write::write_all(&mut &stream, &gateway.call("GET", "/health").bytes()).expect("taken");
    let mut wire = crate::support::wire::Wire::new(stream.try_clone().expect("a descriptor"));
    let head = wire.head().expect("a reply").expect("a head");
    wire.body(crate::support::wire::Framing::of_reply(&head)).expect("a body");

    restart(&gateway);

    assert!(runs(first));
    std::io::Write::write_all(&mut &stream, &kept.bytes()).expect("taken");
    let head = wire.head().expect("a reply").expect("a head");
    assert_eq!(head.second_word(), "503", "{head:?}");
}
