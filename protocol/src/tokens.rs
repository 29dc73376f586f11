//! How many input tokens a request will cost, told from the shapes of its words: no vocabulary, no network.
//!
//! Byte-pair tokenizers first cut text into pieces (a word with the space before it, up to three digits, a run of
//! punctuation), and in the text that models see most pieces are one token. `shape` makes the same cuts and knows
//! which pieces are likely to take more than one; `request` knows which parts of a body a model sees. Measured
//! against o200k_base in `protocol/tests/estimate.rs`, leaning upwards: who compacts too early loses little.

use thiserror::Error;

use shape::Shape;

mod glyph;
mod image;
mod pairs;
mod request;
mod shape;

/// Why a body cannot be counted, worded for the client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EstimateError {
    /// `offset` is the first byte that is none.
    #[error("the body is not valid UTF-8 (at byte {offset})")]
    NotUtf8 { offset: usize },
    /// `offset` is where the grammar is first broken, or the body's length when it was cut.
    #[error("the body is not valid JSON (at byte {offset})")]
    NotJson { offset: usize },
    /// Valid JSON of another type.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// No `messages` at the top level.
    #[error("messages: field required")]
    NoMessages,
    /// There is a `messages`, but of another type.
    #[error("messages: must be an array")]
    MessagesNotAList,
}

/// The tokens of a plain text; 0 only for none.
#[must_use]
pub fn text(text: &str) -> u64 {
    let mut shape = Shape::default();
    for character in text.chars() {
        shape.push(character);
    }
    shape.tokens()
}

/// The input tokens of the body of a Messages request, which is also that of `count_tokens`; at least 1.
///
/// Counted is what a model sees: system, messages with every kind of block, tools, the form asked of the answer,
/// and a little for what frames each of them. Members of unknown blocks count as text, so that a new kind of block
/// is never free. Of duplicate keys all count. One pass, no recursion at any depth.
///
/// # Errors
/// The first of [`EstimateError`] that applies; a body is checked to its end before `messages` is missed.
pub fn messages(body: &[u8]) -> Result<u64, EstimateError> {
    let body =
        std::str::from_utf8(body).map_err(|error| EstimateError::NotUtf8 { offset: error.valid_up_to() })?;
    request::tokens(body)
}
