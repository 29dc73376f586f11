//! Whether a provider answers: one small question, by the way that a client's takes.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::timeout;
use bytes::Bytes;
use serde::Deserialize;
use vandamme_actors::ledger::Entry;
use vandamme_actors::settings::{Api, ProviderSettings};
use vandamme_protocol::models::Models;
use vandamme_protocol::request::{self, RequestHead};

use super::{Endpoint, Listed, Question, Remembered, Reply, Targets, Trail, answer, models};
use crate::api::RequestId;
use crate::gateway::Gateway;

/// A person waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// The aliases that most providers have, the cheapest first.
const USUAL: [&str; 3] = ["haiku", "sonnet", "opus"];

/// What came of it.
#[derive(Debug)]
pub(crate) struct Trial {
    /// As it was asked for; `None` when there is none to ask for.
    pub(crate) model: Option<String>,
    pub(crate) elapsed: Duration,
    pub(crate) verdict: Verdict,
}

#[derive(Debug)]
pub(crate) enum Verdict {
    Answered {
        response_id: Option<String>,
    },
    /// `status` is what a client would have got, `kind` in the words of the Messages API.
    Failed {
        status: u16,
        kind: &'static str,
        message: String,
    },
    /// Only a client has the key for it.
    Skipped,
}

/// Asks `model` of this provider, else one that its aliases or its list name.
pub(crate) async fn trial(
    gateway: &Arc<Gateway>,
    provider: &Arc<ProviderSettings>,
    model: Option<&str>,
) -> Trial {
    let began = Instant::now();
    if provider.passthrough {
        return Trial { model: None, elapsed: Duration::ZERO, verdict: Verdict::Skipped };
    }
    let mut asked = None;
    let running = async {
        let name = match model {
            Some(model) => format!("{}:{model}", provider.name),
            None => any_model(gateway, provider).await?,
        };
        asked = Some(name.clone());
        ask(gateway, &name).await
    };
    let verdict = within_patience(running).await;
    Trial { model: asked, elapsed: began.elapsed(), verdict }
}

/// Asks for a model as a client would name it.
pub(crate) async fn trial_of(gateway: &Arc<Gateway>, model: &str) -> Trial {
    let began = Instant::now();
    let verdict = within_patience(ask(gateway, model)).await;
    Trial { model: Some(model.to_owned()), elapsed: began.elapsed(), verdict }
}

async fn within_patience(asking: impl Future<Output = Result<Option<String>, Verdict>>) -> Verdict {
    match timeout(PATIENCE, asking).await {
        Ok(Ok(response_id)) => Verdict::Answered { response_id },
        Ok(Err(failed)) => failed,
        Err(_elapsed) => {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            Verdict::Failed { status: 504, kind: "timeout_error", message }
        }
    }
}

/// A name that leads to this provider.
async fn any_model(gateway: &Arc<Gateway>, provider: &Arc<ProviderSettings>) -> Result<String, Verdict> {
    let routes = gateway.registry.load().routes.clone();
    let own = provider.aliases.keys().map(String::as_str);
    let usual = USUAL.into_iter().filter(|alias| provider.aliases.contains_key(*alias));
    let names = usual.chain(own).map(|alias| format!("{}:{alias}", provider.name));
    let leads_there =
        |name: &String| routes.resolve(name).is_ok_and(|route| route.provider.name == provider.name);
    if let Some(name) = names.into_iter().find(leads_there) {
        return Ok(name);
    }
    let nobody = HeaderMap::new();
    let id = RequestId::new().shared();
    let listed = models(gateway.clone(), id, (provider, &nobody), Remembered::Serves).await;
    let (Listed::Current(listing) | Listed::Stale(listing)) = listed.map_err(|failure| failed(&failure))?;
    let first = Models::read(&listing.body).ok().and_then(|models| models.named().next());
    first.map(|model| format!("!{}:{}", provider.name, model.id)).ok_or_else(|| Verdict::Failed {
        status: 404,
        kind: "not_found_error",
        message: format!("provider '{}' has no alias and lists no model: name one", provider.name),
    })
}

/// The reply's id.
async fn ask(gateway: &Arc<Gateway>, model: &str) -> Result<Option<String>, Verdict> {
    #[derive(Deserialize)]
    struct Message {
        id: Option<String>,
    }
    let body = serde_json::json!({
        "model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "Hello"}],
    });
    let body = Bytes::from(body.to_string());
    let malformed = |message: String| Verdict::Failed { status: 400, kind: "invalid_request_error", message };
    let head =
        request::head(&body).map(RequestHead::into_owned).map_err(|error| malformed(error.to_string()))?;
    let id = RequestId::new().shared();
    let mut entry =
        Entry::open(id.clone(), gateway.registry.clone(), gateway.terms().settings.request_metrics);
    let question = Question {
        id,
        api: Api::Messages,
        endpoint: Endpoint::Reply,
        targets: Targets::FirstAlone,
        body,
        head,
        headers: HeaderMap::new(),
        query: String::new(),
        peer: None,
        committed: Rc::new(Cell::new(false)),
        trail: Trail::default(),
    };
    entry.asked(question.asked());
    match answer(gateway.clone(), question, entry).await {
        Ok(Reply::Whole { body, .. }) => {
            Ok(serde_json::from_slice(&body).ok().and_then(|message: Message| message.id))
        }
        // Of a provider that streams what was not to be streamed.
        Ok(Reply::Streamed { .. }) => Ok(None),
        Err(failure) => Err(failed(&failure)),
    }
}

fn failed(failure: &super::Failure) -> Verdict {
    Verdict::Failed { status: failure.status(), kind: failure.kind().anthropic(), message: failure.message() }
}
