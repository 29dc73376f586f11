//! Errors at the endpoint and of Responses upstreams: status, code, and `retry-after`.

use serde_json::json;

use super::{BOTH, call, error_body, impatient, post, streamed_before, whole_before};
use crate::support::canned::anthropic;
use crate::support::chat;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::reply::Reply;
use crate::support::responses;
use crate::support::upstream::{Answer, Upstream};

/// Requirement: an error of a Responses upstream reaches a Responses client byte for byte, with its status.
#[test]
fn error_bodies_are_byte_exact_with_their_status() {
    for status in [400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 503] {
        let body = error_body(&format!("no {status}"), "a_code");
        for reply in [
            streamed_before(Answer::json(status, body.clone())),
            whole_before(Answer::json(status, body.clone())),
        ] {
            assert_eq!((reply.status(), reply.raw()), (status, body.clone()), "{status}");
        }
    }
}

/// Requirement: the codes that Codex reads, and the wait in `retry-after`, over every upstream.
#[test]
fn errors_of_other_upstreams_have_the_codes_that_clients_read() {
    let overflow = "prompt is too long: 210000 tokens > 200000 maximum";
    for (answer, status, code) in [
        (
            Answer::json(429, anthropic::error("rate_limit_error", "slow down")).header("retry-after", "7"),
            429,
            "rate_limit_exceeded",
        ),
        (
            Answer::json(400, anthropic::error("invalid_request_error", overflow)),
            400,
            "context_length_exceeded",
        ),
        (Answer::json(402, anthropic::error("billing_error", "no credit")), 402, "insufficient_quota"),
    ] {
        for ask in BOTH {
            let upstream = Upstream::anthropic().always(answer.clone());
            let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
            let reply = ask(&gateway);
            assert_eq!(reply.status(), status, "{reply}");
            let (_, found) = responses::error(&reply);
            assert_eq!(found.as_deref(), Some(code), "{reply}");
            assert_eq!(reply.header("retry-after"), (status == 429).then_some("7"), "{reply}");
        }
    }
}

/// Requirement: `code` and `param` survive the translation of an error; those of a refusal name the client's own member.
#[test]
fn code_and_param_reach_clients_of_another_api() {
    let names = |reply: &Reply| {
        let error = reply.json()["error"].clone();
        (reply.status(), error["code"].clone(), error["param"].clone())
    };
    let error = json!({"error": {"message": "bad", "type": "invalid_request_error", "code": "bad_thing", "param": "tools[0].type"}});
    let expected = (400, json!("bad_thing"), json!("tools[0].type"));
    let upstream = Upstream::openai().always(Answer::json(400, error.to_string()));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    for ask in BOTH {
        assert_eq!(names(&ask(&gateway)), expected);
    }
    let gateway = impatient(&upstream).start();
    assert_eq!(
        names(&gateway.call("POST", "/v1/chat/completions").json(&chat::whole_prompt(MODEL, "hi")).reply()),
        expected
    );
    let quoting = error.to_string().replace("bad_thing", "sk-test-key-0123456789");
    let upstream = Upstream::openai().always(Answer::json(400, quoting));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").keys(["sk-test-key-0123456789"]).start();
    let reply = super::ask_whole(&gateway);
    assert!(reply.status() == 400 && !reply.raw().contains("0123456789"), "{reply}");

    let gateway = Gateway::before(&Upstream::openai()).start();
    for (member, value, code, param) in [
        ("previous_response_id", json!("resp_1"), "previous_response_not_found", "previous_response_id"),
        (
            "input",
            json!([{"role": "user", "content": [{"type": "input_file", "file_url": "https://e.example/a.pdf"}]}]),
            "invalid_prompt",
            "input[0].content[0].file_url",
        ),
        (
            "tools",
            json!([{"type": "function", "name": "f", "strict": 1}]),
            "invalid_prompt",
            "tools[0].strict",
        ),
    ] {
        let mut body = responses::whole_prompt(MODEL, "hi");
        body[member] = value;
        assert_eq!(names(&call(&gateway, &body).reply()), (400, json!(code), json!(param)));
    }
}

/// Requirement: an error of a Responses upstream is in the shape of the client's API, with the same meaning.
#[test]
fn clients_of_other_apis_get_errors_in_their_own_shape() {
    for (status, code, kind) in [
        (400, "invalid_value", "invalid_request_error"),
        (429, "rate_limit_exceeded", "rate_limit_error"),
        (500, "server_error", "api_error"),
    ] {
        let answer = Answer::json(status, error_body("no", code)).header("retry-after", "3");
        let upstream = Upstream::openai().always(answer);
        let gateway = impatient(&upstream).start();
        let messages = gateway.ask_whole("hi");
        assert_eq!((messages.status(), messages.error_type().as_str()), (status, kind), "{messages}");
        let completion =
            gateway.call("POST", "/v1/chat/completions").json(&chat::whole_prompt(MODEL, "hi")).reply();
        assert_eq!(completion.status(), status, "{completion}");
        assert_eq!(chat::Error::of(&completion).message, "no");
        for reply in [messages, completion] {
            assert_eq!(reply.header("retry-after"), Some("3"), "{reply}");
        }
    }
}

/// Requirement: errors of the gateway itself have OpenAI's shape at this endpoint.
#[test]
fn errors_of_the_gateway_have_the_shape_of_the_api() {
    let upstream = Upstream::openai();
    let gateway = impatient(&upstream).start();
    for (body, status, code) in [
        ("{".to_owned(), 400, Some("invalid_prompt")),
        ("{\"input\":\"hi\"}".to_owned(), 400, Some("invalid_prompt")),
        (responses::whole_prompt("nowhere:m", "hi").to_string(), 404, Some("model_not_found")),
    ] {
        let reply = post(&gateway, body).reply();
        assert_eq!(reply.status(), status, "{reply}");
        let object = reply.json();
        assert!(object["error"]["message"].is_string() && object["error"].get("param").is_some(), "{reply}");
        assert_eq!(object["error"]["code"].as_str(), code, "{reply}");
    }
    assert_eq!(upstream.count(), 0);
}

/// Requirement: a gateway key is required here as elsewhere, and a GET without an upgrade is no request.
#[test]
fn the_endpoint_has_the_access_of_the_others() {
    let upstream = Upstream::openai();
    let gateway = impatient(&upstream).env("PROXY_API_KEY", "gateway-key").start();
    let body = responses::whole_prompt(MODEL, "hi");
    let refused = call(&gateway, &body).reply();
    assert_eq!((refused.status(), refused.json()["error"]["code"].clone()), (401, json!("invalid_api_key")));
    let accepted = call(&gateway, &body).header("authorization", "Bearer gateway-key").reply();
    assert_eq!(responses::text(&accepted), "Hello there!");
    assert_eq!(upstream.only_request().key(), "sk-test");
}

/// Requirement: what only a server with a memory can do is refused over other upstreams with advice, and named by its path.
#[test]
fn stateful_requests_are_refused_over_other_upstreams() {
    for (member, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
        ("store", json!(true)),
    ] {
        for upstream in [Upstream::openai(), Upstream::anthropic()] {
            let gateway = Gateway::before(&upstream).start();
            let mut body = responses::whole_prompt(MODEL, "hi");
            body[member] = value.clone();
            let reply = call(&gateway, &body).reply();
            assert_eq!(reply.status(), 400, "{member}: {reply}");
            let (message, _) = responses::error(&reply);
            assert!(message.contains(member), "{message}");
            assert_eq!(upstream.count(), 0, "{member}");
        }
    }
}
