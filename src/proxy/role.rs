//! The role of a client's request, which `[routing]` can send to a model of its own.

use actix_web::http::header::HeaderMap;
use vandamme_actors::roles::{Hints, ReadBody, RoleInput};
use vandamme_actors::routing::{RoleDecision, Routes};

/// The rule that applies to a request. Without rules, nothing is read.
pub(crate) fn role(routes: &Routes, headers: &HeaderMap, model: &str, body: &[u8]) -> Option<RoleDecision> {
    if !routes.have_roles() {
        return None;
    }
    let hints = Hints::read(|name| headers.get(name)?.to_str().ok());
    routes.role(&RoleInput { model, hints, body: &ReadBody::new(body) })
}
