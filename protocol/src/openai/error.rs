//! Errors of OpenAI's APIs: parsed from upstreams in any vendor's shape, and written for clients.

mod content_filter;
mod context;
mod limits;
mod names;
mod numbers;
mod responses;

use bytes::BytesMut;
use serde_json::Value;

pub use self::limits::{ErrorFacts, facts};
pub use self::names::ErrorNames;
pub(crate) use self::numbers::{Number, numbers};
pub(crate) use self::responses::{FailedResponse, response_failed_at};
pub use self::responses::{response_failed, responses_body};
pub(crate) use self::responses::{write_stream_error, write_stream_fault};
use crate::{fault::Fault, json::Write, vocabulary::ErrorKind};

const LONGEST_MESSAGE: usize = 500;
/// OpenRouter's own message for a failed provider; it contains no information.
const GENERIC_MESSAGE: &str = "Provider returned error";

/// The event that ends a complete stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// Keeps an idle stream alive. It is a comment, because some clients parse every event as a chunk.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Returns the body of an error reply of the Chat Completions API.
pub fn body(kind: ErrorKind, message: &str, names: &ErrorNames) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 128);
    write(kind, message, names, &mut out);
    out
}

/// Appends the event that reports a failed stream of the Chat Completions API. It is the last event: if `[DONE]` followed, a client that does not
/// support errors in streams would take the reply for complete. OpenAI's SDKs raise an exception on this event.
pub fn event(kind: ErrorKind, message: &str, out: &mut BytesMut) {
    out.put(b"data: ");
    write(kind, message, &ErrorNames::default(), out);
    out.put(b"\n\n");
}

fn write(kind: ErrorKind, message: &str, names: &ErrorNames, out: &mut impl Write) {
    let (r#type, code) = kind.openai();
    let code = if overflows(kind, message) { Some(context::CODE) } else { code.or(names.code.as_deref()) };
    write_object(message, r#type, (code, names.param.as_deref()), out);
}

/// Whether an error of ours reports that the prompt does not fit.
fn overflows(kind: ErrorKind, message: &str) -> bool {
    kind == ErrorKind::InvalidRequest && context::is_anthropic_wording(message)
}

type CodeAndParam<'a> = (Option<&'a str>, Option<&'a str>);

/// Appends `{"error":{…}}`.
fn write_object(message: &str, r#type: &str, names: CodeAndParam<'_>, out: &mut impl Write) {
    out.put(b"{\"error\":");
    write_members(message, r#type, names, out);
    out.put(b"}");
}

/// Appends the value of `error`.
fn write_members(message: &str, r#type: &str, (code, param): CodeAndParam<'_>, out: &mut impl Write) {
    out.put(b"{\"message\":");
    out.string(message);
    out.put(b",\"type\":");
    out.string(r#type);
    for (key, value) in [(b",\"param\":".as_slice(), param), (b",\"code\":", code)] {
        out.put(key);
        match value {
            Some(value) => out.string(value),
            None => out.put(b"null"),
        }
    }
    out.put(b"}");
}

/// Whether a message reports that a prompt does not fit.
pub(crate) fn is_overflow(message: &str) -> bool {
    context::rewrite(message, &[]).is_some()
}

/// Whether an error reports that the model reached its token limit before its first word. For a client, such a reply is
/// complete: it has no content, and stopped at the limit.
#[must_use]
pub fn is_out_of_tokens(status: u16, body: &[u8]) -> bool {
    if status != 400 {
        return false;
    }
    let message = ErrorContents::read(body).message.unwrap_or_default().to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    says(&["could not finish", "couldn't finish", "could not complete", "unable to finish"])
        && says(&["max_tokens", "max_completion_tokens", "max_output_tokens", "output limit"])
        && message.contains("reached")
}

/// Converts any answer other than 2xx to a fault. The body can be JSON of any shape, HTML (reduced to its title), text,
/// or empty; the message has at most 500 characters. A prompt that is too long is reported in the wording that makes
/// Claude Code compact its conversation.
pub fn read(status: u16, body: &[u8]) -> Fault {
    let report = ErrorContents::read(body);
    let status = if status == 400 && report.refuses_key() { 401 } else { status };
    let message = report.message.as_deref().map(shorten).filter(|message| !message.is_empty());
    let message = message.unwrap_or_else(|| format!("the upstream answered {status} without a message"));
    report.overflow(status).unwrap_or_else(|| fault(status, message))
}

/// Returns the fault in the wording that makes Claude Code compact, if an upstream of the Messages API reports a prompt
/// that is too long in another wording, with numbers. Anthropic's own wording, and Bedrock's, reach the client
/// unchanged.
#[must_use]
pub fn reworded_overflow(status: u16, body: &[u8]) -> Option<Fault> {
    const KNOWN: [&str; 2] = ["prompt is too long", "input is too long for requested model"];
    let report = ErrorContents::read(body);
    let message = report.message.as_deref()?;
    let lower = message.to_ascii_lowercase();
    if context::is_anthropic_wording(message) || KNOWN.iter().any(|words| lower.contains(words)) {
        return None;
    }
    report.overflow(status).filter(|fault| context::has_numbers(&fault.message))
}

/// Reads an `error` object (or `msg`) inside a reply of status 200. Its `code` or `type` determines the status;
/// otherwise the status is 502.
pub(crate) fn read_inside(body: &[u8]) -> Fault {
    let report = ErrorContents::read(body);
    let status = report.status().unwrap_or(502);
    let message = report.message.as_deref().map(shorten).filter(|message| !message.is_empty());
    let message = message.unwrap_or_else(|| "the upstream reported an error without a message".to_owned());
    report.overflow(status).unwrap_or_else(|| fault(status, message))
}

/// Returns the wait that Google requests, in seconds. Google states it in the body only (`google.rpc.RetryInfo`), for
/// example `"34s"` or `"0.5s"`.
fn retry_delay_of(value: &Value) -> Option<f64> {
    let value = value.get(0).unwrap_or(value);
    let details = value.get("error")?.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

fn fault(status: u16, message: String) -> Fault {
    let status = match status {
        408 | 524 => 504,
        // Groq, when its spare capacity is exhausted.
        498 => 503,
        400..=599 => status,
        _ => 502,
    };
    Fault { kind: ErrorKind::from_status(status), status, message }
}

/// The contents of an error body, from any vendor's location.
#[derive(Default)]
struct ErrorContents {
    message: Option<String>,
    /// `code` and `type` in lower case.
    words: Vec<String>,
    code: Option<u16>,
    /// llama.cpp reports the counts in fields of their own.
    counts: Option<(u64, u64)>,
}

impl ErrorContents {
    fn read(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::parse(&value),
            Err(_) => Self { message: Some(not_json(&String::from_utf8_lossy(body))), ..Self::default() },
        }
    }

    /// Reads `{"error": {…}}`, `{"error": "…"}`, Gemini's `[{"error": …}]`, or fields at the top level.
    fn parse(value: &Value) -> Self {
        let value = value.get(0).unwrap_or(value);
        let inner = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        let report = Self::outer(value, inner);
        match Self::inner_report(inner).filter(|_| report.message.as_deref() == Some(GENERIC_MESSAGE)) {
            Some(inner) => Self { code: report.code, ..inner },
            None => report,
        }
    }

    /// Reads the error of the provider behind OpenRouter.
    fn inner_report(inner: &Value) -> Option<Self> {
        let raw = inner.get("metadata")?.get("raw")?;
        let report = raw.as_str().map_or_else(|| Self::parse(raw), |text| Self::read(text.as_bytes()));
        report.message.is_some().then_some(report)
    }

    fn outer(value: &Value, inner: &Value) -> Self {
        let message = match inner {
            Value::String(text) => Some(text.clone()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                message(inner)
            }
        };
        let fields = ["code", "type", "status"].map(|field| inner.get(field).or_else(|| value.get(field)));
        let words = fields.iter().flatten().filter_map(|field| field.as_str()).map(str::to_ascii_lowercase);
        let count = |field| inner.get(field).and_then(Value::as_u64);
        let message = message.or_else(|| self::message(value));
        Self {
            message: message.map(|message| message + &content_filter::reasons(inner)),
            words: words.collect(),
            code: fields[0].and_then(status_code),
            counts: count("n_prompt_tokens").zip(count("n_ctx")),
        }
    }

    fn refuses_key(&self) -> bool {
        const MARKS: [&str; 3] = ["incorrect api key provided", "api key not valid", "invalid api key"];
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        MARKS.iter().any(|mark| message.starts_with(mark))
    }

    /// Returns the status of its code or type.
    fn status(&self) -> Option<u16> {
        const WORDS: [(&str, u16); 20] = [
            // The Responses API has a code for everything that can be wrong with an image.
            ("image", 400),
            ("invalid_prompt", 400),
            ("content_filter", 400),
            ("rate_limit", 429),
            ("usage_limit", 429),
            ("usage_not_included", 429),
            ("insufficient_quota", 429),
            ("billing", 402),
            ("slow_down", 503),
            ("invalid_api_key", 401),
            ("model_not_found", 404),
            ("resource_exhausted", 429),
            ("overloaded", 529),
            ("unavailable", 503),
            ("timeout", 504),
            ("invalid_request", 400),
            ("context_length", 400),
            ("policy", 400),
            ("residency", 400),
            ("authentication", 401),
        ];
        self.code.or_else(|| {
            let known = |word: &String| WORDS.iter().find(|(mark, _)| word.contains(mark));
            self.words.iter().find_map(known).map(|&(_, status)| status)
        })
    }

    fn overflow(&self, status: u16) -> Option<Fault> {
        if matches!(status, 401..=404 | 429) {
            return None;
        }
        let message = self.message.as_deref().unwrap_or_default();
        let message = match self.counts {
            Some((prompt, context)) => context::too_long(prompt, context),
            None => context::rewrite(message, &self.words)?,
        };
        Some(fault(400, shorten(&message)))
    }
}

fn status_code(code: &Value) -> Option<u16> {
    let number = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

fn message(value: &Value) -> Option<String> {
    let fields = ["message", "msg", "detail", "error_msg", "title"].into_iter();
    let field = fields.filter_map(|field| value.get(field)).find(|field| !field.is_null());
    let field = field.or_else(|| value.get("errors")?.get(0))?;
    match field {
        Value::String(text) => Some(text.clone()),
        // FastAPI: a list of errors with locations.
        Value::Array(entries) => {
            let texts: Vec<_> = entries.iter().filter_map(error_text).collect();
            Some(texts.join("; "))
        }
        Value::Object(_) => self::message(field),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Returns the message of an error, and the field that it is about.
fn error_text(entry: &Value) -> Option<String> {
    let text = entry.get("msg")?.as_str()?;
    let steps = entry.get("loc").and_then(Value::as_array).into_iter().flatten();
    let steps = steps.map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned));
    let path: Vec<_> = steps.filter(|step| step != "body").collect();
    Some(if path.is_empty() { text.to_owned() } else { format!("{}: {text}", path.join(".")) })
}

/// Reads a body that is not JSON: the title of a page, or the text itself; nothing for a body that is not text.
fn not_json(text: &str) -> String {
    let trimmed = text.trim();
    if trimmed.contains(|letter: char| letter.is_control() && !letter.is_whitespace()) {
        return String::new();
    }
    if !trimmed.starts_with('<') {
        return trimmed.to_owned();
    }
    // Lower-casing ASCII preserves byte offsets.
    let lower = trimmed.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| {
        let start = at + lower[at..].find('>')? + 1;
        Some(trimmed[start..start + lower[start..].find("</title")?].trim().to_owned())
    });
    title.unwrap_or_default()
}

/// Shortens a message to one line of at most 500 characters.
pub(super) fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_MESSAGE) {
        Some(_) => line.chars().take(LONGEST_MESSAGE - 1).chain(['…']).collect(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let body = body(ErrorKind::RateLimit, "slow \"down\"", &ErrorNames::default());
        assert_eq!(
            String::from_utf8(body.clone()).unwrap(),
            r#"{"error":{"message":"slow \"down\"","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#
        );
        assert_eq!(read(429, &body).message, "slow \"down\"");
    }

    #[test]
    fn a_prompt_that_is_too_long_has_the_code_that_clients_recognise() {
        for message in [
            "prompt is too long: 5 tokens > 4 maximum",
            "input length and `max_tokens` exceed context limit: 3 + 2 > 4",
        ] {
            let body =
                String::from_utf8(body(ErrorKind::InvalidRequest, message, &ErrorNames::default())).unwrap();
            assert!(body.ends_with(r#","param":null,"code":"context_length_exceeded"}}"#), "{body}");
        }
        let other =
            String::from_utf8(body(ErrorKind::Api, "prompt is too long: 1", &ErrorNames::default())).unwrap();
        assert!(other.ends_with(r#""code":null}}"#), "{other}");
    }

    #[test]
    fn a_failed_stream_ends_with_an_error_and_without_done() {
        let mut out = BytesMut::new();
        event(ErrorKind::Api, "cut", &mut out);
        assert!(out.starts_with(b"data: {\"error\":{\"message\":\"cut\""));
        assert!(out.ends_with(b"}}\n\n"));
        assert!(memchr::memmem::find(&out, b"[DONE]").is_none());
    }

    #[test]
    fn the_message_is_found_in_every_vendors_shape() {
        for body in [
            r#"{"error":{"message":"no luck","type":"t","code":null}}"#,
            r#"{"error":"no luck"}"#,
            r#"[{"error":{"code":400,"message":"no luck","status":"INVALID_ARGUMENT"}}]"#,
            r#"{"object":"error","message":"no luck","code":400}"#,
            r#"{"detail":"no luck"}"#,
            r#"{"detail":[{"loc":["body"],"msg":"no luck"}]}"#,
            r#"{"object":"error","message":{"detail":[{"msg":"no luck"}]}}"#,
            r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":\"no luck\"}"}}}"#,
            r#"{"error":{"message":"no luck","metadata":{"raw":"whatever"}}}"#,
            r#"{"code":1210,"msg":"no luck"}"#,
            r#"{"errors":[{"message":"no luck"}]}"#,
            "  no\n luck ",
            "<!DOCTYPE html><html><TITLE lang=en> no luck </TITLE></html>",
        ] {
            assert_eq!(read(400, body.as_bytes()).message, "no luck", "{body}");
        }
    }

    #[test]
    fn an_exhausted_token_limit_is_distinguished_from_a_bad_request() {
        let exhausted = r#"{"error":{"message":"Could not finish the message because max_tokens or model output limit was reached. Please try again with higher max_tokens.","type":"invalid_request_error","param":null,"code":null}}"#;
        let nested = r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":\"Could not finish the message because max_completion_tokens was reached.\"}"}}}"#;
        assert!(is_out_of_tokens(400, exhausted.as_bytes()) && is_out_of_tokens(400, nested.as_bytes()));
        assert!(!is_out_of_tokens(500, exhausted.as_bytes()));
        for other in ["max_tokens is too large", "the limit of requests was reached", ""] {
            assert!(!is_out_of_tokens(400, other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn an_overflow_of_another_vendor_is_reworded_and_anthropics_own_is_not() {
        let reworded = |message: &str| {
            let body = serde_json::json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
            reworded_overflow(400, body.to_string().as_bytes()).map(|fault| (fault.status, fault.message))
        };
        assert_eq!(
            reworded("Your request exceeded model token limit: 262144"),
            Some((400, "prompt is too long: 262145 tokens > 262144 maximum".to_owned()))
        );
        for own in [
            "prompt is too long: 5000 tokens > 4000 maximum",
            "input length and `max_tokens` exceed context limit: 3000 + 2000 > 4000",
            "Input is too long for requested model.",
            "context length exceeded",
            "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens",
        ] {
            assert_eq!(reworded(own), None, "{own}");
        }
    }

    #[test]
    fn a_body_without_a_message_names_the_status() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            "<html></html>",
            "<title>",
            "{\"error\":{}}",
            "\u{1f}\u{fffd}\u{8}\0gzip",
        ] {
            assert_eq!(
                read(503, body.as_bytes()).message,
                "the upstream answered 503 without a message",
                "{body}"
            );
        }
    }

    #[test]
    fn upstream_statuses_map_to_client_statuses() {
        for (upstream, client, kind) in [
            (400, 400, ErrorKind::InvalidRequest),
            (422, 422, ErrorKind::InvalidRequest),
            (401, 401, ErrorKind::Authentication),
            (402, 402, ErrorKind::Billing),
            (403, 403, ErrorKind::Permission),
            (404, 404, ErrorKind::NotFound),
            (408, 504, ErrorKind::Timeout),
            (409, 409, ErrorKind::InvalidRequest),
            (413, 413, ErrorKind::TooLarge),
            (429, 429, ErrorKind::RateLimit),
            (500, 500, ErrorKind::Api),
            (502, 502, ErrorKind::Api),
            (503, 503, ErrorKind::Api),
            (529, 529, ErrorKind::Overloaded),
            (302, 502, ErrorKind::Api),
        ] {
            let fault = read(upstream, b"x");
            assert_eq!((fault.status, fault.kind), (client, kind), "{upstream}");
        }
    }

    #[test]
    fn a_long_message_is_cut_at_500_characters() {
        assert_eq!(read(500, "é".repeat(10_000).as_bytes()).message.chars().count(), 500);
    }

    #[test]
    fn an_error_inside_a_reply_gets_its_status_from_code_or_type() {
        for (body, status) in [
            (r#"{"error":{"message":"m","code":429}}"#, 429),
            (r#"{"error":{"message":"m","code":"503"}}"#, 503),
            (r#"{"error":{"message":"m","type":"rate_limit_error"}}"#, 429),
            (r#"{"error":{"message":"m","type":"overloaded_error"}}"#, 529),
            (r#"{"error":{"message":"m","code":17}}"#, 502),
            (r#"{"code":500,"msg":"m"}"#, 500),
            (r#"{"error":"m"}"#, 502),
        ] {
            assert_eq!(read_inside(body.as_bytes()).status, status, "{body}");
        }
    }

    #[test]
    fn googles_wait_is_found_in_the_body() {
        let wait_of = |delay: &str| {
            let info =
                format!(r#"{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{delay}}}"#);
            let error = format!(r#"{{"error":{{"code":429,"details":[{{"@type":"x"}},{info}]}}}}"#);
            let list = format!("[{error}]");
            let wait = |body: &str| retry_delay_of(&serde_json::from_str(body).unwrap());
            let found = wait(&error);
            assert_eq!(wait(&list), found, "Gemini's chat endpoint answers with a list");
            found
        };
        assert_eq!(wait_of(r#""34s""#), Some(34.0));
        assert_eq!(wait_of(r#""0.5s""#), Some(0.5));
        for nonsense in ["34", r#""34""#, r#""-1s""#, r#""NaNs""#, r#""infs""#, "null"] {
            assert_eq!(wait_of(nonsense), None, "{nonsense}");
        }
    }
}
