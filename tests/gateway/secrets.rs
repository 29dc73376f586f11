//! Keys reach the upstream that they belong to, and appear nowhere else.

mod echoes;
mod gateway_keys;

use serde_json::json;

use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, Setup};
use crate::support::upstream::{Answer, Dialect, Ending, Upstream};

const CANARIES: [&str; 5] = [
    "sk-canary-one-0123456789",
    "sk-canary-two-0123456789",
    "canary-proxy-key-012345",
    "canary-client-key-01234",
    "canary-header-012345678",
];

fn with_gateway_key(key: &str) -> Setup {
    Gateway::bare().env("PROXY_API_KEY_FILE", "gateway-key").file("gateway-key", key)
}

/// Reloads the configuration as it is written now, with this key.
fn reload_with_gateway_key(gateway: &Gateway, key: &str) {
    gateway.run.write("gateway-key", key);
    let output = gateway.server(&["reload"]).output().expect("vdm is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn assert_no_canary(what: &str, text: &str) {
    for canary in CANARIES {
        // Most of a key counts as well: a log with all but four letters is no better.
        assert!(!text.contains(&canary[..16]), "{what} shows {canary}:\n{text}");
    }
}

/// Everything that an upstream can do to put its key into an answer or a log.
fn troubles(dialect: Dialect, key: &str) -> Vec<Answer> {
    let said = format!("Incorrect API key provided: {key}");
    let (error, event, half) = match dialect {
        Dialect::OpenAi => (
            openai::error(&said, "x", "invalid_api_key"),
            openai::data(&json!({"error": {"message": said}})),
            openai::text(&["x"]),
        ),
        Dialect::Anthropic => (
            anthropic::error("invalid_request_error", &said),
            anthropic::event(&json!({"type": "error", "error": {"type": "api_error", "message": said}})),
            anthropic::text(&["x"]),
        ),
    };
    vec![
        Answer::json(401, error.clone()),
        Answer::json(400, error.clone()),
        Answer::json(500, error.clone()),
        Answer::json(200, error.clone()),
        Answer::whole(403, "text/html", format!("<title>{said}</title>")),
        Answer::events(vec![event]),
        Answer::json(200, format!("nonsense {said}")),
        Answer::hang_up(),
        Answer::hang_up().ending(Ending::Reset),
        Answer::events(half).broken_after(60, Ending::Cut),
        Answer::json(429, error),
    ]
}

/// Requirement: 50 parallel requests: every log line carries its own request id; no configured key appears in any
/// log line or client-visible error.
/// Requirement: Given `HD_CUSTOM_HEADER_X_USER_ID=u1`, then upstream requests of hd carry `X-USER-ID: u1` and
/// those of other providers do not.
/// Requirement: No log line ever contains a full key; DEBUG shows 8-hex hashes. rotation is logged at WARNING.
#[test]
fn no_key_is_ever_printed_whatever_fails() {
    let [one, two] = [Upstream::openai(), Upstream::anthropic()];
    let gateway = Gateway::before(&one)
        .provider("anthropic", &two)
        .env("OPENAI_API_KEY", CANARIES[0])
        .env("ANTHROPIC_API_KEY", CANARIES[1])
        .env("PROXY_API_KEY", CANARIES[2])
        .env("OPENAI_CUSTOM_HEADER_X_SECRET", CANARIES[4])
        .env("LOG_LEVEL", "DEBUG")
        .env("MAX_RETRIES", "0")
        .start();
    for (upstream, model, key) in [(&one, "openai:m", CANARIES[0]), (&two, "anthropic:m", CANARIES[1])] {
        for trouble in troubles(upstream.dialect(), key) {
            upstream.then(trouble);
            let call = gateway.messages(&prompt(model, "hi")).header("x-api-key", CANARIES[2]);
            assert_no_canary("a reply", &call.reply().to_string());
        }
    }
    let endpoints = [
        gateway.call("POST", "/v1/messages").header("x-api-key", CANARIES[3]).body("{}").reply(),
        gateway.call("POST", "/v1/messages").header("authorization", CANARIES[3]).body("{").reply(),
        gateway.call("GET", "/health").header("x-api-key", CANARIES[2]).reply(),
        gateway.call("GET", "/health?format=json").header("x-api-key", CANARIES[2]).reply(),
        gateway.call("GET", "/").header("x-api-key", CANARIES[2]).reply(),
    ];
    for reply in endpoints {
        assert_no_canary("a reply", &reply.to_string());
    }
    assert_no_canary("the log", &gateway.stop());
    for seen in one.requests() {
        assert_eq!(seen.key(), CANARIES[0]);
        let others = format!("{:?}{}", seen.head, seen.text());
        assert!(!others.contains(CANARIES[1]) && !others.contains(CANARIES[2]), "{others}");
    }
    for seen in two.requests() {
        assert_eq!(seen.key(), CANARIES[1]);
        let others = format!("{:?}{}", seen.head, seen.text());
        assert!(!others.contains(CANARIES[0]) && !others.contains(CANARIES[2]), "{others}");
        assert!(!others.contains(CANARIES[4]), "{others}");
    }
}

/// Deviates from the original ("`"!PASSTHRU k"` and `"k !OAUTH"` → startup error containing "mixed
/// configuration""): both are errors that name the variable, in other words; OAuth is refused in any case.
#[test]
fn errors_about_keys_do_not_contain_them() {
    let setups = [
        Gateway::bare().env("OPENAI_API_KEY", format!("{}\u{e9}\u{1}", CANARIES[0])),
        Gateway::bare().env("OPENAI_API_KEY", format!("!PASSTHRU {}", CANARIES[0])),
        Gateway::bare().toml(&format!("[openai]\napi-key = {}", CANARIES[0])),
        Gateway::bare().toml(&format!("[openai]\napi-key = [\"{}\"]", CANARIES[0])),
        Gateway::bare()
            .env("OPENAI_API_KEY", CANARIES[1])
            .env("OPENAI_BASE_URL", format!("http://user:{}@127.0.0.1:9/v1", CANARIES[0])),
    ];
    for setup in setups {
        let finished = setup.run_to_end();
        assert_eq!(finished.status.code(), Some(1), "{}", finished.output);
        assert_no_canary("the refusal", &finished.output);
    }
}

#[test]
fn prompts_and_answers_are_not_logged() {
    let upstream = Upstream::openai().always(Answer::events(openai::text(&["canary-answer"])));
    let gateway = Gateway::before(&upstream).env("LOG_LEVEL", "DEBUG").start();
    assert_eq!(gateway.ask("canary-prompt").text(), "canary-answer");
    let log = gateway.stop();
    assert!(!log.contains("canary-prompt") && !log.contains("canary-answer"), "{log}");
}

/// Requirement: The proxy key never appears in any upstream request header.
#[test]
fn the_clients_key_is_not_forwarded() {
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let gateway = Gateway::before(&upstream).env("LOG_LEVEL", "DEBUG").start();
        let call = gateway.messages(&prompt(MODEL, "hi")).header("x-api-key", CANARIES[3]);
        assert_eq!(call.header("authorization", &format!("Bearer {}", CANARIES[3])).reply().status(), 200);
        assert_no_canary("the upstream's request", &format!("{:?}", upstream.only_request().head));
        assert_no_canary("the log", &gateway.stop());
    }
}
