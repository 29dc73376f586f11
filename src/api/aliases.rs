//! `GET /v1/aliases`: every provider's aliases, and what the catalogue of top models would suggest.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use vandamme_actors::settings::{Api, Settings};

use super::endpoint;
use super::shared;
use crate::gateway::Gateway;
use crate::models;
use crate::request_id::RequestId;

#[derive(Debug, Serialize)]
pub(crate) struct AliasList<'a> {
    object: &'static str,
    /// By provider, and by name.
    pub(crate) aliases: BTreeMap<&'a str, &'a BTreeMap<String, String>>,
    /// For people: nothing is routed by it.
    suggested: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
    /// Of the aliases.
    total: usize,
}

impl<'a> AliasList<'a> {
    pub(crate) fn new(settings: &'a Settings, suggested: BTreeMap<&'static str, String>) -> Self {
        let aliases: BTreeMap<_, _> =
            settings.providers.iter().map(|provider| (&*provider.name, &provider.aliases)).collect();
        let suggested = match suggested.is_empty() {
            true => BTreeMap::new(),
            false => [("default", suggested)].into(),
        };
        Self {
            object: "list",
            total: aliases.values().map(|aliases| aliases.len()).sum(),
            aliases,
            suggested,
        }
    }
}

pub(super) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    let gateway = shared(&gateway);
    let _admission = match endpoint::admitted(&request, &gateway) {
        Ok(admission) => admission,
        Err(refused) => return refused.response(Api::Messages, &id),
    };
    let suggested = models::suggested_aliases(&gateway).await;
    HttpResponse::Ok().json(AliasList::new(&gateway.live_config().settings, suggested))
}
