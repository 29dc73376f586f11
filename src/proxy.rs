//! Handles one client request; start reading in `src/proxy/run.rs`.

mod address;
mod affinity;
mod attempt;
mod buffered;
mod cache_diagnostics;
mod classify;
mod cloud_betas;
mod cloud_call;
mod cloud_errors;
mod cloud_models;
mod content_type;
mod count_tokens;
mod deadline;
mod deferred;
mod empty;
mod endpoint_call;
mod endpoint_reply;
mod error_reply;
mod event_frames;
mod fetch_models;
mod fixups;
mod images;
mod lease;
mod middleware;
mod origin;
mod patience;
mod read_ahead;
mod remedies;
mod reply_stream;
mod retry;
mod role;
mod route_trace;
mod run;
mod run_record;
mod safeguards;
mod session;
mod slices;
mod start;
mod subrequest;
mod target_queue;
mod trace_headers;
mod translation;
mod upstream_body;
mod upstream_headers;
mod upstream_request;
mod upstream_url;
mod web_search;

use std::cell::RefCell;
use std::net::IpAddr;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use futures_util::FutureExt as _;
use vandamme_actors::converter::RawBody;
use vandamme_actors::ledger::RequestSummary;
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::recorder::RequestRecorder;
use vandamme_actors::routing::{RoleDecision, Route, Unroutable};
use vandamme_actors::settings::{Api, Metrics, ProviderSettings};
use vandamme_protocol::cloud::CloudForm;
use vandamme_protocol::convert::Dropped;
use vandamme_protocol::request::{
    self, ConversationName, KnownPrompts, Pieces, PromptPrefix, RequestHead, Streaming,
};
use vandamme_protocol::trace_context::RequestSpan;

use crate::caller::{self, Caller, OwnKey};
use crate::gateway::{Gateway, LiveConfig};

pub(crate) use self::count_tokens::{Count, count, count_input};
pub(crate) use self::deferred::DeferredReply;
pub(crate) use self::fetch_models::fetch_models;
pub(crate) use self::origin::Origin;
pub(crate) use self::reply_stream::ReplyStream;
pub(crate) use self::role::role;
pub(crate) use self::route_trace::{RouteSteps, RouteTrace};
pub(crate) use self::run_record::FailedRun;
pub(crate) use self::start::{RunProgress, start};
pub(crate) use self::trace_headers::request_span;

/// A client's request, parsed as far as the gateway requires.
pub(crate) struct ProxyRequest {
    pub(crate) id: Arc<str>,
    /// The API of the client's endpoint, in which it gets its reply.
    pub(crate) api: Api,
    pub(crate) upstream_call: UpstreamCall,
    pub(crate) targets: Targets,
    /// The rule of `[routing]` that replaces the target of the model name.
    pub(crate) role: Option<RoleDecision>,
    pub(crate) body: Bytes,
    pub(crate) head: RequestHead<'static>,
    /// As the client sent them.
    pub(crate) headers: ClientHeaders,
    pub(crate) query: String,
    /// The client's address.
    pub(crate) peer: Option<IpAddr>,
    /// The client whose key it carries; `None` if the gateway requires none.
    pub(crate) caller: Option<Caller>,
    /// Sends the steps of the run for the response header `x-vdm-route`.
    pub(crate) trace: RouteTrace,
    /// The body of a client of OpenAI's APIs whose request has become `body`, one of Messages.
    pub(crate) chat_body: Option<Bytes>,
    /// What is sent instead of parts of the client's body, for `x-vdm-dropped`.
    pub(crate) replaced: Dropped,
    /// Who makes it: a client, or the gateway for a client's request.
    pub(crate) origin: Origin,
    /// Its span; `None` if no traces are exported.
    pub(crate) span: Option<Arc<RequestSpan>>,
}

/// The headers of a client's request, which are not copied: a copy takes 5,000 instructions.
#[derive(Clone)]
pub(crate) enum ClientHeaders {
    Received(HttpRequest),
    /// Of a request that the gateway itself makes.
    Own(HeaderMap),
    /// Of a request in a cloud's form, as one of the Messages API.
    OfCloud(HeaderMap),
}

impl Deref for ClientHeaders {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        match self {
            Self::Received(request) => request.headers(),
            Self::Own(headers) | Self::OfCloud(headers) => headers,
        }
    }
}

impl ProxyRequest {
    /// The key that the client brings for this provider. A client in a cloud's mode may have a cloud's own token, which is not for
    /// any other host.
    fn client_key(&self, provider: &ProviderSettings, live: &LiveConfig) -> Option<OwnKey> {
        let key = caller::own_key(&self.headers, &live.gateway_keys, self.caller.as_ref())?;
        let is_misplaced = match self.headers {
            ClientHeaders::OfCloud(_) => [CloudForm::Bedrock, CloudForm::Vertex]
                .into_iter()
                .any(|cloud| cloud.has_issued(key.key.expose()) && !provider.is_in_cloud(cloud)),
            ClientHeaders::Received(_) | ClientHeaders::Own(_) => false,
        };
        (!is_misplaced).then_some(key)
    }

    /// The body with this model, for an upstream that speaks OpenAI's APIs as the client does. Items of the Responses API that
    /// the gateway has sealed are opened.
    fn for_responses(&self, model: &str) -> Pieces {
        let body = self.head.with_model(&self.body, model);
        if self.head.own_items { request::with_own_items_opened(&body.joined()).into() } else { body }
    }

    /// The request as the ledger records it.
    pub(crate) fn summary(&self, live: &LiveConfig) -> RequestSummary {
        if let Origin::Gateway(origin) = &self.origin {
            return origin::summary(self, origin);
        }
        let session = session::session(self, live);
        let agent = session::agent(self, live);
        let keeps_metrics = live.settings.request_metrics == Metrics::Kept;
        RequestSummary {
            model: (*self.head.model).into(),
            streamed: self.head.delivery == Streaming::Yes,
            tools: self.head.tools,
            messages: self.head.messages,
            size: self.body.len(),
            client: self.caller.as_ref().and_then(|caller| caller.name.clone()),
            api: Some(self.api),
            endpoint: self.upstream_call.endpoint(),
            prefix: session
                .as_deref()
                .filter(|_| keeps_metrics)
                .and_then(|session| self.prompt_prefix(session, agent.as_deref()))
                .map(Arc::new),
            agent,
            session,
            role: self.role.as_ref().map(|decision| decision.rule.name.clone()),
            span: self.span.clone(),
            origin: None,
        }
    }

    /// Runs a request of the gateway to its outcome. A run can lead to subrequests, so these may not use the run by its name.
    async fn outcome(
        self: Box<Self>,
        gateway: Arc<Gateway>,
        entry: Box<RequestRecorder>,
    ) -> Result<ProxyReply, FailedRun> {
        // Without its type, which would contain itself.
        let run: Pin<Box<dyn Future<Output = _> + '_>> =
            Box::pin(run::run(&gateway, &self, entry, run::serve_request));
        // A panic costs this request only.
        let outcome = AssertUnwindSafe(run).catch_unwind().await;
        let ran = outcome.unwrap_or_else(|_panic| Err(FailedRun::panicked()))?;
        Ok(run::reply(&gateway, ran))
    }

    /// Where its role leads, or its model's name.
    fn route(&self, gateway: &Gateway) -> Result<Arc<Route>, Unroutable> {
        match &self.role {
            Some(decision) => decision.rule.route.clone(),
            None => gateway.registry.load().routes.resolve(&self.head.model).map(Arc::new),
        }
    }

    /// The same request with another body; `None` if the body is not a request.
    fn with_body(&self, body: Bytes) -> Option<Self> {
        Some(Self {
            id: self.id.clone(),
            api: self.api,
            upstream_call: self.upstream_call,
            targets: self.targets.clone(),
            head: request::head(&body).ok()?.into_owned(),
            body,
            headers: self.headers.clone(),
            query: self.query.clone(),
            peer: self.peer,
            caller: self.caller.clone(),
            trace: self.trace.clone(),
            span: self.span.clone(),
            chat_body: self.chat_body.clone(),
            replaced: self.replaced.clone(),
            role: self.role.clone(),
            // Only a client's request gets another body.
            origin: Origin::Client,
        })
    }

    fn prompt_prefix(&self, session: &str, agent: Option<&str>) -> Option<PromptPrefix> {
        thread_local! {
            /// What a thread knows serves its own connections; another thread reads a prompt once more.
            static KNOWN: RefCell<KnownPrompts> = RefCell::default();
        }
        let name = ConversationName { session, agent, model: &self.head.model };
        KNOWN.with_borrow_mut(|known| known.read(name, &self.head, &self.body))
    }

    /// The form in which the client gets its reply, whatever form the upstream's has.
    fn reply_form(&self) -> ReplyForm {
        match (&self.upstream_call, self.head.delivery) {
            (UpstreamCall::Reply, Streaming::Yes) => ReplyForm::Stream,
            // The replies of other endpoints come as they are, streams, too: nothing may precede them.
            (UpstreamCall::Reply, Streaming::No)
            | (UpstreamCall::Count | UpstreamCall::Models | UpstreamCall::Endpoint(_), _) => ReplyForm::Whole,
        }
    }
}

/// The targets that a run may call.
#[derive(Clone)]
pub(crate) enum Targets {
    /// The target of the model name, then its fallbacks.
    WithFallbacks,
    /// The target of the model name only.
    FirstOnly,
    /// The first target of this route only; its name is resolved already.
    Resolved(Arc<Route>),
}

/// The kind of call that a request makes to its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamCall {
    /// A model's reply.
    Reply,
    /// The number of tokens of a request.
    Count,
    /// The provider's list of models.
    Models,
    /// The reply of another endpoint of OpenAI's.
    Endpoint(OpenAiEndpoint),
}

impl UpstreamCall {
    /// What a call reports to its provider. Only a model's reply affects limits and health: the other endpoints have limits of
    /// their own (platform.claude.com/docs/en/build-with-claude/token-counting), and many providers lack them. A rejected key
    /// is rejected everywhere.
    fn reported(self, outcome: Outcome) -> Outcome {
        match (self, outcome) {
            (Self::Reply, _) | (_, Outcome::Answered | Outcome::KeyRejected) => outcome,
            (Self::Endpoint(OpenAiEndpoint::ResponsesInputTokens) | Self::Count | Self::Models, _) => {
                Outcome::NotCounted
            }
            (Self::Endpoint(_), _) => outcome,
        }
    }

    /// The endpoint, if it is none for conversations.
    pub(crate) fn endpoint(self) -> Option<OpenAiEndpoint> {
        match self {
            Self::Endpoint(endpoint) => Some(endpoint),
            Self::Reply | Self::Count | Self::Models => None,
        }
    }
}

/// Whether a reply is a stream of events or one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyForm {
    Stream,
    Whole,
}

/// What the client gets.
pub(crate) enum ProxyReply {
    /// Events that are still arriving.
    Streaming { headers: HeaderMap, body: ReplyStream },
    /// Bytes that are still arriving and are no events.
    Raw { status: u16, headers: HeaderMap, body: Box<RawBody> },
    /// A body that the gateway has in full.
    Buffered { status: u16, headers: HeaderMap, form: ReplyForm, body: Bytes },
}
