//! The number of tokens of a request: counted by the provider if it can, otherwise estimated. It never causes a completion
//! and has no rate limit, because Claude Code uses it to decide when to compact.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::timeout;
use bytes::Bytes;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::settings::Api;
use vandamme_protocol::tokens;

use super::attempt::Answered;
use super::run::{Served, serve_request};
use super::run_record::RunRecord;
use super::{ProxyRequest, Targets, images};
use crate::failure::Failure;
use crate::gateway::Gateway;

/// After this time, repeats included, the client gets an estimate.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) enum Count {
    /// The provider's own answer.
    Counted {
        status: u16,
        headers: HeaderMap,
        body: Bytes,
    },
    Estimated(u64),
}

pub(crate) async fn count(gateway: &Arc<Gateway>, mut request: ProxyRequest) -> Result<Count, Failure> {
    let route = request.route(gateway).map_err(Failure::Unroutable)?;
    if let Some(described) = images::counted(gateway, &request, &route) {
        request = *described;
    }
    if route.provider.api != Api::Messages {
        return estimated(&request);
    }
    request.targets = Targets::Resolved(route);
    // The ledger does not record counts.
    let record = RunRecord::new(&request.id, None, &request.trace);
    let Ok(served) = timeout(PATIENCE, serve_request(gateway, &request, record)).await else {
        return estimated(&request);
    };
    match served {
        Ok(Served { answered, lease }) => {
            // The host works. This says nothing about the model or the key's limits.
            let lease_provider = lease.provider.name.clone();
            lease.finish(Outcome::RequestRefused);
            match *answered {
                Answered::Buffered { status, headers, body, .. } if has_count(&body) => {
                    Ok(Count::Counted { status, headers, body })
                }
                Answered::Buffered { .. } => {
                    let (id, provider) = (&request.id, &lease_provider);
                    log::warn!(
                        REQUEST_ID:% = id, PROVIDER = provider.as_ref();
                        "{id} {provider} counts tokens without input_tokens; the client gets an estimate"
                    );
                    estimated(&request)
                }
                Answered::Opened { .. } | Answered::Raw { .. } => estimated(&request),
            }
        }
        Err(failure) if is_the_requests_own(failure.status()) => Err(failure),
        Err(_) => estimated(&request),
    }
}

fn estimated(request: &ProxyRequest) -> Result<Count, Failure> {
    tokens::messages(&request.body)
        .map(Count::Estimated)
        .map_err(|error| Failure::Malformed(error.to_string()))
}

/// Whether a provider's answer has a number of tokens, in whatever form JSON writes it.
fn has_count(body: &[u8]) -> bool {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    answer["input_tokens"].as_f64().is_some_and(|count| count >= 0.0)
}

/// Whether a provider's refusal is about the request or the key, not about counting or a temporary condition.
fn is_the_requests_own(status: u16) -> bool {
    matches!(status, 400 | 401 | 403 | 413)
}
