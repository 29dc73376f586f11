//! An upstream's body: of what kind it is, and how much of it is read. A compressed one is decoded on the way, so that
//! every bound holds for its content.

use std::time::Duration;

use actix_http::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::rt::time::timeout;
use awc::ClientResponse;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::de::IgnoredAny;
use vandamme_actors::converter::{self, Integrity, UpstreamBody};
use vandamme_actors::excerpt;
use vandamme_actors::provider::Lease;
use vandamme_protocol::content_coding::{Coding, Unsupported};
use vandamme_protocol::span;

use super::classify::CallFailure;

/// How much of an upstream's header is repeated in a message.
const LONGEST_KIND: usize = 100;

/// How the upstream's body is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Events,
    Json,
    Other,
}

impl Content {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let kind = content_type(headers).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "text/event-stream" => Self::Events,
            "application/json" => Self::Json,
            kind if kind.ends_with("+json") => Self::Json,
            _ => Self::Other,
        }
    }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// The content of a reply, and when it can be trusted to be complete.
pub(super) fn body(response: ClientResponse) -> Result<(UpstreamBody, Integrity), Unsupported> {
    let values = response.headers().get_all(header::CONTENT_ENCODING);
    let coding = Coding::parse(values.map(|value| value.as_bytes()))?;
    let integrity = if coding.is_some() { Integrity::Body } else { Integrity::Events };
    Ok((converter::content(Box::pin(response), coding), integrity))
}

/// A reply in a coding that the gateway neither asked for nor knows.
pub(super) fn unsupported(lease: &Lease, error: &Unsupported) -> CallFailure {
    CallFailure::misbehaved(&format!(
        "provider '{}' sent its reply with {error}, which cannot be decoded and was not asked for",
        lease.provider.name
    ))
}

/// A reply that is neither JSON nor events.
pub(super) fn no_reply(headers: &HeaderMap) -> CallFailure {
    let kind = content_type(headers).unwrap_or("no content type");
    let kind = excerpt::one_line(kind, LONGEST_KIND);
    CallFailure::misbehaved(&format!("the upstream answered with {kind} instead of a reply"))
}

/// All of a body; `None` when there is more of it than `limit`.
pub(super) async fn read_up_to(mut body: UpstreamBody, limit: usize) -> Result<Option<Bytes>, PayloadError> {
    let mut read = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if read.len() + chunk.len() > limit {
            return Ok(None);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(Some(read.freeze()))
}

/// The body of an error, as much as comes in time and has room. Its status is known already, so that nothing that is
/// wrong with it is another failure: a beginning serves as far as it can be read.
pub(super) async fn read_error_body(mut body: UpstreamBody, limit: usize, time: Duration) -> Bytes {
    let mut read = BytesMut::new();
    let reading = async {
        while let Some(chunk) = body.next().await {
            let Ok(chunk) = chunk else { return false };
            let room = limit - read.len();
            read.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return false;
            }
        }
        true
    };
    // What has come by then is there either way.
    let is_whole = timeout(time, reading).await.unwrap_or(false);
    let is_json = matches!(read.trim_ascii_start().first(), Some(b'{' | b'['));
    if is_json && !is_whole && !span::is_complete_json(&read) { Bytes::new() } else { read.freeze() }
}

/// What is wrong with a whole reply that says it is JSON.
pub(super) fn broken_json(lease: &Lease, body: &[u8]) -> Option<CallFailure> {
    if span::is_complete_json(body) {
        return None;
    }
    let is_cut = serde_json::from_slice::<IgnoredAny>(body).is_err_and(|error| error.is_eof());
    if is_cut {
        return Some(CallFailure::broken("the upstream's reply was cut"));
    }
    let what = if body.trim_ascii_start().starts_with(b"<") { "a page of HTML or XML" } else { "no JSON" };
    Some(CallFailure::misbehaved(&format!(
        "the upstream's reply is labelled as JSON but is {what}: check the base URL of provider '{}'",
        lease.provider.name
    )))
}
