//! What is known of models by their names, for Codex. The list of a provider takes precedence.
//!
//! As of 2026-11-30, and not compared with the vendors' pages since: developers.openai.com/api/docs/models,
//! platform.claude.com (about-claude/models/overview), ai.google.dev/gemini-api/docs/models, docs.x.ai/docs/models,
//! api-docs.deepseek.com, platform.kimi.ai/docs, docs.z.ai, docs.mistral.ai. Efforts of other vendors' models stand in the table of
//! `convert/upstream/chat/reasoning.rs`.

use crate::wildcard::matches;

/// The efforts of a model whose vendor has an API of its own.
pub(super) type Efforts = Option<&'static [&'static str]>;

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pattern: &'static str,
    /// The most tokens of a prompt for which the vendor's ordinary prices hold.
    pub(super) context: Option<u64>,
    pub(super) reads_images: bool,
    pub(super) has_verbosity: bool,
    /// `None`: as the table of reasoning says.
    pub(super) efforts: Efforts,
}

const fn row_of(pattern: &'static str, context: u64, reads_images: Images) -> Row {
    let reads_images = matches!(reads_images, Images::Read);
    Row { pattern, context: Some(context), reads_images, has_verbosity: false, efforts: None }
}

#[derive(Clone, Copy)]
enum Images {
    Read,
    NotRead,
}

impl Row {
    const fn with_verbosity(self) -> Self {
        Self { has_verbosity: true, ..self }
    }

    const fn with_efforts(self, efforts: &'static [&'static str]) -> Self {
        Self { efforts: Some(efforts), ..self }
    }
}

const ALL_EFFORTS: &[&str] = &["low", "medium", "high", "xhigh", "max"];
const UP_TO_MAX: &[&str] = &["low", "medium", "high", "max"];
const THREE: &[&str] = &["low", "medium", "high"];

const ROWS: &[Row] = &[
    row_of("gpt-oss*", 131_072, Images::NotRead),
    row_of("gpt-5*-chat*", 128_000, Images::Read),
    row_of("gpt-5*", 272_000, Images::Read).with_verbosity(),
    row_of("gpt-4.1*", 1_047_576, Images::Read),
    row_of("gpt-4o*", 128_000, Images::Read),
    row_of("gpt-4.5*", 128_000, Images::Read),
    row_of("gpt-4-turbo*", 128_000, Images::Read),
    row_of("gpt-4-*-preview", 128_000, Images::NotRead),
    row_of("gpt-4-32k*", 32_768, Images::NotRead),
    row_of("gpt-4*", 8_192, Images::NotRead),
    row_of("gpt-3*", 16_385, Images::NotRead),
    row_of("gpt-*", 272_000, Images::Read).with_verbosity(),
    row_of("o1-mini*", 128_000, Images::NotRead),
    row_of("o1*", 200_000, Images::Read),
    row_of("o3-mini*", 200_000, Images::NotRead),
    row_of("o3*", 200_000, Images::Read),
    row_of("o4*", 200_000, Images::Read),
    row_of("codex-mini*", 200_000, Images::Read),
    row_of("claude-3*", 200_000, Images::Read).with_efforts(&[]),
    row_of("claude-*-4-6*", 200_000, Images::Read).with_efforts(UP_TO_MAX),
    row_of("claude-*-4-7*", 200_000, Images::Read).with_efforts(ALL_EFFORTS),
    row_of("claude-*-4-8*", 200_000, Images::Read).with_efforts(ALL_EFFORTS),
    // Older models think by a budget, for which the gateway takes these efforts.
    row_of("claude-*-4*", 200_000, Images::Read).with_efforts(THREE),
    row_of("claude-*", 200_000, Images::Read).with_efforts(ALL_EFFORTS),
    row_of("gemini-*", 1_048_576, Images::Read),
    row_of("grok-code*", 256_000, Images::NotRead),
    row_of("grok-3*", 131_072, Images::NotRead),
    row_of("grok-*", 256_000, Images::Read),
    row_of("deepseek-*", 128_000, Images::NotRead),
    row_of("kimi-k2.5*", 262_144, Images::Read),
    row_of("kimi-k2*", 262_144, Images::NotRead),
    row_of("kimi-*", 262_144, Images::Read),
    row_of("glm-4.5v*", 65_536, Images::Read),
    row_of("glm-4.5*", 131_072, Images::NotRead),
    row_of("glm-*", 200_000, Images::NotRead),
    row_of("qwen3-coder*", 262_144, Images::NotRead),
    row_of("devstral*", 262_144, Images::NotRead),
    row_of("codestral*", 262_144, Images::NotRead),
    row_of("magistral*", 131_072, Images::Read),
    row_of("mistral-*", 131_072, Images::Read),
];

/// A model of which nothing is known.
const UNKNOWN: Row =
    Row { pattern: "", context: None, reads_images: true, has_verbosity: false, efforts: None };

/// The first row that matches the name. Case is ignored, and so are prefixes and suffixes that a vendor adds to the name.
pub(super) fn row(model: &str) -> Row {
    let model = model.to_ascii_lowercase();
    let name = model.rsplit('/').next().unwrap_or(&model);
    let name = name.split(':').next().unwrap_or(name);
    // `us.anthropic.claude-opus-5-5`
    let name = name.find("claude-").map_or(name, |at| &name[at..]);
    ROWS.iter().find(|row| matches(row.pattern, name)).copied().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_the_row_that_is_about_it() {
        for (model, pattern) in [
            ("gpt-5.1-codex", "gpt-5*"),
            ("gpt-6.2-sol-2026-11-01", "gpt-*"),
            ("openai/GPT-4.1:online", "gpt-4.1*"),
            ("gpt-4-0125-preview", "gpt-4-*-preview"),
            ("gpt-4-turbo-2024-04-09", "gpt-4-turbo*"),
            ("gpt-4-0613", "gpt-4*"),
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-*-4*"),
            ("claude-opus-4-8", "claude-*-4-8*"),
            ("claude-fable-5", "claude-*"),
            ("claude-3-7-sonnet-latest", "claude-3*"),
            ("moonshotai/Kimi-K2-Instruct", "kimi-k2*"),
            ("llama3", ""),
        ] {
            assert_eq!(row(model).pattern, pattern, "{model}");
        }
    }
}
