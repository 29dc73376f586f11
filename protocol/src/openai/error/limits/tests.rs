//! Vendors' error bodies and the facts they report.

mod major_vendors;
mod more_vendors;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const MODEL: &str = "some-model-1";

/// Summarises the facts.
fn summary(facts: &ErrorFacts) -> String {
    let flags = [
        (facts.out_of_credit, "credit"),
        (facts.too_large, "large"),
        (facts.account_wide, "account"),
        (facts.names_key, "key"),
        (facts.overloaded, "overloaded"),
    ];
    let mut words: Vec<_> =
        flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()).collect();
    words.extend(facts.wait.map(|seconds| format!("wait {seconds}")));
    words.extend(facts.resets_at_ms.map(|time| format!("reset {time}")));
    words.join(", ")
}

#[track_caller]
fn check(rows: &[(u16, &str, &str)]) {
    for (status, body, expected) in rows {
        assert_eq!(&summary(&facts(*status, body.as_bytes(), MODEL)), expected, "{status} {body}");
    }
}

/// Invented wordings, not vendors': the parser recognises shapes, not sentences.
#[test]
fn other_wordings_of_the_same_shapes() {
    for message in [
        "Not enough credits.",
        "No credits remaining",
        "You have run out of credits",
        "Sorry, your account has an insufficient balance",
        "Your team's prepaid credits are exhausted",
        "This organization has exceeded its monthly budget",
        "The workspace spending cap was reached",
        "You've hit your usage limit.",
        "Account balance is negative",
        "Insufficient quota",
        "429 You exceeded your quota, please check your plan",
        "You have exceeded your monthly included credits for Inference Providers",
        "Monthly usage limit reached",
        "账户余额不足，请充值",
    ] {
        let body = json!({"error": {"message": message}}).to_string();
        assert_eq!(summary(&facts(429, body.as_bytes(), MODEL)), "credit", "{message}");
        assert!(!facts(404, body.as_bytes(), MODEL).out_of_credit, "{message}");
    }
    let plan = br#"{"error":{"message":"You've hit your usage limit. Try again in 2 hours."}}"#;
    assert_eq!(summary(&facts(429, plan, MODEL)), "credit, wait 7200");
    let limit = br#"{"error":{"message":"Quota exceeded. Try again in 20s."}}"#;
    assert_eq!(summary(&facts(429, limit, MODEL)), "wait 20");
    for message in
        ["The API key is invalid", "Invalid API-key", "Your API key was revoked", "Unknown x-api-key"]
    {
        let body = json!({"error": message}).to_string();
        assert_eq!(summary(&facts(401, body.as_bytes(), MODEL)), "key", "{message}");
    }
    for message in [
        "The request is too large",
        "Maximum of 8,000 tokens per request window; you requested 9,500 tokens",
        "Your request contains 9,500 tokens, which is over the limit of 8,000",
    ] {
        let body = json!({"error": message}).to_string();
        assert_eq!(summary(&facts(429, body.as_bytes(), MODEL)), "large", "{message}");
    }
    for message in [
        "You sent 4 requests, the limit is 3 requests",
        "Usage limit reached for requests per minute",
        "Insufficient permissions",
        "The credit card form has too many fields: limit exceeded",
        "Your account's rate limit is exceeded",
        "You have reached the limit of concurrent requests of your account",
        "Model is at capacity; credits are not used",
        "Limit 9000, requested 8999",
        "Rate limit reached",
    ] {
        let body = json!({"error": message}).to_string();
        assert_eq!(summary(&facts(429, body.as_bytes(), MODEL)), "", "{message}");
    }
}

/// Upstreams repeat the name of the model, which the client chooses.
#[test]
fn the_name_of_a_model_has_no_effect() {
    let harmless = |status, template: &str| {
        facts(status, template.replace("{}", "harmless-name").as_bytes(), "harmless-name")
    };
    let names = [
        "insufficient_quota",
        "Insufficient balance",
        "openai:your credit balance is too low",
        "vendor/try again in 9999s",
        "p:v/Invalid API key",
        "a'b`c try again in 5s",
        "request too large, limit 3, requested 4",
    ];
    for name in names {
        let echo = name.split_once(':').map_or(name, |(_, rest)| rest);
        let plain = echo.rsplit_once('/').map_or(echo, |(_, rest)| rest);
        for echo in [name, echo, plain] {
            for status in [400, 401, 402, 403, 404, 429, 503] {
                for template in TEMPLATES {
                    let body = template.replace("{}", echo);
                    let found = facts(status, body.as_bytes(), name);
                    assert_eq!(found, harmless(status, template), "{status} {body}");
                }
            }
        }
    }
}

const TEMPLATES: [&str; 10] = [
    r#"{"error":{"message":"The model `{}` does not exist","type":"invalid_request_error","code":"model_not_found"}}"#,
    r#"{"error":{"message":"The model '{}' does not exist or you do not have access to it.","type":"x","code":null}}"#,
    r#"{"error":{"message":"{}: no such model"}}"#,
    r#"{"error":{"message":"{}"}}"#,
    r#"{"error":{"message":"Rate limit reached for {} in organization org-1: Limit 30, Used 20, Requested 5. Please try again in 7s.","code":"rate_limit_exceeded"}}"#,
    r#"{"type":"error","error":{"type":"not_found_error","message":"model: {}"}}"#,
    r#"{"detail":"No endpoint found for {}"}"#,
    r#"{"error":{"message":"This request would exceed your organization's rate limit of 30,000 input tokens per minute (org: 1-2, model: {}).","type":"rate_limit_error"}}"#,
    r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{} is rate-limited upstream"}}}"#,
    "model {} not found",
];

#[test]
fn a_large_body_is_bounded_work() {
    let long = json!({"error": {"message": "try again in 5s ".repeat(50_000)}}).to_string();
    assert_eq!(facts(429, long.as_bytes(), MODEL).wait, Some(5.0));
    let longer = format!("insufficient balance {}", "x".repeat(LARGEST));
    assert_eq!(facts(429, longer.as_bytes(), MODEL), ErrorFacts::default());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(facts(429, deep.as_bytes(), MODEL), ErrorFacts::default());
}

fn any_name() -> impl Strategy<Value = String> {
    let marker = prop::sample::select(vec![
        "insufficient_quota",
        "rate_limit",
        "try again in 5s",
        "invalid_api_key",
        "Incorrect API key provided",
        "Insufficient credits",
        "Request too large",
        "Limit 3, Requested 4",
        "overloaded_error",
    ]);
    let edge = "[a-z0-9 :/'`.-]{0,8}";
    // The name must not resemble any word of the templates.
    (edge, marker, edge).prop_map(|(before, marker, after)| format!("zq{before}{marker}{after}qz"))
}

proptest! {
    #[test]
    fn no_body_panics(status in 0_u16..1000, body in prop::collection::vec(any::<u8>(), 0..400), model in ".{0,40}") {
        let facts = facts(status, &body, &model);
        prop_assert!(facts.wait.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0));
    }

    #[test]
    fn no_message_panics(status in 400_u16..600, message in "[a-z0-9 .,>'`\"é余<-]{0,200}|(limit|requested|[0-9]{1,25}|try again in |[smhd]|\\.| |>){0,40}", model in ".{0,9}") {
        let body = json!({"error": {"message": message, "code": message, "metadata": {"raw": message, "headers": {"Retry-After": message}}}});
        let facts = facts(status, body.to_string().as_bytes(), &model);
        prop_assert!(facts.wait.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0));
    }

    #[test]
    fn an_echoed_name_changes_nothing(status in 400_u16..600, name in any_name(), template in prop::sample::select(TEMPLATES.to_vec())) {
        let escaped = json!(name).to_string();
        let body = |echo: &str| template.replace("{}", echo).into_bytes();
        let echoed = facts(status, &body(&escaped[1..escaped.len() - 1]), &name);
        prop_assert_eq!(echoed, facts(status, &body("harmless"), "harmless"));
    }
}
