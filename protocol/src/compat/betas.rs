//! The values of `anthropic-beta`, and the request members that depend on them.

use super::Fixup;
use crate::cloud::betas::is_taken_by_invoke_model;

/// Matches every value.
pub(super) const ANY: &str = "*";

/// Request members by beta name without its date. Sources: platform.claude.com/docs/en/api/beta-headers and what Claude
/// Code sends.
const MEMBERS: [(&str, &[&str]); 13] = [
    ("context-management", &["context_management"]),
    ("compact", &["context_management"]),
    ("effort", &["output_config.effort"]),
    ("task-budgets", &["output_config.task_budget"]),
    ("structured-outputs", &["output_format", "output_config.format", "tools.strict"]),
    ("advanced-tool-use", &["tools.defer_loading", "tools.input_examples", "tools.allowed_callers"]),
    ("tool-search-tool", &["tools.defer_loading"]),
    ("tool-examples", &["tools.input_examples"]),
    ("fine-grained-tool-streaming", &["tools.eager_input_streaming"]),
    (
        "prompt-caching-scope",
        &["system.cache_control.scope", "tools.cache_control.scope", "cache_control.scope"],
    ),
    ("extended-cache-ttl", &["system.cache_control.ttl", "tools.cache_control.ttl", "cache_control.ttl"]),
    ("mcp-client", &["mcp_servers"]),
    ("fast-mode", &["speed"]),
];

/// Returns the members that depend on this value.
pub(super) fn members(flag: &str) -> &'static [&'static str] {
    let known = MEMBERS.iter().find(|(name, _)| flag.strip_prefix(name).is_some_and(is_date));
    known.map_or(&[], |(_, members)| *members)
}

/// Returns the header's value without `flag` (unchanged if it does not contain it) and the removed values.
pub(super) fn without<'b>(betas: &'b str, flag: &str) -> (String, Vec<&'b str>) {
    let flags = betas.split(',').map(str::trim).filter(|flag| !flag.is_empty());
    let (dropped, kept): (Vec<_>, Vec<_>) = flags.partition(|&known| flag == ANY || known == flag);
    let left = if dropped.is_empty() { betas.to_owned() } else { kept.join(",") };
    (left, dropped)
}

/// Bedrock refuses an "invalid beta flag" without its name. All betas that it is not known to take are removed then, and all of
/// them if it still refuses those it is known to take. `sent` are the betas of the refused call.
#[must_use]
pub fn without_unnamed_betas(named: Vec<Fixup>, sent: &[&str]) -> Vec<Fixup> {
    let unknown = sent.iter().filter(|beta| !is_taken_by_invoke_model(beta));
    let unknown: Vec<Fixup> = unknown.filter_map(|beta| Fixup::beta(beta)).collect();
    let is_any = |fixup: &Fixup| matches!(fixup, Fixup::Beta(flag) if &**flag == ANY);
    if unknown.is_empty() || !named.iter().any(is_any) {
        return named;
    }
    named.into_iter().filter(|fixup| !is_any(fixup)).chain(unknown).collect()
}

/// Matches `-2025-06-27`, `-20250627`, or nothing.
fn is_date(rest: &str) -> bool {
    rest.is_empty()
        || (rest.starts_with('-') && rest.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Complaint of gateway users: a beta flag that the upstream does not know.
    #[test]
    fn a_values_members_are_known_whatever_its_date() {
        for flag in ["effort-2025-11-24", "effort-20270101", "effort"] {
            assert_eq!(members(flag), ["output_config.effort"], "{flag}");
        }
        for flag in ["effortless-2025-11-24", "claude-code-20250219", "interleaved-thinking-2025-05-14"] {
            assert!(members(flag).is_empty(), "{flag}");
        }
    }

    /// Requirement: one unknown beta does not cost a request all others.
    #[test]
    fn a_refusal_without_a_name_concerns_unknown_betas_first() {
        let any = || vec![Fixup::Beta(ANY.into())];
        let sent = ["effort-2025-11-24", "later-2027-01-01", "tool-search-tool-2025-10-19"];
        assert_eq!(without_unnamed_betas(any(), &sent), [Fixup::Beta("later-2027-01-01".into())]);
        assert_eq!(without_unnamed_betas(any(), &["effort-2025-11-24"]), any());
        let named = || vec![Fixup::Beta("effort-2025-11-24".into()), Fixup::Param("speed".into())];
        assert_eq!(without_unnamed_betas(named(), &sent), named());
    }

    #[test]
    fn removing_an_absent_value_changes_nothing() {
        assert_eq!(without(" a ,  b", "c"), (" a ,  b".to_owned(), vec![]));
        assert_eq!(without(" a ,  b", "a"), ("b".to_owned(), vec!["a"]));
        assert_eq!(without("", "*"), (String::new(), vec![]));
    }
}
