//! Error bodies of the other vendors, of clouds and of proxies.

use super::*;

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
