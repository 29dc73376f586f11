//! Errors as clients of the Responses API get them. Their codes tell Codex whether it repeats the request.

use bytes::BytesMut;

use super::{ErrorNames, context, overflows, write_members, write_object};
use crate::{json::Write, vocabulary::ErrorKind};

/// Returns the body of an error reply of the Responses API.
pub fn responses_body(kind: ErrorKind, message: &str, names: &ErrorNames) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 128);
    let code = match (&names.code, kind) {
        _ if overflows(kind, message) => context::CODE,
        // Codex reads the codes of the other kinds.
        (Some(code), ErrorKind::InvalidRequest) => code,
        (Some(_) | None, _) => body_code(kind),
    };
    write_object(message, kind.openai().0, (Some(code), names.param.as_deref()), &mut out);
    out
}

/// Appends the event that ends a failed stream of which nothing is known. It is the last event.
pub fn response_failed(kind: ErrorKind, message: &str, out: &mut BytesMut) {
    response_failed_at(&FailedResponse::UNKNOWN, kind, message, out);
}

/// What is known of a response that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedResponse<'a> {
    /// The number of the event that reports the failure.
    pub(crate) number: u64,
    /// Inner text.
    pub(crate) id: &'a str,
    /// Inner text.
    pub(crate) model: &'a str,
    pub(crate) created_at: u64,
}

impl FailedResponse<'_> {
    pub(crate) const UNKNOWN: FailedResponse<'static> =
        FailedResponse { number: 0, id: "resp_failed", model: "", created_at: 0 };
}

/// The same for a stream of which this is known.
pub(crate) fn response_failed_at(
    response: &FailedResponse<'_>,
    kind: ErrorKind,
    message: &str,
    out: &mut BytesMut,
) {
    let FailedResponse { number, id, model, created_at } = *response;
    out.put(b"event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":");
    out.number(number);
    out.put(b",\"response\":{\"id\":\"");
    out.put(id.as_bytes());
    out.put(b"\",\"object\":\"response\",\"created_at\":");
    out.number(created_at);
    out.put(b",\"status\":\"failed\",\"error\":");
    write_stream_fault(kind, message, out);
    out.put(b",\"incomplete_details\":null,\"model\":\"");
    out.put(model.as_bytes());
    out.put(b"\",\"output\":[],\"usage\":null,");
    out.put(b"\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[]},\"error\":");
    write_stream_error(kind, message, out);
    out.put(b"}\n\n");
}

/// Appends the member `error` of a response object.
pub(crate) fn write_stream_fault(kind: ErrorKind, message: &str, out: &mut impl Write) {
    out.put(b"{\"code\":");
    out.string(stream_code(kind, message));
    out.put(b",\"message\":");
    out.string(message);
    out.put(b"}");
}

/// Appends the member `error` that stands beside the response object in `response.failed`.
///
/// The API itself has no such member. Codex reads the object in the response and ignores this one. OpenAI's SDKs give
/// `response.failed` to their user like any other event, so that a program which reads the text only would take a broken
/// reply for a complete one. They raise an exception on an event that has a member `error`.
pub(crate) fn write_stream_error(kind: ErrorKind, message: &str, out: &mut impl Write) {
    write_members(message, kind.openai().0, (Some(stream_code(kind, message)), None), out);
}

/// The code of an error reply. Codex has repeated the request before it reads the code, except where the status says that
/// this is useless.
fn body_code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid_prompt",
        ErrorKind::Authentication => "invalid_api_key",
        ErrorKind::Billing => "insufficient_quota",
        ErrorKind::Permission => "permission_denied",
        ErrorKind::NotFound => "model_not_found",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimit => "rate_limit_exceeded",
        ErrorKind::Api => "server_error",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Overloaded => "server_is_overloaded",
    }
}

/// The code of a failed stream. Here Codex 0.171 has the code alone. It repeats the request for every code that it does not
/// know, so that an error which stays the same has the code of a bad request. `server_is_overloaded` ends its turn, which an
/// overload in the middle of a reply should not.
fn stream_code(kind: ErrorKind, message: &str) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest if overflows(kind, message) => context::CODE,
        ErrorKind::InvalidRequest
        | ErrorKind::Authentication
        | ErrorKind::Permission
        | ErrorKind::TooLarge => "invalid_prompt",
        ErrorKind::NotFound => "model_not_found",
        ErrorKind::Billing => "insufficient_quota",
        ErrorKind::RateLimit => "rate_limit_exceeded",
        ErrorKind::Api | ErrorKind::Timeout | ErrorKind::Overloaded => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{openai::error::read, sse};

    fn failed(kind: ErrorKind, message: &str) -> Value {
        let mut out = BytesMut::new();
        response_failed(kind, message, &mut out);
        assert!(out.starts_with(b"event: response.failed\ndata: {") && out.ends_with(b"}\n\n"));
        let events: Vec<Value> = sse::events(&out)
            .filter_map(|event| event.data())
            .map(|data| serde_json::from_slice(&data).unwrap())
            .collect();
        assert_eq!(events.len(), 1);
        events[0].clone()
    }

    #[test]
    fn every_error_has_a_code_before_the_stream_and_in_it() {
        for (kind, before, inside) in [
            (ErrorKind::InvalidRequest, "invalid_prompt", "invalid_prompt"),
            (ErrorKind::Authentication, "invalid_api_key", "invalid_prompt"),
            (ErrorKind::Billing, "insufficient_quota", "insufficient_quota"),
            (ErrorKind::Permission, "permission_denied", "invalid_prompt"),
            (ErrorKind::NotFound, "model_not_found", "model_not_found"),
            (ErrorKind::TooLarge, "request_too_large", "invalid_prompt"),
            (ErrorKind::RateLimit, "rate_limit_exceeded", "rate_limit_exceeded"),
            (ErrorKind::Api, "server_error", "server_error"),
            (ErrorKind::Timeout, "timeout", "server_error"),
            (ErrorKind::Overloaded, "server_is_overloaded", "server_error"),
        ] {
            let body: Value =
                serde_json::from_slice(&responses_body(kind, "no \"luck\"", &ErrorNames::default())).unwrap();
            let expected =
                json!({"message": "no \"luck\"", "type": kind.openai().0, "param": null, "code": before});
            assert_eq!(body, json!({ "error": expected }));

            let event = failed(kind, "no \"luck\"");
            let expected = json!({"code": inside, "message": "no \"luck\""});
            assert_eq!(
                (&event["response"]["error"], &event["response"]["status"]),
                (&expected, &json!("failed"))
            );
            assert_eq!(
                (&event["error"]["code"], &event["error"]["message"]),
                (&expected["code"], &expected["message"])
            );
        }
    }

    #[test]
    fn a_prompt_that_is_too_long_has_its_own_code() {
        let message = "prompt is too long: 5 tokens > 4 maximum";
        let body: Value = serde_json::from_slice(&responses_body(
            ErrorKind::InvalidRequest,
            message,
            &ErrorNames::default(),
        ))
        .unwrap();
        assert_eq!(body["error"]["code"], "context_length_exceeded");
        let event = failed(ErrorKind::InvalidRequest, message);
        assert_eq!(event["response"]["error"]["code"], "context_length_exceeded");
        let body: Value =
            serde_json::from_slice(&responses_body(ErrorKind::Api, message, &ErrorNames::default())).unwrap();
        assert_eq!(body["error"]["code"], "server_error");
    }

    #[test]
    fn names_are_repeated_unless_codex_reads_the_code() {
        let names = ErrorNames { code: Some("bad".to_owned()), param: Some("input[0]".to_owned()) };
        for (kind, message, code) in [
            (ErrorKind::InvalidRequest, "no", "bad"),
            (
                ErrorKind::InvalidRequest,
                "prompt is too long: 5 tokens > 4 maximum",
                "context_length_exceeded",
            ),
            (ErrorKind::RateLimit, "no", "rate_limit_exceeded"),
        ] {
            let body: Value = serde_json::from_slice(&responses_body(kind, message, &names)).unwrap();
            assert_eq!((&body["error"]["code"], &body["error"]["param"]), (&json!(code), &json!("input[0]")));
        }
        let body: Value = serde_json::from_slice(&super::super::body(ErrorKind::Api, "no", &names)).unwrap();
        assert_eq!((&body["error"]["code"], &body["error"]["param"]), (&json!("bad"), &json!("input[0]")));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for kind in ErrorKind::ALL {
            let fault = read(kind.status(), &responses_body(kind, "slow down", &ErrorNames::default()));
            assert_eq!((fault.kind, fault.message.as_str()), (kind, "slow down"));
        }
    }
}
