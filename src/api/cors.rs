//! Browser clients of other origins (CORS). Only origins in `cors-origins` are answered, each by its exact name. Cookies are
//! not used, so `access-control-allow-credentials` is never sent, and neither is `*`.

use std::future::Future;

use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{Error, HttpResponse};

use crate::gateway::Gateway;

const METHODS: &str = "GET, HEAD, POST";
/// Response headers that a page may read.
const EXPOSED: &str = "request-id, x-request-id, retry-after, x-should-retry, x-vdm-cache, x-vdm-demo, x-vdm-dropped, x-vdm-estimate, x-vdm-request-id, x-vdm-route";
/// Seconds for which a browser may reuse the answer to a preflight.
const MAX_AGE: &str = "600";
/// The longest list of request headers that a preflight may ask for, bytes.
const REQUESTED: usize = 4 << 10;
const PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Answers the preflights of allowed origins, and adds their headers to every other reply of `app`. While any origin is
/// allowed, every reply has `vary: origin`, so that no cache gives one origin's reply to another.
pub(crate) fn handle<S>(
    request: ServiceRequest,
    app: &S,
    gateway: &Gateway,
) -> impl Future<Output = Result<ServiceResponse<BoxBody>, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let origin = allowed_origin(request.headers(), gateway);
    let varies = !gateway.live_config().settings.cors_origins.is_empty();
    let (answered, reply) = match &origin {
        Some(_) if is_preflight(&request) => {
            let preflight = preflight(request.headers());
            (Some(request.into_response(preflight)), None)
        }
        Some(_) | None => (None, Some(app.call(request))),
    };
    async move {
        let mut response = match (answered, reply) {
            (Some(response), _) => response,
            (None, Some(reply)) => reply.await?,
            (None, None) => return Err(actix_web::error::ErrorInternalServerError("no reply")),
        };
        let headers = response.headers_mut();
        if varies {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
        Ok(response)
    }
}

/// The request's origin, if it is in the list.
fn allowed_origin(headers: &HeaderMap, gateway: &Gateway) -> Option<HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN);
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    let live = gateway.live_config();
    let is_listed = live.settings.cors_origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
    is_listed.then(|| origin.clone())
}

fn is_preflight(request: &ServiceRequest) -> bool {
    *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(asked: &HeaderMap) -> HttpResponse {
    let mut response = HttpResponse::NoContent().finish();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    // The gateway decides about each header when the request arrives.
    if let Some(names) =
        asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|names| is_list_of_names(names))
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if asked.get(&PRIVATE_NETWORK).is_some_and(|asked| asked == "true") {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    response
}

fn is_list_of_names(value: &HeaderValue) -> bool {
    let is_fit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_, ".contains(byte);
    value.len() <= REQUESTED && value.as_bytes().iter().all(is_fit)
}
