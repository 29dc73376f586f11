//! Estimates the number of input tokens of a request from the shapes of its words, without a vocabulary and without
//! network access.
//!
//! Byte-pair tokenizers first cut text into pieces (a word with the space before it, up to three digits, a run of
//! punctuation), and in typical text most pieces are one token. `shape` makes the same cuts and knows which pieces are
//! likely to take more than one token; `request` knows which parts of a body a model sees. Measured against o200k_base
//! in `protocol/tests/tokens.rs`. Estimates lean upwards: compacting too early costs little.

use thiserror::Error;

use shape::Shape;

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
    /// No top-level `messages`.
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

/// Returns the input tokens of the body of a Messages request, which is also the body of `count_tokens`; at least 1.
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
