//! Which of OpenAI's models are to be asked over the Responses API, where a host has both APIs.

/// What is known of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponsesAdvice {
    /// Chat Completions does not have the model.
    Required,
    /// A reasoning model: only the Responses API takes its reasoning back in the next turn.
    Preferred,
    None,
}

/// The advice for a model, by its id.
pub fn advice(_model: &str) -> ResponsesAdvice {
    ResponsesAdvice::None
}
