//! Settings of a Messages request as every upstream codec reads them.

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::dialect::Dialect;
use crate::{
    anthropic::request::{MessagesRequestBody, Safeguard},
    fault::RequestError,
    json::{JsonWord, List, Literal, Object},
};

/// Maximum length of a user id at OpenAI.
const LONGEST_USER: usize = 64;

/// The client's limit of tokens.
pub(crate) fn max_tokens(request: &MessagesRequestBody<'_>) -> Result<u64, RequestError> {
    let raw = request.max_tokens.ok_or_else(|| RequestError::new("max_tokens: field required"))?.get();
    match raw.parse::<u64>() {
        Ok(0) => Err(RequestError::new("max_tokens: must be at least 1")),
        Ok(tokens) => Ok(tokens),
        Err(_) if raw.starts_with('-') => Err(RequestError::new("max_tokens: must be at least 1")),
        Err(_) => Err(RequestError::new("max_tokens: must be an integer")),
    }
}

/// A limit of tokens within the bounds of the configuration.
pub(crate) fn within(dialect: &Dialect, tokens: u64) -> u64 {
    let raised = dialect.min_tokens.map_or(tokens, |fewest| tokens.max(fewest));
    dialect.max_tokens.map_or(raised, |most| raised.min(most))
}

/// Refuses a value that is no number.
pub(crate) fn check_number(key: &str, value: &str) -> Result<(), RequestError> {
    if value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        Ok(())
    } else {
        Err(RequestError::new(format!("{key}: must be a number")))
    }
}

/// The schema that the answer must have, if the client sets one.
pub(crate) fn output_schema<'a>(
    request: &MessagesRequestBody<'a>,
) -> Result<Option<&'a RawValue>, RequestError> {
    let config = request.output_config.as_ref().and_then(|config| config.format.as_ref());
    let Some(format) = config.or(request.output_format.as_ref()) else { return Ok(None) };
    if format.r#type.as_ref().map(JsonWord::as_str) != Some("json_schema") {
        return Err(RequestError::new("output_config.format.type: must be json_schema"));
    }
    let schema = format.schema.filter(|schema| schema.get().starts_with('{'));
    schema.map(Some).ok_or_else(|| RequestError::new("output_config.format.schema: must be an object"))
}

/// The id of the client's user, hashed if it is too long.
pub(crate) fn user_id(request: &MessagesRequestBody<'_>) -> Option<String> {
    let user = request.metadata.as_ref().and_then(|metadata| metadata.user_id).and_then(Literal::decode);
    let user = user.filter(|user| !user.is_empty())?;
    Some(if user.len() <= LONGEST_USER {
        user.into_owned()
    } else {
        Sha256::digest(user.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    })
}

/// Whether the client wants to see thinking.
pub(crate) fn shows_thinking(request: &MessagesRequestBody<'_>) -> bool {
    let kind = request.thinking.as_ref().and_then(|thinking| thinking.r#type.as_ref());
    kind.is_some_and(|kind| kind.as_str() != "disabled")
}

/// Whether the client requests that the server judge tool calls.
pub(crate) fn asks_for_judgement(request: &MessagesRequestBody<'_>) -> bool {
    let Some(safeguards) = request.safeguards else { return false };
    let safeguards =
        serde_json::from_str::<List<Object<Safeguard<'_>>>>(safeguards.get()).unwrap_or_default();
    let mut kinds = safeguards.0.iter().filter_map(|safeguard| safeguard.0.as_ref()?.r#type.as_ref());
    kinds.any(|kind| kind.as_str() == "dangerous_tool_use")
}
