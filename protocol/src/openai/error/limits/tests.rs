//! Vendors' error bodies and the facts they report.

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

#[test]
fn openai() {
    check(&[
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            "credit",
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":null,"code":null}}"#,
            "credit",
        ),
        (
            400,
            r#"{"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error","code":"billing_hard_limit_reached"}}"#,
            "credit",
        ),
        (
            400,
            r#"{"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error","code":null}}"#,
            "credit",
        ),
        (
            429,
            r#"{"error":{"message":"Your account is not active, please check your billing details on our website.","type":"billing_not_active","code":"billing_not_active"}}"#,
            "credit",
        ),
        (
            429,
            r#"{"error":{"message":"Request too large for gpt-4o in organization org-abc123 on tokens per min (TPM): Limit 30000, Requested 30601. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            "large",
        ),
        (
            429,
            r#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-abc123 on tokens per min (TPM): Limit 30000, Used 28000, Requested 6000. Please try again in 8s. Visit the page.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            "wait 8",
        ),
        (
            429,
            r#"{"error":{"message":"Rate limit reached for gpt-4o-2024-08-06 in organization org-abc123 on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 1m30s.","type":"requests","code":"rate_limit_exceeded"}}"#,
            "wait 90",
        ),
    ]);
}

#[test]
fn openai_keys_plans_and_overload() {
    check(&[
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-ab***yz. You can find your API key at the site.","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            "key",
        ),
        (
            401,
            r#"{"error":{"message":"You didn't provide an API key.","type":"invalid_request_error","code":null}}"#,
            "",
        ),
        (
            403,
            r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}"#,
            "",
        ),
        (
            401,
            r#"{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: model.request","type":"invalid_request_error","code":"missing_scope"}}"#,
            "key",
        ),
        (
            403,
            r#"{"error":{"message":"Project `proj_1` does not have access to model `some-model-1`","type":"invalid_request_error","code":"model_not_found"}}"#,
            "",
        ),
        (
            503,
            r#"{"error":{"message":"The server is overloaded, try again in 2 seconds","type":"server_error","code":"server_overloaded"}}"#,
            "overloaded, wait 2",
        ),
        (
            429,
            r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_at":1760000000,"resets_in_seconds":3600}}"#,
            "credit, wait 3600, reset 1760000000000",
        ),
    ]);
}

#[test]
fn anthropic() {
    check(&[
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}"#,
            "credit",
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}}"#,
            "credit",
        ),
        (
            402,
            r#"{"type":"error","error":{"type":"billing_error","message":"There is an issue with your billing."}}"#,
            "credit",
        ),
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed the rate limit for your organization (0f1e) of 30,000 input tokens per minute. For details, refer to the docs."}}"#,
            "",
        ),
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed the rate limit for your organization of 30,000 input tokens per minute. Your request has about 45,000 input tokens."}}"#,
            "large",
        ),
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account's rate limit. Please try again later."}}"#,
            "",
        ),
        (529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "overloaded"),
        (200, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "overloaded"),
        (
            401,
            r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
            "key",
        ),
        (
            403,
            r#"{"type":"error","error":{"type":"permission_error","message":"Your API key does not have permission to use the specified resource."}}"#,
            "key",
        ),
        (403, r#"{"error":{"type":"forbidden","message":"Request not allowed"}}"#, ""),
        (
            413,
            r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
            "large",
        ),
        (
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: insufficient balance"}}"#,
            "",
        ),
    ]);
}

#[test]
fn openrouter() {
    check(&[
        (
            402,
            r#"{"error":{"message":"This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 3919. To increase, visit the site","code":402}}"#,
            "large",
        ),
        (
            402,
            r#"{"error":{"message":"You requested up to 65536 tokens, but can only afford 0","code":402}}"#,
            "credit",
        ),
        (
            402,
            r#"{"error":{"message":"Prompt tokens limit exceeded: 12000 > 3919. To increase, visit the site","code":402}}"#,
            "large",
        ),
        (
            402,
            r#"{"error":{"message":"Insufficient credits. Add more using the site","code":402}}"#,
            "credit",
        ),
        (
            403,
            r#"{"error":{"message":"Key limit exceeded (total limit). Manage it using the site","code":403}}"#,
            "credit",
        ),
        (
            403,
            r#"{"error":{"message":"Your chosen model requires moderation and your input was flagged","code":403,"metadata":{"reasons":["violence"],"flagged_input":"invalid api key","provider_name":"x"}}}"#,
            "",
        ),
        (
            429,
            r#"{"error":{"message":"Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1741305600000"},"provider_name":null}}}"#,
            "reset 1741305600000",
        ),
        (
            429,
            r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{\"error\":{\"message\":\"slow\",\"type\":\"insufficient_quota\"}}","headers":{"Retry-After":"17"}}}}"#,
            "credit, wait 17",
        ),
        (
            429,
            r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"Too many requests, try again in 20 seconds","provider_name":"x"}}}"#,
            "wait 20",
        ),
        (401, r#"{"error":{"message":"No auth credentials found","code":401}}"#, ""),
        (
            502,
            r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}}}}"#,
            "overloaded",
        ),
    ]);
}

#[test]
fn google() {
    check(&[
        (
            429,
            r#"[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38s"}]}}]"#,
            "wait 38",
        ),
        (
            429,
            r#"{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED"}}"#,
            "",
        ),
        (
            429,
            r#"{"error":{"code":429,"message":"Your prepayment credits are depleted. Please go to the site.","status":"RESOURCE_EXHAUSTED"}}"#,
            "credit",
        ),
        (
            429,
            r#"{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"RequestsPerMinutePerProject"}]}]}}"#,
            "account",
        ),
        (
            429,
            r#"{"error":{"code":429,"message":"Quota exceeded for quota metric 'Generate requests' and limit 'per minute'. Please retry in 38.5s.","status":"RESOURCE_EXHAUSTED"}}"#,
            "wait 38.5",
        ),
        (
            400,
            r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}]"#,
            "key",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":"INVALID_ARGUMENT"}}"#,
            "key",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}"#,
            "",
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"Permission 'aiplatform.endpoints.predict' denied","status":"PERMISSION_DENIED"}}"#,
            "key",
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"This API method requires billing to be enabled.","status":"PERMISSION_DENIED","details":[{"reason":"BILLING_DISABLED"}]}}"#,
            "credit",
        ),
        (
            503,
            r#"{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}"#,
            "",
        ),
    ]);
}

#[test]
fn groq_and_mistral() {
    check(&[
        // Groq.
        (
            429,
            r#"{"error":{"message":"Rate limit reached for model `some-model-1` in organization `org_1` on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.5s. Need more tokens? Upgrade.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            "large, wait 50.5",
        ),
        (
            413,
            r#"{"error":{"message":"Request too large for model `some-model-1` in organization `org_1` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 9042, please reduce your message size and try again.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            "large",
        ),
        (
            429,
            r#"{"error":{"message":"Rate limit reached for model `some-model-1` in organization `org_1` on tokens per day (TPD): Limit 100000, Used 99000, Requested 2000. Please try again in 14m24.5s.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            "wait 864.5",
        ),
        (
            400,
            r#"{"error":{"message":"Organization has been restricted. Please reach out to support.","type":"invalid_request_error","code":"organization_restricted"}}"#,
            "account",
        ),
        // Mistral.
        (
            429,
            r#"{"object":"error","message":"Requests rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}"#,
            "",
        ),
        (401, r#"{"detail":"Unauthorized"}"#, ""),
    ]);
}

#[test]
fn azure_and_kimi() {
    check(&[
        // Azure.
        (
            429,
            r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded call rate limit of your current pricing tier. Please retry after 6 seconds."}}"#,
            "wait 6",
        ),
        (
            401,
            r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}"#,
            "key",
        ),
        (
            403,
            r#"{"error":{"code":"PermissionDenied","message":"The principal lacks the required data action"}}"#,
            "key",
        ),
        // Kimi.
        (
            429,
            r#"{"error":{"message":"Your account org-1<ak-2> is suspended due to insufficient balance, please recharge your account","type":"exceeded_current_quota_error"}}"#,
            "credit",
        ),
        (
            429,
            r#"{"error":{"message":"Your account org-1<ak-2> request reached organization max RPM: 3, please try again after 1 seconds","type":"rate_limit_reached_error"}}"#,
            "wait 1",
        ),
        (
            429,
            r#"{"error":{"message":"The engine is currently overloaded, please try again later","type":"engine_overloaded_error"}}"#,
            "overloaded",
        ),
        (
            401,
            r#"{"error":{"message":"Invalid Authentication","type":"invalid_authentication_error"}}"#,
            "key",
        ),
    ]);
}

#[test]
fn zai_and_deepseek() {
    check(&[
        // Z.ai.
        (429, r#"{"error":{"code":"1113","message":"余额不足或无可用资源包,请充值。"}}"#, "credit"),
        (
            429,
            r#"{"error":{"code":1308,"message":"Usage limit reached for 5 hour. Your limit will reset at 2026-11-30 20:00:00"}}"#,
            "credit",
        ),
        (429, r#"{"error":{"code":"1302","message":"High concurrency usage of this API"}}"#, ""),
        (401, r#"{"error":{"code":"1002","message":"Authorization Token is invalid"}}"#, "key"),
        // DeepSeek.
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
            "credit",
        ),
        (
            401,
            r#"{"error":{"message":"Authentication Fails, Your api key: ****abcd is invalid","type":"unknown","code":"invalid_request_error"}}"#,
            "key",
        ),
    ]);
}

#[test]
fn xai_together_and_fireworks() {
    check(&[
        // xAI.
        (
            429,
            r#"{"code":"Some resource has been exhausted","error":"Your team 3c8f8d2e-aa11 has either used all available credits or reached its monthly spending limit."}"#,
            "credit",
        ),
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: ab***. You can obtain an API key from the console."}"#,
            "key",
        ),
        (403, r#"{"code":"permission-denied","error":"The caller may not do this"}"#, "key"),
        // Together.
        (
            402,
            r#"{"error":{"message":"Credit limit exceeded, please navigate to the site","type":"credit_limit","code":null}}"#,
            "credit",
        ),
        (
            429,
            r#"{"error":{"message":"You have reached the rate limit specific to this model","type":"model_rate_limit","code":null}}"#,
            "",
        ),
        // Fireworks.
        (
            412,
            r#"{"error":{"object":"error","type":"invalid_request_error","message":"Account acme-1 is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices."}}"#,
            "credit",
        ),
        (403, r#"{"error":"unauthorized","code":"unauthorized"}"#, "key"),
    ]);
}

#[test]
fn chinese_clouds_and_resellers() {
    check(&[
        // New API, DashScope, Volcengine.
        (
            403,
            r#"{"error":{"message":"x","type":"new_api_error","code":"insufficient_user_quota"}}"#,
            "credit",
        ),
        (
            400,
            r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}"#,
            "credit",
        ),
        (403, r#"{"error":{"code":"AccountOverdueError","message":"x","type":"Forbidden"}}"#, "credit"),
        (
            429,
            r#"{"error":{"code":"AccountQuotaExceeded","message":"You have exceeded the 5-hour usage quota. It will reset.","type":"TooManyRequests"}}"#,
            "credit, account",
        ),
        (429, r#"{"error":{"code":"ModelAccountRpmRateLimitExceeded","message":"x"}}"#, ""),
    ]);
}

#[test]
fn aws_pages_and_plain_text() {
    check(&[
        (429, r#"{"message":"Too many requests, please wait before trying again."}"#, ""),
        (403, r#"{"message":"The security token included in the request is invalid."}"#, "key"),
        (403, r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"x"}"#, "key"),
        (403, "<html><title>Access denied: invalid API key, try again in 5s</title></html>", ""),
        (429, "<html><title>Insufficient credits, try again in 5s</title></html>", ""),
        (429, "Rate limit exceeded, please try again in 500ms", "wait 0.5"),
        (503, "Please retry in 2 minutes", "wait 120"),
        (402, "", "credit"),
        (413, "<html>", "large"),
        (429, "", ""),
        (500, "Insufficient balance", ""),
        (400, "Unknown parameter: credit balance is too low", ""),
        (422, r#"{"detail":[{"msg":"Field required","input":{"content":"try again in 5s"}}]}"#, ""),
        (429, r#"{"error":{"message":"Slow down","retry_after":2.5}}"#, "wait 2.5"),
        (429, r#"{"error":{"message":"Slow down","retry_after_ms":"1500"}}"#, "wait 1.5"),
    ]);
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
