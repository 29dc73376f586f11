//! What requests to a provider go without: `drop-params`, `drop-betas`, `max-tokens-as` and `tool-ids`, as the log and `/health`
//! suggest them.

use config::ValueKind;
use vandamme_protocol::healing::{Edit, Limit};
use vandamme_protocol::tool_id::Form;

use super::kind::Raw;
use super::layer::Section;

const LIMITS: [Limit; 2] = [Limit::MaxTokens, Limit::MaxCompletionTokens];

/// The edits that a provider's table asks for.
pub(super) fn read(section: Section<'_>) -> Vec<Edit> {
    let words = |key| section.text(key).map(|written| written.text).unwrap_or_default();
    let params = words("drop-params").split_whitespace().filter_map(Edit::param);
    let betas = words("drop-betas").split_whitespace().filter_map(Edit::beta);
    let ids = Form::named(words("tool-ids")).map(Edit::ToolIds);
    params.chain(betas).chain(limit(words("max-tokens-as"))).chain(ids).collect()
}

/// Judges `drop-params`; the words of the list become one text.
pub(super) fn params(raw: Raw<'_>) -> Result<ValueKind, String> {
    let expected =
        "a list of members that a request can do without, such as [\"reasoning_effort\", \"tools.strict\"]";
    words(raw, expected, Edit::param)
}

/// Judges `drop-betas`.
pub(super) fn betas(raw: Raw<'_>) -> Result<ValueKind, String> {
    let expected = "a list of values of the header anthropic-beta, or [\"*\"] for all";
    words(raw, expected, Edit::beta)
}

fn limit(name: &str) -> Option<Edit> {
    LIMITS.into_iter().find(|limit| limit.name() == name).map(Edit::Limit)
}

fn words(raw: Raw<'_>, expected: &str, read: impl Fn(&str) -> Option<Edit>) -> Result<ValueKind, String> {
    let words = raw.words().ok_or_else(|| format!("expected {expected}"))?;
    let is_wrong = |word: &&&str| word.contains(char::is_whitespace) || read(word).is_none();
    match words.iter().find(is_wrong) {
        Some(wrong) => Err(format!("expected {expected}, found {wrong:?} in it")),
        None => Ok(ValueKind::from(words.join("\n"))),
    }
}
