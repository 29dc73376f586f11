//! The frames of a conversation: what a client sends, what the upstream gets, and what the client gets.

use serde_json::{Value, json};

use super::{before, create, create_after, data, events, user};
use crate::support::await_that;
use crate::support::canned::responses;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};
use crate::support::websocket::Socket;

/// Requirement: server frames are the data of the events, one frame an event; later frames carry new items only, and the upstream
/// gets all of them; the request is otherwise the client's.
#[test]
fn a_conversation_sends_new_items_only() {
    let call = responses::function_call("call_1", "shell", &json!({"command": "ls"}));
    let thought = responses::reasoning("rs_1", "a summary", "encrypted");
    let [first, second] =
        [events("resp_1", &[thought.clone(), call.clone()]), events("resp_2", &[responses::message("Done")])];
    let upstream =
        Upstream::openai().answering(Answer::events(first.clone())).answering(Answer::events(second.clone()));
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);

    let mut frame = create(&json!([user("hi")]));
    frame["reasoning"] = json!({"effort": "high"});
    frame["client_metadata"] = json!({"unknown": [1.50, "\u{e4}"]});
    socket.send(&frame);
    assert_eq!(socket.response(), data(&first));
    let result = json!({"type": "function_call_output", "call_id": "call_1", "output": "file"});
    socket.send(&create_after("resp_1", &json!([result])));
    assert_eq!(socket.response(), data(&second));

    let [one, two] = &upstream.requests()[..] else { panic!("two requests") };
    assert_eq!(one.target(), "/v1/responses");
    let mut expected = frame.clone();
    expected.as_object_mut().expect("an object").remove("type");
    expected["stream"] = true.into();
    assert_eq!(one.json(), expected);
    assert!(one.text().contains("[1.5,\"\u{e4}\"]"));
    let body = two.json();
    assert_eq!(body["input"], json!([user("hi"), thought, call, result]));
    for absent in ["type", "previous_response_id", "generate"] {
        assert!(body.get(absent).is_none(), "{absent}");
    }
    for absent in ["upgrade", "sec-websocket-key", "openai-beta", "idempotency-key"] {
        assert!(two.head.header(absent).is_none(), "{absent}");
    }
}

/// Requirement: a warm-up (`generate: false`) is answered without a call, and its items are kept. Codex waits for its
/// `response.completed` (seen with 0.171.0).
#[test]
fn a_warm_up_calls_no_upstream_and_keeps_its_items() {
    let upstream =
        Upstream::openai().answering(Answer::events(events("resp_1", &[responses::message("Hi")])));
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);
    let mut warm_up = create(&json!([user("instructions")]));
    warm_up["generate"] = false.into();

    socket.send(&warm_up);

    let [created, completed] = [socket.json(), socket.json()];
    assert_eq!(
        (&created["type"], &completed["type"]),
        (&json!("response.created"), &json!("response.completed"))
    );
    let id = completed["response"]["id"].as_str().expect("an id");
    assert_eq!((&created["response"]["id"], &completed["response"]["output"]), (&json!(id), &json!([])));
    assert_eq!(upstream.count(), 0);
    socket.send(&create_after(id, &json!("hi")));
    socket.response();
    let input = upstream.only_request().json()["input"].clone();
    assert_eq!(input, json!([user("instructions"), {"role": "user", "content": "hi"}]));
}

/// Requirement: an unknown `previous_response_id` is answered with the code that makes Codex send all items again; the connection
/// stays open. If the provider may have the response, it decides.
#[test]
fn an_unknown_response_is_refused_with_the_code_that_clients_recognise() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);

    socket.send(&create_after("resp_elsewhere", &json!([user("hi")])));

    let error = socket.json();
    assert_eq!((&error["type"], &error["status"]), (&json!("error"), &json!(400)));
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    assert_eq!(upstream.count(), 0);
    socket.send(&create(&json!([user("hi")])));
    assert_eq!(socket.response().len(), data(&responses::text(&["Hello ", "there!"])).len());
    let mut stored = create_after("resp_elsewhere", &json!([user("again")]));
    stored["store"] = true.into();
    socket.send(&stored);
    socket.response();
    let body = upstream.request(1).json();
    assert_eq!(
        (&body["previous_response_id"], &body["input"]),
        (&json!("resp_elsewhere"), &json!([user("again")]))
    );
}

/// Requirement: the same over an upstream that keeps no responses, whatever `store` is, and the conversation goes on.
#[test]
fn an_unknown_response_is_refused_over_other_upstreams_with_the_same_code() {
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let gateway = Gateway::before(&upstream).start();
        let mut socket = Socket::open(gateway.address);
        for store in [None, Some(false), Some(true)] {
            let mut frame = create_after("resp_elsewhere", &json!([user("hi")]));
            match store {
                Some(store) => frame["store"] = store.into(),
                None => frame.as_object_mut().map(|frame| frame.remove("store")).map_or((), drop),
            }
            socket.send(&frame);
            let error = socket.json();
            assert_eq!((&error["type"], &error["status"]), (&json!("error"), &json!(400)), "{error}");
            let (code, param) = (&error["error"]["code"], &error["error"]["param"]);
            assert_eq!(
                (code, param),
                (&json!("previous_response_not_found"), &json!("previous_response_id"))
            );
        }
        assert_eq!(upstream.count(), 0);
        socket.send(&create(&json!([user("hi")])));
        let last: Value =
            socket.response().last().and_then(|text| serde_json::from_str(text).ok()).expect("JSON");
        assert_eq!(last["type"], "response.completed");
        socket.send(&create_after(last["response"]["id"].as_str().expect("an id"), &json!([user("more")])));
        socket.response();
        assert_eq!(upstream.count(), 2);
    }
}

/// Requirement: each response is a request of its own in the records, and an idle connection is none.
#[test]
fn each_response_has_its_own_record() {
    let upstream = Upstream::openai();
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);
    for _ in 0..3 {
        socket.send(&create(&json!([user("hi")])));
        socket.response();
    }
    let mut warm_up = create(&json!([]));
    warm_up["generate"] = false.into();
    socket.send(&warm_up);
    socket.response();
    let rows = || {
        let reply: Value = serde_json::from_slice(&gateway.get("/api/ui/requests").body).expect("JSON");
        reply["requests"].as_array().cloned().unwrap_or_default()
    };
    await_that("three requests are recorded", || rows().len() == 3);
    assert!(rows().iter().all(|row| row["model"] == MODEL && row["status"] == 200), "{:?}", rows());
    await_that("no request is in flight", || gateway.status()["in_flight"] == 0);
}

/// Requirement: frames that arrive while a response is in progress are served afterwards, in order; a client may take
/// notice of a response without an effect, and gets its steering input back.
#[test]
fn responses_are_served_one_after_the_other() {
    let (upstream, events) = super::paused("resp_1");
    let gateway = before(&upstream).start();
    let mut socket = Socket::open(gateway.address);
    socket.send(&create(&json!([user("one")])));
    assert_eq!(socket.text(), data(&events)[0]);
    socket.send(&json!({"type": "response.processed", "response_id": "resp_0"}));
    socket.send(&json!({"type": "response.steer", "previous_response_id": "resp_1", "input": "left"}));
    socket.send(&create_after("resp_1", &json!([user("two")])));
    socket.assert_silent();
    assert_eq!(upstream.count(), 1);

    upstream.permit();
    upstream.permit();

    assert_eq!(socket.response(), data(&events)[1..]);
    let steer = socket.json();
    assert_eq!((&steer["type"], &steer["steer"]["input"]), (&json!("response.steer.failed"), &json!("left")));
    assert_eq!(socket.response(), data(&events));
    assert_eq!(upstream.request(1).json()["input"].as_array().map(Vec::len), Some(3));
}
