//! What a request is called in logs, errors and the `request-id` header (OpenAI's word for it: `x-request-id`).

use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// `req_` and 24 hexadecimal digits at random.
    pub(crate) fn new() -> Self {
        Self(format!("req_{:024x}", fastrand::u128(..) >> 32).into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}
