//! Which models reason, how to turn reasoning off, and which efforts and stop sequences they accept.
//!
//! The table is as of [`AS_OF`]; `docs/thinking.md` prints it with its sources, and a test compares the two. The first
//! row that matches a model's name applies, whichever provider serves the model. The provider's parameter (see
//! [`ReasoningParameter`](super::dialect::ReasoningParameter)) decides how the value is sent.

use crate::wildcard::matches;

/// The day on which the rows were last compared with their sources.
pub const AS_OF: &str = "2026-11-30";

/// How to turn a model's reasoning off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// The model does not reason.
    NoReasoning,
    /// The effort `none`.
    None,
    /// `thinking: {"type": "disabled"}`; the effort `none` where the provider knows efforts only.
    Switch,
    /// As [`Off::Switch`], which is accepted and has no effect.
    Ignored,
    /// Reasoning cannot be turned off; the lowest effort is sent.
    Lowest,
    /// Reasoning cannot be turned off, and the model refuses the attempt; nothing is sent.
    Never,
}

/// Whether a model accepts `stop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSupport {
    Taken,
    /// The parameter is refused; the gateway cuts the reply itself.
    Cut,
}

/// One row: models whose names match the pattern, in which `*` matches any characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    pub pattern: &'static str,
    /// The text before the first `*`. One comparison with it skips most rows.
    prefix: &'static str,
    pub off: Off,
    /// The efforts from the lowest to the highest, without `none`.
    pub efforts: &'static [&'static str],
    pub stop: StopSupport,
    /// The documentation from which the row is taken.
    pub source: &'static str,
}

const fn row(
    pattern: &'static str,
    off: Off,
    efforts: &'static [&'static str],
    stop: StopSupport,
    source: &'static str,
) -> Family {
    Family { pattern, prefix: literal_prefix(pattern), off, efforts, stop, source }
}

const fn literal_prefix(pattern: &'static str) -> &'static str {
    let mut length = 0;
    while length < pattern.len() && pattern.as_bytes()[length] != b'*' {
        length += 1;
    }
    pattern.split_at(length).0
}

const THREE: &[&str] = &["low", "medium", "high"];
const FOUR: &[&str] = &["low", "medium", "high", "xhigh"];
const FIVE: &[&str] = &["low", "medium", "high", "xhigh", "max"];
const SPARSE: &[&str] = &["low", "high", "max"];

const OPENAI: &str = "developers.openai.com/api/docs/guides/reasoning";
const OPENAI_MODELS: &str = "developers.openai.com/api/docs/models";
const GEMINI: &str = "ai.google.dev/gemini-api/docs/openai";
const XAI: &str = "docs.x.ai/docs/guides/reasoning";
const MISTRAL: &str = "docs.mistral.ai/capabilities/reasoning";
const DEEPSEEK: &str = "api-docs.deepseek.com/guides/thinking_mode";
const KIMI: &str = "platform.kimi.ai/docs/guide/use-thinking-effort";
const ZAI: &str = "docs.z.ai/guides/capabilities/thinking-mode";
const GROQ: &str = "console.groq.com/docs/reasoning";
const CEREBRAS: &str = "inference-docs.cerebras.ai/capabilities/reasoning";
const OPENROUTER: &str = "openrouter.ai/docs/use-cases/reasoning-tokens";
const LONGCAT: &str = "longcat.chat/platform/docs";

/// The first version from which OpenAI's models accept every effort, including `none`.
const NEWEST: Family = row("gpt-5.6*", Off::None, FIVE, StopSupport::Cut, OPENAI);

/// The table.
pub const FAMILIES: &[Family] = &[
    row("gpt-5*-chat*", Off::NoReasoning, &[], StopSupport::Cut, OPENAI_MODELS),
    row("gpt-5-pro*", Off::Lowest, &["high"], StopSupport::Cut, OPENAI_MODELS),
    row("gpt-5.*-pro*", Off::Lowest, &["medium", "high", "xhigh"], StopSupport::Cut, OPENAI_MODELS),
    row("gpt-5.1-codex-max*", Off::Lowest, FOUR, StopSupport::Cut, OPENAI_MODELS),
    row("gpt-5.1-codex-mini*", Off::Lowest, &["medium", "high"], StopSupport::Cut, OPENAI_MODELS),
    row("gpt-5-codex*", Off::Lowest, THREE, StopSupport::Cut, OPENAI_MODELS),
    row("gpt-5.1-codex*", Off::Lowest, THREE, StopSupport::Cut, OPENAI_MODELS),
    row("gpt-5.*-codex*", Off::Lowest, FOUR, StopSupport::Cut, OPENAI_MODELS),
    row("gpt-5.1*", Off::None, THREE, StopSupport::Cut, OPENAI),
    row("gpt-5.2*", Off::None, FOUR, StopSupport::Cut, OPENAI),
    row("gpt-5.3*", Off::None, FOUR, StopSupport::Cut, OPENAI),
    row("gpt-5.4*", Off::None, FOUR, StopSupport::Cut, OPENAI),
    row("gpt-5.5*", Off::None, FOUR, StopSupport::Cut, OPENAI),
    NEWEST,
    row("gpt-5", Off::Lowest, &["minimal", "low", "medium", "high"], StopSupport::Cut, OPENAI),
    row("gpt-5-*", Off::Lowest, &["minimal", "low", "medium", "high"], StopSupport::Cut, OPENAI),
    row("o1-mini*", Off::Never, &[], StopSupport::Cut, OPENAI_MODELS),
    row("o1-preview*", Off::Never, &[], StopSupport::Cut, OPENAI_MODELS),
    row("o1*", Off::Lowest, THREE, StopSupport::Cut, OPENAI),
    row("o3*", Off::Lowest, THREE, StopSupport::Cut, OPENAI),
    row("o4*", Off::Lowest, THREE, StopSupport::Cut, OPENAI),
    row("codex-mini*", Off::Lowest, THREE, StopSupport::Cut, OPENAI_MODELS),
    row("gpt-oss*", Off::Lowest, THREE, StopSupport::Taken, GROQ),
    row("gpt-3*", Off::NoReasoning, &[], StopSupport::Taken, OPENAI_MODELS),
    row("gpt-4*", Off::NoReasoning, &[], StopSupport::Taken, OPENAI_MODELS),
    row("gpt-audio*", Off::NoReasoning, &[], StopSupport::Taken, OPENAI_MODELS),
    row("chatgpt-*", Off::NoReasoning, &[], StopSupport::Taken, OPENAI_MODELS),
    row("gemini-1*", Off::NoReasoning, &[], StopSupport::Taken, GEMINI),
    row("gemini-2.0*", Off::NoReasoning, &[], StopSupport::Taken, GEMINI),
    row("gemini-2.5-flash*", Off::None, THREE, StopSupport::Taken, GEMINI),
    row("gemini-2.5-pro*", Off::Lowest, THREE, StopSupport::Taken, GEMINI),
    row("gemini-3-flash*", Off::Lowest, &["minimal", "low", "medium", "high"], StopSupport::Taken, GEMINI),
    row("gemini-*", Off::Lowest, THREE, StopSupport::Taken, GEMINI),
    row("grok-*non-reasoning*", Off::NoReasoning, &[], StopSupport::Taken, XAI),
    row("grok-2*", Off::NoReasoning, &[], StopSupport::Taken, XAI),
    row("grok-3-mini*", Off::Lowest, &["low", "high"], StopSupport::Cut, XAI),
    row("grok-3*", Off::NoReasoning, &[], StopSupport::Taken, XAI),
    row("grok-4.3*", Off::None, THREE, StopSupport::Cut, XAI),
    row("grok-4.5*", Off::Lowest, FOUR, StopSupport::Cut, XAI),
    row("grok-4.6*", Off::Lowest, FOUR, StopSupport::Cut, XAI),
    row("grok-4.7*", Off::Lowest, FOUR, StopSupport::Cut, XAI),
    row("grok-latest", Off::Lowest, FOUR, StopSupport::Cut, XAI),
    row("grok-*", Off::Never, &[], StopSupport::Cut, XAI),
    row("magistral*", Off::Never, &[], StopSupport::Taken, MISTRAL),
    row("mistral-small-latest", Off::None, &["high"], StopSupport::Taken, MISTRAL),
    row("mistral-small-2603*", Off::None, &["high"], StopSupport::Taken, MISTRAL),
    row("mistral-medium-latest", Off::None, &["high"], StopSupport::Taken, MISTRAL),
    row("mistral-medium-3-5*", Off::None, &["high"], StopSupport::Taken, MISTRAL),
    row("mistral-medium-3.5*", Off::None, &["high"], StopSupport::Taken, MISTRAL),
    row("mistral-large-4*", Off::None, THREE, StopSupport::Taken, MISTRAL),
    row("deepseek-r1*", Off::Never, &[], StopSupport::Taken, DEEPSEEK),
    row("deepseek-chat*", Off::Switch, &[], StopSupport::Taken, DEEPSEEK),
    row("deepseek-reasoner*", Off::Switch, &[], StopSupport::Taken, DEEPSEEK),
    row("deepseek-v3*", Off::Switch, &[], StopSupport::Taken, DEEPSEEK),
    row("deepseek-*", Off::Switch, SPARSE, StopSupport::Taken, DEEPSEEK),
    row("kimi-k2.7-code*", Off::Never, &[], StopSupport::Taken, KIMI),
    row("kimi-k2-thinking*", Off::Ignored, &[], StopSupport::Taken, KIMI),
    row("kimi-k2-0*", Off::NoReasoning, &[], StopSupport::Taken, KIMI),
    row("kimi-k2-instruct*", Off::NoReasoning, &[], StopSupport::Taken, KIMI),
    row("kimi-k3*", Off::Lowest, SPARSE, StopSupport::Taken, KIMI),
    row("kimi-*", Off::Switch, &[], StopSupport::Taken, KIMI),
    row("glm-5.2*", Off::Switch, SPARSE, StopSupport::Taken, ZAI),
    row("glm-4.5*", Off::Switch, &[], StopSupport::Taken, ZAI),
    row("glm-4.6*", Off::Switch, &[], StopSupport::Taken, ZAI),
    row("glm-4.7*", Off::Switch, &[], StopSupport::Taken, ZAI),
    row("glm-5", Off::Switch, &[], StopSupport::Taken, ZAI),
    row("glm-5-*", Off::Switch, &[], StopSupport::Taken, ZAI),
    row("glm-5.1*", Off::Switch, &[], StopSupport::Taken, ZAI),
    row("glm-5*", Off::Lowest, SPARSE, StopSupport::Taken, ZAI),
    row("zai-glm-*", Off::None, &[], StopSupport::Taken, CEREBRAS),
    row("qwen3-coder*", Off::NoReasoning, &[], StopSupport::Taken, GROQ),
    row("qwen3*instruct*", Off::NoReasoning, &[], StopSupport::Taken, GROQ),
    row("qwen3*thinking*", Off::Never, &[], StopSupport::Taken, GROQ),
    row("qwen3.*", Off::None, THREE, StopSupport::Taken, GROQ),
    row("qwen3*", Off::None, &[], StopSupport::Taken, GROQ),
    row("qwq*", Off::Never, &[], StopSupport::Taken, GROQ),
    row("minimax-m*", Off::Never, &[], StopSupport::Taken, OPENROUTER),
    row("step-3*", Off::Never, &[], StopSupport::Taken, OPENROUTER),
    row("longcat-*-thinking*", Off::Never, &[], StopSupport::Taken, LONGCAT),
    row("longcat-flash-chat*", Off::NoReasoning, &[], StopSupport::Taken, LONGCAT),
];

/// The row of this model. Case is ignored, and so are prefixes and suffixes that a vendor adds to the name
/// (`openai/gpt-5.1:online`).
pub(crate) fn family(model: &str) -> Option<&'static Family> {
    let model = model.to_ascii_lowercase();
    let name = model.rsplit('/').next().unwrap_or(&model);
    let name = name.split(':').next().unwrap_or(name);
    let known =
        FAMILIES.iter().find(|family| name.starts_with(family.prefix) && matches(family.pattern, name));
    known.or_else(|| is_newest(name).then_some(&NEWEST))
}

/// Whether this is an OpenAI model that is newer than the table.
fn is_newest(name: &str) -> bool {
    version(name).is_some_and(|version| version >= (5, 6))
}

/// The version in the name of an OpenAI model: `gpt-6.1-sol` is (6, 1).
pub(crate) fn version(name: &str) -> Option<(u32, u32)> {
    let rest = name.strip_prefix("gpt-")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (major, minor) = rest[..end].split_once('.').unwrap_or((&rest[..end], "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether this is one of OpenAI's models since the o-series (gpt-5 and later), also after a vendor's prefix. They refuse
/// `max_tokens` in Chat Completions.
pub(crate) fn is_newer_openai(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    if let Some(version) = name.strip_prefix("gpt-") {
        let end = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
        return version[..end].parse::<u32>().is_ok_and(|version| version >= 5);
    }
    name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|character: char| character.is_ascii_digit()))
}

impl Family {
    /// Whether the model always reasons.
    pub(crate) fn reasons_anyway(&self) -> bool {
        match self.off {
            Off::Ignored | Off::Lowest | Off::Never => true,
            Off::NoReasoning | Off::None | Off::Switch => false,
        }
    }

    /// Whether the model can reason.
    pub(crate) fn reasons(&self) -> bool {
        self.off != Off::NoReasoning
    }
}

/// The supported effort that is nearest to the requested one: the next higher, otherwise the highest.
pub(crate) fn nearest_effort<'e>(efforts: &[&'e str], wanted: &str) -> Option<&'e str> {
    let rank = |effort: &str| {
        ["none", "minimal", "low", "medium", "high", "xhigh", "max"].iter().position(|known| *known == effort)
    };
    let higher = efforts.iter().find(|effort| rank(effort) >= rank(wanted));
    higher.or(efforts.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_the_row_that_is_about_it() {
        for (model, off, highest) in [
            ("gpt-5", Off::Lowest, Some("high")),
            ("gpt-5-mini-2025-08-07", Off::Lowest, Some("high")),
            ("openai/GPT-5.1:online", Off::None, Some("high")),
            ("gpt-5.1-codex", Off::Lowest, Some("high")),
            ("gpt-5.3-codex", Off::Lowest, Some("xhigh")),
            ("gpt-5.4-mini", Off::None, Some("xhigh")),
            ("gpt-5.6-sol", Off::None, Some("max")),
            ("gpt-6", Off::None, Some("max")),
            ("gpt-6.2-sol-2026-11-01", Off::None, Some("max")),
            ("gpt-10.1", Off::None, Some("max")),
            ("o3-mini", Off::Lowest, Some("high")),
            ("o1-preview", Off::Never, None),
            ("gpt-4.1", Off::NoReasoning, None),
            ("google/gemini-2.5-flash-lite", Off::None, Some("high")),
            ("gemini-3.1-pro-preview", Off::Lowest, Some("high")),
            ("grok-4.1-fast-non-reasoning", Off::NoReasoning, None),
            ("grok-4.1-fast-reasoning", Off::Never, None),
            ("grok-4.7", Off::Lowest, Some("xhigh")),
            ("qwen/qwen3.8-max", Off::None, Some("high")),
            ("kimi-k2-thinking-turbo", Off::Ignored, None),
            ("moonshotai/Kimi-K2-Instruct-0905", Off::NoReasoning, None),
            ("kimi-k2.6", Off::Switch, None),
            ("kimi-k3.1-pro", Off::Lowest, Some("max")),
            ("GLM-4.5-Air", Off::Switch, None),
            ("glm-5.3", Off::Lowest, Some("max")),
            ("deepseek-reasoner", Off::Switch, None),
            ("deepseek-v4-pro", Off::Switch, Some("max")),
        ] {
            let family = family(model).unwrap_or_else(|| panic!("{model} has no row"));
            assert_eq!((family.off, family.efforts.last().copied()), (off, highest), "{model}");
        }
        for model in ["up/m", "llama-4-maverick", "claude-sonnet-5", "gpt-", "gpt-x", ""] {
            assert_eq!(family(model), None, "{model}");
        }
    }

    #[test]
    fn the_nearest_effort_is_the_next_higher_or_the_highest() {
        for (efforts, wanted, chosen) in [
            (THREE, "low", Some("low")),
            (THREE, "xhigh", Some("high")),
            (FOUR, "max", Some("xhigh")),
            (FIVE, "xhigh", Some("xhigh")),
            (SPARSE, "medium", Some("high")),
            (SPARSE, "xhigh", Some("max")),
            (&["high"], "low", Some("high")),
            (&[], "low", None),
        ] {
            assert_eq!(nearest_effort(efforts, wanted), chosen, "{efforts:?} {wanted}");
        }
    }

    #[test]
    fn newer_openai_models_get_the_newer_field() {
        for model in
            ["o1", "o3-mini", "o4-mini-high", "gpt-5", "gpt-5.1-codex", "openai/gpt-5-nano", "gpt-10", "x/o3"]
        {
            assert!(is_newer_openai(model), "{model}");
        }
        for model in [
            "gpt-4o",
            "gpt-4.1",
            "gpt-oss-120b",
            "openai/gpt-oss-20b",
            "olmo-2",
            "chatgpt-4o",
            "glm-5",
            "o",
            "",
        ] {
            assert!(!is_newer_openai(model), "{model}");
        }
    }
}
