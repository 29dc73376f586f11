//! The request for a provider's list of models.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use bytes::Bytes;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::routing::Route;
use vandamme_actors::settings::{MessagesForm, ProviderSettings};
use vandamme_actors::upstream::{self, CallHead, CallUrl};
use vandamme_protocol::convert::Dropped;
use vandamme_protocol::fault::Fault;
use vandamme_protocol::models::Models;
use vandamme_protocol::request::RequestHead;
use vandamme_protocol::vocabulary::ErrorKind;

use super::attempt::Answered;
use super::run::{Served, serve_request};
use super::run_record::RunRecord;
use super::upstream_body::{self, LARGEST_LIST};
use super::{ClientHeaders, Origin, ProxyRequest, RouteTrace, Targets, UpstreamCall, address, cloud_models};
use crate::failure::{Failure, UpstreamError};
use crate::gateway::Gateway;

const AGENT: &str = concat!("vandamme-proxy/", env!("CARGO_PKG_VERSION"));

/// The provider's list as it answers now, byte for byte.
pub(crate) async fn fetch_models(
    gateway: &Arc<Gateway>,
    id: Arc<str>,
    provider: &Arc<ProviderSettings>,
    headers: &HeaderMap,
) -> Result<Bytes, Failure> {
    if provider.keys.is_empty() && !provider.passthrough {
        return fetch_public(gateway, provider).await;
    }
    let route = Route { provider: provider.clone(), model: "".into(), profile: None, fallbacks: vec![] };
    let request = ProxyRequest {
        id,
        api: provider.api,
        upstream_call: UpstreamCall::Models,
        targets: Targets::Resolved(Arc::new(route)),
        role: None,
        body: Bytes::new(),
        head: RequestHead::of_nothing(),
        headers: ClientHeaders::Own(headers.clone()),
        query: String::new(),
        peer: None,
        caller: None,
        trace: RouteTrace::default(),
        chat_body: None,
        replaced: Dropped::default(),
        origin: Origin::Client,
        span: None,
    };
    let record = RunRecord::new(&request.id, None, &request.trace);
    let Served { answered, lease } = serve_request(gateway, &request, record).await?;
    // The host works. This says nothing about a model or the key's limits.
    lease.finish(Outcome::RequestRefused);
    let Answered::Buffered { body, .. } = *answered else {
        return Err(misbehaved(provider, "the provider answered with a stream of events"));
    };
    let body = match provider.messages_form {
        MessagesForm::Native => body,
        MessagesForm::InvokeModel { .. } | MessagesForm::RawPredict { .. } => {
            cloud_models::read(&body).unwrap_or(body)
        }
    };
    match Models::read(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(misbehaved(provider, &error.to_string())),
    }
}

/// The list of a catalogue that needs no key.
async fn fetch_public(gateway: &Gateway, provider: &ProviderSettings) -> Result<Bytes, Failure> {
    let stopped = || Failure::NoAnswer;
    let client = upstream::client(provider, &gateway.wiring).await.map_err(|_| stopped())?;
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    let url = CallUrl::parse(&address::models(provider));
    let url = url.map_err(|error| misbehaved(provider, &error.to_string()))?;
    let request = CallHead { method: Method::GET, url, headers };
    let sent = client.send(request, || ()).await;
    let response = sent.map_err(|error| misbehaved(provider, &error.to_string()))?;
    if !response.status().is_success() {
        return Err(misbehaved(provider, &format!("it answers with status {}", response.status())));
    }
    let (body, _) =
        upstream_body::body(response).map_err(|error| misbehaved(provider, &error.to_string()))?;
    let body = upstream_body::read_up_to(Bytes::new(), body, LARGEST_LIST).await;
    let body = body.map_err(|error| misbehaved(provider, &error.to_string()))?;
    let body =
        body.ok_or_else(|| misbehaved(provider, &format!("its list has more than {LARGEST_LIST} bytes")))?;
    Models::read(&body).map_err(|error| misbehaved(provider, &error.to_string()))?;
    Ok(body)
}

fn misbehaved(provider: &ProviderSettings, how: &str) -> Failure {
    let message = format!("{how} (provider '{}')", provider.name);
    Failure::Upstream(Box::new(UpstreamError::from_fault(Fault {
        kind: ErrorKind::Api,
        status: 502,
        message,
    })))
}
