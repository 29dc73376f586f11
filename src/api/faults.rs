//! `POST /faults/{panic,hang}?actor=NAME`: faults on purpose, for the tests of supervision. Only with the feature
//! `faults`, never in a shipped binary.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use vandamme_actors::faults::{self, InjectedFault};
use vandamme_actors::settings::Api;
use vandamme_actors::supervisor::ActorName;

use super::guarded;
use crate::gateway::Gateway;
use crate::request_id::RequestId;

#[derive(Deserialize)]
pub(super) struct FaultRequest {
    actor: String,
    #[serde(default)]
    seconds: f64,
}

pub(super) async fn inject(
    what: web::Path<String>,
    target: web::Query<FaultRequest>,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let fault = match what.as_str() {
        "panic" => InjectedFault::Panic,
        "hang" => InjectedFault::Hang(Duration::from_secs_f64(target.seconds)),
        _ => return HttpResponse::NotFound().finish(),
    };
    match target.actor.as_str() {
        "handler" => {
            guarded(Api::Messages, &RequestId::new(), async { panic!("a handler was told to panic") }).await
        }
        "converter" => {
            faults::arm_converter();
            HttpResponse::NoContent().finish()
        }
        "router" => {
            faults::inject_into_router(&gateway.registry, fault);
            HttpResponse::NoContent().finish()
        }
        name => {
            let struck = ActorName::parse(name)
                .is_some_and(|name| faults::inject(&gateway.registry.load(), &name, fault));
            if struck { HttpResponse::NoContent().finish() } else { HttpResponse::NotFound().finish() }
        }
    }
}
