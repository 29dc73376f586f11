//! Compatibility fixups: reads from an upstream's refusal what it does not accept, and fixups the request so that it
//! does.
//!
//! [`recognise`] reads a refusal, [`apply`] fixups a request, and a [`Fixup`] prints the configuration line that would
//! have avoided the refusal. A fixup removes, sets or limits the named member.

mod applied;
mod betas;
mod bounds;
mod choices;
mod condition;
mod named;
mod other_api;
mod refused;
mod rule;
mod schemas;
mod settings;
mod shared_rules;
mod tool_ids;
mod wordings;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::applied::{FixedRequest, apply, concerns, has_member};
pub use self::betas::without_unnamed_betas;
pub use self::condition::FixupCondition;
pub use self::other_api::{OpenAiApi, other_api};
pub use self::rule::FixupRule;
pub use self::shared_rules::applies_to_all_clients;
pub use self::wordings::recognise;
pub use crate::request::Filler;
use crate::request::with_reasoning;
use crate::tool_id::Form;

/// One change that makes a request acceptable to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fixup {
    /// Removes this member of the body. The path consists of names separated by dots; arrays are passed through.
    Param(Box<str>),
    /// Removes this member if it has this value; other requests may have another value. The value is `None` until the
    /// refused request is known.
    Value(Box<str>, Option<Box<str>>),
    /// Removes this member if the condition holds.
    Beside(Box<str>, FixupCondition),
    /// Sets this member to this value. With a condition, only where the condition holds.
    Set(Box<str>, Box<str>, Option<FixupCondition>),
    /// Replaces the refused value with the nearest of these values. Used until the refused request is known.
    Nearest(Box<str>, Box<[Box<str>]>),
    /// Keeps a number within this bound. `max_tokens` means the token limit under any of its names.
    Bound(Box<str>, Bound),
    /// Removes this keyword from the JSON schemas of tools and replies.
    Keyword(Box<str>),
    /// Rewrites tool schemas to OpenAI's requirements: one object with `properties`, and arrays with `items`.
    ToolSchemas,
    /// Inserts a filler for reasoning that is missing from earlier assistant turns.
    Reasoning(Filler),
    /// Removes this value, or all values (`*`), from the header `anthropic-beta`, together with the members that depend
    /// on it.
    Beta(Box<str>),
    /// Sends the token limit under this name.
    Limit(TokenLimitName),
    /// Sends the ids of tool calls and results in this form.
    ToolIds(Form),
    /// Sends the request over this API.
    Over(OpenAiApi),
}

/// An upper or lower bound of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bound {
    /// The largest allowed value.
    AtMost(u64),
    /// The smallest allowed value.
    AtLeast(u64),
}

/// The name of the token limit in Chat Completions: the old one, or the one that reasoning models require.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TokenLimitName {
    MaxTokens,
    MaxCompletionTokens,
}

/// The name by which a rule means the token limit, whichever of its names the request uses.
const TOKEN_LIMIT: &str = "max_tokens";
const TOKEN_LIMITS: [&str; 3] = [TOKEN_LIMIT, "max_completion_tokens", "max_output_tokens"];
/// The minimum `budget_tokens` in Anthropic's API, which also requires the budget to be below the token limit.
const LEAST_BUDGET: u64 = 1024;

impl Fixup {
    /// Parses an entry of `drop-params` without models: `NAME`, `NAME=VALUE`, or two names separated by `&`.
    ///
    /// Returns `None` if the text is no name, or if no request can do without the member.
    #[must_use]
    pub fn param(text: &str) -> Option<Self> {
        rule::drop(text)
    }

    /// Sets a member to this value. Returns `None` for a member that must not be set.
    fn set(name: &str, value: &str, condition: Option<FixupCondition>) -> Option<Self> {
        let Self::Param(path) = named::param(name)? else { return None };
        let may_be = named::can_be_set(&path) && refused::is_value(value) && !value.contains('&');
        may_be.then_some(Self::Set(path, value.into(), condition))
    }

    /// Keeps a number within a bound.
    fn bound(name: &str, bound: Bound) -> Option<Self> {
        if TOKEN_LIMITS.contains(&name) {
            return Some(Self::Bound(TOKEN_LIMIT.into(), bound));
        }
        let Self::Param(path) = named::param(name)? else { return None };
        named::can_be_set(&path).then_some(Self::Bound(path, bound))
    }

    /// Returns the path of the affected member; a keyword has none.
    fn into_path(self) -> Option<Box<str>> {
        match self {
            Self::Param(path)
            | Self::Value(path, _)
            | Self::Beside(path, _)
            | Self::Set(path, ..)
            | Self::Nearest(path, _)
            | Self::Bound(path, _) => Some(path),
            Self::Keyword(_)
            | Self::ToolSchemas
            | Self::Reasoning(_)
            | Self::Beta(_)
            | Self::Limit(_)
            | Self::ToolIds(_)
            | Self::Over(_) => None,
        }
    }

    /// Completes the fixup with the request that was refused: a refused value then applies to requests with the same
    /// value. If no rule can express the value, the whole member is removed.
    #[must_use]
    pub fn completed_by(self, body: &[u8]) -> Self {
        match self {
            Self::Value(path, None) => match refused::value(body, &path) {
                Some(value) => Self::Value(path, Some(value.into())),
                None if refused::has_value(body, &path) => Self::Value(path, None),
                None => Self::Param(path),
            },
            Self::Set(path, value, Some(condition)) if condition.lacks_value(&path) => {
                let condition = FixupCondition::from_request(&path, body);
                Self::Set(path, value, Some(condition))
            }
            Self::Beside(path, condition) if condition.lacks_value(&path) => {
                let condition = FixupCondition::from_request(&path, body);
                match condition.and {
                    Some(_) => Self::Beside(path, condition),
                    None => Self::Value(path, None).completed_by(body),
                }
            }
            Self::Nearest(path, allowed) => choices::nearest(path, &allowed, body),
            Self::Reasoning(_) => Self::Reasoning(missing_reasoning(body)),
            Self::Param(_)
            | Self::Value(..)
            | Self::Beside(..)
            | Self::Set(..)
            | Self::Bound(..)
            | Self::Keyword(_)
            | Self::ToolSchemas
            | Self::Beta(_)
            | Self::Limit(_)
            | Self::ToolIds(_)
            | Self::Over(_) => self,
        }
    }

    /// Whether the fixup states what the provider refuses of any request. A fixup without a value would also affect
    /// requests that are acceptable.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Value(_, None) | Self::Nearest(..) => false,
            Self::Set(path, _, Some(condition)) | Self::Beside(path, condition) => {
                !condition.lacks_value(path)
            }
            Self::Param(_)
            | Self::Value(_, Some(_))
            | Self::Set(_, _, None)
            | Self::Bound(..)
            | Self::Keyword(_)
            | Self::ToolSchemas
            | Self::Reasoning(_)
            | Self::Beta(_)
            | Self::Limit(_)
            | Self::ToolIds(_)
            | Self::Over(_) => true,
        }
    }

    /// Whether the fixup can add a member that the request lacks.
    #[must_use]
    pub fn can_add_member(&self) -> bool {
        match self {
            Self::Set(path, _, condition) => {
                condition.as_ref().is_none_or(|condition| condition.path != *path)
            }
            Self::Param(_)
            | Self::Value(..)
            | Self::Beside(..)
            | Self::Nearest(..)
            | Self::Bound(..)
            | Self::Keyword(_)
            | Self::ToolSchemas
            | Self::Reasoning(_)
            | Self::Beta(_)
            | Self::Limit(_)
            | Self::ToolIds(_)
            | Self::Over(_) => false,
        }
    }

    /// Returns the configuration line of a provider that has the same effect. The line is limited to this model where
    /// the rule supports it and other models may differ.
    #[must_use]
    pub fn line(&self, model: &str) -> String {
        match (self, self.rule()) {
            (Self::Set(..) | Self::Bound(..), Some((key, rule))) if rule::is_pattern(model) => {
                list(key, &format!("{rule}@{model}"))
            }
            _ => self.to_string(),
        }
    }

    /// Returns the configuration key and the entry of its list.
    fn rule(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Param(path) | Self::Value(path, None) | Self::Nearest(path, _) => {
                ("drop-params", path.to_string())
            }
            Self::Value(path, Some(value)) => ("drop-params", format!("{path}={value}")),
            Self::Beside(path, condition) => ("drop-params", format!("{path}&{condition}")),
            Self::Set(path, value, None) => ("set-params", format!("{path}={value}")),
            Self::Set(path, value, Some(condition)) => ("set-params", format!("{path}={value}&{condition}")),
            Self::Bound(path, Bound::AtMost(most)) => ("limit-params", format!("{path}<={most}")),
            Self::Bound(path, Bound::AtLeast(least)) => ("limit-params", format!("{path}>={least}")),
            Self::Keyword(keyword) => ("drop-params", format!("schema.{keyword}")),
            Self::Beta(flag) => ("drop-betas", flag.to_string()),
            Self::ToolSchemas | Self::Reasoning(_) | Self::Limit(_) | Self::ToolIds(_) | Self::Over(_) => {
                return None;
            }
        })
    }

    /// Parses a value of `drop-betas`; refusals name values in the same form.
    #[must_use]
    pub fn beta(text: &str) -> Option<Self> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = !text.is_empty() && text.len() <= named::LONGEST && text.bytes().all(word);
        (is_name || text == betas::ANY).then(|| Self::Beta(text.into()))
    }
}

impl TokenLimitName {
    /// Returns the member's name.
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

/// Writes the configuration line of a provider that has the same effect.
impl fmt::Display for Fixup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.rule()) {
            (_, Some((key, rule))) => f.write_str(&list(key, &rule)),
            (Self::Limit(limit), _) => write!(f, "max-tokens-as = \"{}\"", limit.name()),
            (Self::Reasoning(filler), _) => write!(f, "missing-reasoning = \"{}\"", filler_word(*filler)),
            (Self::ToolIds(form), _) => write!(f, "tool-ids = \"{}\"", form.name()),
            (Self::Over(api), _) => write!(f, "api-format = \"{}\"", api.name()),
            _ => f.write_str("fit-tool-schemas = true"),
        }
    }
}

/// Formats a TOML list of one entry. A value that contains quotes becomes a literal string.
fn list(key: &str, entry: &str) -> String {
    let quote = if entry.contains(['"', '=', '\\']) { '\'' } else { '"' };
    format!("{key} = [{quote}{entry}{quote}]")
}

/// Returns the value of `missing-reasoning` for a filler.
#[must_use]
pub fn filler_word(filler: Filler) -> &'static str {
    match filler {
        Filler::Empty => "empty",
        Filler::Blank => "blank",
        Filler::ThinkingBlock => "thinking-block",
    }
}

/// Returns the filler for what the earlier turns of this request lack.
fn missing_reasoning(body: &[u8]) -> Filler {
    let body = Bytes::copy_from_slice(body);
    let changes = |filler: &Filler| with_reasoning(&body, *filler).as_ptr() != body.as_ptr();
    [Filler::Empty, Filler::ThinkingBlock].into_iter().find(changes).unwrap_or(Filler::Blank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(fixups: &[Fixup], body: &'static str, betas: &str) -> (String, String) {
        let FixedRequest { body, betas } = apply(fixups, &Bytes::from_static(body.as_bytes()), betas);
        (String::from_utf8(body.to_vec()).unwrap(), betas)
    }

    #[test]
    fn a_beta_is_removed_with_the_members_that_depend_on_it() {
        let body =
            r#"{"context_management":{"fixups":[]},"tools":[{"name":"a","defer_loading":true}],"x":1}"#;
        let betas = "claude-code-20250219, context-management-2025-06-27,interleaved-thinking-2025-05-14";
        let fixup = [Fixup::beta("context-management-2025-06-27").unwrap()];

        let (body_left, betas_left) = edited(&fixup, body, betas);

        assert_eq!(body_left, r#"{"tools":[{"name":"a","defer_loading":true}],"x":1}"#);
        assert_eq!(betas_left, "claude-code-20250219,interleaved-thinking-2025-05-14");
        assert_eq!(edited(&fixup, body, "other"), (body.to_owned(), "other".to_owned()));
    }

    #[test]
    fn all_betas_are_removed_if_none_is_named() {
        let body =
            r#"{"context_management":{},"tools":[{"defer_loading":true}],"output_config":{"effort":"low"}}"#;
        let betas = "context-management-2025-06-27,advanced-tool-use-2025-11-20";

        let (body, betas) = edited(&[Fixup::beta("*").unwrap()], body, betas);

        assert_eq!(
            (body.as_str(), betas.as_str()),
            (r#"{"tools":[{}],"output_config":{"effort":"low"}}"#, "")
        );
    }

    #[test]
    fn a_fixup_affects_only_requests_with_its_member() {
        let body = Bytes::from_static(br#"{"max_tokens":5,"temperature":1}"#);
        let has = |fixup: Fixup| concerns(&fixup, &body, "a-1");

        assert!(has(Fixup::param("temperature").unwrap()) && !has(Fixup::param("top_p").unwrap()));
        assert!(has(Fixup::beta("a-1").unwrap()) && !has(Fixup::beta("b-1").unwrap()));
        assert!(
            has(Fixup::Limit(TokenLimitName::MaxCompletionTokens))
                && !has(Fixup::Limit(TokenLimitName::MaxTokens))
        );
    }

    #[test]
    fn a_refused_value_is_removed_and_others_are_kept() {
        let request =
            br#"{"reasoning_effort":"none","thinking": { "type" : "adaptive" },"tools":[{"strict":true}]}"#;
        let taught = |name: &str| Fixup::Value(name.into(), None).completed_by(request);
        assert_eq!(taught("reasoning_effort"), Fixup::param("reasoning_effort=none").unwrap());
        assert_eq!(taught("thinking"), Fixup::param(r#"thinking={"type":"adaptive"}"#).unwrap());
        assert_eq!(
            taught("tools.strict"),
            Fixup::param("tools.strict").unwrap(),
            "there may be many of them"
        );
        assert_eq!(taught("gone"), Fixup::param("gone").unwrap());

        let fixups = [taught("reasoning_effort"), taught("thinking")];
        let left = r#"{"tools":[{"strict":true}]}"#;
        assert_eq!(edited(&fixups, std::str::from_utf8(request).unwrap(), "").0, left);
        let other = r#"{"reasoning_effort":"low","thinking":{"type":"enabled"}}"#;
        assert_eq!(edited(&fixups, other, "").0, other);
        assert_eq!(fixups[1].to_string(), r#"drop-params = ['thinking={"type":"adaptive"}']"#);
        for nonsense in ["model=x", "=x", "x=", "x='", "x=a b", "schema.$ref=x"] {
            assert_eq!(Fixup::param(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_member_is_removed_beside_a_conflicting_one() {
        let fixup = [Fixup::param("top_p&temperature").unwrap()];
        assert_eq!(edited(&fixup, r#"{"top_p":0.5,"temperature":1}"#, "").0, r#"{"temperature":1}"#);
        assert_eq!(edited(&fixup, r#"{"top_p":0.5}"#, "").0, r#"{"top_p":0.5}"#);
        assert_eq!(fixup[0].to_string(), r#"drop-params = ["top_p&temperature"]"#);
        for nonsense in ["top_p&", "&top_p", "model&top_p", "schema.x&top_p", "top_p&a="] {
            assert_eq!(Fixup::param(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_member_is_set_under_its_condition_and_a_later_edit_can_remove_it() {
        let fixup = [FixupRule::set("reasoning_effort=none&tools").unwrap().fixup];
        let tools = r#""tools":[{"name":"a"}]"#;
        for (body, left) in [
            (format!("{{{tools}}}"), format!(r#"{{"reasoning_effort":"none",{tools}}}"#)),
            (
                format!(r#"{{"reasoning_effort":"high",{tools}}}"#),
                format!(r#"{{"reasoning_effort":"none",{tools}}}"#),
            ),
            (r#"{"tools":[]}"#.to_owned(), r#"{"tools":[]}"#.to_owned()),
        ] {
            assert_eq!(edited(&fixup, body.leak(), "").0, left);
        }
        assert_eq!(fixup[0].line("gpt-5.6"), "set-params = ['reasoning_effort=none&tools@gpt-5.6']");
        assert_eq!(fixup[0].line("a b"), "set-params = ['reasoning_effort=none&tools']");
        let both = [fixup[0].clone(), Fixup::param("reasoning_effort").unwrap()];
        assert_eq!(edited(&both, r#"{"tools":[1]}"#, "").0, r#"{"tools":[1]}"#);
    }

    #[test]
    fn a_number_is_kept_within_its_bounds_under_each_of_its_names() {
        let limit = |text: &str| FixupRule::limit(text).unwrap().fixup;
        let most = [limit("max_tokens<=8192")];
        for (body, left) in [
            (r#"{"max_tokens":64000}"#, r#"{"max_tokens":8192}"#),
            (r#"{"max_completion_tokens":6.4e4}"#, r#"{"max_completion_tokens":8192}"#),
            (r#"{"max_tokens":8192}"#, r#"{"max_tokens":8192}"#),
            (r#"{"max_tokens":"many"}"#, r#"{"max_tokens":"many"}"#),
            (r#"{"x":1}"#, r#"{"x":1}"#),
            (
                r#"{"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":32000}}"#,
                r#"{"max_tokens":8192,"thinking":{"type":"enabled","budget_tokens":6144}}"#,
            ),
            (
                r#"{"max_tokens":64000,"thinking":{"budget_tokens":2000}}"#,
                r#"{"max_tokens":8192,"thinking":{"budget_tokens":2000}}"#,
            ),
        ] {
            assert_eq!(edited(&most, body, "").0, left);
        }
        let least = [limit("max_output_tokens>=16")];
        assert_eq!(edited(&least, r#"{"max_tokens":1}"#, "").0, r#"{"max_tokens":16}"#);
        assert_eq!(least[0].line("m"), "limit-params = ['max_tokens>=16@m']");
    }

    #[test]
    fn a_fixup_is_displayed_as_its_configuration_line() {
        for (fixup, line) in [
            (Fixup::param("tools[0].function.strict"), r#"drop-params = ["tools.strict"]"#),
            (Fixup::param("schema.propertyNames"), r#"drop-params = ["schema.propertyNames"]"#),
            (Fixup::beta("a-1"), r#"drop-betas = ["a-1"]"#),
            (Some(Fixup::Limit(TokenLimitName::MaxTokens)), r#"max-tokens-as = "max_tokens""#),
            (Some(Fixup::ToolSchemas), "fit-tool-schemas = true"),
            (Some(Fixup::Reasoning(Filler::Blank)), r#"missing-reasoning = "blank""#),
            (Some(Fixup::ToolIds(Form::Mistral)), r#"tool-ids = "mistral""#),
        ] {
            assert_eq!(fixup.unwrap().to_string(), line);
        }
    }
}
