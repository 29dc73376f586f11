//! An upstream's body: its content type, and how much of it is read. A compressed body is decoded first, so that every bound
//! applies to its content. Some upstreams send a wrong content type, so the first bytes count, too.

use std::time::Duration;

use actix_http::error::PayloadError;
use actix_http::{HttpMessage as _, Payload};
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
use super::event_frames;
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
    /// Reads the first bytes of a reply that may be anything but a web page. Its content is what its label says.
    pub(super) async fn open_labelled(response: ClientResponse, lease: &Lease) -> Result<Self, CallFailure> {
        if is_page(response.headers()) {
            return Err(no_reply(response.headers(), lease));
        }
        let status = response.status().as_u16();
        let labelled = ContentKind::of(response.headers());
        let label = response.headers().get(header::CONTENT_TYPE).cloned();
        let (body, integrity) = body(response).map_err(|error| unsupported(lease, &error))?;
        let (first, rest) = beginning(body).await;
        let content = if label.is_some() { labelled } else { labelled.or_rather(&first) };
        Ok(Self { status, content, label, first, rest, integrity })
    }

    /// Reads the first bytes of a reply to identify its content.
    /// The frames of a Bedrock stream, of at most `largest` bytes each, become server-sent events.
    pub(super) async fn open(
        response: ClientResponse,
        lease: &Lease,
        largest: usize,
    ) -> Result<Self, CallFailure> {
        let status = response.status().as_u16();
        let is_framed = event_frames::are_framed(response.headers());
        let labelled = if is_framed { ContentKind::Events } else { ContentKind::of(response.headers()) };
        let label = response.headers().get(header::CONTENT_TYPE).filter(|_| !is_framed).cloned();
        // Its message takes 4,900 instructions, so other replies go without.
        let mut neither = match labelled {
            ContentKind::Other => Some(no_reply(response.headers(), lease)),
            ContentKind::Events | ContentKind::Json => None,
        };
        if let Some(page) = neither.take_if(|_| is_page(response.headers())) {
            return Err(page);
        }
        let (body, integrity) = body(response).map_err(|error| unsupported(lease, &error))?;
        let body = if is_framed { event_frames::as_events(body, largest) } else { body };
        let (first, rest) = beginning(body).await;
        let content = labelled.or_rather(&first);
        if let (ContentKind::Other, Some(neither)) = (content, neither) {
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
    Ok((converter::content(chunks(response), coding), integrity))
}

/// The body of a reply, without its head, which an open stream would hold until its end.
fn chunks(mut response: ClientResponse) -> UpstreamBody {
    match response.take_payload() {
        Payload::Stream { payload } => payload,
        other @ (Payload::None | Payload::H1 { .. } | Payload::H2 { .. }) => Box::pin(other),
    }
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
    mut first: Bytes,
    mut body: UpstreamBody,
    limit: usize,
) -> Result<Option<Bytes>, PayloadError> {
    // Most bodies have one chunk, which is not copied.
    let mut joined = BytesMut::new();
    let mut length = first.len();
    while length <= limit {
        let Some(chunk) = body.next().await.transpose()? else {
            return Ok(Some(if joined.is_empty() { first } else { joined.freeze() }));
        };
        length += chunk.len();
        if first.is_empty() {
            first = chunk;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&chunk);
    }
    Ok(None)
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

    fn body_of(chunks: &'static [&'static str]) -> UpstreamBody {
        Box::pin(stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())))))
    }

    /// Requirement (issue 17, 6): a body that is one chunk is not copied, whether the chunk has been read before or not.
    #[actix_web::test]
    async fn a_body_of_one_chunk_is_that_chunk() {
        let chunk = Bytes::from(vec![b'x'; 10]);
        let then =
            |chunks: Vec<Bytes>| -> UpstreamBody { Box::pin(stream::iter(chunks.into_iter().map(Ok))) };
        for (first, rest) in [(chunk.clone(), vec![]), (Bytes::new(), vec![chunk.clone()])] {
            let read = read_up_to(first, then(rest), 10).await.unwrap().unwrap();
            assert_eq!((read.as_ptr(), read.len()), (chunk.as_ptr(), chunk.len()));
        }
    }

    #[actix_web::test]
    async fn a_body_of_several_chunks_is_joined_up_to_the_limit() {
        for (first, rest) in
            [("ab", &["c", "", "de"][..]), ("", &["", "abcde"]), ("abcde", &[""]), ("", &["a", "bcde"])]
        {
            let read = async |limit| {
                let read = read_up_to(Bytes::from_static(first.as_bytes()), body_of(rest), limit).await;
                read.unwrap()
            };
            assert_eq!(read(5).await.unwrap(), "abcde");
            assert_eq!(read(4).await, None);
        }
    }

    #[actix_web::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let broken = || -> UpstreamBody {
            let chunks = [Ok(Bytes::from_static(b"b")), Err(PayloadError::EncodingCorrupted)];
            Box::pin(stream::iter(chunks))
        };
        assert!(read_up_to(Bytes::from_static(b"a"), broken(), 9).await.is_err());
        assert_eq!(read_up_to(Bytes::from_static(b"a"), broken(), 1).await.unwrap(), None);
    }
}
