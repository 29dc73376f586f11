//! Recognises refusals of tool call ids: each vendor names an id and the required form.

use crate::tool_id::Form;

/// Names of an id in lower case, with quotes and blanks as [`super::wordings`] normalises them.
const NAMES: [&str; 7] =
    ["tool_use.id", "tool_use_id", "tooluseid", "tool_call_id", "tool call id", "tool_call.id", "call_id"];
/// The prefix of an element of OpenAI's list: `tool_calls[0].id`, `tool_calls.0.id`.
const LISTS: [&str; 2] = ["tool_calls[", "tool_calls."];
/// Phrases in front of a bound of the length.
const LENGTHS: [&str; 6] =
    ["length of ", "length ", "at most ", "exactly ", "no longer than ", "no more than "];

/// Returns the id form that a refusal demands. `text` is in lower case.
pub(super) fn form(text: &str) -> Option<Form> {
    if !names_an_id(text) {
        return None;
    }
    let bound = LENGTHS.iter().flat_map(|words| text.split(words).skip(1)).find_map(number);
    match bound {
        Some(9) => Some(Form::Mistral),
        Some(40) => Some(Form::OpenAi),
        Some(64) => Some(Form::Anthropic),
        Some(_) | None => demands_letters(text).then_some(Form::Anthropic),
    }
}

fn names_an_id(text: &str) -> bool {
    let in_list = |list: &str| {
        text.split(list).skip(1).any(|rest| {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(']');
            rest.strip_prefix(".id").is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        })
    };
    NAMES.iter().any(|name| text.contains(name)) || LISTS.into_iter().any(in_list)
}

/// Returns the number at the beginning of a text.
fn number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Matches `^[a-zA-Z0-9_-]+$`, or the same in words.
fn demands_letters(text: &str) -> bool {
    let demands =
        ["pattern", "regular expression", "regex", "alphanumeric", "only contain", "invalid character"];
    demands.iter().any(|demand| text.contains(demand))
}

#[cfg(test)]
mod tests {
    use crate::compat::{Fixup, recognise};

    use super::*;

    fn demanded(message: &str) -> Vec<Fixup> {
        let body = serde_json::json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
        recognise(400, body.to_string().as_bytes())
    }

    #[test]
    fn the_form_is_read_from_what_a_vendor_demands() {
        for (message, form) in [
            (
                "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
                Form::Anthropic,
            ),
            (
                "messages.12.content.3.tool_result.tool_use_id: String should match pattern `^[a-zA-Z0-9_-]+$`",
                Form::Anthropic,
            ),
            ("messages.3.content.1.tool_use.id: String should have at most 64 characters", Form::Anthropic),
            (
                "1 validation error detected: Value at 'messages.2.member.content.1.member.toolUse.toolUseId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
                Form::Anthropic,
            ),
            ("The tool_call_id may only contain letters, digits, _ and -", Form::Anthropic),
            (
                "Invalid 'messages[2].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length 46 instead.",
                Form::OpenAi,
            ),
            (
                "Invalid \"messages[13].tool_call_id\": string too long. Expected a string with maximum length 40.",
                Form::OpenAi,
            ),
            ("Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", Form::Mistral),
            ("tool_call_id: must be exactly 9 alphanumeric characters", Form::Mistral),
        ] {
            assert_eq!(demanded(message), [Fixup::ToolIds(form)], "{message}");
        }
    }

    #[test]
    fn other_refusals_that_name_an_id_demand_no_form() {
        for message in [
            "messages.2: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
            "Invalid 'messages[1].tool_calls[0].identity': string too long. Expected a string with maximum length 40.",
            "Invalid 'tools[0].function.name': string does not match pattern. Expected a maximum length 64",
        ] {
            assert_eq!(demanded(message), [], "{message}");
        }
    }
}
