//! Reads the body of a request, and finds its model.

use std::borrow::Cow;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use vandamme_protocol::request::{self, FormScanError, RequestHead};
use vandamme_protocol::vocabulary::ErrorKind;

use super::admission::Refused;
use crate::api::body::{self, Unreadable};
use crate::api::cloud_request::{CloudCall, OfCloud};
use crate::caller::Caller;
use crate::gateway::{Bound, Gateway, LiveConfig};
use crate::proxy::UpstreamCall;

/// The body of a request.
pub(super) enum RequestBody<'p> {
    Arriving(&'p mut web::Payload),
    /// In the form of a cloud.
    OfCloud {
        cloud: &'p CloudCall,
        payload: &'p mut web::Payload,
    },
    Whole(WholeRequest),
}

/// A request that has arrived in a frame of a WebSocket.
pub(in crate::api) struct WholeRequest {
    pub(in crate::api) body: Bytes,
    /// The client's headers for it.
    pub(in crate::api) headers: HeaderMap,
}

/// Reads the body, and parses its head.
pub(in crate::api) async fn read(
    request: &HttpRequest,
    payload: &mut web::Payload,
    gateway: &Gateway,
    caller: Option<&Caller>,
    upstream_call: UpstreamCall,
) -> Result<(Bytes, RequestHead<'static>), Refused> {
    let body = read_body(request, payload, gateway).await?;
    let head = parsed(&body, form_boundary(upstream_call, request.headers()), gateway, caller)?;
    Ok((body, head))
}

/// Reads the body of a request in a cloud's form.
pub(in crate::api) async fn read_of_cloud(
    cloud: &CloudCall,
    request: &HttpRequest,
    payload: &mut web::Payload,
    gateway: &Gateway,
) -> Result<OfCloud, Refused> {
    let body = read_body(request, payload, gateway).await?;
    let made = cloud.messages_request(&body, request.headers());
    made.map_err(|message| Refused(400, ErrorKind::InvalidRequest, message))
}

async fn read_body(
    request: &HttpRequest,
    payload: &mut web::Payload,
    gateway: &Gateway,
) -> Result<Bytes, Refused> {
    let live = gateway.live_config();
    let limits = &live.settings.limits;
    match body::read(payload, request.headers(), limits).await {
        Ok(body) => Ok(body),
        Err(Unreadable::TooLarge) => {
            let refused = too_large(gateway);
            body::drain(request, payload, limits).await;
            Err(refused)
        }
        Err(Unreadable::TooSlow) => {
            gateway.counters.refuse(Bound::BodyMinRate);
            let message = "the request body did not arrive in time".to_owned();
            Err(Refused(408, ErrorKind::Timeout, message))
        }
        Err(Unreadable::Broken) => {
            let message = "the request body ended before its end".to_owned();
            Err(Refused(400, ErrorKind::InvalidRequest, message))
        }
    }
}

pub(super) fn too_large(gateway: &Gateway) -> Refused {
    gateway.counters.refuse(Bound::RequestBody);
    let most = gateway.live_config().settings.limits.request_body;
    Refused(413, ErrorKind::TooLarge, format!("the request body has more than {most} bytes"))
}

type FormBoundary<'h> = Result<Cow<'h, str>, FormScanError>;

/// Parses the head of a JSON body, or of a form.
pub(in crate::api) fn parsed(
    body: &[u8],
    form: Option<FormBoundary<'_>>,
    gateway: &Gateway,
    caller: Option<&Caller>,
) -> Result<RequestHead<'static>, Refused> {
    let live = gateway.live_config();
    // The length is checked before the name is copied.
    let head = match form {
        None => request::head(body).map_err(|error| error.to_string()),
        Some(boundary) => {
            let head = boundary.and_then(|boundary| request::form_head(body, &boundary));
            head.map_err(|error| error.to_string())
        }
    };
    let head = head.and_then(|head| {
        model_name(&head.model, &live, caller)?;
        Ok(head.into_owned())
    });
    head.map_err(|message| Refused(400, ErrorKind::InvalidRequest, message))
}

/// The boundary of a form, which endpoints beside those for conversations take.
fn form_boundary(upstream_call: UpstreamCall, headers: &HeaderMap) -> Option<FormBoundary<'_>> {
    upstream_call.endpoint()?;
    request::form_boundary(headers.get(header::CONTENT_TYPE)?.to_str().ok()?)
}

/// Checks that a model name may be stored and shown: it has an allowed length and contains no key.
pub(in crate::api) fn model_name(
    name: &str,
    live: &LiveConfig,
    caller: Option<&Caller>,
) -> Result<(), String> {
    let (length, most) = (name.len(), live.settings.limits.model_name);
    if length > most {
        return Err(format!("model: the name has {length} bytes; {most} are allowed (limits.model-name)"));
    }
    let is_key = live.secrets.found_plainly_in(name.as_bytes());
    if is_key || live.gateway_keys.are_in(name.as_bytes(), caller) {
        return Err("model: the name contains an API key; send the name of a model".to_owned());
    }
    Ok(())
}
