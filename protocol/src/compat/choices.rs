//! Recognises refusals that name the required value of a member, or a list of allowed values.

use super::{Fixup, FixupCondition, refused, rule};

/// Effort levels, from lowest to highest.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
/// Names of the effort level. The longer name comes first.
const EFFORT_NAMES: [&str; 3] = ["output_config.effort", "reasoning.effort", "reasoning_effort"];
/// Phrases in front of a list of all allowed values.
const LISTS: [&str; 9] = [
    "supported values are",
    "supported values:",
    "supported efforts are",
    "one of",
    "input should be",
    "allowed values",
    "valid values",
    "valid options",
    "choose from",
];
/// Member names without `_`.
const NAMES: [&str; 5] = ["temperature", "thinking", "verbosity", "reasoning", "stop"];
/// Members that control whether and how much a model thinks. The demanded value may be for a member that the refused
/// request lacks; a demand for any other member refers to the value that was sent.
const MODES: [&str; 6] = [
    "reasoning_effort",
    "reasoning.effort",
    "output_config.effort",
    "thinking.type",
    "enable_thinking",
    "chat_template_kwargs.enable_thinking",
];
/// Members that a refusal must never set: they identify the caller of a request or decide how it is handled.
const NEVER: [&str; 7] =
    ["store", "metadata", "user", "safety_identifier", "prompt_cache_key", "tool_choice", "service_tier"];
/// Values that are recognised without quotes.
const WORDS: [&str; 7] = ["true", "false", "null", "auto", "enabled", "disabled", "default"];
const ASKING: [&str; 6] = ["set", "use", "with", "pass", "specify", "send"];
/// Prefixes that vendors put in front of a name.
const PREFIXES: [&str; 3] = ["parameter.", "parameters.", "extra_body."];

/// Returns the change that a text demands (all quotes are alike). `param` is the name beside the text.
pub(super) fn find(text: &str, lower: &str, param: &str) -> Option<Fixup> {
    effort(lower, param).or_else(|| demand(text, lower, param))
}

/// Returns the allowed effort levels if another level was refused.
fn effort(lower: &str, param: &str) -> Option<Fixup> {
    let path = EFFORT_NAMES.into_iter().find(|name| lower.contains(name) || param == *name)?;
    // The list may be about another member.
    if !param.is_empty() && !EFFORT_NAMES.contains(&param) {
        return None;
    }
    let list = LISTS.iter().find_map(|words| Some(&lower[lower.find(words)? + words.len()..]))?;
    let list = list.split(". ").next().unwrap_or_default();
    let words = list.split(|c: char| !c.is_ascii_alphanumeric());
    let allowed: Box<[Box<str>]> = words.filter(|word| EFFORTS.contains(word)).map(Box::from).collect();
    (!allowed.is_empty()).then(|| Fixup::Nearest(path.into(), allowed))
}

/// Returns the value that a text demands.
fn demand(text: &str, lower: &str, param: &str) -> Option<Fixup> {
    let words: Vec<_> = text.split_whitespace().collect();
    (0..words.len()).find_map(|at| {
        let Demand { name, value, scope } = Demand::parse(&words[at..])?;
        let name = name.trim_matches(['\'', ':', ',', '(']).to_ascii_lowercase();
        let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(&name);
        let is_name = name.contains(['_', '.']) || name == param || NAMES.contains(&name);
        let (value, is_quoted) = unquoted(value);
        let is_value =
            is_quoted || value.parse::<u32>().is_ok() || WORDS.contains(&value) || EFFORTS.contains(&value);
        let condition = match scope {
            _ if !MODES.contains(&name) => Some(name),
            _ if lower.contains("tools") => Some("tools"),
            _ if lower.contains("non-streaming") => Some("stream=false"),
            DemandScope::Always => None,
            DemandScope::IfPresent => Some(name),
        };
        let condition = condition.and_then(rule::condition);
        let may_be = !NEVER.contains(&name.split('.').next().unwrap_or_default());
        Fixup::set(name, value, condition).filter(|_| is_name && is_value && may_be)
    })
}

struct Demand<'t> {
    name: &'t str,
    value: &'t str,
    scope: DemandScope,
}

/// Whether the demand also applies to a request that lacks the member.
#[derive(Clone, Copy)]
enum DemandScope {
    Always,
    IfPresent,
}

impl<'t> Demand<'t> {
    /// Parses the demand at the beginning of these words.
    fn parse(words: &[&'t str]) -> Option<Self> {
        let lower = |word: &str| word.to_ascii_lowercase();
        match words {
            [set, name, to, value, ..] if lower(set) == "set" && *to == "to" => {
                Some(Self { name, value, scope: DemandScope::Always })
            }
            [set, pair, ..] if ASKING.contains(&lower(set).as_str()) && pair.contains('=') => {
                let (name, value) = pair.split_once('=')?;
                Some(Self { name, value, scope: DemandScope::Always })
            }
            [name, "must" | "should", "be", "set", "to", value, ..] => {
                Some(Self { name, value, scope: DemandScope::Always })
            }
            [name, "must" | "should", "be", value, rest @ ..] if !matches!(rest.first(), Some(&"or")) => {
                // A list of values, or `must be set …`, is not a single value.
                let is_one = !value.ends_with(',') && *value != "set";
                is_one.then_some(Self { name, value, scope: DemandScope::IfPresent })
            }
            [name, "may", "only", "be", "set", "to", value, ..] => {
                Some(Self { name, value, scope: DemandScope::IfPresent })
            }
            [name, "only", value, "is", "allowed" | "supported" | "accepted", ..] => {
                Some(Self { name, value, scope: DemandScope::IfPresent })
            }
            _ => None,
        }
    }
}

/// Returns the value without surrounding punctuation, and whether it was quoted.
fn unquoted(value: &str) -> (&str, bool) {
    let bare = value.trim_end_matches(['.', ',', ';', ')', '!']);
    match bare.strip_prefix('\'').and_then(|rest| rest.split('\'').next()) {
        Some(inside) => (inside, !inside.is_empty()),
        None => (bare.trim_matches('\''), false),
    }
}

/// Returns the fixup for this refused request: the allowed value nearest to the refused one; if two are equally near,
/// the lower.
pub(super) fn nearest(path: Box<str>, allowed: &[Box<str>], body: &[u8]) -> Fixup {
    let rank = |effort: &str| EFFORTS.iter().position(|known| *known == effort);
    let Some(refused) = refused::value(body, &path) else { return Fixup::Value(path, None) };
    let Some(at) = rank(&refused) else { return Fixup::Value(path, Some(refused.into())) };
    let ranks = allowed.iter().filter(|effort| ***effort != *refused).filter_map(|effort| rank(effort));
    match ranks.min_by_key(|&rank| (rank.abs_diff(at), rank)) {
        Some(nearest) => {
            let condition = FixupCondition::new(&path, Some(refused));
            Fixup::Set(path, EFFORTS[nearest].into(), Some(condition))
        }
        None => Fixup::Value(path, Some(refused.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::FixupRule;

    fn found(text: &str) -> Option<String> {
        find(text, &text.to_ascii_lowercase(), "").as_ref().and_then(Fixup::rule).map(|(_, rule)| rule)
    }

    #[test]
    fn the_demanded_value_is_found() {
        for (text, rule) in [
            (
                "Function tools with reasoning_effort are not supported for gpt-5.6-terra in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
                "reasoning_effort=none&tools",
            ),
            ("With tools, please use reasoning_effort='none' instead.", "reasoning_effort=none&tools"),
            ("'reasoning_effort' must be 'none'", "reasoning_effort=none&reasoning_effort"),
            ("'temperature' may only be set to 1 when thinking is enabled.", "temperature=1&temperature"),
            ("invalid temperature: only 1 is allowed for this model", "temperature=1&temperature"),
            (
                "parameter.enable_thinking must be set to false for non-streaming calls",
                "enable_thinking=false&stream=false",
            ),
            ("Set thinking.type to disabled.", "thinking.type=disabled"),
            ("parallel_tool_calls should be false", "parallel_tool_calls=false&parallel_tool_calls"),
        ] {
            assert_eq!(found(text).as_deref(), Some(rule), "{text}");
        }
    }

    #[test]
    fn a_demand_applies_to_the_refused_value_and_the_same_thinking_mode() {
        for (text, request, rule) in [
            (
                "'temperature' may only be set to 1 when thinking is enabled.",
                r#"{"temperature":0.5,"thinking":{"type":"enabled"}}"#,
                "temperature=1&temperature=0.5&thinking.type=enabled",
            ),
            (
                "invalid temperature: only 0.6 is allowed for this model",
                r#"{"temperature":1,"thinking":{"type":"disabled"}}"#,
                "",
            ),
            (
                "invalid temperature: only 1 is allowed for this model",
                r#"{"temperature":0.5}"#,
                "temperature=1&temperature=0.5",
            ),
            ("set top_p to 1 please", r#"{"top_p":0.5}"#, "top_p=1&top_p=0.5"),
        ] {
            let fixup = find(text, &text.to_ascii_lowercase(), "")
                .map(|fixup| fixup.completed_by(request.as_bytes()));
            let found = fixup.as_ref().and_then(Fixup::rule).map(|(_, rule)| rule).unwrap_or_default();
            assert_eq!(found, rule, "{text}");
            if let Some(fixup) = fixup {
                assert!(fixup.is_complete());
                assert_eq!(FixupRule::set(&found).map(|rule| rule.fixup), Some(fixup), "{found}");
            }
        }
    }

    #[test]
    fn an_effort_that_no_rule_can_express_does_not_affect_others() {
        let text = "Invalid value: 'bogus value'. reasoning_effort: Supported values are: 'low' and 'high'.";
        let fixup = find(text, &text.to_ascii_lowercase(), "").unwrap();
        let fixup = fixup.completed_by(br#"{"reasoning_effort":"bogus value"}"#);
        assert!(!fixup.is_complete(), "{fixup:?}");
    }

    #[test]
    fn a_text_without_a_member_or_a_value_demands_nothing() {
        for text in [
            "set store to true",
            "metadata.x must be 'y'",
            "Set tool_choice to 'none'.",
            "prompt_cache_key must be 'shared'",
            "Set it to 'none'.",
            "temperature must be a number",
            "max_tokens must be 5",
            "tool_choice must be 'auto' or 'none'",
            "tool_choice must be 'auto', 'none'",
            "messages.role must be 'user'",
            "model must be 'gpt-5'",
            "set reasoning_effort to something else",
            "set a to",
            "use x=",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn an_effort_becomes_the_nearest_allowed_one() {
        for (text, request, rule) in [
            (
                "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'minimal', 'low', 'medium', and 'high'.",
                r#"{"reasoning_effort":"none"}"#,
                "reasoning_effort=minimal&reasoning_effort=none",
            ),
            (
                "output_config.effort: Input should be 'low', 'medium', 'high' or 'max'",
                r#"{"output_config":{"effort":"xhigh"}}"#,
                "output_config.effort=high&output_config.effort=xhigh",
            ),
            (
                "reasoning_effort: unknown variant 'medium', expected one of 'high', 'max'",
                r#"{"reasoning_effort":"medium"}"#,
                "reasoning_effort=high&reasoning_effort=medium",
            ),
            (
                "'reasoning_effort' must be one of 'none' or 'default'",
                r#"{"reasoning_effort":"high"}"#,
                "reasoning_effort=none&reasoning_effort=high",
            ),
            (
                "reasoning_effort must be one of low, high",
                r#"{"reasoning_effort":"odd"}"#,
                "reasoning_effort=odd",
            ),
        ] {
            let fixup = find(text, &text.to_ascii_lowercase(), "").unwrap().completed_by(request.as_bytes());
            assert_eq!(fixup.rule().unwrap().1, rule, "{text}");
        }
    }
}
