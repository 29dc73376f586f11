//! Who may see the dashboard: a session, a key in a header, or this machine if there is no key.

use std::panic::AssertUnwindSafe;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorInternalServerError;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};
use futures_util::FutureExt as _;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::access;
use super::endpoint::{INVALID_KEY, Refused};
use super::report::{self, uncached};
use super::session;
use crate::caller;
use crate::dashboard::{self, Viewer};
use crate::gateway::Gateway;
use crate::login::Level;
use crate::request_id::RequestId;

/// Lets a request of a viewer pass to a page of the dashboard, or to the data of one.
pub(super) async fn require(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(gateway) = request.app_data::<web::Data<Gateway>>().cloned() else {
        return Ok(request.into_response(HttpResponse::InternalServerError().finish()));
    };
    if let Some(viewer) = viewer(request.request(), &gateway) {
        request.extensions_mut().insert(viewer);
        // A panic fails its own request only.
        return AssertUnwindSafe(next.call(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|_panic| Err(ErrorInternalServerError("internal gateway error")));
    }
    let response = match request.path().starts_with("/api/") {
        false => dashboard::refused(request.request(), &gateway),
        true => uncached(refusal(&gateway).response(Api::Messages, &RequestId::new())),
    };
    Ok(request.into_response(response))
}

/// The answer to a script without access.
fn refusal(gateway: &Gateway) -> Refused {
    let access = &gateway.live_config().access;
    if access.are_required() {
        Refused(401, ErrorKind::Authentication, INVALID_KEY.to_owned())
    } else if access.admin.is_some() {
        let message = "log in at /dashboard/login, or send the gateway's VDM_ADMIN_KEY as x-api-key";
        Refused(401, ErrorKind::Authentication, message.to_owned())
    } else {
        let message = "the dashboard is for this machine only: set VDM_ADMIN_KEY, or use `vdm dashboard`";
        Refused(403, ErrorKind::Permission, message.to_owned())
    }
}

fn viewer(request: &HttpRequest, gateway: &Gateway) -> Option<Viewer> {
    if let Some(level) = session::level(request, gateway) {
        return Some(Viewer { level, has_session: true });
    }
    let live = gateway.live_config();
    let headers = request.headers();
    let by_header = |level| Some(Viewer { level, has_session: false });
    if live.access.admin.is_some_and(|admin| caller::presents(headers, &admin)) {
        return by_header(Level::Admin);
    }
    if request.path().starts_with("/api/") {
        // The data of pages follow the rule of all reports, also where the pages themselves require a login.
        return if report::may_read(request, gateway) { by_header(Level::Read) } else { None };
    }
    let may_read = match (live.access.are_required(), live.access.admin) {
        (true, _) => caller::identify(headers, &live.access).is_some(),
        (false, Some(_)) => false,
        (false, None) => access::is_local(request, gateway),
    };
    if may_read { by_header(Level::Read) } else { None }
}
