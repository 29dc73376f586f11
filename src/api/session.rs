//! The session of the dashboard that a request names.

use actix_web::HttpRequest;

use crate::dashboard;
use crate::gateway::Gateway;
use crate::login::Level;

/// What the request's session of the dashboard may do. A page of another site gets nothing with it: browsers do not send the
/// cookie from there, and those that say where a request comes from are believed.
pub(super) fn level(request: &HttpRequest, gateway: &Gateway) -> Option<Level> {
    let token = dashboard::session_cookie(request, gateway)?;
    if !dashboard::is_own_request(request.headers(), request.method()) {
        return None;
    }
    gateway.logins.level(token, &gateway.live_config().access)
}
