//! Whether a provider answers: one small request, sent as a client's would be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::timeout;
use bytes::Bytes;
use serde::Deserialize;
use vandamme_actors::recorder::RequestRecorder;
use vandamme_actors::settings::{Api, ProviderSettings};
use vandamme_protocol::convert::Dropped;
use vandamme_protocol::models::Models;
use vandamme_protocol::request::{self, RequestHead};

use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::models::{self, ListedModels, Remembered};
use crate::proxy::{
    self, ClientHeaders, FailedRun, Origin, ProxyReply, ProxyRequest, RouteTrace, RunProgress, Targets,
    UpstreamCall,
};
use crate::request_id::RequestId;

/// The longest wait, since a person waits for the result.
const PATIENCE: Duration = Duration::from_secs(30);
/// Aliases that most providers have, the cheapest first.
const USUAL: [&str; 3] = ["haiku", "sonnet", "opus"];

/// The result of a probe.
#[derive(Debug)]
pub(crate) struct ProbeResult {
    /// The model name in the request; `None` if no request was sent.
    pub(crate) model: Option<String>,
    pub(crate) elapsed: Duration,
    pub(crate) outcome: ProbeOutcome,
}

#[derive(Debug)]
pub(crate) enum ProbeOutcome {
    Answered {
        response_id: Option<String>,
    },
    /// `status` is what a client would get; `kind` is an error type of the Messages API.
    Failed {
        status: u16,
        kind: &'static str,
        message: String,
    },
    /// The provider requires the client's own key.
    Skipped,
}

/// Sends a request for `model` of this provider, or for a model of its aliases or its list.
pub(crate) async fn provider(
    gateway: &Arc<Gateway>,
    provider: &Arc<ProviderSettings>,
    model: Option<&str>,
) -> ProbeResult {
    let began = Instant::now();
    if provider.passthrough {
        return ProbeResult { model: None, elapsed: Duration::ZERO, outcome: ProbeOutcome::Skipped };
    }
    let mut asked = None;
    let running = async {
        let name = match model {
            Some(model) => format!("{}:{model}", provider.name),
            None => any_model(gateway, provider).await?,
        };
        asked = Some(name.clone());
        send_request(gateway, &name).await
    };
    let outcome = within_patience(running).await;
    ProbeResult { model: asked, elapsed: began.elapsed(), outcome }
}

/// Sends a request for a model by the name that a client would use.
pub(crate) async fn model_name(gateway: &Arc<Gateway>, model: &str) -> ProbeResult {
    let began = Instant::now();
    let outcome = within_patience(send_request(gateway, model)).await;
    ProbeResult { model: Some(model.to_owned()), elapsed: began.elapsed(), outcome }
}

async fn within_patience(asking: impl Future<Output = Result<Option<String>, ProbeOutcome>>) -> ProbeOutcome {
    match timeout(PATIENCE, asking).await {
        Ok(Ok(response_id)) => ProbeOutcome::Answered { response_id },
        Ok(Err(failed)) => failed,
        Err(_elapsed) => {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            ProbeOutcome::Failed { status: 504, kind: "timeout_error", message }
        }
    }
}

/// A name that leads to this provider.
async fn any_model(gateway: &Arc<Gateway>, provider: &Arc<ProviderSettings>) -> Result<String, ProbeOutcome> {
    let routes = gateway.registry.load().routes.clone();
    let own = provider.aliases.keys().map(String::as_str);
    let usual = USUAL.into_iter().filter(|alias| provider.aliases.contains_key(*alias));
    let names = usual.chain(own).map(|alias| format!("{}:{alias}", provider.name));
    let leads_there =
        |name: &String| routes.resolve(name).is_ok_and(|route| route.provider.name == provider.name);
    if let Some(name) = names.into_iter().find(leads_there) {
        return Ok(name);
    }
    let no_headers = HeaderMap::new();
    let id = RequestId::new().shared();
    let listed = models::list(gateway.clone(), id, provider, &no_headers, Remembered::Serves).await;
    let (ListedModels::Current(listing) | ListedModels::Stale(listing)) =
        listed.map_err(|failure| failed(&failure))?;
    let first = Models::read(&listing.body).ok().and_then(|models| models.named().next());
    first.map(|model| format!("!{}:{}", provider.name, model.id)).ok_or_else(|| ProbeOutcome::Failed {
        status: 404,
        kind: "not_found_error",
        message: format!("provider '{}' has no alias and lists no model: name one", provider.name),
    })
}

/// The reply's id.
async fn send_request(gateway: &Arc<Gateway>, model: &str) -> Result<Option<String>, ProbeOutcome> {
    #[derive(Deserialize)]
    struct Message {
        id: Option<String>,
    }
    let body = serde_json::json!({
        "model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "Hello"}],
    });
    let body = Bytes::from(body.to_string());
    let malformed =
        |message: String| ProbeOutcome::Failed { status: 400, kind: "invalid_request_error", message };
    let head =
        request::head(&body).map(RequestHead::into_owned).map_err(|error| malformed(error.to_string()))?;
    let id = RequestId::new().shared();
    let mut entry = RequestRecorder::open(
        id.clone(),
        gateway.registry.clone(),
        gateway.live_config().settings.request_metrics,
    );
    let request = ProxyRequest {
        id,
        api: Api::Messages,
        upstream_call: UpstreamCall::Reply,
        targets: Targets::FirstOnly,
        role: None,
        body,
        head,
        headers: ClientHeaders::Own(HeaderMap::new()),
        query: String::new(),
        peer: None,
        caller: None,
        trace: RouteTrace::default(),
        chat_body: None,
        replaced: Dropped::default(),
        origin: Origin::Client,
        span: None,
    };
    entry.set_summary(request.summary(&gateway.live_config()));
    let (request, entry) = (Box::new(request), Box::new(entry));
    let outcome = match proxy::start(gateway.clone(), request, entry, PATIENCE).await {
        RunProgress::Finished(outcome) => outcome,
        RunProgress::Running(run, _) => run.await,
    };
    match outcome.map_err(recorded) {
        Ok(ProxyReply::Buffered { body, .. }) => {
            Ok(serde_json::from_slice(&body).ok().and_then(|message: Message| message.id))
        }
        // The provider streams although the request did not ask for it.
        Ok(ProxyReply::Streaming { .. } | ProxyReply::Raw { .. }) => Ok(None),
        Err(failure) => Err(failed(&failure)),
    }
}

/// A failure as a client would get it.
fn recorded(failed: FailedRun) -> Failure {
    let status = failed.failure().status();
    failed.close(status, 0)
}

fn failed(failure: &Failure) -> ProbeOutcome {
    ProbeOutcome::Failed {
        status: failure.status(),
        kind: failure.kind().anthropic(),
        message: failure.message(),
    }
}
