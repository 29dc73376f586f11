//! `POST /admin/probe`: sends a short question to a model of a provider, which costs a few tokens.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::super::endpoint::{self, Refused};
use super::super::test_connection::TestReport;
use super::{act, read_json};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::probe;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeTarget {
    provider: String,
    /// A model or an alias of the provider; without it, one of its aliases or of its list.
    #[serde(default)]
    model: Option<String>,
}

/// Answers 200 whatever the provider answered: the report says which status and text that was, and how long it took.
pub(in crate::api) async fn send(
    request: HttpRequest,
    mut payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    act(&gateway, async |gateway, id| {
        let expected = "{\"provider\": \"NAME\", \"model\": \"NAME\"}; the model is optional";
        let target: ProbeTarget = match read_json(&request, &mut payload, &gateway, expected).await {
            Ok(target) => target,
            Err(refused) => return refused.response(Api::Messages, id),
        };
        let model = target.model.as_deref().filter(|model| !model.is_empty());
        let mut names = [Some(&*target.provider), model].into_iter().flatten();
        if let Err(message) =
            names.try_for_each(|name| endpoint::model_name(name, &gateway.live_config(), None))
        {
            return Refused(400, ErrorKind::InvalidRequest, message).response(Api::Messages, id);
        }
        let routes = gateway.registry.load().routes.clone();
        match routes.provider(Some(&target.provider)) {
            Ok(provider) => {
                let probe = probe::provider(&gateway, provider, model).await;
                HttpResponse::Ok().json(TestReport::new(provider, probe))
            }
            Err(reason) => Failure::Unroutable(reason).response(Api::Messages, id.as_str()),
        }
    })
    .await
}
