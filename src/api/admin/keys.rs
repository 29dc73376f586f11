//! `POST /admin/keys/disable` and `/admin/keys/enable`: takes a key out of use for this run, and back.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use vandamme_actors::provider::KeySwitch;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::super::endpoint::Refused;
use super::{act, busy, read_json};
use crate::gateway::{Gateway, NotSwitched};

/// A key by its id, as logs and reports show it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedKey {
    provider: String,
    key: String,
}

#[derive(Serialize)]
struct Switched {
    #[serde(flatten)]
    key: NamedKey,
    state: KeySwitch,
}

pub(in crate::api) async fn disable(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    switch(request, payload, gateway, KeySwitch::Disabled).await
}

pub(in crate::api) async fn enable(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    switch(request, payload, gateway, KeySwitch::Enabled).await
}

async fn switch(
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
    to: KeySwitch,
) -> HttpResponse {
    act(&gateway, async |gateway, id| {
        let expected = "{\"provider\": \"NAME\", \"key\": \"ID\"}";
        let key: NamedKey = match read_json(&request, &mut payload, &gateway, expected).await {
            Ok(key) => key,
            Err(refused) => return refused.response(Api::Messages, id),
        };
        match gateway.switch_key(&key.provider, &key.key, to).await {
            Ok(()) => HttpResponse::Ok().json(Switched { key, state: to }),
            Err(NotSwitched::Unknown(text)) => {
                Refused(404, ErrorKind::NotFound, text).response(Api::Messages, id)
            }
            Err(NotSwitched::Busy) => busy().response(Api::Messages, id),
        }
    })
    .await
}
