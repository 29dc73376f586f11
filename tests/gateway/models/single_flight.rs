//! Requests for the same list at the same time share one upstream call.

use std::thread;
use std::time::Duration;

use super::{ANTHROPIC, OPENAI, PATH, ids};
use crate::support::gateway::Gateway;
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

const CLIENTS: usize = 50;
/// The time for a request to reach the gateway and wait there.
const ARRIVAL: Duration = Duration::from_millis(300);

/// The replies to `clients` simultaneous requests.
fn at_once(gateway: &Gateway, clients: usize, target: &str) -> Vec<Reply> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(|| gateway.get(target))).collect();
        clients.into_iter().map(|client| client.join().expect("a reply")).collect()
    })
}

#[test]
fn fifty_simultaneous_first_lists_are_one_call_for_each_provider() {
    let slow = |list| Answer::json(200, list).head_after(Duration::from_millis(500));
    let (one, two) = (Upstream::openai().always(slow(OPENAI)), Upstream::anthropic().always(slow(ANTHROPIC)));
    let gateway = Gateway::before(&one).provider("second", &two).start();
    thread::scope(|scope| {
        let second = scope.spawn(|| at_once(&gateway, CLIENTS, "/v1/models?provider=second"));
        for reply in at_once(&gateway, CLIENTS, PATH) {
            assert_eq!(ids(&reply), ["m-1", "vendor/m-2"]);
        }
        for reply in second.join().expect("replies") {
            assert_eq!(ids(&reply), ["claude-a", "claude-b"]);
        }
    });
    assert_eq!((one.count(), two.count()), (1, 1));
}

/// A call may end between a request's query of the catalog and its own call.
#[test]
fn a_fast_provider_is_called_once_too() {
    let upstream = Upstream::openai().always(Answer::json(200, OPENAI));
    let gateway = Gateway::before(&upstream).start();
    for reply in at_once(&gateway, CLIENTS, PATH) {
        assert_eq!(reply.status(), 200, "{reply}");
    }
    assert_eq!(upstream.count(), 1);
}

#[test]
fn an_error_is_shared_by_all_waiting_requests_and_not_cached() {
    let refusal = r#"{"error":{"message":"no such thing","type":"t","code":null}}"#;
    let upstream = Upstream::openai()
        .answering(Answer::json(404, refusal).head_after(Duration::from_secs(1)))
        .answering(Answer::json(200, OPENAI));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    for reply in at_once(&gateway, 20, PATH) {
        assert_eq!(reply.status(), 404, "{reply}");
        assert_eq!(reply.json()["error"]["message"], "Failed to list models: no such thing");
    }
    assert_eq!(upstream.count(), 1);
    assert_eq!(gateway.get(PATH).status(), 200);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_client_that_disconnects_does_not_affect_the_others() {
    let upstream = Upstream::openai().always(Answer::json(200, OPENAI).head_on_permit());
    let gateway = Gateway::before(&upstream).start();
    let first = gateway.call("GET", PATH).send();
    upstream.request(0);
    let mut second = gateway.call("GET", PATH).send();
    thread::sleep(ARRIVAL);
    drop(first);
    thread::sleep(ARRIVAL);
    upstream.permit();
    assert_eq!(second.status(), 200);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_call_without_waiting_requests_is_cancelled() {
    let upstream = Upstream::openai().answering(Answer::silence()).answering(Answer::json(200, OPENAI));
    let gateway = Gateway::before(&upstream).start();
    let clients = [gateway.call("GET", PATH).send(), gateway.call("GET", PATH).send()];
    upstream.request(0);
    thread::sleep(ARRIVAL);
    drop(clients);
    upstream.closed(0);
    assert_eq!(gateway.get(PATH).status(), 200);
    assert_eq!(upstream.count(), 2);
}
