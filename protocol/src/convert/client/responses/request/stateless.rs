//! What only a server can do that keeps responses. Each is refused: without it the request would mean something else.

use serde_json::value::RawValue;

use crate::{fault::RequestError, openai::responses_request::ResponsesRequestBody};

/// Refuses a request that needs a memory.
pub(super) fn check(request: &ResponsesRequestBody<'_>) -> Result<(), RequestError> {
    let is_true = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get() == "true");
    let refused = [
        (
            request.previous_response_id.is_some(),
            "previous_response_id: this gateway keeps no responses; send the whole history in input, with store: false",
        ),
        (
            request.conversation.is_some(),
            "conversation: this gateway keeps no conversations; send the whole history in input, with store: false",
        ),
        (
            request.prompt.is_some(),
            "prompt: prompt templates are kept at OpenAI; send the text in instructions and input",
        ),
        (
            is_true(request.background),
            "background: this gateway keeps no responses; leave it out, or stream the response",
        ),
        (
            is_true(request.store),
            "store: this gateway keeps no responses; set store: false and send the whole history in input",
        ),
    ];
    match refused.into_iter().find(|(is_asked, _)| *is_asked) {
        Some((_, message)) => Err(RequestError::new(message)),
        None => Ok(()),
    }
}
