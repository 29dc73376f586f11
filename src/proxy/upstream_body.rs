//! An upstream's body: its content type, and how much of it is read. A compressed body is decoded first, so that every bound
//! applies to its content. Some upstreams send a wrong content type, so the first bytes count, too.

use std::time::Duration;

use actix_http::error::PayloadError;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::rt::time::timeout;
use awc::ClientResponse;
use bytes::{Bytes, BytesMut};
use futures_util::future::ready;
use futures_util::{StreamExt as _, stream};
use serde::de::IgnoredAny;
use vandamme_actors::converter::{self, Integrity, UpstreamBody};
use vandamme_actors::excerpt;
use vandamme_actors::provider::Lease;
use vandamme_protocol::content_coding::{ContentCoding, Unsupported};
use vandamme_protocol::request;

use super::classify::CallFailure;
use super::content_type::{ContentKind, content_type, is_page, without_mark};
use super::remedies;

/// The largest list of models that is read. The largest known one has half a megabyte.
pub(super) const LARGEST_LIST: usize = 8 << 20;
/// How much of an upstream's header an error message repeats.
const LONGEST_KIND: usize = 100;

/// A reply whose first bytes have been read.
pub(super) struct UpstreamReply {
    pub(super) status: u16,
    pub(super) content: ContentKind,
    /// Its content type, unless the content differs from it.
    pub(super) label: Option<HeaderValue>,
    /// The beginning of the body.
    pub(super) first: Bytes,
    /// The rest of the body.
    pub(super) rest: UpstreamBody,
    pub(super) integrity: Integrity,
}

/// This many bytes identify the content, without white space.
const TELLING: usize = 6;
/// After this much leading white space, the content type alone decides.
const MOST_SPACE: usize = 1 << 10;

impl UpstreamReply {
    /// Reads the first bytes of a reply to identify its content.
    pub(super) async fn open(response: ClientResponse, lease: &Lease) -> Result<Self, CallFailure> {
        let status = response.status().as_u16();
        let labelled = ContentKind::of(response.headers());
        let label = response.headers().get(header::CONTENT_TYPE).cloned();
        let neither = no_reply(response.headers(), lease);
        if labelled == ContentKind::Other && is_page(response.headers()) {
            return Err(neither);
        }
        let (body, integrity) = body(response).map_err(|error| unsupported(lease, &error))?;
        let (first, rest) = beginning(body).await;
        let content = labelled.or_rather(&first);
        if content == ContentKind::Other {
            return Err(neither);
        }
        let label = label.filter(|_| content == labelled);
        Ok(Self { status, content, label, first, rest, integrity })
    }
}

/// The first bytes of a body, and its rest.
async fn beginning(mut body: UpstreamBody) -> (Bytes, UpstreamBody) {
    let mut first = Bytes::new();
    loop {
        let told = without_mark(&first);
        if told.len() >= TELLING || (told.is_empty() && first.len() >= MOST_SPACE) {
            return (first, body);
        }
        match body.next().await {
            Some(Ok(chunk)) if first.is_empty() => first = chunk,
            Some(Ok(chunk)) => first = [first, chunk].concat().into(),
            Some(Err(error)) => return (first, Box::pin(stream::once(ready(Err(error))))),
            None => return (first, Box::pin(stream::empty())),
        }
    }
}

/// The decoded body of a reply, and how its completeness shows.
pub(super) fn body(response: ClientResponse) -> Result<(UpstreamBody, Integrity), Unsupported> {
    let values = response.headers().get_all(header::CONTENT_ENCODING);
    let coding = ContentCoding::parse(values.map(|value| value.as_bytes()))?;
    let integrity = if coding.is_some() { Integrity::Body } else { Integrity::Events };
    Ok((converter::content(Box::pin(response), coding), integrity))
}

/// A reply in a content coding that the gateway does not support.
pub(super) fn unsupported(lease: &Lease, error: &Unsupported) -> CallFailure {
    CallFailure::misbehaved(&format!(
        "provider '{}' sent its reply with {error}, which cannot be decoded and was not asked for",
        lease.provider.name
    ))
}

/// A reply that is neither JSON nor events.
fn no_reply(headers: &HeaderMap, lease: &Lease) -> CallFailure {
    let kind = content_type(headers).unwrap_or("no content type");
    let kind = excerpt::one_line(kind, LONGEST_KIND);
    let hint = remedies::check_base_url(&lease.provider);
    CallFailure::misbehaved(&format!("the upstream answered with {kind} instead of a reply; {hint}"))
}

/// The whole body that begins with `first`; `None` if it has more than `limit` bytes.
pub(super) async fn read_up_to(
    first: Bytes,
    mut body: UpstreamBody,
    limit: usize,
) -> Result<Option<Bytes>, PayloadError> {
    if first.len() > limit {
        return Ok(None);
    }
    // A short reply arrives in one chunk, which is not copied.
    let Some(mut chunk) = body.next().await.transpose()? else { return Ok(Some(first)) };
    let mut read = BytesMut::from(first);
    loop {
        if read.len() + chunk.len() > limit {
            return Ok(None);
        }
        read.extend_from_slice(&chunk);
        match body.next().await.transpose()? {
            Some(next) => chunk = next,
            None => return Ok(Some(read.freeze())),
        }
    }
}

/// The body of an error, as much as arrives in `time` and fits into `limit`. The status is known already, so a broken body is
/// no other failure: its beginning is used as far as it is readable.
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
    // What has arrived is kept after a timeout, too.
    let is_whole = timeout(time, reading).await.unwrap_or(false);
    let is_json = matches!(read.trim_ascii_start().first(), Some(b'{' | b'['));
    if is_json && !is_whole && !request::is_complete_json(&read) { Bytes::new() } else { read.freeze() }
}

/// The failure of a whole reply that is labelled as JSON but is none.
pub(super) fn broken_json(lease: &Lease, body: &[u8]) -> Option<CallFailure> {
    if request::is_complete_json(body) {
        return None;
    }
    let is_cut = serde_json::from_slice::<IgnoredAny>(body).is_err_and(|error| error.is_eof());
    if is_cut {
        return Some(CallFailure::broken("the upstream's reply was cut"));
    }
    let what = if body.trim_ascii_start().starts_with(b"<") { "a page of HTML or XML" } else { "no JSON" };
    Some(CallFailure::misbehaved(&format!(
        "the upstream's reply is labelled as JSON but is {what}: check its base URL {}",
        lease.provider.base_url
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(chunks: &[&'static str]) -> UpstreamBody {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        Box::pin(stream::iter(chunks))
    }

    /// Requirement: a reply in one chunk is not copied; one in several chunks is joined.
    #[actix_web::test]
    async fn only_a_reply_in_several_chunks_is_copied() {
        let first = Bytes::from_static(b"{\"a\":");
        let alone = read_up_to(first.clone(), chunks(&[]), 6).await.unwrap().unwrap();
        assert_eq!((&alone[..], alone.as_ptr()), (&first[..], first.as_ptr()));
        let joined = read_up_to(first, chunks(&["1", "", "}"]), 8).await.unwrap();
        assert_eq!(joined.as_deref(), Some(&b"{\"a\":1}"[..]));
    }

    /// Requirement: a body with more bytes than the limit is not returned, whichever chunk exceeds it.
    #[actix_web::test]
    async fn a_body_beyond_the_limit_is_not_read() {
        for parts in [&["abcd"][..], &["ab", "cd"], &["a", "b", "cd"]] {
            let first = Bytes::from_static(parts[0].as_bytes());
            assert_eq!(read_up_to(first, chunks(&parts[1..]), 3).await.unwrap(), None, "{parts:?}");
        }
    }
}
