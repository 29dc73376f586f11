//! What a request is called in logs, errors and the `request-id` header (OpenAI's word for it: `x-request-id`).

use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// `req_` and 24 hexadecimal digits at random.
    pub(crate) fn new() -> Self {
        let mut text = *b"req_000000000000000000000000";
        let mut bits = fastrand::u128(..);
        for digit in &mut text[4..] {
            *digit = b"0123456789abcdef"[(bits & 0xf) as usize];
            bits >>= 4;
        }
        Self(std::str::from_utf8(&text).unwrap_or_default().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}
