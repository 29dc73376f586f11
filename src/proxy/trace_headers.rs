//! W3C Trace Context: continues a client's trace, and passes it on to providers.

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use vandamme_protocol::trace_context::{RemoteContext, RequestSpan, SpanId, TraceId};

use super::upstream_headers::{presentable, take_over};
use super::{ProxyRequest, UpstreamCall};
use crate::gateway::{Gateway, LiveConfig};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// The span of a client's request, in the client's trace if it has sent one. `None` if this gateway exports no traces.
pub(crate) fn request_span(gateway: &Gateway, client: &HeaderMap) -> Option<Arc<RequestSpan>> {
    let sampler = gateway.sampler?;
    let remote = remote(client, &gateway.live_config());
    let new_trace = || TraceId::new(fastrand::u128(1..));
    let trace = remote.as_ref().map(|remote| remote.trace).or_else(new_trace)?;
    let span = RequestSpan {
        trace,
        id: SpanId::new(fastrand::u64(1..))?,
        parent: remote.as_ref().map(|remote| remote.parent),
        sampled: sampler.samples(remote.as_ref().map(|remote| remote.sampled), trace.low()),
        state: remote.map(|remote| remote.state).unwrap_or_default(),
    };
    Some(Arc::new(span))
}

fn remote(client: &HeaderMap, live: &LiveConfig) -> Option<RemoteContext> {
    // The state is passed on to other hosts, so it must not carry a key.
    let is_secret = |value: &HeaderValue| live.secrets.found_in_header(value.as_bytes());
    let states = client.get_all(STATE).filter(|value| !is_secret(value)).map(HeaderValue::as_bytes);
    RemoteContext::parse(client.get(PARENT)?.as_bytes(), &states.collect::<Vec<_>>())
}

/// Adds the trace context to the headers of the request's call with this number, counted from 0: the call's span, or the client's own
/// headers if this gateway exports no traces.
pub(super) fn add(headers: &mut HeaderMap, request: &ProxyRequest, live: &LiveConfig, number: u32) {
    if request.upstream_call == UpstreamCall::Models {
        return;
    }
    let Some(span) = &request.span else {
        let client = &request.headers;
        let has_context = client.contains_key(&PARENT) || client.contains_key(&STATE);
        if has_context && !headers.contains_key(&PARENT) {
            take_over(headers, &presentable(request, live), |name| {
                name == PARENT.as_str() || name == STATE.as_str()
            });
        }
        return;
    };
    headers.remove(&STATE);
    if let Ok(value) = HeaderValue::try_from(span.traceparent_of_call(number)) {
        headers.insert(PARENT, value);
    }
    if let (false, Ok(value)) = (span.state.is_empty(), HeaderValue::from_str(&span.state)) {
        headers.insert(STATE, value);
    }
}
