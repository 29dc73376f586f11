//! Reads the beginning of a stream, up to what decides whether the call has succeeded.

use std::time::Duration;

use actix_http::error::PayloadError;
use actix_web::rt::time::Instant;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::time::timeout_at;
use vandamme_actors::converter::{Flow, UpstreamBody};

use super::classify::CallFailure;

/// For so long a reply that is only announced waits for the event that follows. Upstreams that refuse a request after they have
/// accepted it do so at once, and another key or target can still reply then. Output is not delayed by this.
const ANNOUNCED: Duration = Duration::from_millis(200);

/// Reads the beginning of a stream.
pub(super) struct ReadAhead {
    /// The most bytes to keep of it.
    kept: usize,
    /// When a reply that is only announced goes on its way.
    until: Option<Instant>,
}

impl ReadAhead {
    pub(super) fn new(kept: usize) -> Self {
        Self { kept, until: None }
    }

    /// The next bytes; `None` if the reply goes on its way without them. So many bytes are kept already.
    pub(super) async fn next(
        &mut self,
        flow: &Flow,
        held: usize,
        upstream: &mut UpstreamBody,
    ) -> Result<Option<Bytes>, CallFailure> {
        if !flow.is_announced_only() {
            return read(upstream.next().await).map(Some);
        }
        if held > self.kept {
            return Ok(None);
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + ANNOUNCED);
        match timeout_at(until, upstream.next()).await {
            Err(_elapsed) => Ok(None),
            // The last event may lack its blank line.
            Ok(None) if flow.holds_a_part() => {
                *upstream = Box::pin(stream::empty());
                Ok(None)
            }
            Ok(chunk) => read(chunk).map(Some),
        }
    }
}

#[expect(clippy::result_large_err, reason = "the async functions around it return the same")]
fn read(chunk: Option<Result<Bytes, PayloadError>>) -> Result<Bytes, CallFailure> {
    match chunk {
        Some(Ok(chunk)) => Ok(chunk),
        Some(Err(PayloadError::EncodingCorrupted)) => Err(damaged()),
        Some(Err(_)) | None => {
            Err(CallFailure::broken("the upstream closed the stream before its first event"))
        }
    }
}

pub(super) fn damaged() -> CallFailure {
    CallFailure::broken(
        "the upstream's reply is damaged or was cut: its compression or its frames cannot be read",
    )
}
