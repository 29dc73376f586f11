//! `POST /admin/…`: actions that change the running gateway. They need `VDM_ADMIN_KEY`; a client's key does not suffice, and
//! a gateway without an admin key has none of them.

pub(super) mod caches;
pub(super) mod keys;
pub(super) mod models;
pub(super) mod probe;
pub(super) mod restart;

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::rt::time::timeout;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::body;
use super::endpoint::Refused;
use super::report::uncached;
use super::session;
use super::{guarded, shared};
use crate::caller;
use crate::gateway::{Gateway, NotCancelled};
use crate::login::Level;
use crate::process::control::ResetTarget;
use crate::request_id::RequestId;

/// The longest wait for a reload: reading the configuration may take 10 s, twice.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answer to a reload that was refused, as `vdm server reload --json` prints it.
#[derive(Serialize)]
struct NotReloaded {
    refused: Vec<String>,
}

/// Whether the request may change the gateway.
fn authorize(request: &HttpRequest, gateway: &Gateway) -> Result<(), Refused> {
    match gateway.live_config().access.admin {
        Some(key) if caller::presents(request.headers(), &key) => Ok(()),
        Some(_) | None if session::level(request, gateway) == Some(Level::Admin) => Ok(()),
        Some(_) => {
            let message =
                "invalid admin key: send the gateway's VDM_ADMIN_KEY as x-api-key or as a bearer token";
            Err(Refused(401, ErrorKind::Authentication, message.to_owned()))
        }
        None => {
            let message = "admin actions over HTTP are off: set VDM_ADMIN_KEY on the gateway, or use `vdm server` on its machine";
            Err(Refused(403, ErrorKind::Permission, message.to_owned()))
        }
    }
}

/// Lets a request pass to an endpoint of the class `admin`.
pub(super) async fn require_key(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(gateway) = request.app_data::<web::Data<Gateway>>().cloned() else {
        return Ok(request.into_response(HttpResponse::InternalServerError().finish()));
    };
    let Err(refused) = authorize(request.request(), &gateway) else { return next.call(request).await };
    // A client that still sends its body must be able to read the answer.
    let mut payload = request.extract::<web::Payload>().await?;
    body::drain(request.request(), &mut payload, &gateway.live_config().settings.limits).await;
    let response = uncached(refused.response(Api::Messages, &RequestId::new()));
    Ok(request.into_response(response))
}

/// The action was not begun, or its result is unknown.
fn busy() -> Refused {
    Refused(503, ErrorKind::Api, "the gateway is busy; try again".to_owned())
}

/// Runs an action, unless another process serves by now: the next connection reaches that one.
async fn act<A>(gateway: &web::Data<Gateway>, action: A) -> HttpResponse
where
    A: AsyncFnOnce(Arc<Gateway>, &RequestId) -> HttpResponse,
{
    let (id, gateway) = (RequestId::new(), shared(gateway));
    let handler = async {
        if !gateway.accepts_connections() {
            return busy().response(Api::Messages, &id);
        }
        action(gateway, &id).await
    };
    uncached(guarded(Api::Messages, &id, handler).await)
}

/// The request's body, a JSON object that `expected` describes.
async fn read_json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: &mut web::Payload,
    gateway: &Gateway,
    expected: &str,
) -> Result<T, Refused> {
    let invalid = |text: &str| Refused(400, ErrorKind::InvalidRequest, text.to_owned());
    let limits = &gateway.live_config().settings.limits;
    let Ok(bytes) = body::read(payload, request.headers(), limits).await else {
        return Err(invalid("the request body cannot be read"));
    };
    // All fields of the health reset are optional.
    let bytes = if bytes.trim_ascii().is_empty() { &b"{}"[..] } else { &bytes };
    serde_json::from_slice(bytes).map_err(|_| invalid(&format!("expected {expected}")))
}

/// Reads the configuration again, as `vdm server reload` does.
pub(super) async fn reload(gateway: web::Data<Gateway>) -> HttpResponse {
    act(&gateway, async |gateway, id| {
        let Some(reloading) = gateway.order_reload() else { return busy().response(Api::Messages, id) };
        match timeout(PATIENCE, reloading).await {
            Ok(Ok(Ok(reloaded))) => HttpResponse::Ok().json(reloaded),
            Ok(Ok(Err(refused))) => HttpResponse::UnprocessableEntity().json(NotReloaded { refused }),
            Ok(Err(_)) | Err(_) => busy().response(Api::Messages, id),
        }
    })
    .await
}

/// Cancels a request in flight.
pub(super) async fn cancel_request(path: web::Path<String>, gateway: web::Data<Gateway>) -> HttpResponse {
    let (id, gateway) = (RequestId::new(), shared(&gateway));
    let handler = async {
        let named = path.into_inner();
        match gateway.cancel_request(&named).await {
            Ok(()) => HttpResponse::Ok().json(json!({"cancelled": named})),
            Err(not) => {
                let (status, kind) = match not {
                    NotCancelled::NotInFlight => (404, ErrorKind::NotFound),
                    NotCancelled::NotRecorded => (409, ErrorKind::InvalidRequest),
                    NotCancelled::Busy => (503, ErrorKind::Api),
                };
                Refused(status, kind, not.message().to_owned()).response(Api::Messages, &id)
            }
        }
    };
    uncached(guarded(Api::Messages, &id, handler).await)
}

/// Resets the health of providers and keys, as `vdm health reset` does.
pub(super) async fn reset_health(
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    act(&gateway, async |gateway, id| {
        let expected = "{\"provider\": \"NAME\", \"key\": \"ID\"}; both are optional";
        let target: ResetTarget = match read_json(&request, &mut payload, &gateway, expected).await {
            Ok(target) => target,
            Err(refused) => return refused.response(Api::Messages, id),
        };
        match gateway.reset_health(&target).await {
            Ok(reset) => HttpResponse::Ok().json(reset),
            Err(text) => Refused(404, ErrorKind::NotFound, text).response(Api::Messages, id),
        }
    })
    .await
}
