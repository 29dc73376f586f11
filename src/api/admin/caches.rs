//! `POST /admin/caches/clear`: forgets the lists of models, in memory and on disk. They are read again when they are needed.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use vandamme_actors::catalog::ClearLists;
use vandamme_actors::settings::Api;

use super::{act, busy};
use crate::gateway::Gateway;

/// The longest wait for the catalog.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Cleared {
    files: usize,
}

pub(in crate::api) async fn clear(gateway: web::Data<Gateway>) -> HttpResponse {
    act(&gateway, async |gateway, id| {
        let catalog = gateway.registry.load().catalog.clone();
        match catalog.send(ClearLists).timeout(PATIENCE).await {
            Ok(Some(files)) => {
                log::info!("the cached lists of models were cleared by an operator: {files} files");
                HttpResponse::Ok().json(Cleared { files })
            }
            Ok(None) | Err(_) => busy().response(Api::Messages, id),
        }
    })
    .await
}
