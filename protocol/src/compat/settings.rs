//! Recognises refusals of settings in any wording: a known name followed by a verdict.

/// Optional settings whose names do not occur in a sentence by chance.
const SETTINGS: [&str; 14] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "stop_sequences",
    "parallel_tool_calls",
    "service_tier",
    "stream_options",
];
const VERDICTS: [&str; 12] = [
    "not supported",
    "no longer supported",
    "unsupported",
    "not allowed",
    "not permitted",
    "not accepted",
    "no longer accepted",
    "not available",
    "may not be specified",
    "cannot be set",
    "cannot be specified",
    "removed",
];
/// How vendors refuse a tool choice while the model thinks.
const AGAINST_CHOICE: [&str; 5] =
    ["incompatible", "does not support", "not supported", "unsupported", "cannot be used"];

/// Returns the settings that a text (lower case, all quotes alike) refuses.
pub(super) fn refused(lower: &str) -> Vec<&'static str> {
    // In a schema, any word can be the name of a property.
    if lower.contains("schema") {
        return vec![];
    }
    let sentences = lower.split(". ").filter_map(|sentence| {
        let end = VERDICTS.iter().filter_map(|verdict| sentence.find(verdict)).min()?;
        Some(&sentence[..end])
    });
    let mut found = vec![];
    for words in sentences {
        for word in words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.') {
            let name = SETTINGS.iter().find(|name| **name == word.trim_matches('.'));
            found.extend(name.filter(|name| !found.contains(*name)));
        }
    }
    found
}

/// Whether a tool choice is refused because the model thinks (Kimi, DeepSeek, Qwen).
pub(super) fn choice_against_thinking(lower: &str) -> bool {
    let says = |words: &&str| lower.contains(*words);
    lower.contains("tool_choice")
        && ["thinking", "reason"].iter().any(says)
        && AGAINST_CHOICE.iter().any(says)
}

/// Whether an effort level is refused because thinking is disabled (DeepSeek).
pub(super) fn effort_without_thinking(lower: &str) -> bool {
    const TOGETHER: [&str; 7] =
        [" when ", " with ", " while ", "together", "both", "incompatible", "conflict"];
    let mentions = |words: &[&str]| words.iter().any(|words| lower.contains(words));
    lower.contains("thinking")
        && lower.contains("disabled")
        && lower.contains("effort")
        && mentions(&TOGETHER)
}

/// Whether earlier assistant turns lack their reasoning (DeepSeek, Kimi).
pub(super) fn lacks_reasoning(lower: &str) -> bool {
    let mentions = |words: &[&str]| words.iter().any(|words| lower.contains(words));
    mentions(&["reasoning_content", "reasoning content", "content[].thinking"])
        && mentions(&["missing", "must be passed back", "must be provided", "is required", "field required"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_before_their_verdict() {
        for (text, expected) in [
            ("'temperature' is not supported with anthropic-version 2026-10-21.", "temperature"),
            (
                "'temperature', 'top_p' and 'top_k' are no longer supported. Use effort instead.",
                "temperature top_p top_k",
            ),
            ("temperature: not permitted in API version 2026-10-21", "temperature"),
            ("top_k may not be specified in this version", "top_k"),
            ("'temperature' and 'top_p' cannot both be specified for this model. Please use only one.", ""),
            ("temperature must be a number", ""),
            ("This is not supported. temperature is fine", ""),
            ("Invalid schema: 'temperature' is not supported", ""),
        ] {
            assert_eq!(refused(&text.to_ascii_lowercase()).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn conflicts_with_thinking_are_recognised_in_several_wordings() {
        for text in [
            "tool_choice 'required' is incompatible with thinking enabled",
            "tool_choice 'specified' is incompatible with thinking enabled",
            "thinking mode does not support this tool_choice",
            "the tool_choice parameter does not support being set to required or object in thinking mode",
            "deepseek-reasoner does not support this tool_choice",
        ] {
            assert!(choice_against_thinking(text), "{text}");
        }
        assert!(!choice_against_thinking("thinking may not be enabled when tool_choice forces tool use."));
        assert!(effort_without_thinking(
            "thinking options type cannot be disabled when reasoning_effort is set"
        ));
        assert!(effort_without_thinking("output_config.effort conflicts with disabled thinking"));
        assert!(!effort_without_thinking("this model does not support the effort parameter."));
        for text in [
            "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
            "the 'reasoning_content' in the thinking mode must be passed back to the api.",
            "the 'content[].thinking' in the thinking mode must be passed back to the api.",
            "missing 'reasoning_content' field in the assistant message at message index 2",
        ] {
            assert!(lacks_reasoning(text), "{text}");
        }
        assert!(!lacks_reasoning("property 'reasoning_content' is unsupported"));
    }
}
