//! The frame that reports an error: `{"type":"error","status":…,"error":{…}}`.

use crate::json::{RawMembers, Write as _};

/// A frame of the client that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// The status that a request of this kind would get.
    pub status: u16,
    /// What clients recognise.
    pub code: Option<&'static str>,
    /// The member that is wrong.
    pub param: Option<&'static str>,
    /// One line for the user. It does not repeat the frame.
    pub message: String,
}

impl FrameError {
    pub(super) fn new(param: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status: 400, code: None, param, message: message.into() }
    }

    /// The text of its frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut out = begun(self.status);
        out.put(b",\"error\":{\"type\":\"invalid_request_error\",\"code\":");
        word(self.code, &mut out);
        out.put(b",\"message\":");
        out.string(&self.message);
        out.put(b",\"param\":");
        word(self.param, &mut out);
        out.put(b"}}");
        out
    }
}

/// The frame for an error reply over HTTP: its status, its body, and those of its headers that clients read, as names and
/// values.
#[must_use]
pub fn error_frame(status: u16, body: &[u8], headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = begun(status);
    if !headers.is_empty() {
        out.put(b",\"headers\":{");
        for (index, (name, value)) in headers.iter().enumerate() {
            out.put(if index == 0 { b"" } else { b"," });
            out.string(name);
            out.put(b":");
            out.string(value);
        }
        out.put(b"}");
    }
    out.put(b",\"error\":");
    let members: Option<RawMembers<'_>> = serde_json::from_slice(body).ok();
    match members.as_ref().and_then(|members| members.value("error")) {
        Some(error) => out.raw(error.get()),
        None => {
            out.put(b"{\"type\":\"server_error\",\"code\":null,\"message\":");
            out.string(&format!("the reply has status {status} and no error object"));
            out.put(b",\"param\":null}");
        }
    }
    out.put(b"}");
    out
}

/// The beginning of an error frame.
fn begun(status: u16) -> Vec<u8> {
    let mut out = b"{\"type\":\"error\",\"status\":".to_vec();
    out.number(status.into());
    out
}

fn word(word: Option<&str>, out: &mut Vec<u8>) {
    match word {
        Some(word) => out.string(word),
        None => out.put(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(frame: &[u8]) -> Value {
        serde_json::from_slice(frame).unwrap()
    }

    #[test]
    fn an_error_names_its_member() {
        let error = FrameError::new(Some("input"), "input: \"odd\"");
        assert_eq!(
            value(&error.frame()),
            json!({"type": "error", "status": 400, "error": {
                "type": "invalid_request_error", "code": null, "message": "input: \"odd\"", "param": "input"
            }})
        );
    }

    #[test]
    fn an_error_reply_keeps_its_error_object_and_its_headers() {
        let frame = error_frame(
            429,
            br#"{"request_id":"r", "error": {"message":"slow \u0064own", "n": 1e2}}"#,
            &[("retry-after", "3"), ("x-request-id", "a\"b")],
        );
        let text = String::from_utf8(frame.clone()).unwrap();
        assert!(text.contains(r#""error":{"message":"slow \u0064own", "n": 1e2}"#), "{text}");
        assert_eq!(value(&frame)["headers"], json!({"retry-after": "3", "x-request-id": "a\"b"}));
        assert_eq!(value(&frame)["status"], 429);
        for body in [&b""[..], b"<html>", b"[1]", b"{}"] {
            let frame = value(&error_frame(502, body, &[]));
            assert_eq!(frame["error"]["type"], "server_error");
            assert!(frame.get("headers").is_none());
        }
    }
}
