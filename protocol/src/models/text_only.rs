//! Which models accept no images.
//!
//! The table has models whose vendor's documentation lists text as the only input; `docs/images.md` prints it, and a test
//! compares the two. A model that is not in it may or may not see: nothing is assumed.

use crate::wildcard;

/// The day on which the rows were last compared with their sources.
pub const AS_OF: &str = "2026-12-01";

/// Models of one vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOnlyFamily {
    /// In lower case, without the vendor; `*` matches any characters.
    pub patterns: &'static [&'static str],
    /// The documentation from which the row is taken.
    pub source: &'static str,
}

/// The table.
pub const TEXT_ONLY: &[TextOnlyFamily] = &[
    TextOnlyFamily {
        patterns: &["gpt-oss*", "gpt-3.5*", "o1-mini*", "o3-mini*"],
        source: "developers.openai.com/api/docs/models",
    },
    TextOnlyFamily {
        // Images are read by `deepseek-flash` alone.
        patterns: &["deepseek-v4-pro*", "deepseek-v3*", "deepseek-r1*"],
        source: "api-docs.deepseek.com/guides/vision",
    },
    TextOnlyFamily {
        // `glm-4.5v`, `glm-4.6v` and `glm-5.3-flash` see.
        patterns: &[
            "glm-4.5",
            "glm-4.5-*",
            "glm-4.6",
            "glm-4.7",
            "glm-4.7-flash*",
            "glm-5",
            "glm-5-turbo",
            "glm-5.1",
            "glm-5.2",
            "glm-5.3",
        ],
        source: "docs.z.ai/guides/llm",
    },
    TextOnlyFamily { patterns: &["kimi-k2", "kimi-k2-*"], source: "platform.kimi.ai/docs/models" },
    TextOnlyFamily { patterns: &["qwen3-coder*"], source: "qwen.ai/blog?id=qwen3-coder" },
    TextOnlyFamily { patterns: &["grok-3*", "grok-code-fast*"], source: "docs.x.ai/docs/models" },
    TextOnlyFamily {
        patterns: &["llama-3.1-*", "llama-3.3-*", "llama3.1", "llama3.3"],
        source: "llama.com/docs/model-cards-and-prompt-formats",
    },
];

/// Words that mark the models of a family that see: `…-vision-exp`, `qwen3-vl-…`.
const SEEING: [&str; 3] = ["vision", "-vl", "omni"];

/// Which models of a provider accept no images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TextOnlyModels {
    /// Those of the table.
    #[default]
    Known,
    /// Those that these patterns match, and no others.
    Listed(Vec<String>),
}

impl TextOnlyModels {
    /// Whether this model accepts no images. Case is ignored, and so is a vendor's prefix (`openai/`) unless the pattern has
    /// one; a tag (`:free`) as well.
    #[must_use]
    pub fn include(&self, model: &str) -> bool {
        let model = model.to_ascii_lowercase();
        match self {
            Self::Known => {
                let is_seeing = SEEING.iter().any(|word| model.contains(word));
                let mut patterns = TEXT_ONLY.iter().flat_map(|family| family.patterns);
                !is_seeing && patterns.any(|pattern| is_named(pattern, &model))
            }
            Self::Listed(patterns) => {
                patterns.iter().any(|pattern| is_named(&pattern.to_ascii_lowercase(), &model))
            }
        }
    }
}

fn is_named(pattern: &str, model: &str) -> bool {
    let name = if pattern.contains('/') { model } else { model.rsplit('/').next().unwrap_or(model) };
    let without_tag = name.split(':').next().unwrap_or(name);
    wildcard::matches(pattern, name) || wildcard::matches(pattern, without_tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: models that see are never in the table, whatever their family.
    #[test]
    fn the_table_knows_who_cannot_see() {
        for (model, expected) in [
            ("gpt-oss-120b", true),
            ("openai/gpt-oss-20b:free", true),
            ("gpt-oss:20b", true),
            ("deepseek-v4-pro", true),
            ("deepseek/deepseek-v3.2:thinking", true),
            ("deepseek-flash", false),
            ("deepseek-v4-flash-vision-exp", false),
            ("glm-5.3", true),
            ("z-ai/GLM-5.3:thinking", true),
            ("glm-5.3-flash", false),
            ("glm-4.6v", false),
            ("glm-4.5v", false),
            ("moonshotai/kimi-k2-thinking", true),
            ("kimi-k2.5", false),
            ("kimi-k3", false),
            ("qwen3-coder-next", true),
            ("qwen3-vl-235b", false),
            ("llama-3.2-90b-vision-preview", false),
            ("meta-llama/llama-3.3-70b-instruct", true),
            ("gpt-4o", false),
            ("claude-sonnet-5.5", false),
            ("gemini-3.6-flash", false),
        ] {
            assert_eq!(TextOnlyModels::Known.include(model), expected, "{model}");
        }
        for pattern in TEXT_ONLY.iter().flat_map(|family| family.patterns) {
            assert_eq!(*pattern, pattern.to_ascii_lowercase());
        }
    }

    /// Requirement: a list replaces the table; an empty one includes no model.
    #[test]
    fn a_list_replaces_the_table() {
        let listed = |patterns: &[&str]| {
            TextOnlyModels::Listed(patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
        };
        for (patterns, model, expected) in [
            (&["My-*"][..], "my-model", true),
            (&["my-*"], "team/my-model:tag", true),
            (&["team/my-*"], "team/my-model", true),
            (&["team/my-*"], "my-model", false),
            (&["model:big"], "model:big", true),
            (&["model:big"], "model:small", false),
            (&["*"], "anything", true),
            (&[], "gpt-oss-120b", false),
        ] {
            assert_eq!(listed(patterns).include(model), expected, "{patterns:?} {model}");
        }
    }
}
