//! Estimates the number of input tokens of a request from the shapes of its words, without a vocabulary and without
//! network access.
//!
//! Byte-pair tokenizers first cut text into pieces (a word with the space before it, up to three digits, a run of
//! punctuation), and in typical text most pieces are one token. `shape` makes the same cuts and knows which pieces are
//! likely to take more than one token; `request` knows which parts of a body a model sees. Measured against o200k_base
//! in `protocol/tests/tokens.rs`. Estimates lean upwards: compacting too early costs little.

use thiserror::Error;

use shape::Shape;

mod block;
mod glyph;
mod image;
mod pairs;
mod request;
mod shape;

/// Why the tokens of a body cannot be estimated, in a wording for the client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EstimateError {
    /// `offset` is the first byte that is not valid UTF-8.
    #[error("the body is not valid UTF-8 (at byte {offset})")]
    NotUtf8 { offset: usize },
    /// `offset` is the first violation of the grammar, or the body's length if it is truncated.
    #[error("the body is not valid JSON (at byte {offset})")]
    NotJson { offset: usize },
    /// Valid JSON of another type.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// No top-level `messages` or `input`.
    #[error("messages: field required")]
    NoMessages,
    /// `messages` is of another type.
    #[error("messages: must be an array")]
    MessagesNotAList,
}

/// Returns the tokens of a plain text; 0 only for an empty text.
#[must_use]
pub fn text(text: &str) -> u64 {
    let mut shape = Shape::default();
    for character in text.chars() {
        shape.push(character);
    }
    shape.tokens()
}

/// Returns the input tokens of the body of a Messages request, which is also the body of `count_tokens`, or of a request of
/// OpenAI's APIs; at least 1.
///
/// Everything that a model sees is counted: system, messages with every type of block, tools, the required form of the
/// answer, and a small amount for the framing of each. Members of unknown blocks count as text, so that a new type of
/// block is never free. Duplicate keys are all counted. The body is read in one pass, without recursion at any depth.
///
/// # Errors
/// Returns the first [`EstimateError`] that applies; missing `messages` are reported only for a body that is valid to
/// its end.
pub fn messages(body: &[u8]) -> Result<u64, EstimateError> {
    let body =
        std::str::from_utf8(body).map_err(|error| EstimateError::NotUtf8 { offset: error.valid_up_to() })?;
    request::tokens(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: requests of the Responses API are estimated, too: instructions, items, tools and images.
    #[test]
    fn a_request_of_responses_is_estimated_like_one_of_messages() {
        let estimate = |body: &str| messages(body.as_bytes()).expect("a request");
        let near = |one: &str, other: &str| {
            let (one, other) = (estimate(one), estimate(other));
            assert!(one.abs_diff(other) <= 8, "{one} and {other}");
        };
        let prose = "Reads a file from the disk and returns all of its lines. ".repeat(20);
        let schema = r#"{"type":"object","properties":{"path":{"type":"string"}}}"#;
        near(
            &format!(
                r#"{{"instructions":"{prose}","input":"hi","tools":[{{"type":"function","name":"read","description":"d","parameters":{schema}}}]}}"#
            ),
            &format!(
                r#"{{"system":"{prose}","messages":[{{"role":"user","content":"hi"}}],"tools":[{{"name":"read","description":"d","input_schema":{schema}}}]}}"#
            ),
        );
        near(
            &format!(
                r#"{{"input":[{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{prose}"}}]}},
                    {{"type":"function_call","id":"fc_1","call_id":"call_1","name":"read","arguments":"{{\"path\":\"a\"}}","status":"completed"}},
                    {{"type":"function_call_output","call_id":"call_1","output":"{prose}"}}]}}"#
            ),
            &format!(
                r#"{{"messages":[{{"role":"user","content":"{prose}"}},
                    {{"role":"assistant","content":[{{"type":"tool_use","id":"call_1","name":"read","input":{{"path":"a"}}}}]}},
                    {{"role":"user","content":[{{"type":"tool_result","tool_use_id":"call_1","content":"{prose}"}}]}}]}}"#
            ),
        );
        let data = "A".repeat(40_000);
        near(
            &format!(
                r#"{{"input":[{{"type":"function_call_output","call_id":"c","output":[{{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,{data}"}}]}}]}}"#
            ),
            &format!(
                r#"{{"messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"c","content":[{{"type":"image","source":{{"type":"base64","data":"{data}"}}}}]}}]}}]}}"#
            ),
        );
    }

    /// Requirement: requests of Chat Completions are estimated, too: their tools, calls and images. An image in a URL is an image, not
    /// text.
    #[test]
    fn a_request_of_chat_completions_is_estimated_like_one_of_messages() {
        let estimate = |body: &str| messages(body.as_bytes()).expect("a request");
        let tool = r#""name":"read","description":"Reads a file from the disk and returns all of its lines""#;
        let schema = r#"{"type":"object","properties":{"path":{"type":"string"}}}"#;
        let ask = r#""messages":[{"role":"user","content":"hi"}]"#;
        let chat = format!(
            r#"{{{ask},"tools":[{{"type":"function","function":{{{tool},"parameters":{schema}}}}}]}}"#
        );
        let same = format!(r#"{{{ask},"tools":[{{{tool},"input_schema":{schema}}}]}}"#);
        assert!((estimate(&same)..=estimate(&same) + 8).contains(&estimate(&chat)), "{}", estimate(&chat));

        let data = "A".repeat(40_000);
        let image = |block: String| format!(r#"{{"messages":[{{"role":"user","content":[{block}]}}]}}"#);
        let url =
            image(format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#));
        let source = image(format!(r#"{{"type":"image","source":{{"type":"base64","data":"{data}"}}}}"#));
        assert_eq!(estimate(&url), estimate(&source));

        let call = |arguments: &str| {
            let function = format!(r#"{{"name":"f","arguments":"{arguments}"}}"#);
            estimate(&format!(
                r#"{{"messages":[{{"role":"assistant","tool_calls":[{{"function":{function}}}]}}]}}"#
            ))
        };
        assert!(call(&"many words ".repeat(100)) > call("") + 150);
    }
}
