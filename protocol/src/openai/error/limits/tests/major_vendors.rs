//! Error bodies of OpenAI, Anthropic, OpenRouter and Google.

use super::*;

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
