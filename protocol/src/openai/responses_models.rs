//! Which models are to be asked over the Responses API, where a host has both APIs: OpenAI's own, Azure's and xAI's.
//!
//! The table is as of [`AS_OF`]. Its sources are the model lists of the SDK (openai 3.57.0 on PyPI: `ChatModel`, and the models that
//! only `ResponsesModel` has), developers.openai.com/api/docs/models and docs.x.ai/developers/models.

use crate::wildcard::matches;

/// The day on which the table was last compared with its sources.
pub const AS_OF: &str = "2026-11-30";

/// What is known of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponsesAdvice {
    /// Chat Completions does not have the model.
    Required,
    /// A reasoning model: only the Responses API takes its reasoning back in the next turn.
    Preferred,
    None,
}

/// The first row that matches counts.
const TABLE: [(&str, ResponsesAdvice); 32] = [
    // Models that search in Chat Completions, and only there.
    ("*-search-api*", ResponsesAdvice::None),
    ("*-search-preview*", ResponsesAdvice::None),
    // Models of speech and pictures.
    ("gpt-*-audio*", ResponsesAdvice::None),
    ("gpt-*-realtime*", ResponsesAdvice::None),
    ("o1-pro*", ResponsesAdvice::Required),
    ("o3-pro*", ResponsesAdvice::Required),
    ("o3-deep-research*", ResponsesAdvice::Required),
    ("o4-mini-deep-research*", ResponsesAdvice::Required),
    ("computer-use-preview*", ResponsesAdvice::Required),
    ("gpt-5-codex*", ResponsesAdvice::Required),
    ("gpt-5-pro*", ResponsesAdvice::Required),
    ("gpt-5.1-codex-max*", ResponsesAdvice::Required),
    ("gpt-5.5-pro*", ResponsesAdvice::Required),
    ("gpt-5.6-cyber*", ResponsesAdvice::Required),
    ("gpt-6-cyber*", ResponsesAdvice::Required),
    ("gpt-daybreak-*", ResponsesAdvice::Required),
    ("gpt-*rosalind*", ResponsesAdvice::Required),
    ("gpt-6.2-astra-law*", ResponsesAdvice::Required),
    ("grok-*-multi-agent*", ResponsesAdvice::Required),
    // They do not reason, or Chat Completions alone has them.
    ("gpt-5*-chat*", ResponsesAdvice::None),
    ("o1-mini*", ResponsesAdvice::None),
    ("o1-preview*", ResponsesAdvice::None),
    ("grok-*non-reasoning*", ResponsesAdvice::None),
    ("codex-mini*", ResponsesAdvice::Preferred),
    ("o1*", ResponsesAdvice::Preferred),
    ("o3*", ResponsesAdvice::Preferred),
    ("o4*", ResponsesAdvice::Preferred),
    ("grok-4*", ResponsesAdvice::Preferred),
    ("grok-5*", ResponsesAdvice::Preferred),
    ("grok-code*", ResponsesAdvice::Preferred),
    ("grok-latest", ResponsesAdvice::Preferred),
    ("gpt-5*", ResponsesAdvice::Preferred),
];

/// The advice for a model, by its id. Case is ignored, and so are a vendor's prefix (`openai/`) and suffix (`:online`).
pub fn advice(model: &str) -> ResponsesAdvice {
    let model = model.to_ascii_lowercase();
    let name = model.rsplit('/').next().unwrap_or(&model);
    let name = name.split(':').next().unwrap_or(name);
    let known = TABLE.iter().find(|(pattern, _)| matches(pattern, name)).map(|(_, advice)| *advice);
    known.unwrap_or(if is_later_gpt(name) { ResponsesAdvice::Preferred } else { ResponsesAdvice::None })
}

/// Whether this is a GPT whose major version is newer than the table.
fn is_later_gpt(name: &str) -> bool {
    let Some(version) = name.strip_prefix("gpt-") else { return false };
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse::<u32>().is_ok_and(|major| major >= 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: models that only the Responses API has are asked there, with a vendor's prefix and a date, too.
    #[test]
    fn models_without_chat_completions_require_the_responses_api() {
        for model in [
            "o1-pro",
            "o1-pro-2025-03-19",
            "o3-pro",
            "o3-deep-research-2025-06-26",
            "o4-mini-deep-research",
            "computer-use-preview-2025-03-11",
            "gpt-5-codex",
            "openai/gpt-5-pro-2025-10-06",
            "GPT-5.1-Codex-Max",
            "gpt-5.5-pro",
            "gpt-5.6-cyber",
            "gpt-6-cyber-2026-09-01",
            "gpt-daybreak-blue-latest",
            "gpt-6-rosalind",
            "gpt-rosalind-research",
            "gpt-6.2-astra-law",
            "x-ai/grok-4.20-multi-agent:online",
        ] {
            assert_eq!(advice(model), ResponsesAdvice::Required, "{model}");
        }
    }

    #[test]
    fn reasoning_models_prefer_it_and_others_do_not_care() {
        for model in [
            "gpt-5",
            "gpt-5-mini-2025-08-07",
            "gpt-5.1-codex",
            "gpt-5.4-pro",
            "gpt-6.1-sol",
            "gpt-6.2-astra-2026-11-01",
            "openai/gpt-6-luna",
            "gpt-10",
            "o1",
            "o3-mini",
            "o4-mini-2025-04-16",
            "grok-4.7",
            "grok-4-1-fast-reasoning",
        ] {
            assert_eq!(advice(model), ResponsesAdvice::Preferred, "{model}");
        }
        for model in [
            "gpt-4o",
            "gpt-4.1-mini",
            "gpt-4o-search-preview",
            "gpt-5-search-api",
            "gpt-5-chat-latest",
            "gpt-oss-120b",
            "gpt-audio",
            "gpt-realtime-2",
            "chatgpt-4o-latest",
            "o1-mini",
            "o1-preview-2024-09-12",
            "grok-3",
            "grok-4.1-fast-non-reasoning",
            "llama-4-maverick",
            "olmo-3",
            "my-deployment",
            "gpt-",
            "",
        ] {
            assert_eq!(advice(model), ResponsesAdvice::None, "{model}");
        }
    }
}
