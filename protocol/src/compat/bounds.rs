//! Recognises refusals of a number that is too large or too small by their shape: the name of the number, and a bound.

use super::{Bound, Fixup, TOKEN_LIMIT, TOKEN_LIMITS};
use crate::openai::error::{Number, is_overflow, numbers};

/// Other names of the token limit, in lower case.
const LIMIT_WORDS: [&str; 7] = [
    "max_new_tokens",
    "maxoutputtokens",
    "max tokens",
    "maximum tokens",
    "output tokens",
    "completion tokens",
    "max output",
];
/// Words about rate limits and money.
const OTHER_LIMITS: [&str; 7] =
    ["rate limit", "per min", "per day", "per hour", "quota", "credits", "budget_tokens"];
/// Words in front of a number that repeats the sent value.
const ECHOES: [&str; 9] =
    ["got", "received", "provided", "requested", "passed", "given", "sent", "asked for", "you set"];
const MOST: [&str; 12] = [
    "maximum",
    "at most",
    "<=",
    "less than or equal",
    "no more than",
    "not be more than",
    "not exceed",
    "cannot exceed",
    "exceeds",
    "limit",
    "up to",
    "max allowed",
];
const LEAST: [&str; 7] = [
    "minimum",
    "at least",
    ">=",
    "greater than or equal",
    "no less than",
    "not be less than",
    "cannot be less than",
];
const SMALLER: [&str; 4] = ["less than", "smaller than", "lower than", "below"];
const LARGER: [&str; 6] = ["greater than", "larger than", "more than", "higher than", "above", ">"];
const DEMANDS: [&str; 4] = ["must be", "should be", "needs to be", "has to be"];
/// No model has a smaller token limit. A smaller number is part of a name, such as `Claude 3 Opus`.
const LEAST_LIMIT: u64 = 256;
/// The longest clause in front of a number, in bytes.
const LONGEST_CLAUSE: usize = 120;

/// Returns the bounds in a text. `param` is the name beside the text, or empty.
pub(super) fn find(lower: &str, param: &str) -> Vec<Fixup> {
    let Some(name) = subject(lower, param) else { return vec![] };
    if OTHER_LIMITS.iter().any(|words| lower.contains(words)) || is_overflow(lower) {
        return vec![];
    }
    let mut fixups = vec![];
    let mut add = |bound| {
        // A value below one is an error of the client; the client receives it.
        if matches!(bound, Bound::AtLeast(0 | 1)) {
            return;
        }
        if let Some(fixup) = Fixup::bound(name, bound).filter(|fixup| !fixups.contains(fixup)) {
            fixups.push(fixup);
        }
    };
    let numbers = numbers(lower);
    for pair in numbers.windows(2) {
        let [low, high] = pair else { continue };
        if is_range(lower, low, high) && low.value < high.value {
            add(Bound::AtLeast(low.value));
            let is_open = lower[high.end..].trim_start().starts_with("(exclusive)");
            add(Bound::AtMost(high.value - u64::from(is_open)));
            return fixups;
        }
    }
    let mut before = 0;
    for number in &numbers {
        let bound = bound(clause(&lower[before..number.start]), number.value);
        if name == TOKEN_LIMIT && matches!(bound, Some(Bound::AtMost(most)) if most < LEAST_LIMIT) {
            continue;
        }
        bound.into_iter().for_each(&mut add);
        before = number.end;
    }
    fixups
}

/// Returns the number that a text is about: the token limit, or the member that OpenAI and pydantic name first.
fn subject<'t>(lower: &'t str, param: &'t str) -> Option<&'t str> {
    let is_limit = |name: &str| TOKEN_LIMITS.contains(&name);
    let mentions = |words: &&str| lower.contains(*words);
    if is_limit(param) || TOKEN_LIMITS.iter().any(mentions) || LIMIT_WORDS.iter().any(mentions) {
        return Some(TOKEN_LIMIT);
    }
    if let Some(rest) = lower.strip_prefix("invalid '")
        && (lower.contains("above maximum") || lower.contains("below minimum"))
    {
        return rest.split('\'').next();
    }
    const PYDANTIC: [&str; 2] = [": input should be less than", ": input should be greater than"];
    let at = PYDANTIC.iter().find_map(|words| lower.find(words))?;
    lower[..at].rsplit([' ', '\'', '(']).next()
}

/// Matches `[1, 8192]`, `between 1 and 8192`, `range 1-8192`.
fn is_range(text: &str, low: &Number, high: &Number) -> bool {
    let between = text[low.end..high.start].replace("(inclusive)", "").replace("(exclusive)", "");
    let between = between.trim();
    let before = text[..low.start].trim_end();
    match between {
        "," => before.ends_with(['[', '(']),
        "and" => before.ends_with("between") || before.ends_with("between ["),
        "to" => before.ends_with("from") || before.ends_with("range") || before.ends_with("range of"),
        "-" | "~" | ".." | "\u{2013}" => before.contains("range"),
        _ => false,
    }
}

/// Returns the end of a text that belongs to the number that follows it.
fn clause(text: &str) -> &str {
    let start = text.rfind(". ").map_or(0, |at| at + 2);
    let mut start = start.max(text.rfind(';').map_or(0, |at| at + 1));
    start = start.max(text.len().saturating_sub(LONGEST_CLAUSE));
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Derives a bound from the words in front of a number.
fn bound(clause: &str, value: u64) -> Option<Bound> {
    let says = |words: &[&str]| words.iter().any(|words| clause.contains(words));
    let end = clause.trim_end_matches([' ', ':', '\'', '(', '=', '`']);
    if ECHOES.iter().any(|echo| end.ends_with(echo)) {
        return None;
    }
    let demands = says(&DEMANDS);
    if says(&LEAST) && !says(&["maximum", "at most", "<="]) {
        Some(Bound::AtLeast(value))
    } else if says(&MOST) {
        Some(Bound::AtMost(value))
    } else if says(&SMALLER) && demands {
        value.checked_sub(1).map(Bound::AtMost)
    } else if says(&LARGER) {
        Some(if demands { Bound::AtLeast(value + 1) } else { Bound::AtMost(value) })
    } else {
        None
    }
    .filter(|bound| *bound != Bound::AtMost(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let rules: Vec<_> = find(&lower, "").iter().filter_map(Fixup::rule).map(|(_, rule)| rule).collect();
        rules.join(" ")
    }

    #[test]
    fn the_limit_is_found_in_every_vendors_words() {
        for (text, rules) in [
            (
                "max_tokens is too large: 64000. This model supports at most 32768 completion tokens, whereas you provided 64000.",
                "max_tokens<=32768",
            ),
            ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", "max_tokens<=8192"),
            (
                "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 65,536]",
                "max_tokens<=65536",
            ),
            ("The max tokens must be between 1 and 5000.", "max_tokens<=5000"),
            ("max_tokens must be less than or equal to 4096", "max_tokens<=4096"),
            (
                "'max_completion_tokens' must be less than or equal to '32768', the maximum value for 'max_completion_tokens' is less than the 'context_window' for this model",
                "max_tokens<=32768",
            ),
            (
                "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for claude-sonnet-4-5",
                "max_tokens<=64000",
            ),
            ("the maximum allowed number of output tokens for this model is 8192", "max_tokens<=8192"),
            (
                "The parameter max_tokens specified in the request is not valid: integer above maximum value, expected a value <= 32768, but got 64000 instead. Request id: 0217724325966514087c9",
                "max_tokens<=32768",
            ),
            (
                "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096.",
                "max_tokens<=4096",
            ),
            (
                "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 64000.",
                "max_tokens<=4096",
            ),
            ("max_tokens (64000) exceeds the model's maximum output (8,192)", "max_tokens<=8192"),
            ("max_tokens=64000 cannot be greater than max_total_tokens=32768", "max_tokens<=32768"),
            ("max_tokens must be less than 4097", "max_tokens<=4096"),
            (
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead.",
                "max_tokens>=16",
            ),
            ("The maximum number of output tokens for Claude 3 Opus is 4096", "max_tokens<=4096"),
            ("max_tokens is above the maximum supported by Qwen 3 (32768)", "max_tokens<=32768"),
            ("The max_tokens limit for tier 1 is 8192", "max_tokens<=8192"),
            ("max_tokens for GLM 5 cannot exceed 98304", "max_tokens<=98304"),
            (
                "Unable to submit request because it has a maxOutputTokens value of 100000 but the supported range is from 1 (inclusive) to 65537 (exclusive). Update the value and try again.",
                "max_tokens<=65536",
            ),
            ("max_tokens must be at least 2", "max_tokens>=2"),
            ("max_tokens must be greater than 1", "max_tokens>=2"),
            ("1 is less than the minimum of 16 - 'max_tokens'", "max_tokens>=16"),
            (
                "Invalid 'temperature': decimal above maximum value. Expected a value <= 1, but got 1.5 instead.",
                "temperature<=1",
            ),
            ("top_k: Input should be less than or equal to 64", "top_k<=64"),
        ] {
            assert_eq!(found(text), rules, "{text}");
        }
    }

    #[test]
    fn rate_limits_and_quotas_are_ignored() {
        for text in [
            "Rate limit reached for output tokens per min: Limit 3, Used 2",
            "This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 3919",
            "'max_tokens' is too large: 32000. This model's maximum context length is 40960 tokens and your request has 15000 input tokens (32000 > 40960 - 15000).",
            "input length and 'max_tokens' exceed context limit: 3 + 2 > 4",
            "'max_tokens' must be greater than 'thinking.budget_tokens'",
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            "messages.0: at least 1 message is required",
            "max_tokens: field required",
            "max_tokens: Input should be greater than or equal to 1",
            "gpt-5.1 has no max_tokens",
            "",
        ] {
            assert_eq!(found(text), "", "{text}");
        }
    }
}
