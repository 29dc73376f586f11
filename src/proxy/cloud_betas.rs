//! The values of `anthropic-beta` in calls to clouds.

use actix_web::http::header::{HeaderMap, HeaderValue};
use vandamme_actors::settings::{Api, MessagesForm, ProviderSettings};
use vandamme_protocol::cloud::betas::BetaEndpoint;

use super::upstream_headers::BETAS;

/// The endpoint whose betas a provider takes over this API; `None` outside of clouds.
pub(super) fn beta_endpoint(provider: &ProviderSettings, api: Api) -> Option<BetaEndpoint> {
    match provider.messages_form {
        MessagesForm::InvokeModel { .. } => Some(BetaEndpoint::InvokeModel),
        MessagesForm::RawPredict { .. } => Some(BetaEndpoint::Vertex),
        MessagesForm::Native => {
            (provider.is_mantle() && api == Api::Messages).then_some(BetaEndpoint::Mantle)
        }
    }
}

/// The values of all `anthropic-beta` headers.
pub(super) fn stated_betas(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(&BETAS).filter_map(|value| value.to_str().ok());
    let betas = values.flat_map(|value| value.split(',').map(str::trim));
    betas.filter(|beta| !beta.is_empty()).map(str::to_owned).collect()
}

/// Replaces all `anthropic-beta` headers.
pub(super) fn set_betas(headers: &mut HeaderMap, betas: &[&str]) {
    headers.remove(&BETAS);
    if !betas.is_empty()
        && let Ok(value) = HeaderValue::from_str(&betas.join(","))
    {
        headers.insert(BETAS, value);
    }
}
