//! A Responses request becomes a Messages request.

use super::{MessagesOfResponses, MessagesTarget};
use crate::fault::RequestError;

pub(super) fn convert(
    _body: &[u8],
    _target: &MessagesTarget<'_>,
) -> Result<MessagesOfResponses, RequestError> {
    Err(RequestError::new("SLICE"))
}
