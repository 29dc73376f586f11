//! The common part of the report endpoints: one tree, written as YAML, or as JSON on request, and the check of who may read it.

use std::fmt::Write as _;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::access;
use super::render_error;
use super::session;
use crate::caller;
use crate::gateway::Gateway;
use crate::request_id::RequestId;
pub(super) use crate::timestamp::epoch_seconds;

/// A report's content, in its order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    Null,
    Truth(bool),
    Number(u64),
    /// Printed with one decimal place.
    Decimal(f64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<Branch>),
}

/// One member of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Branch {
    name: String,
    /// A line above it in YAML. JSON has no comments.
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

    fn without_empty(self, names: &[&str]) -> Self {
        Self { value: self.value.without_empty(names), ..self }
    }
}

impl Tree {
    /// The JSON form of a value.
    ///
    /// # Errors
    /// If the value has no JSON form.
    pub(super) fn from_value(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::from_str(&serde_json::to_string(value)?)
    }

    /// Removes the empty members with these names, at every level.
    pub(super) fn without_empty(self, names: &[&str]) -> Self {
        match self {
            Self::List(values) => {
                Self::List(values.into_iter().map(|value| value.without_empty(names)).collect())
            }
            Self::Map(branches) => {
                let kept = branches
                    .into_iter()
                    .filter(|branch| !(names.contains(&branch.name.as_str()) && branch.value.is_empty()));
                Self::Map(kept.map(|branch| branch.without_empty(names)).collect())
            }
            Self::Null | Self::Truth(_) | Self::Number(_) | Self::Decimal(_) | Self::Text(_) => self,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::List(values) => values.is_empty(),
            Self::Truth(_) | Self::Number(_) | Self::Decimal(_) | Self::Text(_) | Self::Map(_) => false,
        }
    }

    /// The members of a map, each a section of the report.
    pub(super) fn into_sections(self) -> Vec<Branch> {
        if let Self::Map(branches) = self { branches } else { vec![] }
    }

    /// Appends the value in YAML: on the line of its name, or as a block of lines below it.
    fn yaml(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        let _ = match self {
            Self::Null => writeln!(out, " null"),
            Self::Truth(truth) => writeln!(out, " {truth}"),
            Self::Number(number) => writeln!(out, " {number}"),
            Self::Decimal(number) => writeln!(out, " {:.1}", tenths(*number)),
            Self::Text(text) => writeln!(out, " {}", scalar(text)),
            Self::List(values) if values.is_empty() => writeln!(out, " []"),
            Self::List(values) => {
                out.push('\n');
                for value in values {
                    let _ = write!(out, "{indent}-");
                    let mut item = String::new();
                    value.yaml(depth + 1, &mut item);
                    // The first member of a map follows the dash on its line.
                    let item = item.strip_prefix('\n').map_or(item.as_str(), |block| block.trim_start());
                    out.push_str(if item.starts_with(' ') { "" } else { " " });
                    out.push_str(item);
                }
                Ok(())
            }
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

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

/// Reads JSON and keeps the order of members.
struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Tree, E> {
        Ok(Tree::Truth(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Decimal(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut values = vec![];
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Tree::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut branches = vec![];
        while let Some((name, value)) = map.next_entry::<String, Tree>()? {
            branches.push(Branch::new(name, value));
        }
        Ok(Tree::Map(branches))
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
            Self::List(values) => serializer.collect_seq(values),
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

/// Whether this caller may read reports: sessions of the dashboard, clients with the gateway's key, local ones if there is no such key, and
/// callers with the admin key.
pub(super) fn may_read(request: &HttpRequest, gateway: &Gateway) -> bool {
    if session::level(request, gateway).is_some() {
        return true;
    }
    let live = gateway.live_config();
    if live.access.admin.is_some_and(|admin| caller::presents(request.headers(), &admin)) {
        return true;
    }
    match live.access.are_required() {
        true => caller::identify(request.headers(), &live.access).is_some(),
        false => access::is_local(request, gateway),
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
    let (kind, message) = match gateway.live_config().access.are_required() {
        true => (ErrorKind::Authentication, super::endpoint::INVALID_KEY.to_owned()),
        false => (
            ErrorKind::Permission,
            format!(
                "{what} are for this machine only: set PROXY_API_KEY or VDM_ADMIN_KEY and send that key to read them from elsewhere"
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

/// The response with a report in YAML. Browsers display it, and save it under `name` and the time.
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

/// A YAML scalar: plain if it is unambiguous, otherwise in single quotes.
fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_reserved = reserved.iter().any(|word| text.eq_ignore_ascii_case(word));
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && text.chars().all(word) && !text.ends_with(':') && !is_reserved {
        return text.to_owned();
    }
    format!("'{}'", one_line(text).replace('\'', "''"))
}

/// The text without line ends of YAML and control characters of terminals.
pub(super) fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if breaks(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_yaml_are_doubled() {
        assert_eq!(scalar("it's\nso"), "'it''s so'");
        assert_eq!(scalar("https://api.example/v1"), "https://api.example/v1");
        assert_eq!(scalar("0123e4"), "'0123e4'");
        assert_eq!(scalar("No"), "'No'");
        assert_eq!(scalar("a: b"), "'a: b'");
    }

    #[test]
    fn lists_of_maps_and_texts_are_blocks_and_empty_members_can_be_removed() {
        let value = serde_json::json!({
            "none": [],
            "keys": [{"id": "1a", "models": [{"model": "m", "reason": null}], "reason": null}, {"id": "2b"}],
            "names": ["a", "b: c"],
        });
        let tree = Tree::from_value(&value).unwrap();
        let expected =
            "keys:\n  - id: '1a'\n    models:\n      - model: m\n  - id: '2b'\n\nnames:\n  - a\n  - 'b: c'\n";
        assert_eq!(yaml(&tree.clone().without_empty(&["none", "reason"]).into_sections()), expected);
        assert!(yaml(&tree.into_sections()).ends_with("none: []\n"));
    }

    /// Requirement: `/health` returns `text/yaml; charset=utf-8`, inline disposition, parses to a map with
    /// `status` and `providers`.
    #[test]
    fn a_tree_has_the_same_content_in_yaml_and_json() {
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
