//! Requests that heal: what an upstream's refusal says it does not know, and the request without just that.
//!
//! [`recognise`] reads a refusal, [`apply`] edits a request, and an [`Edit`] says of itself which line of a
//! configuration would have spared the refusal.

mod betas;
mod named;
mod refused;
mod tool_ids;
mod wordings;

use std::fmt;

use bytes::Bytes;

pub use self::wordings::recognise;
use crate::span::{Unwanted, renamed, trimmed, with_tool_ids};
use crate::tool_id::Form;

/// How a request does without one thing that an upstream does not know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Edit {
    /// Without this member of the body: the names on the way to it with dots between them, arrays passed through.
    Param(Box<str>),
    /// Without this member where it has this value, which others may not have; `None` until it is known which request was
    /// refused.
    Value(Box<str>, Option<Box<str>>),
    /// Without the first of these members where the second is, too.
    Beside(Box<str>, Box<str>),
    /// Without this keyword in the JSON schemas of tools and replies.
    Keyword(Box<str>),
    /// Without this value of the header `anthropic-beta`, or any (`*`), and the members that mean nothing without it.
    Beta(Box<str>),
    /// With the limit of tokens under this name.
    Limit(Limit),
    /// With the ids of tool calls and results in this form.
    ToolIds(Form),
}

/// What Chat Completions upstreams call the limit of tokens: the old name, and the one of reasoning models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    MaxTokens,
    MaxCompletionTokens,
}

/// A request after its edits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    pub body: Bytes,
    /// Of `anthropic-beta`; empty when nothing is left of it.
    pub betas: String,
}

impl Edit {
    /// What `drop-params` says: a name, a name and a value with `=` between them, or two names with `&`. `None` for what no
    /// request can do without, and for what no name is.
    #[must_use]
    pub fn param(text: &str) -> Option<Self> {
        if let Some((name, value)) = text.split_once('=') {
            let path = named::param(name)?.into_path()?;
            return refused::is_value(value).then(|| Self::Value(path, Some(value.into())));
        }
        match text.split_once('&') {
            Some((one, other)) => {
                Some(Self::Beside(named::param(one)?.into_path()?, named::param(other)?.into_path()?))
            }
            None => named::param(text),
        }
    }

    /// The way to the member that goes; there is none to a keyword.
    fn into_path(self) -> Option<Box<str>> {
        match self {
            Self::Param(path) | Self::Value(path, _) | Self::Beside(path, _) => Some(path),
            Self::Keyword(_) | Self::Beta(_) | Self::Limit(_) | Self::ToolIds(_) => None,
        }
    }

    /// What the refusal of this request teaches: a value that was refused counts for requests with the same one. A value
    /// that no rule could hold takes the member along.
    #[must_use]
    pub fn taught_by(self, body: &[u8]) -> Self {
        match self {
            Self::Value(path, None) => match refused::value(body, &path) {
                Some(value) => Self::Value(path, Some(value.into())),
                None => Self::Param(path),
            },
            Self::Param(_)
            | Self::Value(..)
            | Self::Beside(..)
            | Self::Keyword(_)
            | Self::Beta(_)
            | Self::Limit(_)
            | Self::ToolIds(_) => self,
        }
    }

    /// What `drop-betas` says, and refusals name.
    #[must_use]
    pub fn beta(text: &str) -> Option<Self> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = !text.is_empty() && text.len() <= named::LONGEST && text.bytes().all(word);
        (is_name || text == betas::ANY).then(|| Self::Beta(text.into()))
    }
}

impl Limit {
    /// The member's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::MaxTokens => Self::MaxCompletionTokens,
            Self::MaxCompletionTokens => Self::MaxTokens,
        }
    }
}

/// The line of a provider's configuration that asks for the same.
impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Param(path) | Self::Value(path, None) => write!(f, "drop-params = [\"{path}\"]"),
            Self::Beside(path, other) => write!(f, "drop-params = [\"{path}&{other}\"]"),
            // TOML's literal string: a value may have quotes in it.
            Self::Value(path, Some(value)) => write!(f, "drop-params = ['{path}={value}']"),
            Self::Keyword(keyword) => write!(f, "drop-params = [\"schema.{keyword}\"]"),
            Self::Beta(flag) => write!(f, "drop-betas = [\"{flag}\"]"),
            Self::Limit(limit) => write!(f, "max-tokens-as = \"{}\"", limit.name()),
            Self::ToolIds(form) => write!(f, "tool-ids = \"{}\"", form.name()),
        }
    }
}

/// The request with all `edits` made; `betas` is what its `anthropic-beta` says. The body is itself, uncopied, when none
/// of them concerns it; of several limits or
/// forms of ids the last counts.
#[must_use]
pub fn apply<'e>(edits: impl IntoIterator<Item = &'e Edit>, body: &Bytes, betas: &str) -> Edited {
    let mut unwanted = Unwanted::default();
    let (mut limit, mut form) = (None, None);
    let mut left = betas.to_owned();
    for edit in edits {
        match edit {
            Edit::Param(path) | Edit::Value(path, None) => unwanted.members.push(path.split('.').collect()),
            Edit::Beside(path, other) => {
                if refused::is_there(body, other) {
                    unwanted.members.push(path.split('.').collect());
                }
            }
            Edit::Value(path, Some(value)) => {
                if refused::value(body, path).as_deref() == Some(value) {
                    unwanted.members.push(path.split('.').collect());
                }
            }
            Edit::Keyword(keyword) => unwanted.keywords.push(keyword),
            Edit::Beta(flag) => {
                let (kept, dropped) = betas::without(&left, flag);
                let members = dropped.iter().flat_map(|flag| betas::members_of(flag));
                unwanted.members.extend(members.map(|path| path.split('.').collect()));
                left = kept;
            }
            Edit::Limit(name) => limit = Some(*name),
            Edit::ToolIds(wanted) => form = Some(*wanted),
        }
    }
    let body = if unwanted.is_empty() { body.clone() } else { trimmed(body, &unwanted) };
    let body = match limit {
        Some(limit) => renamed(&body, limit.other().name(), limit.name()),
        None => body,
    };
    let body = match form {
        Some(form) => with_tool_ids(&body, form),
        None => body,
    };
    Edited { body, betas: left }
}

/// Whether the edit would change this request.
#[must_use]
pub fn concerns(edit: &Edit, body: &Bytes, betas: &str) -> bool {
    let edited = apply([edit], body, betas);
    edited.body.as_ptr() != body.as_ptr() || edited.betas != betas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(edits: &[Edit], body: &'static str, betas: &str) -> (String, String) {
        let Edited { body, betas } = apply(edits, &Bytes::from_static(body.as_bytes()), betas);
        (String::from_utf8(body.to_vec()).unwrap(), betas)
    }

    #[test]
    fn a_beta_goes_with_what_means_nothing_without_it() {
        let body = r#"{"context_management":{"edits":[]},"tools":[{"name":"a","defer_loading":true}],"x":1}"#;
        let betas = "claude-code-20250219, context-management-2025-06-27,interleaved-thinking-2025-05-14";
        let edit = [Edit::beta("context-management-2025-06-27").unwrap()];

        let (body_left, betas_left) = edited(&edit, body, betas);

        assert_eq!(body_left, r#"{"tools":[{"name":"a","defer_loading":true}],"x":1}"#);
        assert_eq!(betas_left, "claude-code-20250219,interleaved-thinking-2025-05-14");
        assert_eq!(edited(&edit, body, "other"), (body.to_owned(), "other".to_owned()));
    }

    #[test]
    fn all_betas_go_at_once_when_none_is_named() {
        let body =
            r#"{"context_management":{},"tools":[{"defer_loading":true}],"output_config":{"effort":"low"}}"#;
        let betas = "context-management-2025-06-27,advanced-tool-use-2025-11-20";

        let (body, betas) = edited(&[Edit::beta("*").unwrap()], body, betas);

        assert_eq!(
            (body.as_str(), betas.as_str()),
            (r#"{"tools":[{}],"output_config":{"effort":"low"}}"#, "")
        );
    }

    #[test]
    fn only_what_the_request_has_concerns_it() {
        let body = Bytes::from_static(br#"{"max_tokens":5,"temperature":1}"#);
        let has = |edit: Edit| concerns(&edit, &body, "a-1");

        assert!(has(Edit::param("temperature").unwrap()) && !has(Edit::param("top_p").unwrap()));
        assert!(has(Edit::beta("a-1").unwrap()) && !has(Edit::beta("b-1").unwrap()));
        assert!(has(Edit::Limit(Limit::MaxCompletionTokens)) && !has(Edit::Limit(Limit::MaxTokens)));
    }

    #[test]
    fn a_value_that_was_refused_goes_and_others_stay() {
        let asked =
            br#"{"reasoning_effort":"none","thinking": { "type" : "adaptive" },"tools":[{"strict":true}]}"#;
        let taught = |name: &str| Edit::Value(name.into(), None).taught_by(asked);
        assert_eq!(taught("reasoning_effort"), Edit::param("reasoning_effort=none").unwrap());
        assert_eq!(taught("thinking"), Edit::param(r#"thinking={"type":"adaptive"}"#).unwrap());
        assert_eq!(taught("tools.strict"), Edit::param("tools.strict").unwrap(), "there may be many of them");
        assert_eq!(taught("gone"), Edit::param("gone").unwrap());

        let edits = [taught("reasoning_effort"), taught("thinking")];
        let left = r#"{"tools":[{"strict":true}]}"#;
        assert_eq!(edited(&edits, std::str::from_utf8(asked).unwrap(), "").0, left);
        let other = r#"{"reasoning_effort":"low","thinking":{"type":"enabled"}}"#;
        assert_eq!(edited(&edits, other, "").0, other);
        assert_eq!(edits[1].to_string(), r#"drop-params = ['thinking={"type":"adaptive"}']"#);
        for nonsense in ["model=x", "=x", "x=", "x='", "x=a b", "schema.$ref=x"] {
            assert_eq!(Edit::param(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_may_not_stand_beside_another_stays_alone() {
        let edit = [Edit::param("top_p&temperature").unwrap()];
        assert_eq!(edited(&edit, r#"{"top_p":0.5,"temperature":1}"#, "").0, r#"{"temperature":1}"#);
        assert_eq!(edited(&edit, r#"{"top_p":0.5}"#, "").0, r#"{"top_p":0.5}"#);
        assert_eq!(edit[0].to_string(), r#"drop-params = ["top_p&temperature"]"#);
        for nonsense in ["top_p&", "&top_p", "model&top_p", "schema.x&top_p", "top_p&a=b"] {
            assert_eq!(Edit::param(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn an_edit_is_told_as_the_line_that_asks_for_it() {
        for (edit, line) in [
            (Edit::param("tools[0].function.strict"), r#"drop-params = ["tools.strict"]"#),
            (Edit::param("schema.propertyNames"), r#"drop-params = ["schema.propertyNames"]"#),
            (Edit::beta("a-1"), r#"drop-betas = ["a-1"]"#),
            (Some(Edit::Limit(Limit::MaxTokens)), r#"max-tokens-as = "max_tokens""#),
            (Some(Edit::ToolIds(Form::Mistral)), r#"tool-ids = "mistral""#),
        ] {
            assert_eq!(edit.unwrap().to_string(), line);
        }
    }
}
