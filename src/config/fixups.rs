//! The rules that fit requests to a provider: `drop-params`, `set-params`, `limit-params`,
//! `drop-betas`, `max-tokens-as`, `tool-ids`, `fit-tool-schemas` and
//! `missing-reasoning`. The log and `/health` suggest them in this form.

use config::ValueKind;
use vandamme_protocol::compat::{Filler, Fixup, FixupRule, TokenLimitName, filler_word};
use vandamme_protocol::tool_id::Form;

use super::layer::Section;
use super::raw::Raw;

const LIMITS: [TokenLimitName; 2] = [TokenLimitName::MaxTokens, TokenLimitName::MaxCompletionTokens];
const FILLERS: [Filler; 3] = [Filler::Empty, Filler::Blank, Filler::ThinkingBlock];

/// The rules that a provider's table contains.
pub(super) fn read(section: Section<'_>) -> Vec<FixupRule> {
    let text = |key| section.text(key).map(|written| written.text).unwrap_or_default();
    let each = |key, read: fn(&str) -> Option<FixupRule>| text(key).split_whitespace().filter_map(read);
    let betas = text("drop-betas").split_whitespace().filter_map(Fixup::beta);
    let schemas = section.flag("fit-tool-schemas").unwrap_or(false).then_some(Fixup::ToolSchemas);
    let filler = FILLERS.into_iter().find(|filler| filler_word(*filler) == text("missing-reasoning"));
    let ids = Form::named(text("tool-ids")).map(Fixup::ToolIds);
    let others = betas
        .chain(limit(text("max-tokens-as")))
        .chain(ids)
        .chain(schemas)
        .chain(filler.map(Fixup::Reasoning));
    let lists = each("drop-params", FixupRule::drop).chain(each("set-params", FixupRule::set));
    lists.chain(each("limit-params", FixupRule::limit)).chain(others.map(FixupRule::from)).collect()
}

/// Checks `drop-params`. The words of the list become one text.
pub(super) fn params(raw: Raw<'_>) -> Result<ValueKind, String> {
    let expected =
        "a list of members that a request can do without, such as [\"reasoning_effort\", \"tools.strict\"]";
    words(raw, expected, |word| FixupRule::drop(word).is_some())
}

/// Checks `set-params`.
pub(super) fn values(raw: Raw<'_>) -> Result<ValueKind, String> {
    let expected = "a list of members and their values, such as [\"reasoning_effort=none&tools\"]";
    words(raw, expected, |word| FixupRule::set(word).is_some())
}

/// Checks `limit-params`.
pub(super) fn bounds(raw: Raw<'_>) -> Result<ValueKind, String> {
    let expected = "a list of members and their bounds, such as [\"max_tokens<=8192\", \"max_tokens>=16\"]";
    words(raw, expected, |word| FixupRule::limit(word).is_some())
}

/// Checks `drop-betas`.
pub(super) fn betas(raw: Raw<'_>) -> Result<ValueKind, String> {
    let expected = "a list of values of the header anthropic-beta, or [\"*\"] for all";
    words(raw, expected, |word| Fixup::beta(word).is_some())
}

fn limit(name: &str) -> Option<Fixup> {
    LIMITS.into_iter().find(|limit| limit.name() == name).map(Fixup::Limit)
}

fn words(raw: Raw<'_>, expected: &str, is_rule: impl Fn(&str) -> bool) -> Result<ValueKind, String> {
    let words = raw.words().ok_or_else(|| format!("expected {expected}"))?;
    let is_wrong = |word: &&&str| word.contains(char::is_whitespace) || !is_rule(word);
    match words.iter().find(is_wrong) {
        Some(wrong) => Err(format!("expected {expected}, found {wrong:?} in it")),
        None => Ok(ValueKind::from(words.join("\n"))),
    }
}
