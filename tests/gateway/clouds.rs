//! Claude at Amazon Bedrock and on Vertex AI: URLs, forms, signatures, and credentials that are renewed.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use serde_json::{Value, json};
use vandamme_protocol::cloud::eventstream::EventStreamEncoder;

use crate::support::canned::anthropic;
use crate::support::client::prompt;
use crate::support::gateway::{Setup, whole_prompt};
use crate::support::upstream::{Answer, Seen, Upstream};

const CLAUDE: &str = "bedrock-test:us.anthropic.claude-opus-4-6-v1:0";
const INVOKE: &str = "/model/us.anthropic.claude-opus-4-6-v1:0/invoke";
const KEYS: &str = "/credentials";
const SESSION: &str = "session-token-that-expires-soon";

fn reply() -> Answer {
    let reply = json!({
        "id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6",
        "content": [{"type": "text", "text": "Hello there!"}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 2}
    });
    Answer::json(200, reply.to_string())
}

fn aws_error(status: u16, kind: &str, message: &str) -> Answer {
    Answer::json(status, json!({"message": message}).to_string()).header("x-amzn-errortype", kind)
}

/// Temporary credentials, with another session token each time.
fn credentials(upstream: Upstream) -> Upstream {
    let issued = AtomicUsize::new(0);
    upstream.ruled_first(move |seen| {
        (seen.target() == KEYS).then(|| {
            let number = issued.fetch_add(1, Ordering::Relaxed);
            let keys = json!({
                "AccessKeyId": format!("ASIATEST{number}"),
                "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                "Token": format!("{SESSION}-{number}"),
                "Expiration": "2099-01-01T00:00:00Z",
            });
            Answer::json(200, keys.to_string())
        })
    })
}

fn with_aws(upstream: &Upstream) -> Setup {
    let lines = format!(
        "[bedrock-test]\nbase-url = \"http://{}\"\napi-format = \"bedrock\"\nauth-mode = \"aws\"\nregion = \"us-east-1\"\n",
        upstream.address()
    );
    Setup::default()
        .toml(&lines)
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}{KEYS}", upstream.address()))
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("MAX_RETRIES", "0")
}

/// With another provider behind it for every name.
fn with_fallback(upstream: &Upstream, other: &Upstream) -> Setup {
    let lines = format!(
        "[bedrock-test.fallbacks]\n\"*\" = [\"own:claude-x\"]\n[own]\nbase-url = \"http://{}\"\napi-format = \"anthropic\"\n",
        other.address()
    );
    with_aws(upstream).toml(&lines).env("OWN_API_KEY", "own-key-0123456")
}

fn calls(upstream: &Upstream) -> Vec<Seen> {
    upstream.requests().into_iter().filter(|seen| seen.target() != KEYS).collect()
}

fn header<'s>(seen: &'s Seen, name: &str) -> &'s str {
    seen.head.header(name).unwrap_or_default()
}

#[test]
fn a_request_to_bedrock_is_signed_and_its_url_has_the_model() {
    let upstream = credentials(Upstream::anthropic()).always(reply());
    let gateway = with_aws(&upstream).start();
    let call = gateway.messages(&whole_prompt(CLAUDE, "hi"));
    let answer = call.header("x-api-key", "client-key-1").header("x-stainless-lang", "js").reply();
    assert_eq!(answer.text(), "Hello there!", "{answer}");
    let calls = calls(&upstream);
    let [seen] = &calls[..] else { panic!("one call was expected: {calls:?}") };
    assert_eq!(seen.target(), INVOKE);
    let authorization = header(seen, "authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=ASIATEST0/"), "{authorization}");
    assert!(authorization.contains("/us-east-1/bedrock/aws4_request"), "{authorization}");
    assert_eq!(header(seen, "x-amz-security-token"), format!("{SESSION}-0"));
    for name in ["x-api-key", "x-stainless-lang", "anthropic-version", "anthropic-beta"] {
        assert_eq!(seen.head.header(name), None, "{name}");
    }
}

/// Requirement: an expired session is renewed in mid-session without a failed request.
#[test]
fn refused_credentials_are_renewed_and_the_request_is_repeated_once() {
    let expired = "The security token included in the request is expired";
    let upstream = credentials(Upstream::anthropic())
        .ruled_by(move |seen| {
            header(seen, "x-amz-security-token")
                .ends_with("-0")
                .then(|| aws_error(403, "ExpiredTokenException", expired))
        })
        .always(reply());
    let gateway = with_aws(&upstream).start();
    for _ in 0..2 {
        assert_eq!(gateway.messages(&whole_prompt(CLAUDE, "hi")).reply().text(), "Hello there!");
    }
    let sent = calls(&upstream);
    let tokens: Vec<_> = sent.iter().map(|seen| header(seen, "x-amz-security-token")).collect();
    let expected = [0, 1, 1].map(|number| format!("{SESSION}-{number}"));
    assert_eq!(tokens, expected);
    let health = gateway.get("/health?format=json").json();
    assert_eq!(health["status"], "healthy", "{health}");
}

#[test]
fn credentials_that_are_refused_again_are_an_error_that_contains_no_secret() {
    let message = format!("The security token included in the request is invalid: {SESSION}-1");
    let upstream =
        credentials(Upstream::anthropic()).always(aws_error(403, "UnrecognizedClientException", &message));
    let gateway = with_aws(&upstream).start();
    let answer = gateway.messages(&whole_prompt(CLAUDE, "hi")).reply();
    assert_eq!(calls(&upstream).len(), 2);
    let text = answer.to_string();
    assert!(text.contains("security token") && !text.contains(&format!("{SESSION}-1")), "{text}");
    assert_eq!(answer.json()["type"], "error");
}

#[test]
fn errors_of_bedrock_say_what_to_do() {
    for (answer, expected) in [
        (
            aws_error(
                403,
                "AccessDeniedException:http://internal.amazon.com/",
                "User: arn:aws:iam::1:user/u is not authorized to perform: bedrock:InvokeModel",
            ),
            "grant bedrock:InvokeModel",
        ),
        (
            aws_error(
                400,
                "ValidationException",
                "Invocation of model ID x with on-demand throughput isn't supported",
            ),
            "inference profile",
        ),
    ] {
        let upstream = credentials(Upstream::anthropic()).always(answer);
        let gateway = with_aws(&upstream).start();
        let answer = gateway.messages(&whole_prompt(CLAUDE, "hi")).reply();
        let error: Value = answer.json();
        assert_eq!(error["type"], "error", "{answer}");
        let message = error["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(expected), "{message}");
        assert_eq!(calls(&upstream).len(), 1, "the credential is not the cause");
    }
}

#[test]
fn without_credentials_the_error_says_so_and_nothing_is_sent() {
    let upstream = Upstream::anthropic().always(reply());
    let setup = with_aws(&upstream)
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let gateway = setup.start();
    let answer = gateway.messages(&prompt(CLAUDE, "hi")).reply();
    assert_eq!(answer.status(), 403, "{answer}");
    assert_eq!(upstream.count(), 0);
    assert!(answer.to_string().contains("bedrock-test"), "{answer}");
}

#[test]
fn a_bearer_key_needs_no_signature() {
    let upstream = Upstream::anthropic().always(reply());
    let lines = format!(
        "[bedrock-test]\nbase-url = \"http://{}\"\napi-format = \"bedrock\"\nregion = \"us-east-1\"\n",
        upstream.address()
    );
    let gateway = Setup::default().toml(&lines).env("BEDROCK_TEST_API_KEY", "bedrock-key-0123456").start();
    assert_eq!(gateway.messages(&whole_prompt(CLAUDE, "hi")).reply().text(), "Hello there!");
    let seen = upstream.only_request();
    assert_eq!((seen.target(), header(&seen, "authorization")), (INVOKE, "Bearer bedrock-key-0123456"));
}

#[test]
fn inference_profiles_are_listed_with_a_signed_request() {
    let profiles = r#"{"inferenceProfileSummaries":[{"inferenceProfileId":"us.anthropic.claude-opus-4-6-v1:0","inferenceProfileName":"Opus"}]}"#;
    let upstream = credentials(Upstream::anthropic()).always(Answer::json(200, profiles));
    let gateway = with_aws(&upstream).start();
    let listed = gateway.get("/v1/models?provider=bedrock-test");
    assert!(listed.to_string().contains("us.anthropic.claude-opus-4-6-v1:0"), "{listed}");
    let calls = calls(&upstream);
    let [seen, ..] = &calls[..] else { panic!("the list was not requested") };
    assert_eq!(seen.target(), "/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED");
    assert!(header(seen, "authorization").starts_with("AWS4-HMAC-SHA256 "), "{seen:?}");
}

#[test]
fn vertex_has_the_model_in_its_path_and_betas_in_a_header() {
    let upstream = Upstream::anthropic().always(reply());
    let lines = format!(
        "[vertex-test]\nbase-url = \"http://{}/v1\"\napi-format = \"vertex\"\nproject = \"p-1\"\nregion = \"global\"\n",
        upstream.address()
    );
    let gateway = Setup::default().toml(&lines).env("VERTEX_TEST_API_KEY", "ya29.token-0123456").start();
    let call = gateway.messages(&whole_prompt("vertex-test:claude-sonnet-4-5@20250929", "hi"));
    let answer = call.header("anthropic-beta", "context-management-2025-06-27").reply();
    assert_eq!(answer.text(), "Hello there!", "{answer}");
    let seen = upstream.only_request();
    assert_eq!(
        seen.target(),
        "/v1/projects/p-1/locations/global/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"
    );
    assert_eq!(header(&seen, "authorization"), "Bearer ya29.token-0123456");
    assert_eq!(header(&seen, "anthropic-beta"), "context-management-2025-06-27");
}

#[test]
fn a_wrong_clock_is_corrected_by_the_upstreams_time() {
    let upstream = credentials(Upstream::anthropic())
        .ruled_by(|seen| {
            let refusal = aws_error(403, "InvalidSignatureException", "Signature expired: 20261201T000000Z");
            let refusal = refusal.header("date", "Tue, 01 Jan 2030 00:00:00 GMT");
            (header(seen, "x-amz-date") < "202912").then_some(refusal)
        })
        .always(reply());
    let gateway = with_aws(&upstream).start();
    for _ in 0..2 {
        assert_eq!(gateway.messages(&whole_prompt(CLAUDE, "hi")).reply().text(), "Hello there!");
    }
    assert_eq!(calls(&upstream).len(), 3, "the first request only is repeated");
}

/// A stream of Bedrock's, one frame an event.
fn frames(events: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut encoder = EventStreamEncoder::default();
    let frame = |event: &Vec<u8>| {
        let mut frame = BytesMut::new();
        encoder.push(event, &mut frame);
        frame.to_vec()
    };
    events.iter().map(frame).collect()
}

fn framed(frames: Vec<Vec<u8>>) -> Answer {
    Answer::events(frames).typed("application/vnd.amazon.eventstream")
}

const STREAMED: &str = "/model/us.anthropic.claude-opus-4-6-v1:0/invoke-with-response-stream";

/// Requirement (issue 20): a stream of frames reaches the client as events, wherever the frames are cut.
#[test]
fn a_stream_of_frames_arrives_as_events() {
    let events = anthropic::thinking_and_tool();
    let direct = Upstream::anthropic().always(Answer::events(events.clone()));
    let gateway = crate::support::gateway::Gateway::before(&direct).start();
    let expected = gateway.ask("hi");
    for answer in [framed(frames(&events)), framed(frames(&events)).byte_by_byte()] {
        let upstream = credentials(Upstream::anthropic()).always(answer);
        let gateway = with_aws(&upstream).start();
        let reply = gateway.messages(&prompt(CLAUDE, "hi")).reply();
        assert_eq!(reply.content(), expected.content(), "{reply}");
        assert_eq!(
            (reply.stop_reason(), reply.header("content-type")),
            (expected.stop_reason(), Some("text/event-stream; charset=utf-8"))
        );
        let seen = calls(&upstream);
        assert_eq!(seen[0].target(), STREAMED);
        let body = seen[0].json();
        assert_eq!(body["anthropic_version"], "bedrock-2023-05-31");
        assert!(body.get("model").is_none() && body.get("stream").is_none(), "{body}");
    }
}

/// Clients of OpenAI's APIs get the same stream translated, and whole replies collected.
#[test]
fn clients_of_other_apis_get_frames_translated() {
    let answer = framed(frames(&anthropic::text(&["Hello", " there!"])));
    let upstream = credentials(Upstream::anthropic()).always(answer);
    let gateway = with_aws(&upstream).start();
    for (path, body) in [
        (
            "/v1/chat/completions",
            json!({"model": CLAUDE, "stream": true, "messages": [{"role": "user", "content": "hi"}]}),
        ),
        ("/v1/responses", json!({"model": CLAUDE, "stream": true, "input": "hi"})),
        ("/v1/chat/completions", json!({"model": CLAUDE, "messages": [{"role": "user", "content": "hi"}]})),
    ] {
        let reply = gateway.call("POST", path).json(&body).reply();
        assert_eq!(reply.status(), 200, "{reply}");
        let text = reply.raw();
        assert!(text.contains("Hello") && text.contains(" there!"), "{path}: {text}");
    }
}

/// Requirement: a stream that breaks off, is damaged or reports an exception ends with an error, never as if complete.
#[test]
fn a_stream_of_frames_that_fails_ends_with_an_error() {
    let whole = frames(&anthropic::text(&["Hello"]));
    let all: Vec<u8> = whole.concat();
    let mut damaged = whole.clone();
    let last = damaged.len() - 2;
    damaged[last][20] ^= 1;
    let mut excepted = whole[..3].to_vec();
    excepted.extend(frames(&[
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow down\"}}\n\n".to_vec(),
    ]));
    for (answer, expected) in [
        (framed(vec![all[..all.len() - 3].to_vec()]), "closed the stream early"),
        (framed(whole[..4].to_vec()), "closed the stream early"),
        (framed(damaged), ""),
        (framed(excepted), "slow down"),
    ] {
        let upstream = credentials(Upstream::anthropic()).always(answer);
        let gateway = with_aws(&upstream).start();
        let reply = gateway.messages(&prompt(CLAUDE, "hi")).reply();
        let (_, message) = reply.error();
        assert!(message.contains(expected), "{expected}: {reply}");
        assert!(!reply.raw().contains("message_stop"), "{reply}");
    }
}

#[test]
fn tokens_are_counted_by_bedrock() {
    let upstream = credentials(Upstream::anthropic()).always(Answer::json(200, r#"{"inputTokens":42}"#));
    let gateway = with_aws(&upstream).start();
    let body = json!({"model": CLAUDE, "messages": [{"role": "user", "content": "hi"}]});
    let reply = gateway.call("POST", "/v1/messages/count_tokens").json(&body).reply();
    assert_eq!(reply.json(), json!({"input_tokens": 42}), "{reply}");
    let seen = calls(&upstream);
    // Bedrock counts for models, not for inference profiles.
    assert_eq!(seen[0].target(), "/model/anthropic.claude-opus-4-6-v1:0/count-tokens");
    assert!(seen[0].json()["input"]["invokeModel"]["body"].is_string());
}

/// Requirement: what Bedrock does not count is estimated, and a permission that is missing for counts is no fault of the model.
#[test]
fn tokens_that_bedrock_does_not_count_are_estimated() {
    let denied = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: bedrock:CountTokens on resource: y";
    for (status, kind, message) in [
        (400, "ValidationException", "The provided model doesn't support counting tokens."),
        (400, "ValidationException", "The provided model identifier is invalid."),
        (403, "AccessDeniedException", denied),
        (404, "ResourceNotFoundException", "This model version has reached the end of its life."),
    ] {
        let upstream = credentials(Upstream::anthropic())
            .ruled_by(move |seen| {
                seen.target().ends_with("/count-tokens").then(|| aws_error(status, kind, message))
            })
            .always(reply());
        let other = Upstream::anthropic().always(reply());
        let gateway = with_fallback(&upstream, &other).start();
        let body = json!({"model": CLAUDE, "messages": [{"role": "user", "content": "hi"}]});
        for _ in 0..5 {
            let reply = gateway.call("POST", "/v1/messages/count_tokens").json(&body).reply();
            assert!(reply.json()["input_tokens"].is_u64(), "{message}: {reply}");
            assert_eq!(reply.header("x-vdm-estimate"), Some("1"), "{message}: {reply}");
        }
        let health = gateway.get("/health?format=json").json();
        assert_eq!(health["status"], "healthy", "{message}: {health}");
        assert_eq!(gateway.messages(&whole_prompt(CLAUDE, "hi")).reply().text(), "Hello there!");
        assert_eq!(other.count(), 0, "{message}: the model is still the first choice");
    }
}

/// Names of Anthropic's API are sent as the ids of the cloud, and betas that it refuses are not sent.
#[test]
fn a_cloud_gets_its_own_ids_and_betas() {
    let upstream = credentials(Upstream::anthropic()).always(reply());
    let gateway = with_aws(&upstream).start();
    let call = gateway.messages(&whole_prompt("bedrock-test:claude-sonnet-4-5-20250929", "hi"));
    let betas = "context-1m-2025-08-07,prompt-caching-scope-2026-01-05,advanced-tool-use-2025-11-20";
    assert_eq!(call.header("anthropic-beta", betas).reply().text(), "Hello there!");
    let seen = calls(&upstream);
    assert_eq!(seen[0].target(), "/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/invoke");
    let expected = json!(["context-1m-2025-08-07", "tool-search-tool-2025-10-19"]);
    assert_eq!(seen[0].json()["anthropic_beta"], expected);
}

#[test]
fn a_provider_without_credentials_leaves_the_request_to_the_next_one() {
    let upstream = Upstream::anthropic().always(reply());
    let lines = format!(
        "[bedrock-test]\nbase-url = \"http://127.0.0.1:1\"\napi-format = \"bedrock\"\nauth-mode = \"aws\"\nregion = \"x\"\n\
         [other]\nbase-url = \"http://{}\"\napi-format = \"anthropic\"\napi-key = \"other-key-0123\"\n\
         [bedrock-test.fallbacks]\nclaude-x = [\"other:claude-x\"]\n",
        upstream.address()
    );
    let setup = Setup::default().toml(&lines).env("AWS_EC2_METADATA_DISABLED", "true");
    let gateway = setup
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .start();
    let reply = gateway.messages(&whole_prompt("bedrock-test:claude-x", "hi")).reply();
    assert_eq!(reply.text(), "Hello there!", "{reply}");
}

/// Requirement: one beta that Bedrock does not know costs a request that beta alone, although the refusal names none.
#[test]
fn an_unknown_beta_is_removed_and_the_others_stay() {
    let upstream = credentials(Upstream::anthropic())
        .ruled_by(|seen| {
            let betas = seen.json()["anthropic_beta"].to_string();
            betas.contains("later").then(|| aws_error(400, "ValidationException", "invalid beta flag"))
        })
        .always(reply());
    let gateway = with_aws(&upstream).start();
    let mut body = whole_prompt(CLAUDE, "hi");
    body["output_config"] = json!({"effort": "low"});
    body["speed"] = json!("fast");
    let betas = "effort-2025-11-24, later-2027-01-01,advanced-tool-use-2025-11-20,fast-mode-2026-02-01,later-2027-01-01";
    for _ in 0..2 {
        let call = gateway.messages(&body).header("anthropic-beta", betas);
        assert_eq!(call.reply().text(), "Hello there!");
    }
    let sent: Vec<Value> = calls(&upstream).iter().map(Seen::json).collect();
    assert_eq!(sent.len(), 3, "what was refused is remembered: {sent:?}");
    assert_eq!(
        sent[0]["anthropic_beta"],
        json!(["effort-2025-11-24", "later-2027-01-01", "tool-search-tool-2025-10-19"])
    );
    for body in &sent[1..] {
        assert_eq!(body["anthropic_beta"], json!(["effort-2025-11-24", "tool-search-tool-2025-10-19"]));
        assert_eq!((&body["output_config"]["effort"], body.get("speed")), (&json!("low"), None), "{body}");
    }
}

/// Requirement: a file that makes its reader wait holds up neither the configuration nor a request.
#[test]
fn a_pipe_is_no_credentials_file() {
    const FILE: &str = ".config/gcloud/application_default_credentials.json";
    let gateway = Setup::default()
        .toml("[vertex]\nproject = \"p\"\nregion = \"global\"\n")
        .file(".config/gcloud/other", "")
        .start();
    gateway.run.pipe(FILE);
    let answer = gateway.messages(&whole_prompt("vertex:claude-sonnet-4-5", "hi")).reply().to_string();
    assert!(answer.contains(FILE) && answer.contains("it is not a regular file"), "{answer}");

    // Without a project, the file is read with the configuration.
    gateway.run.write("test.toml", "[vertex]\nregion = \"global\"\n");
    let config = gateway.run.path("test.toml");
    let mut explain = gateway.run.vdm(&["explain", "vertex:claude-sonnet-4-5", "--config"]);
    let explained = explain.arg(config).output().expect("vdm is built");
    let text =
        [explained.stdout, explained.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(text.contains("provider 'vertex' is not complete: set VERTEX_PROJECT and restart"), "{text}");
}

/// Requirement: an identity that may not list models is as good for requests as any other, and the check says what is missing.
#[test]
fn a_list_that_is_not_permitted_changes_nothing_else() {
    let denied = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: bedrock:ListInferenceProfiles on resource: *";
    let upstream = credentials(Upstream::anthropic())
        .ruled_by(move |seen| {
            let is_list = seen.target().starts_with("/inference-profiles");
            is_list.then(|| aws_error(403, "AccessDeniedException", denied))
        })
        .always(reply());
    let other = Upstream::anthropic().always(reply());
    let gateway = with_fallback(&upstream, &other).start();
    for _ in 0..4 {
        gateway.get("/v1/models?provider=bedrock-test&refresh=true");
    }
    let listed = gateway.get("/v1/models?provider=bedrock-test&refresh=true");
    assert!(listed.to_string().contains("bedrock:ListInferenceProfiles"), "{listed}");
    let health = gateway.get("/health?format=json").json();
    assert_eq!(health["status"], "healthy", "{health}");
    for _ in 0..2 {
        assert_eq!(gateway.messages(&whole_prompt(CLAUDE, "hi")).reply().text(), "Hello there!");
    }
    assert_eq!(other.count(), 0, "the identity is still the first choice");

    let config = gateway.run.path("test.toml");
    let mut check = gateway.run.vdm(&["health", "upstream", "--provider", "bedrock-test", "--config"]);
    let checked = check.arg(config).output().expect("vdm is built");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.contains("healthy"), "{said}");
    assert!(said.contains("grant bedrock:ListInferenceProfiles"), "{said}");
}
