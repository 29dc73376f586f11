//! How many tokens a request has: asked of a provider that can tell, else estimated here. Nobody ever pays for a
//! completion to find out, and no limit stands in the way: Claude Code decides by this when to compact.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::timeout;
use bytes::Bytes;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::provider::NoLease;
use vandamme_actors::settings::Api;
use vandamme_protocol::tokens;

use super::attempt::Answered;
use super::{Exchange, Failure, Question};
use crate::gateway::Gateway;

/// An estimate now is worth more than the truth later, repeats included.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) enum Count {
    /// The provider's own answer.
    Told {
        status: u16,
        headers: HeaderMap,
        body: Bytes,
    },
    Estimated(u64),
}

pub(crate) async fn count(gateway: Arc<Gateway>, question: Question) -> Result<Count, Failure> {
    let route = gateway.registry.load().routes.resolve(&question.head.model);
    let route = route.map_err(|reason| Failure::NoLease(Some(NoLease::Unroutable(reason))))?;
    if route.provider.api == Api::Messages {
        let exchange = Exchange::new(&gateway, &question);
        // Counting is nothing that the ledger keeps.
        let Ok(told) = timeout(PATIENCE, exchange.run(|_| {})).await else {
            return estimated(&question);
        };
        match told {
            Ok((Answered::Whole { status, headers, body, .. }, lease)) => {
                // It shows that the host works, and nothing of the model or of the key's limits.
                lease.finish(Outcome::RequestRefused);
                return Ok(Count::Told { status, headers, body });
            }
            Ok((Answered::Opened { .. }, lease)) => lease.finish(Outcome::RequestRefused),
            Err(failure) if is_the_requests_own(failure.status()) => return Err(failure),
            Err(_) => {}
        }
    }
    estimated(&question)
}

fn estimated(question: &Question) -> Result<Count, Failure> {
    tokens::messages(&question.body)
        .map(Count::Estimated)
        .map_err(|error| Failure::Malformed(error.to_string()))
}

/// Whether a provider's refusal is about the request or the key, and not about counting or the moment.
fn is_the_requests_own(status: u16) -> bool {
    matches!(status, 400 | 401 | 403 | 413)
}
