//! How vendors say that a prompt does not fit, and how Anthropic says it.

/// Anthropic's wording for a prompt that is too long by itself. Claude Code reads both numbers and compacts.
pub(super) fn too_long(tokens: u64, maximum: u64) -> String {
    format!("prompt is too long: {tokens} tokens > {maximum} maximum")
}

/// Anthropic's wording if only the wanted output makes it too long. Claude Code asks again for less.
fn no_room(input: u64, max_tokens: u64, limit: u64) -> String {
    format!("input length and `max_tokens` exceed context limit: {input} + {max_tokens} > {limit}")
}

/// A wording, and after which words its numbers stand.
struct Wording {
    says: &'static str,
    limit: &'static str,
    tokens: &'static str,
}

/// Texts of OpenAI, vLLM, OpenRouter, DeepSeek (first three), newer ones of OpenAI, Gemini, xAI, Moonshot, Mistral, llama.cpp, Cerebras,
/// GitHub Copilot, Together, SGLang; lower case. The more particular one stands first.
const WORDINGS: [Wording; 13] = [
    Wording {
        says: "maximum context length is",
        limit: "maximum context length is",
        tokens: "you requested",
    },
    Wording { says: "maximum context length is", limit: "maximum context length is", tokens: "resulted in" },
    Wording { says: "maximum context length is", limit: "maximum context length is", tokens: "request has" },
    Wording {
        says: "exceed the configured limit of",
        limit: "exceed the configured limit of",
        tokens: "resulted in",
    },
    Wording { says: "exceeds the maximum number of tokens", limit: "allowed", tokens: "token count" },
    Wording { says: "maximum prompt length is", limit: "prompt length is", tokens: "request contains" },
    Wording { says: "exceeded model token limit", limit: "token limit:", tokens: "requested:" },
    Wording { says: "too large for model with", limit: "too large for model with", tokens: "contains" },
    Wording { says: "exceeds the available context size", limit: "context size", tokens: "request (" },
    Wording { says: "current length is", limit: "limit is", tokens: "current length is" },
    Wording { says: "prompt token count of", limit: "limit of", tokens: "token count of" },
    Wording { says: "`inputs` tokens + `max_new_tokens` must be", limit: "must be <=", tokens: "given:" },
    Wording {
        says: "longer than the model's context length",
        limit: "context length (",
        tokens: "tokens) (",
    },
];

/// OpenAI's code for it.
pub(super) const CODE: &str = "context_length_exceeded";

/// Texts and codes that say it without numbers.
const NUMBERLESS: [&str; 11] = [
    CODE,
    "exceed_context_size",
    "available context size",
    "prompt is too long",
    "input is too long",
    "prompt exceeds max length",
    "reduce the length of the messages",
    "maximum context length",
    "context window exceeded",
    "exceeds the context window",
    "exceeds the maximum number of tokens",
];

/// Whether a message says it in Anthropic's own words.
pub(super) fn is_told(message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    lower.starts_with("prompt is too long:") || lower.starts_with("input length and `max_tokens` exceed")
}

/// The message in Anthropic's words, if this is about length. `codes` are the vendor's, lower case.
pub(super) fn read(message: &str, codes: &[String]) -> Option<String> {
    // Let through by an upstream that is itself a gateway.
    if is_told(message) {
        return Some(message.to_owned());
    }
    let lower = message.to_ascii_lowercase();
    let numbers = WORDINGS.iter().filter(|wording| lower.contains(wording.says)).find_map(|wording| {
        let limit = number_after(&lower, wording.limit)?;
        let tokens = number_after(&lower, wording.tokens)?;
        Some((tokens, limit))
    });
    if let Some((tokens, limit)) = numbers {
        return Some(budget(&lower, tokens, limit).unwrap_or_else(|| too_long(tokens, limit)));
    }
    let says = |mark: &&str| lower.contains(*mark) || codes.iter().any(|code| code.contains(*mark));
    NUMBERLESS.iter().any(says).then(|| format!("prompt is too long: {message}"))
}

/// Whether the prompt alone would have fit: `(98000 in the messages, 32000 in the completion)`, vLLM's
/// `'max_tokens' … is too large: 32000`.
fn budget(lower: &str, tokens: u64, limit: u64) -> Option<String> {
    let wanted = number_after(lower, "is too large:").map(|wanted| (tokens, wanted));
    let (input, wanted) = wanted.or_else(|| {
        let input =
            number_before(lower, " in the messages").or_else(|| number_before(lower, " of text input"))?;
        let output =
            number_before(lower, " in the completion").or_else(|| number_before(lower, " in the output"))?;
        Some((input, output))
    })?;
    (input < limit && input.saturating_add(wanted) > limit).then(|| no_room(input, wanted, limit))
}

/// The first number behind these words.
fn number_after(text: &str, words: &str) -> Option<u64> {
    let rest = &text[text.find(words)? + words.len()..];
    let rest = &rest[rest.find(|character: char| character.is_ascii_digit())?..];
    let end =
        rest.find(|character: char| !character.is_ascii_digit() && character != ',').unwrap_or(rest.len());
    rest[..end].replace(',', "").parse().ok()
}

/// The number right before these words.
fn number_before(text: &str, words: &str) -> Option<u64> {
    let head = &text[..text.find(words)?];
    let start =
        head.rfind(|character: char| !character.is_ascii_digit() && character != ',').map_or(0, |at| at + 1);
    // A multi-byte character right before the number would make `start` no boundary; then there is no number.
    head.get(start..)?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendors_wording_becomes_anthropics() {
        for (vendor, expected) in [
            (
                "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens. Please reduce the length of the messages.",
                "prompt is too long: 130001 tokens > 128000 maximum",
            ),
            (
                "This model's maximum context length is 4096 tokens. However, you requested 6000 tokens (5000 in the messages, 1000 in the completion).",
                "prompt is too long: 6000 tokens > 4096 maximum",
            ),
            (
                "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (3000 in the messages, 2000 in the completion).",
                "input length and `max_tokens` exceed context limit: 3000 + 2000 > 4096",
            ),
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 40960 tokens and your request has 15000 input tokens (32000 > 40960 - 15000).",
                "input length and `max_tokens` exceed context limit: 15000 + 32000 > 40960",
            ),
            (
                "This endpoint's maximum context length is 131072 tokens. However, you requested about 140,000 tokens (100,000 of text input, 40,000 in the output).",
                "input length and `max_tokens` exceed context limit: 100000 + 40000 > 131072",
            ),
            (
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                "prompt is too long: 1200000 tokens > 1048576 maximum",
            ),
            (
                "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
                "prompt is too long: 537812 tokens > 131072 maximum",
            ),
            (
                "Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)",
                "prompt is too long: 140000 tokens > 131072 maximum",
            ),
            (
                "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
                "prompt is too long: 40000 tokens > 32768 maximum",
            ),
            (
                "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
                "prompt is too long: 9000 tokens > 8192 maximum",
            ),
            (
                "prompt token count of 130000 exceeds the limit of 128000",
                "prompt is too long: 130000 tokens > 128000 maximum",
            ),
            ("prompt is too long: 5 tokens > 4 maximum", "prompt is too long: 5 tokens > 4 maximum"),
            ("Prompt exceeds max length", "prompt is too long: Prompt exceeds max length"),
        ] {
            assert_eq!(read(vendor, &[]).as_deref(), Some(expected), "{vendor}");
        }
    }

    #[test]
    fn a_code_alone_is_enough() {
        let codes = ["context_length_exceeded".to_owned()];
        assert_eq!(read("too much", &codes).as_deref(), Some("prompt is too long: too much"));
    }

    #[test]
    fn other_errors_are_left_alone() {
        for message in ["Invalid schema for function 'Read'", "max_tokens must be at least 1", ""] {
            assert_eq!(read(message, &[]), None, "{message}");
        }
    }
}
