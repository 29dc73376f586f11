//! The limits on connections, and what is closed or refused above them.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{closed, reply};
use serde_json::json;

use crate::support::PATIENCE;
use crate::support::client::{Exchange, connect, prompt};
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::{Answer, Upstream};
use crate::support::wire::Wire;

fn idle(gateway: &Gateway) -> TcpStream {
    let mut stream = connect(gateway.address);
    stream.write_all(&gateway.call("GET", "/health").bytes()).expect("the gateway takes it");
    reply(&mut Wire::new(stream.try_clone().expect("a descriptor")), "GET");
    stream
}

#[test]
fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).limit("connections", 20).start();
    let mut kept: Vec<_> = (0..20).map(|_| idle(&gateway)).collect();
    for _ in 0..40 {
        kept.push(idle(&gateway));
    }
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
    let (old, new) = kept.split_at_mut(36);
    old.iter_mut().for_each(|stream| drop(closed(stream)));
    let open = new.iter().filter(|stream| {
        stream.set_nonblocking(true).expect("a socket");
        stream.peek(&mut [0]).is_err()
    });
    assert!(open.count() >= 15, "many more than necessary were closed");
}

#[test]
fn if_all_connections_are_in_use_health_answers_and_others_are_refused() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).limit("connections", 3).start();
    let mut held: Vec<_> = (0..3).map(|_| gateway.messages(&prompt(MODEL, "hi")).send()).collect();
    upstream.request(2);
    for _ in 0..50 {
        let mut health = gateway.call("GET", "/health").open();
        assert_eq!((health.status(), health.head().header("connection")), (200, Some("close")));
        for (endpoint, kind) in [("/v1/messages", "api_error"), ("/v1/chat/completions", "server_error")] {
            let reply = gateway.call("POST", endpoint).json(&whole_prompt(MODEL, "hi")).reply();
            assert_eq!((reply.status(), &reply.json()["error"]["type"]), (503, &json!(kind)), "{reply}");
            assert!(reply.integer("retry-after") > 0, "{reply}");
            assert!(reply.raw().contains("limits.connections"), "{reply}");
        }
    }
    // Connections without a request do not block one with a request.
    let silent: Vec<_> = (0..200).map(|_| connect(gateway.address)).collect();
    assert_eq!(gateway.get("/health").status(), 200);
    drop(silent);
    assert_eq!(upstream.count(), 3);
    held.remove(0).hang_up();
    let until = Instant::now() + PATIENCE;
    loop {
        let exchange = gateway.messages(&prompt(MODEL, "hi")).send();
        std::thread::sleep(Duration::from_millis(100));
        if upstream.count() == 4 {
            return drop(exchange);
        }
        assert!(Instant::now() < until, "its place is taken for ever");
    }
}

#[test]
fn each_address_has_its_own_limit() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).limit("connections-per-address", 2).start();
    // The connection of the readiness check is closed by then.
    std::thread::sleep(Duration::from_millis(300));
    let held: Vec<_> = (0..2).map(|_| gateway.messages(&prompt(MODEL, "hi")).send()).collect();
    upstream.request(1);
    let mut refused = connect(gateway.address);
    let said = closed(&mut refused);
    assert!(
        said.starts_with("HTTP/1.1 503 ")
            && said.contains("this address has reached its limit of connections"),
        "{said}"
    );
    drop(held);
    upstream.closed(1);
    let until = Instant::now() + PATIENCE;
    loop {
        let mut stream = connect(gateway.address);
        let _ = stream.write_all(&gateway.call("GET", "/health").header("connection", "close").bytes());
        if closed(&mut stream).starts_with("HTTP/1.1 200 ") {
            break;
        }
        assert!(Instant::now() < until, "a place of an address is never free again");
    }
}

#[test]
fn a_reload_changes_the_limits_of_connections() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).limit("connections", 1).start();
    let _held = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(0);
    assert_eq!(gateway.ask("hi").status(), 503);
    gateway.run.write("test.toml", "[limits]\nconnections = 9\nrequest-head-timeout = 0.3\n");
    let told = gateway.server(&["reload"]).output().expect("vdm is built");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("changed: limits.connections = 9") && !told.contains("restart"), "{told}");
    let _second = gateway.messages(&prompt(MODEL, "hi")).send();
    upstream.request(1);
    let mut late = connect(gateway.address);
    late.write_all(b"G").expect("the gateway takes it");
    assert_eq!(Exchange::new(late).status(), 408);
}
