//! A request that the gateway itself makes to a model in order to serve a client's request, such as a judge's verdict on a tool
//! call.
//!
//! It takes the ordinary run: route, lease, retries, translation, limits and health. It has a record of its own, which names the
//! client's request and the purpose, so that its cost counts once and for that client. It uses the keys of the gateway only.
//! A permit that is not free is not waited for: the client's request may hold it. A subrequest never leads to another one,
//! because a [`Parent`] is a client's request.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::timeout;
use bytes::Bytes;
use serde_json::{Map, Value};
use thiserror::Error;
use vandamme_actors::excerpt;
use vandamme_actors::provider::{LeaseRefusal, NoLease};
use vandamme_actors::recorder::RequestRecorder;
use vandamme_actors::settings::Api;
use vandamme_protocol::convert::Dropped;
use vandamme_protocol::request::{self, RequestHead};

use super::origin::{GatewayOrigin, Origin, Parent, Purpose};
use super::route_trace::RouteTrace;
use super::{ClientHeaders, ProxyReply, ProxyRequest, Targets, UpstreamCall};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::request_id::RequestId;

/// One request to a model. Dropping [`send`](Self::send) closes its upstream connection.
pub(crate) struct Subrequest {
    pub(crate) parent: Parent,
    pub(crate) purpose: Purpose,
    /// A name that a client could use, such as `provider:model` or an alias.
    pub(crate) target: String,
    /// A Messages request without `model` and `stream`.
    pub(crate) body: Map<String, Value>,
    pub(crate) deadline: Duration,
}

/// Why a subrequest has no reply. The text has no secrets and is short.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum SubrequestError {
    /// The provider has no permit free.
    #[error("too many requests are in flight")]
    Busy,
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("{status}: {message}")]
    Failed { status: u16, message: String },
}

impl Subrequest {
    /// The whole Messages reply.
    pub(crate) async fn send(self, gateway: Arc<Gateway>) -> Result<Bytes, SubrequestError> {
        // It has no place of its own among the requests in flight: the client's request has one, and makes few at once.
        let deadline = self.deadline;
        match timeout(deadline, self.run(gateway)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(SubrequestError::Timeout(deadline)),
        }
    }

    async fn run(self, gateway: Arc<Gateway>) -> Result<Bytes, SubrequestError> {
        let request = self.into_request()?;
        let metrics = gateway.live_config().settings.request_metrics;
        let mut entry =
            Box::new(RequestRecorder::open(request.id.clone(), gateway.registry.clone(), metrics));
        entry.set_summary(request.summary(&gateway.live_config()));
        let outcome = request.outcome(gateway, entry).await;
        match outcome {
            Ok(ProxyReply::Buffered { status: 200, body, .. }) => Ok(body),
            Ok(ProxyReply::Raw { status, .. } | ProxyReply::Buffered { status, .. }) => {
                Err(unexpected(status))
            }
            Ok(ProxyReply::Streaming { .. }) => Err(unexpected(200)),
            Err(failed) => {
                let status = failed.failure().status();
                Err(SubrequestError::from(&failed.close(status, 0)))
            }
        }
    }

    fn into_request(self) -> Result<Box<ProxyRequest>, SubrequestError> {
        let Self { parent, purpose, target, mut body, .. } = self;
        body.insert("model".to_owned(), Value::String(target));
        let body = Bytes::from(Value::Object(body).to_string());
        let head = request::head(&body).map(RequestHead::into_owned);
        let head =
            head.map_err(|error| SubrequestError::Failed { status: 400, message: error.to_string() })?;
        Ok(Box::new(ProxyRequest {
            id: RequestId::new().shared(),
            api: Api::Messages,
            upstream_call: UpstreamCall::Reply,
            targets: Targets::WithFallbacks,
            body,
            head,
            headers: ClientHeaders::Own(HeaderMap::new()),
            query: String::new(),
            peer: None,
            // The caller is only needed for its key, which a subrequest does not use.
            caller: None,
            trace: RouteTrace::default(),
            chat_body: None,
            replaced: Dropped::default(),
            // The setting names the target, so no role applies.
            role: None,
            origin: Origin::Gateway(Box::new(GatewayOrigin { parent, purpose })),
            span: None,
        }))
    }
}

fn unexpected(status: u16) -> SubrequestError {
    SubrequestError::Failed { status, message: "the reply is not a whole message".to_owned() }
}

impl From<&Failure> for SubrequestError {
    fn from(failure: &Failure) -> Self {
        if let Failure::NoLease(NoLease { refusal: LeaseRefusal::Busy, .. }) = failure {
            return Self::Busy;
        }
        let message = excerpt::one_line(&failure.message(), excerpt::LINE).to_string();
        Self::Failed { status: failure.status(), message }
    }
}
