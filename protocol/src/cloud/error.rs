//! Errors of Amazon Bedrock and of Google's Vertex AI: read from upstreams, written for clients in a cloud's mode.
//!
//! Sources: docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html,
//! docs.aws.amazon.com/bedrock/latest/APIReference (InvokeModel, CommonErrors), google.aip.dev/193.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::anthropic;
use crate::anthropic::error::bounded_message;
use crate::json::{List, RawMembers};
use crate::vocabulary::ErrorKind;

/// An error of a cloud, in the gateway's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudFault {
    pub kind: ErrorKind,
    pub cause: CloudCause,
    /// The cloud's own words; they may be empty.
    pub message: String,
}

/// What an operator can do something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloudCause {
    /// The credential was valid. Another one may be.
    CredentialExpired,
    /// The credential is unknown, or belongs to nobody.
    CredentialInvalid,
    /// The signature is wrong, or from another time than the cloud's.
    SignatureInvalid,
    /// The identity lacks a permission.
    PermissionMissing {
        permission: Option<String>,
    },
    /// The account has not been given this model.
    ModelAccess,
    /// There is no such model in this region.
    ModelUnknown,
    /// The model is served through an inference profile only.
    NeedsInferenceProfile,
    /// The credential does not extend to the cloud's APIs.
    ScopeMissing,
    /// The identity may not charge the project that the request names.
    QuotaProject,
    /// The project has not turned the API on.
    ServiceDisabled,
    /// The project has no billing account.
    BillingDisabled,
    /// A limit of the account, over a longer time.
    Quota,
    /// Too many requests.
    Throttled,
    Other,
}

/// What AWS's errors say. Names differ between services, and any member may have another type than the usual one.
#[derive(Default)]
struct AwsBody {
    message: Option<String>,
    kind: Option<String>,
    /// The status of the model's own error.
    original_status: Option<u16>,
}

impl AwsBody {
    fn read(body: &[u8]) -> Self {
        let Ok(members) = serde_json::from_slice::<RawMembers<'_>>(body) else { return Self::default() };
        let text = |names: &[&str]| {
            let found = names.iter().filter_map(|name| members.read::<String>(name));
            found.map(bounded_message).find(|text| !text.is_empty())
        };
        Self {
            message: text(&["message", "Message", "originalMessage"]),
            kind: text(&["__type", "code", "Code"]),
            original_status: members.read("originalStatusCode"),
        }
    }
}

#[derive(Deserialize)]
struct GoogleBody<'a> {
    #[serde(borrow)]
    error: GoogleError<'a>,
}

#[derive(Deserialize)]
struct GoogleError<'a> {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
    #[serde(borrow, default)]
    details: List<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GoogleDetail {
    reason: String,
    metadata: GoogleMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GoogleMetadata {
    permission: String,
}

/// The error of a Bedrock endpoint. `error_type` is the header `x-amzn-errortype`. `None` for a body of another shape, such as
/// Anthropic's.
#[must_use]
pub fn of_bedrock(status: u16, error_type: Option<&str>, body: &[u8]) -> Option<CloudFault> {
    if anthropic::error::read(body).is_some() {
        return None;
    }
    let read = AwsBody::read(body);
    let stated = error_type.map(str::to_owned).or(read.kind).unwrap_or_default();
    if stated.is_empty() && read.message.is_none() {
        return None;
    }
    // `ValidationException:http://…`, `com.amazon.coral.service#ValidationException`
    let name = stated.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default();
    Some(aws(name, Some(status), read.original_status, read.message.unwrap_or_default()))
}

/// The error of a frame: `kind` is the type of its exception or its code.
#[must_use]
pub(super) fn of_frame(kind: &str, payload: &[u8], error_message: &str) -> CloudFault {
    let read = AwsBody::read(payload);
    let message = read.message.unwrap_or_else(|| {
        if error_message.is_empty() {
            format!("the upstream reported {kind}")
        } else {
            error_message.to_owned()
        }
    });
    aws(kind, None, read.original_status, message)
}

/// What an AWS error says. Messages may quote the request, so words count only where the status or the name fits.
fn aws(name: &str, status: Option<u16>, original: Option<u16>, message: String) -> CloudFault {
    let is_any = |names: &[&str]| names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted));
    let lower = message.to_ascii_lowercase();
    let says_any = |words: &[&str]| words.iter().any(|words| lower.contains(words));
    let is_refused = matches!(status, Some(401 | 403));
    let refusal_says = |words: &[&str]| is_refused && says_any(words);
    let is_denied = is_any(&["AccessDeniedException", "AccessDenied", "NotAuthorized"])
        || refusal_says(&["not authorized to perform"]);
    let is_not_found = is_any(&["ResourceNotFoundException"]);
    let (kind, cause) = if let Some(cause) = credential_cause(&is_any, &refusal_says) {
        (ErrorKind::Authentication, cause)
    } else if (is_denied || is_refused || is_not_found) && says_any(&MODEL_ACCESS) {
        (ErrorKind::Permission, CloudCause::ModelAccess)
    } else if is_denied {
        (ErrorKind::Permission, CloudCause::PermissionMissing { permission: aws_permission(&message) })
    } else if is_not_found {
        (ErrorKind::NotFound, CloudCause::ModelUnknown)
    } else if is_any(&["ServiceQuotaExceededException"]) {
        (ErrorKind::RateLimit, CloudCause::Quota)
    } else if is_any(&[
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "ModelNotReadyException",
    ]) {
        let is_quota = says_any(&["tokens per day"]);
        (ErrorKind::RateLimit, if is_quota { CloudCause::Quota } else { CloudCause::Throttled })
    } else if is_any(&["ServiceUnavailableException", "ServiceUnavailable"]) {
        (ErrorKind::Overloaded, CloudCause::Other)
    } else if is_any(&["ModelTimeoutException"]) {
        (ErrorKind::Timeout, CloudCause::Other)
    } else if is_any(&["ModelErrorException", "ModelStreamErrorException"]) {
        (original.map_or(ErrorKind::Api, ErrorKind::from_status), CloudCause::Other)
    } else if is_any(&["ValidationException"]) || status == Some(400) {
        validation(&says_any)
    } else {
        (status.map_or(ErrorKind::Api, ErrorKind::from_status), CloudCause::Other)
    };
    CloudFault { kind, cause, message }
}

/// An account without a model: no access to it, no use case stated, or no subscription in AWS's marketplace.
const MODEL_ACCESS: [&str; 4] = ["access to the model", "model access", "marketplace", "use case details"];

fn credential_cause(
    is_any: &dyn Fn(&[&str]) -> bool,
    refusal_says: &dyn Fn(&[&str]) -> bool,
) -> Option<CloudCause> {
    if is_any(&["ExpiredTokenException", "ExpiredToken"])
        || refusal_says(&["token included in the request is expired"])
    {
        Some(CloudCause::CredentialExpired)
    } else if is_any(&["InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired"])
        || refusal_says(&["signature expired"])
    {
        Some(CloudCause::SignatureInvalid)
    } else if is_any(&[
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "IncompleteSignature",
        "MissingAuthenticationTokenException",
    ]) || refusal_says(&["security token included in the request is invalid", "api key"])
    {
        Some(CloudCause::CredentialInvalid)
    } else {
        None
    }
}

/// A refusal of the request itself.
fn validation(says_any: &dyn Fn(&[&str]) -> bool) -> (ErrorKind, CloudCause) {
    if says_any(&["on-demand throughput"]) {
        (ErrorKind::InvalidRequest, CloudCause::NeedsInferenceProfile)
    } else if says_any(&["model identifier is invalid", "could not resolve the foundation model"]) {
        (ErrorKind::NotFound, CloudCause::ModelUnknown)
    } else {
        (ErrorKind::InvalidRequest, CloudCause::Other)
    }
}

/// `… is not authorized to perform: bedrock:InvokeModel on resource: …`
fn aws_permission(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let action = rest.split([' ', ',']).next()?;
    action.contains(':').then(|| action.to_owned())
}

/// The error of a Google endpoint; some of them are in an array. `None` for a body of another shape.
#[must_use]
pub fn of_vertex(status: u16, body: &[u8]) -> Option<CloudFault> {
    if anthropic::error::read(body).is_some() {
        return None;
    }
    let one = || serde_json::from_slice::<GoogleBody<'_>>(body).ok();
    let list = || serde_json::from_slice::<Vec<GoogleBody<'_>>>(body).ok()?.into_iter().next();
    // The list first: serde reads a list as a struct, too.
    let GoogleError { message, status: word, details } = list().or_else(one)?.error;
    let message = bounded_message(message);
    // Details have many types.
    let details = details.0.into_iter().filter_map(|detail| serde_json::from_str(detail.get()).ok());
    let details: Vec<GoogleDetail> = details.collect();
    let has_reason = |reason: &str| details.iter().any(|detail| detail.reason == reason);
    let (kind, cause) = match word.as_str() {
        "UNAUTHENTICATED" if has_reason("ACCESS_TOKEN_EXPIRED") => {
            (ErrorKind::Authentication, CloudCause::CredentialExpired)
        }
        "UNAUTHENTICATED" => (ErrorKind::Authentication, CloudCause::CredentialInvalid),
        "PERMISSION_DENIED" => google_denial(&details, &message),
        "NOT_FOUND" => (ErrorKind::NotFound, CloudCause::ModelUnknown),
        "RESOURCE_EXHAUSTED" => (ErrorKind::RateLimit, CloudCause::Throttled),
        "FAILED_PRECONDITION" if message.to_ascii_lowercase().contains("region") => {
            (ErrorKind::NotFound, CloudCause::ModelUnknown)
        }
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => {
            (ErrorKind::InvalidRequest, CloudCause::Other)
        }
        "UNAVAILABLE" => (ErrorKind::Overloaded, CloudCause::Other),
        "DEADLINE_EXCEEDED" => (ErrorKind::Timeout, CloudCause::Other),
        _ => (ErrorKind::from_status(status), CloudCause::Other),
    };
    Some(CloudFault { kind, cause, message })
}

/// What a refusal is about, by the reasons of google.aip.dev/193 and cloud.google.com/apis/design/errors.
fn google_denial(details: &[GoogleDetail], message: &str) -> (ErrorKind, CloudCause) {
    let has_reason = |reason: &str| details.iter().any(|detail| detail.reason == reason);
    let cause = if has_reason("SERVICE_DISABLED") {
        CloudCause::ServiceDisabled
    } else if has_reason("BILLING_DISABLED") {
        return (ErrorKind::Billing, CloudCause::BillingDisabled);
    } else if has_reason("USER_PROJECT_DENIED") {
        CloudCause::QuotaProject
    } else if has_reason("ACCESS_TOKEN_SCOPE_INSUFFICIENT") {
        CloudCause::ScopeMissing
    } else {
        let named = details.iter().map(|detail| detail.metadata.permission.clone()).find(|it| !it.is_empty());
        CloudCause::PermissionMissing { permission: named.or_else(|| quoted_permission(message)) }
    };
    (ErrorKind::Permission, cause)
}

/// `Permission 'aiplatform.endpoints.predict' denied on resource …`
fn quoted_permission(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("ermission '")?;
    rest.split('\'').next().map(str::to_owned)
}

/// An exception of InvokeModel, for a client in Bedrock's mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsException {
    /// As in frames, with a small first letter: `throttlingException`.
    pub name: &'static str,
    pub message: String,
    /// With AWS's `message`, and Anthropic's members for Anthropic's own clients.
    pub body: String,
}

/// The exception for an error of the Messages API.
#[must_use]
pub fn exception(error: &[u8]) -> AwsException {
    let (kind, message) = anthropic::error::read(error)
        .unwrap_or_else(|| (ErrorKind::Api, bounded_message(String::from_utf8_lossy(error).into_owned())));
    let quoted = serde_json::to_string(&message).unwrap_or_default();
    let anthropic = serde_json::from_slice::<&RawValue>(error).ok();
    let members = anthropic.and_then(|object| object.get().strip_prefix('{'));
    let body = match members.filter(|members| !members.trim_start().starts_with('}')) {
        Some(members) => format!("{{\"message\":{quoted},{members}"),
        None => format!("{{\"message\":{quoted}}}"),
    };
    AwsException { name: exception_name(kind), message, body }
}

/// The exception that AWS's SDKs treat like this kind: they retry throttling, timeouts and unavailability.
const fn exception_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::TooLarge => "validationException",
        ErrorKind::Authentication | ErrorKind::Billing | ErrorKind::Permission => "accessDeniedException",
        ErrorKind::NotFound => "resourceNotFoundException",
        ErrorKind::RateLimit => "throttlingException",
        ErrorKind::Api => "internalServerException",
        ErrorKind::Timeout => "modelTimeoutException",
        ErrorKind::Overloaded => "serviceUnavailableException",
    }
}

impl AwsException {
    /// As in the header `x-amzn-errortype`.
    #[must_use]
    pub fn error_type(&self) -> String {
        let mut name = self.name.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(name: &str) -> CloudCause {
        CloudCause::PermissionMissing { permission: Some(name.to_owned()) }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn a_bedrock_error_names_its_cause() {
        let denied = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: bedrock:InvokeModel on resource: y";
        for (status, name, message, kind, cause) in [
            (
                403,
                "ExpiredTokenException",
                "The security token included in the request is expired",
                ErrorKind::Authentication,
                CloudCause::CredentialExpired,
            ),
            (
                403,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
                ErrorKind::Authentication,
                CloudCause::CredentialInvalid,
            ),
            (
                403,
                "InvalidSignatureException",
                "Signature expired: 2026",
                ErrorKind::Authentication,
                CloudCause::SignatureInvalid,
            ),
            (403, "AccessDeniedException", denied, ErrorKind::Permission, permission("bedrock:InvokeModel")),
            (
                403,
                "AccessDeniedException",
                "You don't have access to the model with the specified model ID.",
                ErrorKind::Permission,
                CloudCause::ModelAccess,
            ),
            (
                400,
                "ValidationException",
                "The provided model identifier is invalid.",
                ErrorKind::NotFound,
                CloudCause::ModelUnknown,
            ),
            (
                400,
                "ValidationException:http://x",
                "Invocation of model ID m with on-demand throughput isn\u{2019}t supported.",
                ErrorKind::InvalidRequest,
                CloudCause::NeedsInferenceProfile,
            ),
            (
                400,
                "com.amazon.coral#ValidationException",
                "max_tokens: bad",
                ErrorKind::InvalidRequest,
                CloudCause::Other,
            ),
            (
                429,
                "ThrottlingException",
                "Too many tokens per day, please wait",
                ErrorKind::RateLimit,
                CloudCause::Quota,
            ),
            (429, "ThrottlingException", "Too many requests", ErrorKind::RateLimit, CloudCause::Throttled),
            (503, "ServiceUnavailableException", "", ErrorKind::Overloaded, CloudCause::Other),
        ] {
            let body = serde_json::json!({"message": message}).to_string();
            let found = of_bedrock(status, Some(name), body.as_bytes()).unwrap();
            assert_eq!((found.kind, found.cause), (kind, cause), "{name} {message}");
            assert_eq!(found.message, message);
        }
        assert_eq!(
            of_bedrock(
                400,
                None,
                br#"{"type":"error","error":{"type":"invalid_request_error","message":"x"}}"#
            ),
            None
        );
        assert_eq!(of_bedrock(502, None, b"<html>"), None);
        let typed = of_bedrock(403, None, br#"{"__type":"a#ExpiredTokenException","Message":"m"}"#).unwrap();
        assert_eq!((typed.cause, typed.message.as_str()), (CloudCause::CredentialExpired, "m"));
        let odd =
            of_bedrock(403, None, br#"{"Message":"m","message":null,"code":403,"__type":"x"}"#).unwrap();
        assert_eq!((odd.kind, odd.message.as_str()), (ErrorKind::Permission, "m"));
    }

    /// Requirement: a request cannot make its refusal look like one of the credential, which would be renewed for it.
    #[test]
    fn words_of_the_request_in_a_refusal_mean_nothing() {
        for words in ["api key", "Signature expired", "access to the model", "marketplace", "tokens per day"]
        {
            let body = format!(r#"{{"message":"tools.0.name: '{words}' does not match"}}"#);
            let found = of_bedrock(400, Some("ValidationException"), body.as_bytes()).unwrap();
            assert_eq!((found.kind, found.cause), (ErrorKind::InvalidRequest, CloudCause::Other), "{words}");
        }
        let found =
            of_bedrock(403, None, br#"{"Message":"Please make sure your API Key is valid."}"#).unwrap();
        assert_eq!(found.cause, CloudCause::CredentialInvalid);
    }

    #[test]
    fn an_error_of_the_model_has_the_models_status() {
        for (body, kind) in [
            (r#"{"message":"m","originalStatusCode":400}"#, ErrorKind::InvalidRequest),
            (r#"{"message":"m","originalStatusCode":529}"#, ErrorKind::Overloaded),
            (r#"{"originalMessage":"m"}"#, ErrorKind::Api),
        ] {
            let found = of_bedrock(424, Some("ModelErrorException"), body.as_bytes()).unwrap();
            assert_eq!((found.kind, found.message.as_str()), (kind, "m"), "{body}");
        }
    }

    #[test]
    fn a_google_error_names_its_cause() {
        for (body, kind, cause) in [
            (
                r#"[{"error":{"code":403,"message":"Permission 'aiplatform.endpoints.predict' denied on resource '//x' (or it may not exist).","status":"PERMISSION_DENIED"}}]"#,
                ErrorKind::Permission,
                permission("aiplatform.endpoints.predict"),
            ),
            (
                r#"{"error":{"message":"Vertex AI API has not been used","status":"PERMISSION_DENIED","details":[{"reason":"SERVICE_DISABLED"}]}}"#,
                ErrorKind::Permission,
                CloudCause::ServiceDisabled,
            ),
            (
                r#"{"error":{"message":"m","status":"UNAUTHENTICATED","details":[{"@type":"x","reason":"ACCESS_TOKEN_EXPIRED","metadata":{"service":"s"}}]}}"#,
                ErrorKind::Authentication,
                CloudCause::CredentialExpired,
            ),
            (
                r#"{"error":{"message":"m","status":"PERMISSION_DENIED","details":[1,{"reason":7},{"reason":"BILLING_DISABLED","metadata":{"x":[]}}]}}"#,
                ErrorKind::Billing,
                CloudCause::BillingDisabled,
            ),
            (
                r#"{"error":{"message":"m","status":"PERMISSION_DENIED","details":[{"reason":"USER_PROJECT_DENIED"}]}}"#,
                ErrorKind::Permission,
                CloudCause::QuotaProject,
            ),
            (
                r#"{"error":{"message":"m","status":"PERMISSION_DENIED","details":[{"reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}}"#,
                ErrorKind::Permission,
                CloudCause::ScopeMissing,
            ),
            (
                r#"{"error":{"message":"Request had invalid authentication credentials.","status":"UNAUTHENTICATED"}}"#,
                ErrorKind::Authentication,
                CloudCause::CredentialInvalid,
            ),
            (
                r#"{"error":{"message":"m","status":"RESOURCE_EXHAUSTED"}}"#,
                ErrorKind::RateLimit,
                CloudCause::Throttled,
            ),
            (
                r#"{"error":{"message":"Publisher Model was not found","status":"NOT_FOUND"}}"#,
                ErrorKind::NotFound,
                CloudCause::ModelUnknown,
            ),
        ] {
            let found = of_vertex(400, body.as_bytes()).unwrap();
            assert_eq!((found.kind, found.cause), (kind, cause), "{body}");
        }
        assert_eq!(of_vertex(404, b"[]"), None);
        assert_eq!(of_vertex(404, b"<html>"), None);
    }

    #[test]
    fn a_clients_exception_has_both_shapes() {
        let error = br#"{"type":"error","error":{"type":"rate_limit_error","message":"slow \"down\""}}"#;
        let AwsException { name, message, body } = exception(error);
        assert_eq!(message, "slow \"down\"");
        assert_eq!(name, "throttlingException");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["message"], "slow \"down\"");
        assert_eq!(body["error"]["type"], "rate_limit_error");
        for (error, body) in [("no json", r#"{"message":"no json"}"#), ("{ }", r#"{"message":"{ }"}"#)] {
            assert_eq!(exception(error.as_bytes()).body, body);
        }
        assert_eq!(exception(error).error_type(), "ThrottlingException");
    }
}
