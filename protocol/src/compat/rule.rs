//! Rules of the configuration: a fixup, and the models it applies to.
//!
//! | key | rule |
//! |---|---|
//! | `drop-params` | `NAME`, `NAME=VALUE`, `NAME&OTHER`, `NAME&OTHER=VALUE&…`, `schema.KEYWORD` |
//! | `set-params` | `NAME=VALUE`, `NAME=VALUE&OTHER`, `NAME=VALUE&OTHER=VALUE&…` |
//! | `limit-params` | `NAME<=NUMBER`, `NAME>=NUMBER` |
//!
//! A rule that ends in `@MODEL` applies to these models only; `*` matches any characters.

use super::{Bound, Fixup, FixupCondition, named, refused};
use crate::wildcard::matches;

/// A fixup from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixupRule {
    pub fixup: Fixup,
    /// A pattern for the model's name; `None` matches all models.
    pub models: Option<Box<str>>,
}

impl FixupRule {
    /// Parses an entry of `drop-params`.
    ///
    /// Returns `None` if the text is not a rule, or if no request can do without the member.
    #[must_use]
    pub fn drop(text: &str) -> Option<Self> {
        Self::scoped(text, Fixup::param)
    }

    /// Parses an entry of `set-params`.
    #[must_use]
    pub fn set(text: &str) -> Option<Self> {
        Self::scoped(text, set)
    }

    /// Parses an entry of `limit-params`.
    #[must_use]
    pub fn limit(text: &str) -> Option<Self> {
        Self::scoped(text, limit)
    }

    fn scoped(text: &str, read: impl Fn(&str) -> Option<Fixup>) -> Option<Self> {
        let (text, models) = match text.split_once('@') {
            Some((_, models)) if !is_pattern(models) => return None,
            Some((text, models)) => (text, Some(models.into())),
            None => (text, None),
        };
        Some(Self { fixup: read(text)?, models })
    }

    /// Whether the rule applies to this model.
    #[must_use]
    pub fn is_for(&self, model: &str) -> bool {
        let Some(pattern) = &self.models else { return true };
        matches(&pattern.to_ascii_lowercase(), &model.to_ascii_lowercase())
    }
}

impl From<Fixup> for FixupRule {
    fn from(fixup: Fixup) -> Self {
        Self { fixup, models: None }
    }
}

/// Whether a rule can name this model.
pub(super) fn is_pattern(models: &str) -> bool {
    let stands_alone = |c: char| !c.is_whitespace() && !c.is_control() && !"'\"\\".contains(c);
    !models.is_empty() && models.chars().all(stands_alone)
}

/// Parses an entry of `drop-params` without its models.
pub(super) fn drop(text: &str) -> Option<Fixup> {
    match (text.find('&'), text.find('=')) {
        (Some(and), equals) if equals.is_none_or(|equals| and < equals) => {
            let path = named::param(&text[..and])?.into_path()?;
            Some(Fixup::Beside(path, condition(&text[and + 1..])?))
        }
        (_, Some(equals)) => {
            let path = named::param(&text[..equals])?.into_path()?;
            let value = &text[equals + 1..];
            refused::is_value(value).then(|| Fixup::Value(path, Some(value.into())))
        }
        (_, None) => named::param(text),
    }
}

fn set(text: &str) -> Option<Fixup> {
    let (name, rest) = text.split_once('=')?;
    let (value, condition) = match rest.split_once('&') {
        Some((value, other)) => (value, Some(self::condition(other)?)),
        None => (rest, None),
    };
    Fixup::set(name, value, condition)
}

fn limit(text: &str) -> Option<Fixup> {
    let (name, sign, number) = ["<=", ">="].iter().find_map(|sign| {
        let (name, number) = text.split_once(sign)?;
        Some((name, *sign, number))
    })?;
    let number = number.parse().ok()?;
    Fixup::bound(name, if sign == "<=" { Bound::AtMost(number) } else { Bound::AtLeast(number) })
}

/// Parses a condition: the name of a required member, optionally with a required value.
pub(super) fn condition(text: &str) -> Option<FixupCondition> {
    let mut all = None;
    for part in text.rsplit('&') {
        all = Some(FixupCondition { and: all.map(Box::new), ..single(part)? });
    }
    all
}

fn single(text: &str) -> Option<FixupCondition> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    if value.is_some_and(|value| !refused::is_value(value)) {
        return None;
    }
    // A member that cannot be removed can still be a condition.
    let path = named::path(name)?;
    Some(FixupCondition { path, value: value.map(Into::into), and: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_displayed_in_the_notation_of_the_configuration() {
        type Read = fn(&str) -> Option<FixupRule>;
        for (read, key, text) in [
            (FixupRule::drop as Read, "drop-params", "temperature"),
            (FixupRule::drop, "drop-params", "top_p&temperature"),
            (FixupRule::drop, "drop-params", "output_config.effort&thinking.type=disabled"),
            (FixupRule::set, "set-params", "reasoning_effort=none"),
            (FixupRule::set, "set-params", "reasoning_effort=none&tools"),
            (FixupRule::set, "set-params", "reasoning_effort=low&reasoning_effort=minimal"),
            (FixupRule::set, "set-params", "temperature=1"),
            (FixupRule::limit, "limit-params", "max_tokens<=8192"),
            (FixupRule::limit, "limit-params", "max_tokens>=16"),
        ] {
            let rule = read(text).unwrap();
            let quote = if text.contains('=') { '\'' } else { '"' };
            assert_eq!(rule.fixup.to_string(), format!("{key} = [{quote}{text}{quote}]"));
            let scoped = read(&format!("{text}@gpt-5*")).unwrap();
            assert_eq!((&scoped.fixup, scoped.models.as_deref()), (&rule.fixup, Some("gpt-5*")));
            assert!(scoped.is_for("GPT-5.6-terra") && !scoped.is_for("gpt-4o") && rule.is_for("gpt-4o"));
        }
        let vertex = FixupRule::drop("temperature@claude-sonnet-4@20250514").unwrap();
        assert!(vertex.is_for("claude-sonnet-4@20250514"));
    }

    #[test]
    fn a_text_that_is_not_a_rule_is_refused() {
        for text in
            ["", "=x", "messages=x", "model=x", "tools.strict=true", "a=", "a=b&", "a=b&c=", "a=b@", "a"]
        {
            assert_eq!(FixupRule::set(text), None, "{text}");
        }
        for text in
            ["max_tokens", "max_tokens<=", "max_tokens<=-1", "max_tokens<=a", "<=1", "messages<=1", "a<1"]
        {
            assert_eq!(FixupRule::limit(text), None, "{text}");
        }
        for text in ["a&", "&a", "a&b=", "a@", "a@b c", "model&a", "schema.x&a"] {
            assert_eq!(FixupRule::drop(text), None, "{text}");
        }
    }
}
