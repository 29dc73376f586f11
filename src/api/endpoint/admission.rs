//! Decides whether a request is served, and answers one that is refused.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use crate::api::{access, client_api, render_error, session};
use crate::caller::{self, Caller};
use crate::failure::{CANCELLED, busy_wait};
use crate::gateway::{Admission, Bound, Gateway};
use crate::request_id::RequestId;

const HOP: HeaderName = HeaderName::from_static("x-vdm-hop");
/// The answer to a request without the gateway's key. It does not name the header `x-api-key`: to an error with that word
/// Claude Code answers "Not logged in" and hides the message (seen with 2.1.332).
pub(in crate::api) const INVALID_KEY: &str = "invalid API key: this gateway requires its own key; set the client's API key or token to the gateway's PROXY_API_KEY or to one of its client-keys";

/// The answer to a request with a signature of AWS's in the place of that key.
const SIGNED: &str = "this gateway requires its own key, and a signature with AWS credentials is none: set AWS_BEARER_TOKEN_BEDROCK in the client's environment to the gateway's PROXY_API_KEY or to one of its client-keys";

/// A refused request: status, kind, message.
pub(in crate::api) struct Refused(
    pub(in crate::api) u16,
    pub(in crate::api) ErrorKind,
    pub(in crate::api) String,
);

impl Refused {
    pub(in crate::api) fn response(self, api: Api, id: &RequestId) -> HttpResponse {
        let Self(status, kind, message) = self;
        let mut response = render_error::shaped(api, (status, kind), &message, id.as_str());
        if status == 503 {
            render_error::retry_after(&mut response, busy_wait());
        }
        if matches!(status, 401 | 403 | CANCELLED) {
            render_error::final_refusal(&mut response);
        }
        if status == 415 {
            // RFC 9110, section 15.5.16: which codings a request may use.
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            render_error::final_refusal(&mut response);
        }
        if matches!(status, 408 | 413 | CANCELLED) {
            // The rest of the body may still arrive.
            response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
        }
        response
    }
}

/// A request that is served.
pub(in crate::api) struct Admitted {
    pub(in crate::api) admission: Admission,
    /// `None` if the gateway requires no key.
    pub(in crate::api) caller: Option<Caller>,
}

/// Decides about admission, before the body is read.
pub(in crate::api) fn admitted(request: &HttpRequest, gateway: &Gateway) -> Result<Admitted, Refused> {
    let caller = authorized(request, gateway)?;
    let busy = || Refused(503, ErrorKind::Api, "too many requests are in flight".to_owned());
    let admission = gateway.admit().ok_or_else(|| {
        gateway.counters.refuse(Bound::InFlight);
        busy()
    })?;
    Ok(Admitted { admission, caller })
}

/// Whether the client may use the gateway, and who it is; `None` if the gateway requires no key.
pub(in crate::api) fn authorized(
    request: &HttpRequest,
    gateway: &Gateway,
) -> Result<Option<Caller>, Refused> {
    let headers = request.headers();
    let live = gateway.live_config();
    let caller = if live.access.are_required() {
        let caller = caller::identify(headers, &live.access);
        // The dashboard's token counter and playground.
        if caller.is_none() && session::level(request, gateway).is_none() {
            let is_signed = headers.get(header::AUTHORIZATION).is_some_and(client_api::is_signature);
            let message = if is_signed { SIGNED } else { INVALID_KEY };
            return Err(Refused(401, ErrorKind::Authentication, message.to_owned()));
        }
        caller
    } else {
        let refusal = access::refusal(request, gateway);
        refusal.map_or(Ok(None), |message| Err(Refused(403, ErrorKind::Permission, message)))?
    };
    if headers.contains_key(&HOP) {
        let message =
            "this request has already passed through a gateway: the base URL of a provider leads back here";
        return Err(Refused(508, ErrorKind::Api, message.to_owned()));
    }
    if is_compressed(headers) {
        let message = "compressed request bodies are not supported: send the body without content-encoding";
        return Err(Refused(415, ErrorKind::InvalidRequest, message.to_owned()));
    }
    if !gateway.is_ready() {
        return Err(Refused(503, ErrorKind::Api, "the gateway is shutting down".to_owned()));
    }
    Ok(caller)
}

/// Whether the body has a content coding. Names of codings ignore case (RFC 9110, section 8.4.1), and an empty list has none.
fn is_compressed(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONTENT_ENCODING);
    let mut codings =
        values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// A reply that counts as in flight until it is sent.
pub(super) struct AdmittedBody<B> {
    body: B,
    _admission: Admission,
}

impl<B> AdmittedBody<B> {
    pub(super) fn new(body: B, admission: Admission) -> Self {
        Self { body, _admission: admission }
    }
}

impl<B: MessageBody + Unpin> MessageBody for AdmittedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(task)
    }
}
