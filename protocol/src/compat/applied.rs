//! Applies fixups to a request.

use bytes::Bytes;

use super::{Bound, Fixup, LEAST_BUDGET, TOKEN_LIMIT, TOKEN_LIMITS, betas, refused};
use crate::request::{Unwanted, placed, renamed, trimmed, with_reasoning, with_tool_ids, with_tool_schemas};
use crate::schema_fit;

/// A request after its fixups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedRequest {
    pub body: Bytes,
    /// The value of `anthropic-beta`; empty when no value is left.
    pub betas: String,
}

/// Applies all `fixups` to the request; `betas` is the value of its `anthropic-beta` header. Returns the body itself,
/// uncopied, when no fixup affects it. If fixups contradict each other, the last one wins.
#[must_use]
pub fn apply<'e>(
    fixups: impl IntoIterator<Item = &'e Fixup, IntoIter: Clone>,
    body: &Bytes,
    betas: &str,
) -> FixedRequest {
    let fixups = fixups.into_iter();
    let mut unwanted = Unwanted::default();
    let mut left = betas.to_owned();
    for fixup in fixups.clone() {
        unwanted.add(fixup, body);
        if let Fixup::Beta(flag) = fixup {
            let (kept, dropped) = betas::without(&left, flag);
            let members = dropped.iter().flat_map(|flag| betas::members(flag));
            unwanted.members.extend(members.map(|path| path.split('.').collect()));
            left = kept;
        }
    }
    let body = if unwanted.is_empty() { body.clone() } else { trimmed(body, &unwanted) };
    let limit =
        fixups.clone().filter_map(|fixup| if let Fixup::Limit(name) = fixup { Some(*name) } else { None });
    let mut body = match limit.last() {
        Some(limit) => renamed(&body, limit.other().name(), limit.name()),
        None => body,
    };
    for (at, fixup) in fixups.clone().enumerate() {
        body = match fixup {
            Fixup::Set(path, value, condition) => {
                let is_removed_later = |later: &Fixup| matches!(later, Fixup::Param(other) if other == path);
                let holds = condition.as_ref().is_none_or(|condition| condition.is_met(&body));
                if !holds || fixups.clone().skip(at + 1).any(is_removed_later) {
                    continue;
                }
                placed(&body, &path.split('.').collect::<Vec<_>>(), &refused::json(value))
            }
            Fixup::Bound(path, bound) => bounded(&body, path, *bound),
            Fixup::ToolSchemas => with_tool_schemas(&body, schema_fit::fitted),
            Fixup::Reasoning(filler) => with_reasoning(&body, *filler),
            Fixup::ToolIds(form) => with_tool_ids(&body, *form),
            Fixup::Param(_)
            | Fixup::Value(..)
            | Fixup::Beside(..)
            | Fixup::Nearest(..)
            | Fixup::Keyword(_)
            | Fixup::Beta(_)
            | Fixup::Limit(_)
            | Fixup::Over(_) => continue,
        };
    }
    FixedRequest { body, betas: left }
}

impl<'e> Unwanted<'e> {
    /// Adds what a fixup removes from this request.
    fn add(&mut self, fixup: &'e Fixup, body: &[u8]) {
        let path = match fixup {
            Fixup::Param(path) | Fixup::Value(path, None) => path,
            Fixup::Value(path, Some(value)) if refused::value(body, path).as_deref() == Some(value) => path,
            Fixup::Beside(path, condition) if condition.is_met(body) => path,
            Fixup::Keyword(keyword) => return self.keywords.push(keyword),
            Fixup::Value(..)
            | Fixup::Beside(..)
            | Fixup::Set(..)
            | Fixup::Nearest(..)
            | Fixup::Bound(..)
            | Fixup::ToolSchemas
            | Fixup::Reasoning(_)
            | Fixup::Beta(_)
            | Fixup::Limit(_)
            | Fixup::ToolIds(_)
            | Fixup::Over(_) => return,
        };
        self.members.push(path.split('.').collect());
    }
}

/// Returns the body with this number within the bound. A thinking budget is reduced along with the token limit.
fn bounded(body: &Bytes, path: &str, bound: Bound) -> Bytes {
    let within = |body: &Bytes, path: &[&str], bound| match (refused::number(body, path), bound) {
        (Some(number), Bound::AtMost(most)) if number > most as f64 => placed(body, path, &most.to_string()),
        (Some(number), Bound::AtLeast(least)) if number < least as f64 => {
            placed(body, path, &least.to_string())
        }
        _ => body.clone(),
    };
    if path != TOKEN_LIMIT {
        return within(body, &path.split('.').collect::<Vec<_>>(), bound);
    }
    let mut limited = body.clone();
    for name in TOKEN_LIMITS {
        limited = within(&limited, &[name], bound);
    }
    match bound {
        Bound::AtMost(most) if limited.as_ptr() != body.as_ptr() && most > LEAST_BUDGET => {
            let budget = ["thinking", "budget_tokens"];
            let is_over = refused::number(&limited, &budget).is_some_and(|number| number >= most as f64);
            let fits = (most - most / 4).max(LEAST_BUDGET);
            if is_over { placed(&limited, &budget, &fits.to_string()) } else { limited }
        }
        Bound::AtMost(_) | Bound::AtLeast(_) => limited,
    }
}

/// Whether a request has this member with a value other than null.
#[must_use]
pub fn has_member(body: &[u8], path: &str) -> bool {
    refused::has_value(body, path)
}

/// Whether the fixup would change this request.
#[must_use]
pub fn concerns(fixup: &Fixup, body: &Bytes, betas: &str) -> bool {
    let edited = apply([fixup], body, betas);
    edited.body.as_ptr() != body.as_ptr() || edited.betas != betas
}
