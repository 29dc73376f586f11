//! Recognises errors about prompts that do not fit, and rewrites them in Anthropic's wording.
//!
//! No list of sentences can be complete. A message is recognised by its shape: words for the input, for an excess and
//! for tokens, and numbers classified by the words around them.

use super::numbers::{Number, numbers};

/// Anthropic's wording for a prompt that is too long by itself. Claude Code reads both numbers and compacts.
pub(super) fn too_long(tokens: u64, maximum: u64) -> String {
    format!("prompt is too long: {tokens} tokens > {maximum} maximum")
}

/// Anthropic's wording if the prompt is too long only together with the requested output. Claude Code retries with a
/// smaller output limit.
fn no_room(input: u64, max_tokens: u64, limit: u64) -> String {
    format!("input length and `max_tokens` exceed context limit: {input} + {max_tokens} > {limit}")
}

/// OpenAI's error code.
pub(super) const CODE: &str = "context_length_exceeded";

/// Codes and phrases that are sufficient by themselves.
const PHRASES: [&str; 24] = [
    CODE,
    "exceed_context_size",
    "available context size",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input too long",
    "prompt exceeds max length",
    "reduce the length of the messages",
    "maximum context length",
    "context length exceeded",
    "context length is only",
    "context window exceed",
    "context_window_exceeded",
    "exceeds the context window",
    "exceeds model context window",
    "exceed context limit",
    "context overflow",
    "greater than the context length",
    "longer than the model's context length",
    "longer than the maximum model length",
    "exceeded model token limit",
    "exceeds the maximum number of tokens",
    "input tokens exceed",
];
/// The words of the shape.
const INPUT: [&str; 10] = [
    "context",
    "prompt",
    "input",
    "inputs",
    "messages",
    "conversation",
    "history",
    "sequence",
    "n_ctx",
    "n_keep",
];
const EXCESS: [&str; 19] = [
    "at most",
    "exceed",
    "longer than",
    "larger than",
    "greater than",
    "more than",
    "too long",
    "too large",
    "too many",
    "maximum",
    "limit",
    "overflow",
    ">",
    "<=",
    "reduce",
    "only",
    "supports",
    "not fit",
    "n't fit",
];
const UNIT: [&str; 5] = ["token", "tokens", "context", "n_ctx", "n_keep"];
/// Words about rate limits and money.
const OTHER_LIMITS: [&str; 18] = [
    "rate limit",
    "rate_limit",
    "per min",
    "per hour",
    "per day",
    "tpm",
    "rpm",
    "daily",
    "monthly",
    "weekly",
    "hourly",
    "quota",
    "credits",
    "afford",
    "billing",
    "try again in",
    "too many requests",
    "concurren",
];
/// Words about the length of the output only.
const OUTPUT: [&str; 8] = [
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "completion tokens",
    "output tokens",
    "max tokens",
    "maximum tokens",
];
/// Words that show that the input matters as well.
const INPUT_TOO: [&str; 10] = [
    "context length",
    "context window",
    "context size",
    "context limit",
    "prompt",
    "input tokens",
    "input length",
    "input messages",
    "inputs",
    "your messages",
];
/// Things other than the input that can be too long or too many.
const OTHER_THINGS: [&str; 15] = [
    "array too long",
    "string too long",
    "schema",
    "bytes",
    "characters",
    "pixel",
    "sequences",
    "per image",
    "image exceeds",
    "image has",
    "image is",
    "image too",
    "too short",
    "too small",
    "minimum",
];
/// If only one number occurs, it counts one of these.
const MEDIA: [&str; 7] = ["image", "audio", "video", "file", "pdf", "page", "pages"];
/// Request members that an error can be about, and that contain no input.
const OTHER_MEMBERS: [&str; 24] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "stop_sequences",
    "n",
    "seed",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "tools",
    "tool_choice",
    "functions",
    "response_format",
    "reasoning_effort",
    "thinking",
    "service_tier",
    "prompt_cache_key",
    "cache_control",
    "image",
];
/// Words that follow the member that an error is about.
const VERBS: [&str; 7] = [" must", " should", " may", " can", " is ", " has ", " exceeds"];
/// How many words before a number describe it.
const NEAR: usize = 4;
/// A smaller number without context is a status or counts something else.
const LEAST: u64 = 1000;

/// Words around a number that show what it counts.
const AFTER_OUTPUT: [&str; 7] = [
    "in the completion",
    "for the completion",
    "in the output",
    "output tokens",
    "completion tokens",
    "'max_new_tokens'",
    "in the response",
];
const AFTER_INPUT: [&str; 11] = [
    "in the messages",
    "in the functions",
    "in the tools",
    "in your prompt",
    "of text input",
    "of tool input",
    "of image input",
    "from the input",
    "input tokens",
    "prompt tokens",
    "'inputs' tokens",
];
const AFTER_LIMIT: [&str; 4] = ["maximum", "max ", "token limit", "context"];
const BEFORE_OUTPUT: [&str; 2] = ["is too large:", "max_new_tokens:"];
const BEFORE_LIMIT: [&str; 12] = [
    "maximum",
    "limit",
    "context length",
    "context size",
    "context window",
    "n_ctx",
    "allowed",
    "at most",
    "up to",
    "<=",
    "model length",
    "model with",
];

/// Whether a message has Anthropic's own wording.
pub(super) fn is_anthropic_wording(message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    lower.starts_with("prompt is too long:") || lower.starts_with("input length and `max_tokens` exceed")
}

/// Whether a message in Anthropic's wording has the numbers that Claude Code reads.
pub(super) fn has_numbers(message: &str) -> bool {
    message.contains(" tokens > ") || message.contains(" exceed context limit: ")
}

/// Returns the message in Anthropic's wording if it is about length. `codes` are the vendor's error codes in lower
/// case.
pub(super) fn rewrite(message: &str, codes: &[String]) -> Option<String> {
    // An upstream that is itself a gateway has passed Anthropic's message on.
    if is_anthropic_wording(message) {
        return Some(message.to_owned());
    }
    let lower = message.to_ascii_lowercase().replace(['`', '"'], "'");
    let numbers = numbers(&lower);
    let has_code = codes.iter().any(|code| PHRASES.iter().any(|phrase| code.contains(phrase)));
    if !has_code && !is_about_input(&lower, &numbers) {
        return None;
    }
    Some(
        MessageNumbers::parse(&lower, &numbers)
            .message()
            .unwrap_or_else(|| format!("prompt is too long: {message}")),
    )
}

fn is_about_input(lower: &str, numbers: &[Number]) -> bool {
    let says = |phrase: &&str| lower.contains(*phrase);
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let has = |known: &[&str]| lower.split(|c| !is_of_word(c)).any(|word| known.contains(&word));
    if OTHER_LIMITS.iter().any(says) || (OUTPUT.iter().any(says) && !INPUT_TOO.iter().any(says)) {
        return false;
    }
    if PHRASES.iter().any(says) {
        return true;
    }
    let large: Vec<_> = numbers.iter().filter(|number| number.value >= LEAST).collect();
    let is_counted = match large[..] {
        [] => false,
        [number] => limits_tokens(lower, *number) && !has(&MEDIA),
        _ => true,
    };
    is_counted
        && has(&INPUT)
        && has(&UNIT)
        && EXCESS.iter().any(says)
        && !OTHER_THINGS.iter().any(says)
        && !blames_other_member(lower)
}

/// Whether a number counts tokens, and its clause describes them as a limit or as input tokens.
fn limits_tokens(lower: &str, number: Number) -> bool {
    let before = lower[..number.start].rsplit([';', '.']).next().unwrap_or_default();
    let after = lower[number.end..].trim_start_matches([' ', ')']);
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let near: Vec<_> = before.split(|c| !is_of_word(c)).rev().filter(|word| !word.is_empty()).collect();
    let near = near.get(..NEAR.min(near.len())).unwrap_or_default();
    let counts_tokens = near.iter().any(|word| UNIT.contains(word))
        || UNIT.iter().chain(&["input tokens", "prompt tokens"]).any(|unit| after.starts_with(unit));
    let says = |words: &&str| before.contains(*words);
    let governs = BEFORE_LIMIT.iter().chain(&EXCESS).chain(&INPUT).any(says)
        || AFTER_LIMIT.iter().any(|words| after.starts_with(words));
    counts_tokens && governs
}

/// Whether the message begins with a request member that does not hold the input, or quotes such members only.
fn blames_other_member(lower: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begin = lower.trim_start_matches(|c| !is_of_name(c));
    let first = begin.split(|c| !is_of_name(c)).next().unwrap_or_default();
    let rest = &begin[first.len()..];
    // A sentence can begin with the same word ("Tools and messages exceed").
    let is_name = !rest.starts_with(' ') || VERBS.iter().any(|verb| rest.starts_with(verb));
    let quotes = |names: &[&str]| lower.split('\'').any(|part| names.contains(&part));
    (is_name && OTHER_MEMBERS.contains(&first)) || (quotes(&OTHER_MEMBERS) && !quotes(&INPUT))
}

/// The numbers of a message by what they count.
#[derive(Default)]
struct MessageNumbers {
    /// Parts of the input.
    input: Option<u64>,
    output: Option<u64>,
    limits: Vec<u64>,
    others: Vec<u64>,
}

impl MessageNumbers {
    fn parse(lower: &str, numbers: &[Number]) -> Self {
        let mut counts = Self::default();
        let is_alone = numbers.iter().filter(|number| number.value >= LEAST).count() == 1;
        let mut from = 0;
        for number in numbers {
            let before = &lower[from..number.start];
            let before = before.rsplit(". ").next().unwrap_or(before);
            let after = lower[number.end..].trim_start();
            let follows = |words: &[&str]| words.iter().any(|words| after.starts_with(words));
            let precedes = |words: &[&str]| words.iter().any(|words| before.contains(words));
            let value = number.value;
            from = number.end;
            if follows(&AFTER_OUTPUT) || precedes(&BEFORE_OUTPUT) {
                counts.output = Some(value);
            } else if follows(&AFTER_INPUT) || follows(&["tokens from the input"]) {
                counts.input = Some(counts.input.unwrap_or_default().saturating_add(value));
            } else if follows(&["tokens for the completion"]) {
                counts.output = Some(value);
            } else if value < LEAST && !after.starts_with("token") {
                // The number is a status or counts something else.
            } else if is_alone && before.trim_end().ends_with('(') && after.starts_with(')') {
                // MiniMax puts a code of its own there.
                counts.others.push(value);
            } else if precedes(&BEFORE_LIMIT) || follows(&AFTER_LIMIT) {
                counts.limits.push(value);
            } else {
                counts.others.push(value);
            }
        }
        counts
    }

    /// Returns the error in Anthropic's wording; `None` if the limit is unknown.
    fn message(&self) -> Option<String> {
        let all = || self.limits.iter().chain(&self.others).copied();
        let (limit, tokens) = match (&self.limits[..], self.input) {
            // The space left for the input is given beside the limit of both.
            ([..], Some(_)) if !self.limits.is_empty() => {
                (self.limits.iter().copied().max()?, self.others.iter().copied().max())
            }
            ([limit], None) => (*limit, self.others.iter().copied().max()),
            _ => (all().min()?, all().max().filter(|most| Some(*most) != all().min())),
        };
        if let (Some(input), Some(output)) = (self.input, self.output)
            && input < limit
            && input.saturating_add(output) > limit
        {
            return Some(no_room(input, output, limit));
        }
        let tokens = [tokens, self.input].into_iter().flatten().find(|&tokens| tokens >= limit);
        match tokens {
            Some(tokens) => Some(too_long(tokens, limit)),
            // Only the limit is known: report the smallest size that does not fit.
            None if !self.limits.is_empty() => Some(too_long(limit.saturating_add(1), limit)),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VENDORS: &[(&str, &str)] = &[
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
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 4096 tokens and your request has 900 input tokens (8000 > 4096 - 900).",
            "input length and `max_tokens` exceed context limit: 900 + 8000 > 4096",
        ),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 8700 tokens (700 in the messages, 8000 in the completion). Please reduce the length of the messages or completion.",
            "input length and `max_tokens` exceed context limit: 700 + 8000 > 8192",
        ),
        (
            "This model's maximum context length is 512 tokens. However, your messages resulted in 2000 tokens.",
            "prompt is too long: 2000 tokens > 512 maximum",
        ),
        (
            "`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 500 `inputs` tokens and 4000 `max_new_tokens`",
            "input length and `max_tokens` exceed context limit: 500 + 4000 > 4097",
        ),
        (
            "Error code: 400 - invalid params, context window exceeds limit (2013)",
            "prompt is too long: Error code: 400 - invalid params, context window exceeds limit (2013)",
        ),
        ("prompt is too long: 5 tokens > 4 maximum", "prompt is too long: 5 tokens > 4 maximum"),
        ("Prompt exceeds max length", "prompt is too long: Prompt exceeds max length"),
        (
            "The input (345516 tokens) is longer than the model's context length (262144 tokens).",
            "prompt is too long: 345516 tokens > 262144 maximum",
        ),
        (
            "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 20000>= n_ctx: 4096). Try to load the model with a larger context length, or provide a shorter input",
            "prompt is too long: 20000 tokens > 4096 maximum",
        ),
        (
            "Your request exceeded model token limit: 262144",
            "prompt is too long: 262145 tokens > 262144 maximum",
        ),
        (
            "The decoder prompt (length 40000) is longer than the maximum model length of 32768.",
            "prompt is too long: 40000 tokens > 32768 maximum",
        ),
        (
            "This endpoint's maximum context length is 262144 tokens. However, you requested about 284283 tokens (8963 of text input, 13176 of tool input, 262144 in the output). Please reduce the length of either one",
            "input length and `max_tokens` exceed context limit: 22139 + 262144 > 262144",
        ),
        (
            "You passed 30000 input tokens and requested 4096 output tokens. However, the model's context length is only 32768 tokens, resulting in a maximum input length of 28672 tokens. Please reduce the length of the input prompt.",
            "input length and `max_tokens` exceed context limit: 30000 + 4096 > 32768",
        ),
        (
            "Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total of 40000 tokens: 8000 tokens from the input messages and 32000 tokens for the completion.",
            "input length and `max_tokens` exceed context limit: 8000 + 32000 > 32768",
        ),
        (
            "`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens and 512 `max_new_tokens`",
            "prompt is too long: 5000 tokens > 4097 maximum",
        ),
        (
            "Error code: 400 - The conversation has 210,000 tokens, but this model takes at most 200,000.",
            "prompt is too long: 210000 tokens > 200000 maximum",
        ),
        (
            "prompt has 70000 tokens, but the model only supports 65536 tokens of context",
            "prompt is too long: 70000 tokens > 65536 maximum",
        ),
        (
            "The conversation (50,000 tokens) does not fit into this model's context of 32,768 tokens",
            "prompt is too long: 50000 tokens > 32768 maximum",
        ),
        (
            "the request exceeds the available context size (8192 tokens), try increasing it",
            "prompt is too long: 8193 tokens > 8192 maximum",
        ),
        (
            "invalid params, context window exceeds limit (2013)",
            "prompt is too long: invalid params, context window exceeds limit (2013)",
        ),
    ];

    /// Complaint of gateway users: a prompt that is too long is reported as a server error.
    #[test]
    fn every_vendors_wording_becomes_anthropics() {
        for (vendor, expected) in VENDORS {
            assert_eq!(rewrite(vendor, &[]).as_deref(), Some(*expected), "{vendor}");
        }
    }

    #[test]
    fn one_number_is_enough_if_it_limits_the_input() {
        for message in [
            "The prompt must have at most 4096 tokens",
            "input has more than 4,096 tokens",
            "Input exceeds the token limit of 4096",
            "messages: only 32768 tokens of context are supported",
            "Tools and messages exceed the limit of 8192 tokens for the input",
            "Token limit exceeded, reduce 'messages' or 'tools': the model's limit is 8192 tokens of input",
        ] {
            let rewritten = rewrite(message, &[]);
            assert!(
                rewritten.is_some_and(|rewritten| rewritten.starts_with("prompt is too long: ")),
                "{message}"
            );
        }
    }

    #[test]
    fn a_code_alone_is_enough() {
        let codes = ["context_length_exceeded".to_owned()];
        assert_eq!(rewrite("too much", &codes).as_deref(), Some("prompt is too long: too much"));
    }

    #[test]
    fn other_errors_are_left_alone() {
        for message in [
            "Invalid schema for function 'Read'",
            "max_tokens must be at least 1",
            "Rate limit reached for gpt-5 on input tokens per min (TPM): Limit 30000, Used 20000, Requested 15000.",
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 30601. The input or output tokens must be reduced.",
            "Daily token limit of your prompt exceeded: 1000000",
            "max_tokens is too large: 64000. This model supports at most 32768 completion tokens, whereas you provided 64000 completion tokens.",
            "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for claude-x-4-5",
            "`max_completion_tokens` must be less than or equal to `32768`, the maximum value for `max_completion_tokens` is less than the `context_window` for this model",
            "The maximum tokens you requested exceeds the model limit of 4096.",
            "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 1024, but got a string with length 2000 instead.",
            "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes",
            "This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 3919",
            "`temperature` must be at most 2 for prompts over 1000 tokens",
            "temperature: must be at most 2 if the prompt has more than 1000 tokens",
            "Invalid value for 'top_p': only 1 is supported if the prompt has more than 1000 tokens",
            "stop: at most 4 sequences, input has 1000 tokens",
            "tools.3.description: at most 1024 tokens, but the input has 3000 tokens",
            "image exceeds the maximum of 8000 pixels per token in the input",
            "supports at most 4096 tokens of input per image",
            "messages.0.content.1: the image has 5000 tokens, but at most 4096 tokens of input are supported per image",
            "the tokens of the prompt must be signed, error 2013: only admins are supported",
            "",
        ] {
            assert_eq!(rewrite(message, &[]), None, "{message}");
        }
    }
}
