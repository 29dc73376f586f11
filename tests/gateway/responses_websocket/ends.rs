//! How a connection ends: by its client, by silence.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{before, create, data, user};
use crate::support::await_that;
use crate::support::upstream::{Answer, Upstream};
use crate::support::websocket::{CLOSE, PING, PONG, Socket, frame};

/// Requirement: when the client disconnects, the upstream request is cancelled, in every phase.
#[test]
fn a_client_that_disconnects_ends_its_upstream_request() {
    for (upstream, frames) in
        [(Upstream::openai().always(Answer::silence()), 0), (super::paused("resp_1").0, 1)]
    {
        let gateway = before(&upstream).start();
        for close in [false, true] {
            let before = upstream.count();
            let mut socket = Socket::open(gateway.address);
            socket.send(&create(&json!([user("hi")])));
            upstream.request(before);
            for _ in 0..frames {
                socket.text();
            }
            if close {
                socket.send_bytes(&frame(CLOSE, &1000_u16.to_be_bytes()));
                assert_eq!(socket.close_code(), Some(1000));
                assert!(socket.is_at_end());
            } else {
                socket.hang_up();
            }
            upstream.closed(before);
        }
        await_that("no request is in flight", || gateway.status()["in_flight"] == 0);
    }
}

#[test]
fn a_client_that_closes_gets_its_own_code_back() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    for (payload, code) in [(&[][..], None), (&[0x03, 0xe9], Some(1001)), (&[0x0f, 0xa1, b'b'], Some(4001))] {
        let mut socket = Socket::open(gateway.address);
        socket.send_bytes(&frame(CLOSE, payload));
        assert_eq!(socket.close_code(), code);
        assert!(socket.is_at_end());
    }
}

/// Requirement: pings are answered at any time, and the gateway sends its own when a connection is silent.
#[test]
fn pings_keep_a_connection_alive() {
    let (upstream, events) = super::paused("resp_1");
    let gateway = before(&upstream).limit("ping-interval", 0.3).start();
    let mut socket = Socket::open(gateway.address);
    let ping = socket.frame().expect("a ping");
    assert_eq!(ping.kind, PING);
    socket.send_bytes(&frame(PING, b"idle"));
    await_pong(&mut socket, b"idle");
    socket.send(&create(&json!([user("hi")])));
    assert_eq!(socket.text(), data(&events)[0]);
    assert_eq!(socket.frame().expect("a ping").kind, PING);
    socket.send_bytes(&frame(PING, b"busy"));
    await_pong(&mut socket, b"busy");
    upstream.permit();
    assert_eq!(socket.response(), data(&events)[1..]);
}

fn await_pong(socket: &mut Socket, data: &[u8]) {
    loop {
        let frame = socket.frame().expect("a frame");
        if frame.kind == PONG {
            assert_eq!(frame.payload, data);
            return;
        }
        assert_eq!(frame.kind, PING);
    }
}

/// Requirement: a connection without a response in progress is closed after `websocket-idle`; one that serves is not.
#[test]
fn an_idle_connection_is_closed() {
    let (upstream, events) = super::paused("resp_1");
    let gateway = before(&upstream).limit("websocket-idle", 1).start();
    let mut socket = Socket::open(gateway.address);
    assert_eq!(socket.close_code(), Some(1000));
    assert!(socket.is_at_end());
    let mut socket = Socket::open(gateway.address);
    socket.send(&create(&json!([user("hi")])));
    socket.text();
    thread::sleep(Duration::from_millis(1500));
    upstream.permit();
    assert_eq!(socket.response(), data(&events)[1..]);
    assert_eq!(socket.close_code(), Some(1000));
}
