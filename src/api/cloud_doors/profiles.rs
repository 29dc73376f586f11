//! Bedrock's inference profiles, by which Claude Code chooses the models of its menu
//! (docs.aws.amazon.com/bedrock/latest/APIReference/API_ListInferenceProfiles.html).

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use vandamme_actors::settings::Api;
use vandamme_protocol::cloud::model_ids;
use vandamme_protocol::vocabulary::ErrorKind;

use super::refused_now;
use crate::api::endpoint;
use crate::gateway::Gateway;
use crate::request_id::RequestId;

/// The current model of each of Claude's families.
const MODELS: [&str; 4] = ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-2"];
/// Claude Code prefers the profiles of its region.
const PROFILES: [&str; 3] = ["global", "us", "eu"];

/// The profiles whose models this gateway can route.
pub(super) fn list(request: &HttpRequest, gateway: &web::Data<Gateway>) -> HttpResponse {
    if let Err(refused) = endpoint::authorized(request, gateway) {
        return refused_now(refused.response(Api::Messages, &RequestId::new()));
    }
    let all: Vec<Value> = ids(gateway).iter().map(|id| summary(id)).collect();
    HttpResponse::Ok().json(json!({"inferenceProfileSummaries": all}))
}

pub(super) fn one(request: &HttpRequest, gateway: &web::Data<Gateway>, id: &str) -> HttpResponse {
    let request_id = RequestId::new();
    if let Err(refused) = endpoint::authorized(request, gateway) {
        return refused_now(refused.response(Api::Messages, &request_id));
    }
    if gateway.registry.load().routes.resolve(id).is_ok() {
        return HttpResponse::Ok().json(summary(id));
    }
    let message = format!("there is no inference profile '{id}'");
    let error =
        crate::api::render_error::error(Api::Messages, ErrorKind::NotFound, &message, request_id.as_str());
    refused_now(error)
}

fn ids(gateway: &Gateway) -> Vec<String> {
    let registry = gateway.registry.load();
    let routed = MODELS.into_iter().filter(|model| registry.routes.resolve(model).is_ok());
    routed
        .flat_map(|model| PROFILES.map(|profile| model_ids::for_bedrock(model, profile).into_owned()))
        .collect()
}

fn summary(id: &str) -> Value {
    // A client may ask by ARN.
    let (arn, id) = match id.rsplit_once('/') {
        Some((_, last)) => (id.to_owned(), last),
        None => (format!("arn:aws:bedrock:us-east-1::inference-profile/{id}"), id),
    };
    let model = id.split_once('.').map_or(id, |(_, model)| model);
    json!({
        "inferenceProfileId": id,
        "inferenceProfileName": id,
        "inferenceProfileArn": arn,
        "description": "Routed by vdm",
        "models": [{"modelArn": format!("arn:aws:bedrock:us-east-1::foundation-model/{model}")}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    })
}
