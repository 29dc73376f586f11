//! The endpoints for clients in Bedrock and Vertex mode, before upstreams of every API.

use bytes::BytesMut;
use serde_json::{Value, json};
use vandamme_protocol::cloud::eventstream::EventStreamDecoder;
use vandamme_protocol::cloud::request::to_bedrock_count;

use crate::support::canned::anthropic;
use crate::support::client::Call;
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Piece, Upstream};

const INVOKE: &str = "invoke";
const STREAM: &str = "invoke-with-response-stream";

fn body() -> Value {
    json!({"anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["a-2025-01-01"], "max_tokens": 100,
        "messages": [{"role": "user", "content": "hi"}]})
}

fn bedrock(gateway: &Gateway, model: &str, action: &str) -> Call {
    gateway.call("POST", &format!("/model/{}/{action}", model.replace(':', "%3A"))).json(&body())
}

fn vertex(gateway: &Gateway, last: &str) -> Call {
    let path = "/v1/projects/p/locations/l/publishers/anthropic/models";
    let body = json!({"anthropic_version": "vertex-2023-10-16", "max_tokens": 100,
        "messages": [{"role": "user", "content": "hi"}]});
    gateway.call("POST", &format!("{path}/{last}")).json(&body)
}

/// The events in the frames of a reply.
fn events(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), Some("application/vnd.amazon.eventstream"), "{reply}");
    let mut events = BytesMut::new();
    let mut decoder = EventStreamDecoder::new(1 << 20);
    decoder.push(&reply.body, &mut events).expect("frames");
    assert!(decoder.is_between_frames());
    String::from_utf8_lossy(&events).into_owned()
}

/// Requirement (issue 20): the endpoints are answered from any provider.
#[test]
fn upstreams_of_every_api_serve_clients_of_both_clouds() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let gateway = Gateway::before(&upstream).start();
        let direct = gateway.ask("hi").text();
        let whole = bedrock(&gateway, MODEL, INVOKE).reply();
        assert_eq!(
            (whole.status(), whole.message()["content"][0]["text"].as_str()),
            (200, Some(&*direct)),
            "{whole}"
        );
        let streamed = events(&bedrock(&gateway, MODEL, STREAM).reply());
        assert!(streamed.starts_with("event: message_start"), "{streamed}");
        assert!(streamed.ends_with("data: {\"type\":\"message_stop\"}\n\n"), "{streamed}");
        let whole = vertex(&gateway, &format!("{MODEL}:rawPredict")).reply();
        assert_eq!(whole.message()["content"][0]["text"].as_str(), Some(&*direct), "{whole}");
        let streamed = vertex(&gateway, &format!("{MODEL}:streamRawPredict")).reply();
        assert_eq!(streamed.text(), direct, "{streamed}");
        // The cloud's own members reach no upstream.
        for seen in upstream.requests() {
            let body = seen.json();
            assert!(
                body.get("anthropic_version").is_none() && body.get("anthropic_beta").is_none(),
                "{body}"
            );
        }
    }
}

#[test]
fn betas_of_the_body_are_sent_as_a_header() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let call = bedrock(&gateway, MODEL, INVOKE).header("anthropic-beta", "b-2025-01-01");
    assert_eq!(call.reply().status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.head.header("anthropic-beta"), Some("b-2025-01-01,a-2025-01-01"));
    assert_eq!(seen.head.header("anthropic-version"), Some("2023-06-01"));
}

#[test]
fn errors_have_the_form_of_the_clients_cloud() {
    let limited = Answer::json(429, anthropic::error("rate_limit_error", "slow down"));
    let upstream = Upstream::anthropic().always(limited);
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    for action in [INVOKE, STREAM] {
        let reply = bedrock(&gateway, MODEL, action).reply();
        assert_eq!(
            (reply.status(), reply.header("x-amzn-errortype")),
            (429, Some("ThrottlingException")),
            "{reply}"
        );
        let error = reply.json();
        assert_eq!((&error["error"]["type"], &error["type"]), (&json!("rate_limit_error"), &json!("error")));
        assert!(error["message"].as_str().is_some_and(|message| message.contains("slow down")), "{error}");
    }
    let reply = vertex(&gateway, &format!("{MODEL}:rawPredict")).reply();
    assert_eq!((reply.status(), reply.error().0.as_str()), (429, "rate_limit_error"));
    let path = format!("/model/{MODEL}/invoke");
    for (call, status) in [
        (gateway.call("POST", &path).body("[1]"), 400),
        (gateway.call("POST", "/model/nobody%3Ax/invoke").json(&body()), 404),
        (gateway.call("POST", &format!("/model/{MODEL}/count-tokens")).json(&json!({"input": {}})), 400),
        (
            gateway.call("POST", &path).json(&json!({"anthropic_beta": {}, "max_tokens": 1, "messages": []})),
            400,
        ),
        (gateway.call("GET", &format!("/model/{MODEL}/invoke")), 405),
        (gateway.call("GET", "/inference-profiles/nobody%3Ax"), 404),
    ] {
        assert_eq!(call.reply().status(), status, "{call:?}");
    }
}

/// Requirement: a stream that breaks off ends with an exception, never as if complete.
#[test]
fn a_broken_stream_ends_with_an_exception() {
    let mut pieces: Vec<Piece> = anthropic::text(&["Hello"]).into_iter().take(4).map(Piece::Bytes).collect();
    pieces.push(Piece::Bytes(b"event: content_block_delta\ndata: {\"type\"".to_vec()));
    let upstream = Upstream::anthropic().always(Answer::pieces(pieces));
    let gateway = Gateway::before(&upstream).start();
    let reply = bedrock(&gateway, MODEL, STREAM).reply();
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains(":exception-type") && text.contains("internalServerException"), "{text}");
    let events = events(&reply);
    assert!(events.contains("event: error") && !events.contains("message_stop"), "{events}");
}

/// Requirement: the gateway's key opens these endpoints; a signature is no key, and reaches no upstream.
#[test]
fn a_signature_is_no_key() {
    let upstream = Upstream::anthropic();
    let signature = "AWS4-HMAC-SHA256 Credential=AKIA/20261201/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0";
    let open = Gateway::before(&upstream).start();
    let signed = bedrock(&open, MODEL, INVOKE).header("authorization", signature);
    assert_eq!(signed.header("x-amz-security-token", "session-token").reply().status(), 200);
    let head = format!("{:?}", upstream.only_request().head);
    assert!(!head.contains("AWS4-HMAC") && !head.contains("session-token"), "{head}");
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "gateway-key-0123").start();
    let refused = bedrock(&gateway, MODEL, INVOKE).header("authorization", signature).reply();
    assert_eq!((refused.status(), refused.header("x-amzn-errortype")), (401, Some("AccessDeniedException")));
    let call = bedrock(&gateway, MODEL, INVOKE).header("authorization", "Bearer gateway-key-0123");
    assert_eq!(call.reply().status(), 200);
    assert_eq!(gateway.get("/inference-profiles").status(), 401);
}

#[test]
fn a_count_is_answered_in_the_form_of_the_clients_cloud() {
    let upstream = Upstream::anthropic().always(Answer::json(200, r#"{"input_tokens":42}"#));
    let gateway = Gateway::before(&upstream).start();
    let inner = "eyJhbnRocm9waWNfdmVyc2lvbiI6ImJlZHJvY2stMjAyMy0wNS0zMSIsIm1lc3NhZ2VzIjpbXX0=";
    let body = json!({"input": {"invokeModel": {"body": inner}}});
    let path = format!("/bedrock/model/{MODEL}/count-tokens");
    let reply = gateway.call("POST", &path).json(&body).reply();
    assert_eq!(reply.json(), json!({"inputTokens": 42}), "{reply}");
    // Anthropic refuses a limit of tokens there, which Bedrock requires.
    let body = json!({"anthropic_version": "2026-10-21", "max_tokens": 1, "messages": []});
    let body = to_bedrock_count(&body.to_string().into(), &[]).to_vec();
    assert_eq!(gateway.call("POST", &path).body(body).reply().status(), 200);
    let requests = upstream.requests();
    let [.., seen] = &requests[..] else { panic!("no count has arrived") };
    assert!(seen.json().get("max_tokens").is_none(), "{}", seen.json());
    assert_eq!(seen.head.header("anthropic-version"), Some("2026-10-21"));
    let body = json!({"anthropic_version": "vertex-2023-10-16", "model": MODEL, "messages": []});
    let path = "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict";
    let reply = gateway.call("POST", path).json(&body).reply();
    assert_eq!(reply.json(), json!({"input_tokens": 42}), "{reply}");
}

/// Requirement: a client that is gone closes the upstream.
#[test]
fn a_client_that_hangs_up_closes_the_upstream() {
    let mut pieces: Vec<Piece> = anthropic::text(&["Hello"]).into_iter().take(4).map(Piece::Bytes).collect();
    pieces.push(Piece::Silence);
    let upstream = Upstream::anthropic().always(Answer::pieces(pieces));
    let gateway = Gateway::before(&upstream).start();
    let mut exchange = bedrock(&gateway, MODEL, STREAM).send();
    assert_eq!(exchange.status(), 200);
    exchange.hang_up();
    upstream.closed(0);
}

/// Requirement: AWS's own headers stay at the gateway, and a call that is not served says so in AWS's shape.
#[test]
fn headers_of_a_cloud_reach_no_upstream() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let call = bedrock(&gateway, MODEL, STREAM)
        .header("x-amz-date", "20261201T000000Z")
        .header("x-amz-content-sha256", "0")
        .header("amz-sdk-invocation-id", "i")
        .header("x-goog-iam-authorization-token", "amz-goog")
        .header("accept", "application/vnd.amazon.eventstream")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(call.reply().status(), 200);
    let head = format!("{:?}", upstream.only_request().head);
    assert!(
        !head.contains("amz-") && !head.contains("amazon") && head.contains("b7ad6b7169203331"),
        "{head}"
    );
    let wrong = gateway.call("GET", &format!("/bedrock/model/{MODEL}/{INVOKE}")).reply();
    assert_eq!((wrong.status(), wrong.header("allow")), (405, Some("POST")), "{wrong}");
    assert!(wrong.json()["message"].is_string(), "{wrong}");
    let converse = gateway.call("POST", &format!("/model/{MODEL}/converse")).json(&json!({})).reply();
    let kind = converse.header("x-amzn-errortype");
    assert_eq!((converse.status(), kind), (404, Some("ResourceNotFoundException")), "{converse}");
    assert!(
        converse.json()["message"].as_str().is_some_and(|text| text.contains("not converse")),
        "{converse}"
    );
}

/// Requirement: AWS's SDKs try again what Anthropic answers with 529, a status that they do not know.
#[test]
fn an_overload_has_a_status_that_aws_sdks_retry() {
    let overloaded = Answer::json(529, anthropic::error("overloaded_error", "busy"));
    let upstream = Upstream::anthropic().always(overloaded);
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    let reply = bedrock(&gateway, MODEL, INVOKE).reply();
    let kind = reply.header("x-amzn-errortype");
    assert_eq!((reply.status(), kind), (503, Some("ServiceUnavailableException")), "{reply}");
    assert_eq!(reply.json()["error"]["type"], "overloaded_error");
    assert_eq!(vertex(&gateway, &format!("{MODEL}:rawPredict")).reply().status(), 529);
}

/// Requirement: a client that signs, at a gateway with a key, reads what to set. Its key counts in another header, too.
#[test]
fn a_client_that_signs_reads_what_to_set() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "gateway-key-0123").start();
    let signature = "AWS4-HMAC-SHA256 Credential=AKIA/20261201/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0";
    let signed = bedrock(&gateway, MODEL, INVOKE).header("authorization", signature);
    let refused = signed.reply();
    assert!(refused.raw().contains("AWS_BEARER_TOKEN_BEDROCK"), "{refused}");
    let mantle = gateway.messages(&crate::support::gateway::whole_prompt(MODEL, "hi"));
    let refused = mantle.header("authorization", signature).reply();
    assert_eq!(refused.status(), 401);
    assert!(refused.error_message().contains("AWS_BEARER_TOKEN_BEDROCK"), "{refused}");
    assert_eq!(signed.header("x-api-key", "gateway-key-0123").reply().status(), 200);
    assert!(!format!("{:?}", upstream.only_request().head).contains("gateway-key"));
}

/// Requirement: a signature is never a client's own key for a provider that takes its clients' keys.
#[test]
fn a_signature_is_no_key_of_the_client() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).env("ANTHROPIC_API_KEY", "!PASSTHRU").start();
    let signature = "AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=0";
    let refused = bedrock(&gateway, MODEL, INVOKE).header("authorization", signature).reply();
    assert_eq!((refused.status(), upstream.count()), (401, 0), "{refused}");
}

/// Requirement: frames keep the connection alive while the upstream is silent, before its first event and between events, and
/// what fails after the head is an exception.
#[test]
fn pings_are_frames() {
    let pause = Piece::Pause(std::time::Duration::from_millis(700));
    let mut pieces = vec![pause.clone()];
    for event in anthropic::text(&["Hello"]) {
        pieces.push(Piece::Bytes(event));
        if pieces.len() == 4 {
            pieces.push(pause.clone());
        }
    }
    let error = Answer::pieces(vec![pause, Piece::Bytes(anthropic_error_event())]);
    let upstream = Upstream::anthropic().answering(Answer::pieces(pieces)).answering(error);
    let setup = Gateway::before(&upstream).limit("head-patience", 0.1).limit("ping-interval", 0.2);
    let gateway = setup.env("MAX_RETRIES", "0").start();
    let streamed = events(&bedrock(&gateway, MODEL, STREAM).reply());
    assert!(streamed.matches("event: ping").count() >= 4, "{streamed}");
    assert!(streamed.contains("Hello") && streamed.ends_with("message_stop\"}\n\n"), "{streamed}");
    let reply = bedrock(&gateway, MODEL, STREAM).reply();
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains("serviceUnavailableException"), "{text}");
}

fn anthropic_error_event() -> Vec<u8> {
    anthropic::event(&json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}))
}

/// Requirement: the model of a cloud's client is found at any provider: by the id of Anthropic's API where Claude is served, by
/// alias elsewhere, and by a provider's name in front.
#[test]
fn ids_of_a_cloud_find_their_model() {
    const ID: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
    let (claude, other) = (Upstream::anthropic(), Upstream::openai());
    let setup = Gateway::before(&other).env("ANTHROPIC_API_KEY", "sk-ant-x");
    let setup = setup.env("ANTHROPIC_BASE_URL", claude.base_url()).env("OPENAI_ALIAS_HAIKU", "small");
    let gateway = setup.start();
    for (model, sent, by) in [
        (ID.to_owned(), "small", &other),
        // The slash is sent as it is.
        (format!("arn:aws:bedrock:us-east-1:1:inference-profile/{ID}"), "small", &other),
        ("haiku".to_owned(), "small", &other),
        (format!("anthropic:{ID}"), "claude-haiku-4-5-20251001", &claude),
        ("openai:o".to_owned(), "o", &other),
    ] {
        let before = by.count();
        let reply = bedrock(&gateway, &model, INVOKE).reply();
        assert_eq!(reply.status(), 200, "{model}: {reply}");
        assert_eq!(by.request(before).json()["model"], sent, "{model}");
    }
    let reply = vertex(&gateway, "claude-haiku-4-5@20251001:rawPredict").reply();
    assert_eq!((reply.status(), &other.request(4).json()["model"]), (200, &json!("small")), "{reply}");
}

/// Requirement: a token of a cloud, which a client in the cloud's mode may have, is sent to that cloud only.
#[test]
fn a_clouds_own_token_is_not_sent_to_another_host() {
    let reply = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 2}});
    let upstream = || Upstream::anthropic().always(Answer::json(200, reply.to_string()));
    let (anthropic, vertex) = (upstream(), upstream());
    let setup = Setup::default().toml(&format!(
        "[own]\nbase-url = \"http://{}\"\napi-format = \"anthropic\"\n\
         [google]\nbase-url = \"http://{}/v1\"\napi-format = \"vertex\"\nproject = \"p\"\nregion = \"global\"\n",
        anthropic.address(),
        vertex.address()
    ));
    let gateway = setup.env("OWN_API_KEY", "!PASSTHRU").env("GOOGLE_API_KEY", "!PASSTHRU").start();
    let body = json!({"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let ask = |path: &str, key: &str| {
        let call = gateway.call("POST", path).header("authorization", &format!("Bearer {key}"));
        call.json(&body).reply()
    };
    let of_vertex = |model: &str| {
        format!("/v1/projects/p/locations/global/publishers/anthropic/models/{model}:rawPredict")
    };
    for (path, token) in [
        (of_vertex("own:claude-x"), "ya29.google-token-1"),
        (of_vertex("own:claude-x"), "bedrock-api-key-QmVkcm9ja0FQSUtleQ"),
        ("/model/own:claude-x/invoke".to_owned(), "ABSKQmVkcm9ja0FQSUtleQ"),
        ("/model/own:claude-x/invoke".to_owned(), "ya29.google-token-1"),
        ("/model/google:claude-x/invoke".to_owned(), "ABSKQmVkcm9ja0FQSUtleQ"),
    ] {
        let answer = ask(&path, token);
        assert_eq!(answer.status(), 401, "{path}: {answer}");
        assert!(!answer.to_string().contains(token), "{answer}");
    }
    assert_eq!((anthropic.count(), vertex.count()), (0, 0));
    assert_eq!(ask(&of_vertex("own:claude-x"), "sk-ant-own-key-1").status(), 200);
    assert_eq!(ask(&of_vertex("google:claude-x"), "ya29.google-token-1").status(), 200);
    assert_eq!(vertex.only_request().head.header("authorization"), Some("Bearer ya29.google-token-1"));
}
