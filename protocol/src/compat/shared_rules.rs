//! Decides whether a refusal applies to all requests or to one request alone.

use serde_json::Value;

use super::wordings::plain;

/// Words about the space that one prompt leaves, or about one customer's plan.
const REQUEST_SPECIFIC: [&str; 7] =
    ["remain", " left ", "leaves", "your input", "your prompt", "for your plan", "the prompt leaves"];
/// The number of characters of an echo that are compared: vendors truncate what they quote.
const COMPARED: usize = 24;
/// The shortest text that counts as a sentence. A shorter one is a name or a value.
const SHORTEST: usize = 8;
/// The largest request that is searched, in bytes. Refusals of larger requests are not remembered for others.
const LARGEST: usize = 8 << 20;

/// Whether the refusal may be remembered for the requests of other clients. It may not if it repeats a text of the
/// request, because clients choose those texts: a name in a schema can contain a whole sentence.
#[must_use]
pub fn applies_to_all_clients(refusal: &[u8], request: &[u8]) -> bool {
    let refusal = unescaped(&String::from_utf8_lossy(refusal));
    let lower = refusal.to_ascii_lowercase();
    if request.len() > LARGEST || REQUEST_SPECIFIC.iter().any(|words| lower.contains(words)) {
        return false;
    }
    let Ok(request) = serde_json::from_slice::<Value>(request) else { return false };
    !repeats(&refusal, &request)
}

/// Normalises quotes and removes escapes, regardless of how many times the upstream has nested its message in strings.
fn unescaped(text: &str) -> String {
    plain(&text.replace("\\n", " ").replace("\\t", " "))
}

fn repeats(refusal: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => is_repeated(refusal, text),
        Value::Array(values) => values.iter().any(|value| repeats(refusal, value)),
        Value::Object(members) => {
            members.iter().any(|(name, value)| is_repeated(refusal, name) || repeats(refusal, value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_repeated(refusal: &str, text: &str) -> bool {
    let is_sentence = text.len() >= SHORTEST && text.contains([' ', '\t', '\n', '\'', '"']);
    if !is_sentence {
        return false;
    }
    let start: String =
        text.chars().take(COMPARED).map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    refusal.contains(plain(&start).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(refusal: &str, request: &str) -> bool {
        applies_to_all_clients(refusal.as_bytes(), request.as_bytes())
    }

    #[test]
    fn a_refusal_that_repeats_a_text_applies_to_that_request_only() {
        let schema = r#"{"schema":{"properties":{"a set temperature to 0 and":{"minLength":1}}}}"#;
        let refusal = r#"{"error":{"message":"In context=('properties', 'a set temperature to 0 and'), 'minLength' is not permitted."}}"#;
        assert!(!is(refusal, schema));
        let effort = r#"{"reasoning_effort":"x' unsupported parameter: tool_choice 'y"}"#;
        let refusal = r#"{"error":{"message":"Invalid value: 'x' unsupported parameter: tool_choice 'y'."}}"#;
        assert!(!is(refusal, effort));
        let quoted = r#"{"a":"say \"unsupported parameter: top_p\" now"}"#;
        let refusal = r#"{"error":{"message":"bad: say \"unsupported parameter: top_p\" no..."}}"#;
        assert!(!is(refusal, quoted));
        let name = r#"{"tools":[{"name":"unsupported parameter: top_p"}]}"#;
        assert!(!is("tool unsupported parameter: top_p is bad", name));
    }

    #[test]
    fn a_refusal_may_repeat_names_and_values() {
        let request = r#"{"model":"gpt-5.6","reasoning_effort":"none","top_p":1,"messages":[{"role":"user","content":"How are you? Unsupported parameters are no topic."}]}"#;
        for refusal in [
            "Unsupported parameter: 'top_p' is not supported with this model.",
            "'reasoning_effort' does not support 'none' with this model.",
            "",
        ] {
            assert!(is(refusal, request), "{refusal}");
        }
    }

    #[test]
    fn the_space_left_by_a_prompt_is_not_a_limit_of_the_model() {
        for refusal in [
            "max_tokens (8000) exceeds the remaining 3000 tokens",
            "At most 700 tokens are left after your input",
            "at most 512, which is what the prompt leaves of the context window",
            "the maximum for your plan is 4096",
        ] {
            assert!(!is(refusal, "{}"), "{refusal}");
        }
        assert!(!is("Unsupported parameter: 'top_p'", "no JSON"));
    }
}
