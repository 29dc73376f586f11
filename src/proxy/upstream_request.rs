//! The request to an upstream: address, body, and how its reply becomes the client's.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderValue};
use bytes::Bytes;
use vandamme_actors::converter::ReplyHooks;
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::provider::Lease;
use vandamme_actors::settings::{Api, ProviderSettings};
use vandamme_protocol::compat::{self, Fixup};
use vandamme_protocol::convert::{Dropped, client, upstream};
use vandamme_protocol::openai::members::OpenAiMembers;
use vandamme_protocol::request::{self, Pieces, UsageAsked};
use vandamme_protocol::safeguards;
use vandamme_protocol::tool_id::Form;

use super::endpoint_call::EndpointCall;
use super::fixups::{Fixed, Fixups};
use super::middleware::AppliedMiddleware;
use super::translation::{ClientReplyApi, Translation, UpstreamReplyApi};
use super::upstream_headers::{is_presentable, query};
use super::upstream_url::UpstreamUrl;
use super::{ProxyRequest, UpstreamCall, address, affinity, cache_diagnostics, endpoint_call};
use crate::gateway::{Gateway, LiveConfig};

/// The request for one target, the same for all its keys. Headers are made for each call, since they carry the key.
pub(super) struct UpstreamRequest {
    pub(super) method: Method,
    pub(super) url: UpstreamUrl,
    pub(super) body: Pieces,
    /// The value of `anthropic-beta`, if fixups have changed it.
    pub(super) betas: Option<String>,
    pub(super) reply_path: ReplyPath,
    /// The value of `x-vdm-dropped`: what the upstream's API cannot take, for the client.
    pub(super) dropped: Option<HeaderValue>,
    /// The API in which it is sent.
    pub(super) api: Api,
    middleware: Option<AppliedMiddleware>,
    /// What the request was built for.
    provider: Arc<ProviderSettings>,
    learned_rules: Option<Arc<[Fixup]>>,
}

/// How the reply becomes the client's.
#[derive(Clone)]
pub(super) enum ReplyPath {
    /// Unchanged Messages.
    Messages,
    /// Unchanged Chat Completions, except for a usage that the client did not ask for.
    Chat(UsageAsked),
    /// Unchanged Responses.
    Responses,
    /// Unchanged, of another endpoint.
    Endpoint(OpenAiEndpoint),
    /// Translated, with what the translation must know of the request.
    Translated(Box<Translation>),
}

impl UpstreamRequest {
    /// Translates the client's request, and applies fixups and middleware.
    ///
    /// # Errors
    /// For the client: its request cannot be put into the upstream's API.
    pub(super) async fn build(
        gateway: &Gateway,
        request: &ProxyRequest,
        lease: &Lease,
        fixups: &Fixups,
    ) -> Result<Self, String> {
        let live = gateway.live_config();
        let summary;
        let request = match request.upstream_call {
            UpstreamCall::Endpoint(endpoint) => match endpoint_call::build(request, lease, endpoint)? {
                EndpointCall::Forwarded(url, body) => {
                    let path = ReplyPath::Endpoint(endpoint);
                    let api = lease.provider.api_for(request.api, &lease.model);
                    let call = UpstreamTarget { method: Method::POST, url, api };
                    return Ok(Self::new(lease, call, body, path));
                }
                EndpointCall::Summary(own) => {
                    summary = own;
                    &*summary
                }
            },
            UpstreamCall::Reply | UpstreamCall::Count | UpstreamCall::Models => request,
        };
        let api = fixups.upstream_api(request, lease);
        let mut built = Self::translate(request, lease, &live, api)?;
        if let Some(fixed) = fixups.apply(request, lease, &live, api, &built.body)? {
            built.set_fixed(fixed);
        }
        if api == Api::ChatCompletions {
            built.middleware = AppliedMiddleware::apply(gateway, request, lease, &mut built.body).await;
        }
        if let ReplyPath::Messages = built.reply_path {
            cache_diagnostics::ask(gateway, request, lease, &mut built.body).await;
        }
        Ok(built)
    }

    /// Whether the request is the same for this lease. A reload or a learned rule may change it between two keys.
    pub(super) fn is_for(&self, lease: &Lease) -> bool {
        let same_rules = match (&self.learned_rules, &lease.learned_rules) {
            (None, None) => true,
            (Some(built), Some(now)) => Arc::ptr_eq(built, now),
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_rules && Arc::ptr_eq(&self.provider, &lease.provider)
    }

    /// The body before the middleware.
    pub(super) fn translated_body(&self) -> Bytes {
        match &self.middleware {
            Some(middleware) => middleware.before.clone(),
            None => self.body.clone().joined(),
        }
    }

    /// The middleware that follows the reply of one call.
    pub(super) fn reply_hooks(&self) -> Option<ReplyHooks> {
        self.middleware.as_ref()?.reply_hooks()
    }

    fn set_fixed(&mut self, Fixed { before, body, betas }: Fixed) {
        if let ReplyPath::Translated(translation) = &mut self.reply_path
            && body.as_ptr() != before.as_ptr()
        {
            translation.follow(&before, &body);
        }
        self.body = body.into();
        self.betas = betas;
    }

    fn translate(
        request: &ProxyRequest,
        lease: &Lease,
        live: &LiveConfig,
        upstream_api: Api,
    ) -> Result<Self, String> {
        let provider = &lease.provider;
        if request.upstream_call == UpstreamCall::Models {
            let url = UpstreamUrl::Text(address::models(provider));
            let call = UpstreamTarget { method: Method::GET, url, api: upstream_api };
            return Ok(Self::new(lease, call, Bytes::new().into(), ReplyPath::Messages));
        }
        let mut dropped = request.replaced.clone();
        let (call, delivery) = (request.upstream_call, request.head.delivery);
        let in_form = UpstreamUrl::in_form(provider, call, &lease.model, delivery);
        let url = match (upstream_api, in_form) {
            (Api::Messages, Some(url)) => url,
            (Api::Messages, None) => {
                // Its query means nothing to another API.
                let query = if request.api == Api::Messages { query(request, live) } else { "" };
                UpstreamUrl::messages(provider, request.upstream_call, query)
            }
            (Api::ChatCompletions, _) => UpstreamUrl::chat_completions(provider, &lease.model),
            (Api::Responses, _) => UpstreamUrl::responses(provider),
        };
        let (body, reply_path) = match (request.api, upstream_api) {
            (Api::Messages, Api::Messages) => (for_same_api(request, lease), ReplyPath::Messages),
            (Api::ChatCompletions, Api::ChatCompletions) => {
                let (body, asked) = request.head.with_model_and_usage(&request.body, &lease.model);
                (body, ReplyPath::Chat(asked))
            }
            (Api::Responses, Api::Responses) => (request.for_responses(&lease.model), ReplyPath::Responses),
            (_, upstream_api) => {
                let parts = Parts { request, lease, live, upstream_api };
                let (body, back) = parts.translated(&mut dropped)?;
                (body.into(), ReplyPath::Translated(Box::new(back)))
            }
        };
        let dropped = dropped.header().and_then(|names| HeaderValue::from_str(&names).ok());
        let call = UpstreamTarget { method: Method::POST, url, api: upstream_api };
        Ok(Self { dropped, ..Self::new(lease, call, body, reply_path) })
    }

    fn new(
        lease: &Lease,
        UpstreamTarget { method, url, api }: UpstreamTarget,
        body: Pieces,
        reply_path: ReplyPath,
    ) -> Self {
        let (provider, learned_rules) = (lease.provider.clone(), lease.learned_rules.clone());
        Self {
            method,
            url,
            body,
            betas: None,
            reply_path,
            dropped: None,
            api,
            middleware: None,
            provider,
            learned_rules,
        }
    }
}

/// Where a request is sent.
struct UpstreamTarget {
    method: Method,
    url: UpstreamUrl,
    api: Api,
}

/// A Messages request for an upstream of the same API.
fn for_same_api(request: &ProxyRequest, lease: &Lease) -> Pieces {
    let mut body = request.head.with_model(&request.body, &lease.provider.id_of(&lease.model));
    if request.head.safeguards.is_some() && !lease.provider.runs_claude() {
        // Only Anthropic's own models judge; the gateway answers in place of this upstream.
        body = safeguards::without_safeguards(&body.joined()).into();
    }
    if request.head.own_thinking {
        body = request::without_own_thinking(&body.joined()).into();
    }
    if request.head.own_searches {
        body = request::without_own_searches(&body.joined()).into();
    }
    // Anthropic would refuse all further requests of the conversation. Another vendor may require its own ids.
    let is_claude = lease.provider.runs_claude() || lease.model.contains("claude");
    if request.head.odd_tool_ids && is_claude {
        body = request::with_tool_ids(&body.joined(), Form::Anthropic).into();
    }
    body
}

/// A refusal of a request that was translated to Messages before. The client has no message at that place.
fn in_clients_words(client: Api, error: String) -> String {
    let list = match client {
        Api::Messages => return error,
        Api::ChatCompletions => "messages",
        Api::Responses => "input",
    };
    match error.split_once(": ") {
        Some((path, problem)) if path.starts_with("messages.") => format!("{list}: {problem}"),
        Some(_) | None => error,
    }
}

/// A request that is translated.
struct Parts<'r> {
    request: &'r ProxyRequest,
    lease: &'r Lease,
    live: &'r LiveConfig,
    upstream_api: Api,
}

impl Parts<'_> {
    fn translated(&self, dropped: &mut Dropped) -> Result<(Bytes, Translation), String> {
        let Self { request, .. } = *self;
        let (body, client, members) = match request.api {
            Api::Messages => {
                let members = request.chat_body.as_ref().and_then(|own| self.members_of(own));
                (request.body.clone(), ClientReplyApi::Messages, members)
            }
            Api::ChatCompletions => self.messages_of_chat(dropped)?,
            Api::Responses => self.messages_of_responses(dropped)?,
        };
        let upstream = match self.upstream_api {
            Api::Messages => Ok((body, UpstreamReplyApi::Messages)),
            Api::ChatCompletions => self.chat_of_messages(&body, members.as_ref(), dropped),
            Api::Responses => self.responses_of_messages(&body, members.as_ref(), dropped),
        };
        let (body, upstream) = upstream.map_err(|error| in_clients_words(request.api, error))?;
        Ok((body, Translation { upstream, client }))
    }

    /// The settings that Messages does not have, of the client whose request has become one of Messages.
    fn members_of(&self, own: &Bytes) -> Option<OpenAiMembers> {
        if !compat::has_member(own, "input") {
            return self.members_of_chat(own);
        }
        client::responses::request(own, &self.responses_target()).ok().map(|translated| translated.members)
    }

    /// The settings of a client of Chat Completions that Messages does not have, for an upstream of the Responses API.
    fn members_of_chat(&self, body: &[u8]) -> Option<OpenAiMembers> {
        (self.upstream_api == Api::Responses).then(|| OpenAiMembers::of_chat(body))
    }

    fn messages_of_chat(
        &self,
        dropped: &mut Dropped,
    ) -> Result<(Bytes, ClientReplyApi, Option<OpenAiMembers>), String> {
        let Self { request, lease, .. } = *self;
        let target = client::chat::MessagesUpstream {
            provider: &lease.provider.name,
            model: &lease.model,
            requested_model: &request.head.model,
        };
        let translated = client::chat::request(&request.body, &target);
        let translated = translated.map_err(|error| error.to_string())?;
        let members = self.members_of_chat(&request.body);
        dropped.append(match members {
            Some(_) => translated.dropped.without_members(OpenAiMembers::reads_of_chat),
            None => translated.dropped,
        });
        Ok((translated.body.into(), ClientReplyApi::Chat(translated.reply), members))
    }

    fn messages_of_responses(
        &self,
        dropped: &mut Dropped,
    ) -> Result<(Bytes, ClientReplyApi, Option<OpenAiMembers>), String> {
        let translated = client::responses::request(&self.request.body, &self.responses_target());
        let translated = translated.map_err(|error| error.to_string())?;
        dropped.append(translated.dropped);
        let client = ClientReplyApi::Responses(Box::new(translated.reply));
        Ok((translated.body.into(), client, Some(translated.members)))
    }

    fn responses_target(&self) -> client::responses::MessagesTarget<'_> {
        let Self { request, lease, upstream_api, .. } = *self;
        client::responses::MessagesTarget {
            provider: &lease.provider.name,
            model: &lease.model,
            requested_model: &request.head.model,
            upstream: match upstream_api {
                Api::Messages => client::responses::UpstreamKind::Messages,
                Api::ChatCompletions => client::responses::UpstreamKind::ChatCompletions,
                Api::Responses => client::responses::UpstreamKind::Responses,
            },
        }
    }

    fn chat_of_messages(
        &self,
        body: &[u8],
        members: Option<&OpenAiMembers>,
        dropped: &mut Dropped,
    ) -> Result<(Bytes, UpstreamReplyApi), String> {
        let Self { request, lease, .. } = *self;
        let target = upstream::chat::ChatUpstream {
            provider: &lease.provider.name,
            model: &lease.model,
            requested_model: &request.head.model,
            dialect: &lease.provider.dialect,
            session: self.session(),
            members,
        };
        let translated = upstream::chat::request(body, &target);
        let translated = translated.map_err(|error| error.to_string())?;
        let body = match (&request.chat_body, members) {
            (Some(own), None) => upstream::chat::with_members_of(own, translated.body),
            (None, _) | (Some(_), Some(_)) => {
                dropped.append(translated.dropped);
                translated.body
            }
        };
        let mut reply = translated.reply;
        if lease.provider.judge.is_some() && request.head.safeguards.is_some() {
            reply.leave_verdicts_to_the_gateway();
        }
        Ok((body.into(), UpstreamReplyApi::Chat(reply)))
    }

    fn responses_of_messages(
        &self,
        body: &[u8],
        members: Option<&OpenAiMembers>,
        dropped: &mut Dropped,
    ) -> Result<(Bytes, UpstreamReplyApi), String> {
        let Self { request, lease, .. } = *self;
        let target = upstream::responses::ResponsesUpstream {
            provider: &lease.provider.name,
            model: &lease.model,
            requested_model: &request.head.model,
            dialect: &lease.provider.dialect,
            session: self.session(),
            members,
        };
        let translated = upstream::responses::request(body, &target);
        let translated = translated.map_err(|error| error.to_string())?;
        dropped.append(translated.dropped);
        let mut reply = translated.reply;
        if lease.provider.judge.is_some() && request.head.safeguards.is_some() {
            reply.leave_verdicts_to_the_gateway();
        }
        Ok((translated.body.into(), UpstreamReplyApi::Responses(reply)))
    }

    /// The session that a client of Messages names in a header.
    fn session(&self) -> Option<&str> {
        let Self { request, live, .. } = *self;
        if request.api != Api::Messages {
            return None;
        }
        let headers: &HeaderMap = &request.headers;
        let session =
            headers.get(&affinity::SESSION_ID).filter(|value| is_presentable(value, request, live))?;
        Some(session.to_str().ok()?.trim()).filter(|session| !session.is_empty())
    }
}
