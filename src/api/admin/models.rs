//! `POST /admin/models/refresh`: reads a provider's list of models again.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use vandamme_actors::settings::Api;
use vandamme_protocol::models::Models;

use super::{act, read_json};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::models::{self, ListedModels, Remembered};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    provider: String,
}

#[derive(Serialize)]
struct Refreshed {
    provider: String,
    models: usize,
    /// The provider did not answer, and the last known list stays.
    stale: bool,
    age_seconds: u64,
}

pub(in crate::api) async fn refresh(
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    act(&gateway, async |gateway, id| {
        let expected = "{\"provider\": \"NAME\"}";
        let refresh: Refresh = match read_json(&request, &mut payload, &gateway, expected).await {
            Ok(refresh) => refresh,
            Err(refused) => return refused.response(Api::Messages, id),
        };
        let routes = gateway.registry.load().routes.clone();
        let provider = match routes.provider(Some(&refresh.provider)) {
            Ok(provider) => provider,
            Err(reason) => return Failure::Unroutable(reason).response(Api::Messages, id.as_str()),
        };
        let headers = request.headers().clone();
        let listed = models::list(gateway.clone(), id.shared(), provider, &headers, Remembered::PassedOver);
        let (listing, stale) = match listed.await {
            Ok(ListedModels::Current(listing)) => (listing, false),
            Ok(ListedModels::Stale(listing)) => (listing, true),
            Err(failure) => return failure.response(Api::Messages, id.as_str()),
        };
        HttpResponse::Ok().json(Refreshed {
            provider: provider.name.to_string(),
            models: Models::read(&listing.body).map_or(0, |models| models.named().count()),
            stale,
            age_seconds: listing.age().as_secs(),
        })
    })
    .await
}
