//! The request to an upstream: address, body, and how its reply becomes the client's.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderValue};
use bytes::Bytes;
use vandamme_actors::converter::ReplyHooks;
use vandamme_actors::provider::Lease;
use vandamme_actors::settings::{Api, ProviderSettings};
use vandamme_protocol::compat::Fixup;
use vandamme_protocol::convert::{Dropped, client, upstream};
use vandamme_protocol::openai::members::OpenAiMembers;
use vandamme_protocol::request::{self, Pieces, UsageAsked};
use vandamme_protocol::safeguards;
use vandamme_protocol::tool_id::Form;

use super::fixups::{Fixed, Fixups};
use super::middleware::AppliedMiddleware;
use super::translation::{ClientReplyApi, Translation, UpstreamReplyApi};
use super::upstream_headers::{is_presentable, query};
use super::upstream_url::UpstreamUrl;
use super::{ProxyRequest, UpstreamCall, address, affinity, cache_diagnostics};
use crate::gateway::{Gateway, LiveConfig};

/// The largest slice of a body. awc copies each slice into its write buffer and writes it with one system call. Most
/// requests of agents fit into one slice; glibc maps and unmaps a buffer from 128 KiB on.
const SLICE: usize = 120 << 10;

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
    /// Translated, with what the translation must know of the request.
    Translated(Translation),
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
        let mut built = Self::translate(request, lease, &live)?;
        if let Some(fixed) = fixups.apply(request, lease, &live, &built.body)? {
            built.set_fixed(fixed);
        }
        if let ReplyPath::Chat(_) | ReplyPath::Responses | ReplyPath::Translated(_) = built.reply_path {
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

    fn translate(request: &ProxyRequest, lease: &Lease, live: &LiveConfig) -> Result<Self, String> {
        let provider = &lease.provider;
        if request.upstream_call == UpstreamCall::Models {
            let url = UpstreamUrl::Text(address::models(provider));
            return Ok(Self::new(lease, Method::GET, url, Bytes::new().into(), ReplyPath::Messages));
        }
        let mut dropped = request.replaced.clone();
        let upstream_api = provider.api_for(request.api, &lease.model);
        let url = match upstream_api {
            Api::Messages => {
                // Its query means nothing to another API.
                let query = if request.api == Api::Messages { query(request, live) } else { "" };
                UpstreamUrl::messages(provider, request.upstream_call, query)
            }
            Api::ChatCompletions => UpstreamUrl::chat_completions(provider, &lease.model),
            Api::Responses => UpstreamUrl::responses(provider),
        };
        let (body, reply_path) = match (request.api, upstream_api) {
            (Api::Messages, Api::Messages) => (for_same_api(request, lease), ReplyPath::Messages),
            (Api::ChatCompletions, Api::ChatCompletions) => {
                let (body, asked) = request.head.with_model_and_usage(&request.body, &lease.model);
                (body, ReplyPath::Chat(asked))
            }
            (Api::Responses, Api::Responses) => {
                (request.head.with_model(&request.body, &lease.model), ReplyPath::Responses)
            }
            (_, upstream_api) => {
                let parts = Parts { request, lease, live, upstream_api };
                let (body, back) = parts.translated(&mut dropped)?;
                (body.into(), ReplyPath::Translated(back))
            }
        };
        let dropped = dropped.header().and_then(|names| HeaderValue::from_str(&names).ok());
        Ok(Self { dropped, ..Self::new(lease, Method::POST, url, body, reply_path) })
    }

    fn new(lease: &Lease, method: Method, url: UpstreamUrl, body: Pieces, reply_path: ReplyPath) -> Self {
        let (provider, learned_rules) = (lease.provider.clone(), lease.learned_rules.clone());
        Self {
            method,
            url,
            body,
            betas: None,
            reply_path,
            dropped: None,
            middleware: None,
            provider,
            learned_rules,
        }
    }
}

/// A Messages request for an upstream of the same API.
fn for_same_api(request: &ProxyRequest, lease: &Lease) -> Pieces {
    let mut body = request.head.with_model(&request.body, &lease.model);
    if request.head.safeguards.is_some() && !lease.provider.serves_claude {
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
    let is_claude = lease.provider.serves_claude || lease.model.contains("claude");
    if request.head.odd_tool_ids && is_claude {
        body = request::with_tool_ids(&body.joined(), Form::Anthropic).into();
    }
    body
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
                let own = request.chat_body.as_ref().and_then(|own| self.members_of_chat(own));
                (request.body.clone(), ClientReplyApi::Messages, own)
            }
            Api::ChatCompletions => self.messages_of_chat(dropped)?,
            Api::Responses => self.messages_of_responses(dropped)?,
        };
        let (body, upstream) = match self.upstream_api {
            Api::Messages => (body, UpstreamReplyApi::Messages),
            Api::ChatCompletions => self.chat_of_messages(&body, members.as_ref(), dropped)?,
            Api::Responses => self.responses_of_messages(&body, members.as_ref(), dropped)?,
        };
        Ok((body, Translation { upstream, client }))
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
        let Self { request, lease, upstream_api, .. } = *self;
        let target = client::responses::MessagesTarget {
            provider: &lease.provider.name,
            model: &lease.model,
            requested_model: &request.head.model,
            upstream: match upstream_api {
                Api::Messages => client::responses::UpstreamKind::Messages,
                Api::ChatCompletions | Api::Responses => client::responses::UpstreamKind::ChatCompletions,
            },
        };
        let translated = client::responses::request(&request.body, &target);
        let translated = translated.map_err(|error| error.to_string())?;
        dropped.append(translated.dropped);
        let client = ClientReplyApi::Responses(Box::new(translated.reply));
        Ok((translated.body.into(), client, Some(translated.members)))
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
        let body = match &request.chat_body {
            Some(own) => upstream::chat::with_members_of(own, translated.body),
            None => {
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
        Ok((translated.body.into(), UpstreamReplyApi::Responses(translated.reply)))
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

/// A body that is sent in slices.
pub(super) struct Slices {
    length: usize,
    pieces: std::vec::IntoIter<Bytes>,
    /// The rest of the current piece.
    rest: Bytes,
}

impl Slices {
    pub(super) fn new(body: Pieces) -> Self {
        Self { length: body.length(), pieces: body.into_iter(), rest: Bytes::new() }
    }
}

impl MessageBody for Slices {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        if self.length == 0 { BodySize::None } else { BodySize::Sized(self.length as u64) }
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            let Some(piece) = this.pieces.next() else { return Poll::Ready(None) };
            this.rest = piece;
        }
        let slice = this.rest.split_to(this.rest.len().min(SLICE));
        Poll::Ready(Some(Ok(slice)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_sent_whole_in_slices() {
        let body = Bytes::from(format!("{{\"model\":\"m\",\"a\":\"{}\"}}", "a".repeat(SLICE)));
        let edited = request::head(&body).unwrap().with_model(&body, "other");
        let expected = edited.clone().joined();
        let mut slices = Slices::new(edited);
        assert_eq!(slices.size(), BodySize::Sized(expected.len() as u64));
        let mut sent = vec![];
        let waker = futures_util::task::noop_waker();

        while let Poll::Ready(Some(Ok(slice))) =
            Pin::new(&mut slices).poll_next(&mut Context::from_waker(&waker))
        {
            assert!(!slice.is_empty() && slice.len() <= SLICE);
            sent.extend_from_slice(&slice);
        }

        assert_eq!(sent, expected);
    }
}
