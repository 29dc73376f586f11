//! `GET /top-models`: recommended models from an aggregator's catalogue.

use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::endpoint::{self, Refused};
use super::models::{CACHE, refresh};
use super::query;
use super::shared;
use crate::gateway::Gateway;
use crate::models::{self, TopQuery, TopUnavailable};
use crate::request_id::RequestId;

const MOST: usize = 50;

/// The error is for the client.
fn parse_query(text: &str) -> Result<TopQuery, String> {
    let mut query = TopQuery::default();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        match &*name {
            "limit" => query.limit = query::limit("limit", &value, MOST)?,
            "refresh" => query.remembered = refresh(&value)?,
            "include_cache_info" => query.cache_info = query::flag("include_cache_info", &value)?,
            "provider" if !value.is_empty() => query.provider = Some(value.into_owned()),
            "sub_provider" if !value.is_empty() => query.sub_provider = Some(value.into_owned()),
            _ => {}
        }
    }
    Ok(query)
}

pub(super) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let refused = |refused: Refused| refused.response(Api::Messages, &id);
    let _admission = match endpoint::admitted(&request, &gateway) {
        Ok(admission) => admission,
        Err(reason) => return refused(reason),
    };
    let query = match parse_query(request.query_string()) {
        Ok(query) => query,
        // As the Python original answers.
        Err(message) => return refused(Refused(422, ErrorKind::InvalidRequest, message)),
    };
    match models::top_models(&gateway, &query).await {
        Ok(list) if list.stale => HttpResponse::Ok().insert_header((CACHE, "stale")).json(list),
        Ok(list) => HttpResponse::Ok().json(list),
        Err(TopUnavailable { status, message }) => refused(Refused(status, ErrorKind::Api, message)),
    }
}
