//! The frames of a Bedrock stream, read as server-sent events where a reply is opened.

use actix_http::error::PayloadError;
use actix_web::http::header::HeaderMap;
use bytes::BytesMut;
use futures_util::{StreamExt as _, stream};
use vandamme_actors::converter::UpstreamBody;
use vandamme_protocol::cloud::eventstream::EventStreamDecoder;

use super::content_type::content_type;

/// The content type of Bedrock's streams.
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// Whether a body consists of frames.
pub(super) fn are_framed(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|kind| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(EVENT_STREAM)
    })
}

/// The body of a stream of frames as server-sent events.
pub(super) fn as_events(frames: UpstreamBody, largest: usize) -> UpstreamBody {
    let start = (frames, EventStreamDecoder::new(largest));
    Box::pin(stream::try_unfold(start, async |(mut frames, mut decoder)| {
        loop {
            let Some(chunk) = frames.next().await.transpose()? else {
                // A frame that was cut has no event, so the stream lacks its end.
                return Ok(None);
            };
            let mut events = BytesMut::new();
            decoder.push(&chunk, &mut events).map_err(|_| PayloadError::EncodingCorrupted)?;
            if !events.is_empty() {
                return Ok(Some((events.freeze(), (frames, decoder))));
            }
        }
    }))
}
