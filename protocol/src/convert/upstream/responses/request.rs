//! Converts a Messages request to a Responses request.

use super::{ResponsesRequest, ResponsesUpstream};
use crate::fault::RequestError;

pub(super) fn convert(
    _body: &[u8],
    _target: &ResponsesUpstream<'_>,
) -> Result<ResponsesRequest, RequestError> {
    Err(RequestError::new("SLICE"))
}
