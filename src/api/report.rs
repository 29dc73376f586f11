//! What the report doors share: one tree, told as YAML for people or as JSON on request, and who may read it.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use vandamme_actors::clock::Millis;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::access;
use super::caller;
use super::render_error;
use super::request_id::RequestId;
use crate::gateway::Gateway;

/// A report's content, in its order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    Null,
    Truth(bool),
    Number(u64),
    /// Printed with one decimal place.
    Decimal(f64),
    Text(String),
    Map(Vec<Branch>),
}

/// One member of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Branch {
    name: String,
    /// Stands above it in YAML; JSON has no comments.
    comment: Option<String>,
    value: Tree,
}

impl Branch {
    pub(super) fn new(name: impl Into<String>, value: Tree) -> Self {
        Self { name: name.into(), comment: None, value }
    }

    pub(super) fn commented(self, comment: String) -> Self {
        Self { comment: Some(comment), ..self }
    }
}

impl Tree {
    /// A block of lines that starts on a new one, or what stands on the line of its name.
    fn yaml(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        let _ = match self {
            Self::Null => writeln!(out, " null"),
            Self::Truth(truth) => writeln!(out, " {truth}"),
            Self::Number(number) => writeln!(out, " {number}"),
            Self::Decimal(number) => writeln!(out, " {:.1}", tenths(*number)),
            Self::Text(text) => writeln!(out, " {}", scalar(text)),
            Self::Map(branches) if branches.is_empty() => writeln!(out, " {{}}"),
            Self::Map(branches) => {
                out.push('\n');
                for Branch { name, comment, value } in branches {
                    if let Some(comment) = comment {
                        let _ = writeln!(out, "{indent}# {}", one_line(comment));
                    }
                    let _ = write!(out, "{indent}{}:", scalar(name));
                    value.yaml(depth + 1, out);
                }
                Ok(())
            }
        };
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Truth(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Decimal(number) => serializer.serialize_f64(tenths(*number)),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Map(branches) => {
                serializer.collect_map(branches.iter().map(|branch| (&branch.name, &branch.value)))
            }
        }
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The sections of a report in YAML, with a blank line between them.
pub(super) fn yaml(sections: &[Branch]) -> String {
    let mut out = String::new();
    for section in sections {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = write!(out, "{}:", scalar(&section.name));
        section.value.yaml(1, &mut out);
    }
    out
}

/// Whether this caller may see more than a status: whoever has the gateway's key; where there is none, this machine.
pub(super) fn may_read(request: &HttpRequest, gateway: &Gateway) -> bool {
    match &gateway.terms().proxy_key {
        Some(key) => caller::presents(request.headers(), key),
        None => access::is_local(request, gateway),
    }
}

/// The answer to a caller who may not read `what`.
pub(super) fn turned_away(
    request: &HttpRequest,
    gateway: &Gateway,
    what: &str,
    id: &RequestId,
) -> Option<HttpResponse> {
    if may_read(request, gateway) {
        return None;
    }
    let (kind, message) = match gateway.terms().proxy_key {
        Some(_) => (ErrorKind::Authentication, super::endpoint::INVALID_KEY.to_owned()),
        None => (
            ErrorKind::Permission,
            format!(
                "{what} are for this machine only: set PROXY_API_KEY and send that key to read them from elsewhere"
            ),
        ),
    };
    let mut response = render_error::error(Api::Messages, kind, &message, id.as_str());
    render_error::final_refusal(&mut response);
    Some(response)
}

pub(super) fn wants_json(request: &HttpRequest) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("application/json"))
        || request.query_string().split('&').any(|pair| pair == "format=json")
}

/// The response with a report in YAML, which a browser shows and would save under `name` and the time.
pub(super) fn in_yaml(name: &str, timestamp: &str, text: String) -> HttpResponse {
    let digits = timestamp.chars().filter(char::is_ascii_digit).take(14).collect::<String>();
    let (date, time) = digits.split_at(digits.len().min(8));
    let file = format!("inline; filename={name}-{date}-{time}.yaml");
    HttpResponse::Ok()
        .content_type("text/yaml; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, file))
        .body(text)
}

/// Reports are not cached.
pub(super) fn uncached(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A YAML scalar: plain where that is plain to see, else in single quotes, which mean exactly what they enclose.
pub(super) fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_reserved = reserved.iter().any(|word| text.eq_ignore_ascii_case(word));
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && text.chars().all(word) && !text.ends_with(':') && !is_reserved {
        return text.to_owned();
    }
    format!("'{}'", one_line(text).replace('\'', "''"))
}

/// The text without what ends a line in YAML or steers a terminal.
pub(super) fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if breaks(c) { ' ' } else { c }).collect()
}

/// Seconds since the Unix epoch, to the millisecond.
pub(super) fn epoch_seconds(at: Millis) -> f64 {
    Duration::from_millis(at).as_secs_f64()
}

/// UTC, in whole seconds.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);

        assert_eq!(rfc3339(time), "1994-11-06T08:49:37Z");
    }

    #[test]
    fn quotes_in_yaml_are_doubled() {
        assert_eq!(scalar("it's\nso"), "'it''s so'");
        assert_eq!(scalar("https://api.example/v1"), "https://api.example/v1");
        assert_eq!(scalar("0123e4"), "'0123e4'");
        assert_eq!(scalar("No"), "'No'");
        assert_eq!(scalar("a: b"), "'a: b'");
    }

    #[test]
    fn a_tree_is_told_alike_in_yaml_and_json() {
        let inner = vec![Branch::new("ms", Tree::Decimal(1.25)), Branch::new("none", Tree::Map(vec![]))];
        let sections = [
            Branch::new("count", Tree::Number(2)),
            Branch::new(
                "by",
                Tree::Map(vec![Branch::new("a:b", Tree::Map(inner)).commented("A\nB".to_owned())]),
            ),
            Branch::new("at", Tree::Null),
        ];

        let expected = "count: 2\n\nby:\n  # A B\n  a:b:\n    ms: 1.3\n    none: {}\n\nat: null\n";
        assert_eq!(yaml(&sections), expected);
        let json = serde_json::to_string(&Tree::Map(sections.to_vec())).unwrap();
        assert_eq!(json, r#"{"count":2,"by":{"a:b":{"ms":1.3,"none":{}}},"at":null}"#);
    }
}
