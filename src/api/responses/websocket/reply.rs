//! One response: an ordinary request of the Responses API, whose events become frames.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use actix_http::body::{BoxBody, MessageBody as _};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use vandamme_protocol::responses_websocket::{EventFrame, ReplyFrames, error_frame};
use vandamme_protocol::sse;

use super::outbox::Outbox;
use super::{API, BETA, FEATURE};
use crate::api::endpoint::{self, WholeRequest};
use crate::gateway::Gateway;

/// The headers of an error reply that clients read.
const ERROR_HEADERS: [&str; 3] = ["retry-after", "x-request-id", "x-should-retry"];
const ERROR_HEADER_PREFIX: &str = "x-ratelimit-";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Sends the request, and its reply to the client. Returns the id and the output of a response that can be continued.
pub(super) async fn reply(
    gateway: Arc<Gateway>,
    request: HttpRequest,
    body: Bytes,
    outbox: &Outbox,
) -> Option<(String, String)> {
    let live = gateway.live_config();
    let limits = &live.settings.limits;
    let headers = of_one_response(request.headers());
    let response = endpoint::serve_whole(API, request, WholeRequest { body, headers }, gateway).await;
    if !is_stream(response.headers()) {
        outbox.text(&failure(response).await);
        return None;
    }
    let mut frames = ReplyFrames::new(limits.request_body);
    let mut splitter = sse::Splitter::new(limits.event);
    let mut body = response.into_body();
    loop {
        outbox.room(limits.client_channel).await;
        let Some(chunk) = next(&mut body).await else { break };
        let Some(block) = splitter.pass(chunk) else { continue };
        for event in sse::events(&block) {
            match event.data() {
                Some(data) => send(frames.frame(&data), outbox),
                // A comment, which keeps the connection alive.
                None => outbox.ping(),
            }
        }
    }
    if !frames.has_ended() {
        outbox.text(&error_frame(502, b"{\"error\":{\"type\":\"server_error\",\"code\":null,\"message\":\"the reply ended early\",\"param\":null}}", &[]));
    }
    frames.finish()
}

fn send(frame: EventFrame<'_>, outbox: &Outbox) {
    match frame {
        EventFrame::Text(text) => outbox.text(&text),
        EventFrame::Nothing => {}
    }
}

/// The next bytes of a body; `None` at its end.
async fn next(body: &mut BoxBody) -> Option<Bytes> {
    let chunk = poll_fn(|task| Pin::new(&mut *body).poll_next(task)).await;
    chunk.and_then(Result::ok)
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}

/// The frame for a reply that is no stream: an error.
async fn failure(response: HttpResponse) -> Vec<u8> {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let is_read = |name: &str| ERROR_HEADERS.contains(&name) || name.starts_with(ERROR_HEADER_PREFIX);
    let read = headers.iter().filter(|(name, _)| is_read(name.as_str()));
    let read: Vec<(&str, &str)> =
        read.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let (mut body, mut text) = (response.into_body(), Vec::new());
    while let Some(chunk) = next(&mut body).await {
        text.extend_from_slice(&chunk);
    }
    error_frame(status, &text, &read)
}

/// The headers of the request that has opened the connection, for one of its responses. With its idempotency key, a provider would
/// repeat the first response, and the version of the WebSocket protocol means nothing to it.
fn of_one_response(opened: &HeaderMap) -> HeaderMap {
    let mut headers = opened.clone();
    headers.remove(IDEMPOTENCY_KEY);
    headers.remove(BETA);
    let betas = opened.get_all(BETA).filter_map(|value| value.to_str().ok());
    let betas = betas.flat_map(|value| value.split(',').map(str::trim));
    let betas: Vec<&str> = betas.filter(|beta| !beta.starts_with(FEATURE)).collect();
    if let (Ok(value), false) = (HeaderValue::from_str(&betas.join(",")), betas.is_empty()) {
        headers.insert(BETA, value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_response_has_the_headers_of_its_connection_but_for_those_of_the_connection_alone() {
        let request = TestRequest::default()
            .append_header(("openai-beta", "a=1, responses_websockets=2026-02-06"))
            .append_header(("openai-beta", "b=2"))
            .append_header(("idempotency-key", "once"))
            .append_header(("session-id", "s"))
            .to_http_request();
        let headers = of_one_response(request.headers());
        let mut found: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        found.sort_unstable();
        assert_eq!(found, [("openai-beta", &b"a=1,b=2"[..]), ("session-id", b"s")]);
    }
}
