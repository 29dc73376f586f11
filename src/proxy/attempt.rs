//! Makes one upstream call and reads its reply until it can no longer be retried: a stream to its first event, another reply
//! to its end.

use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::rt::time::sleep;
use awc::ClientResponse;
use bytes::Bytes;
use vandamme_actors::converter::{Batch, Flow, FlowProgress, Opened, RawReply, ReplyHooks};
use vandamme_actors::credentials::CloudCredential;
use vandamme_actors::excerpt;
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::outcome::Retry;
use vandamme_actors::provider::{Alternatives, Lease};
use vandamme_actors::secret::Secrets;
use vandamme_actors::upstream::{self, CallHead, SendError};
use vandamme_protocol::convert::passthrough::{ChatTap, EndpointTap, MessagesTap, ResponsesTap};
use vandamme_protocol::convert::{ReplyCodec, ReplySummary};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::request::{Pieces, Streaming, UsageAsked};

use super::classify::CallFailure;
use super::content_type::ContentKind;
use super::deadline::{CallTimeouts, Deadline};
use super::fixups::Fixups;
use super::patience::patience;
use super::read_ahead::{ReadAhead, damaged};
use super::remedies;
use super::run_record::RunRecord;
use super::slices::Slices;
use super::trace_headers;
use super::translation::Translation;
use super::upstream_body::{LARGEST_LIST, UpstreamReply, read_up_to};
use super::upstream_headers::{for_call, passed_back};
use super::upstream_request::{ReplyPath, UpstreamRequest};
use super::{ProxyRequest, ReplyForm, UpstreamCall};
use crate::gateway::Gateway;

pub(super) const EVENTS: &str = "text/event-stream; charset=utf-8";
/// JSON paths that a translation left out, with commas between them; never content.
const DROPPED: HeaderName = HeaderName::from_static("x-vdm-dropped");
/// Before its first event a stream is read in pieces of this size, so that the bound on what precedes the event is exact.
const PIECE: usize = 1 << 10;
/// Stands for no deadline.
pub(super) const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);
/// After this time the provider learns that a streamed call has been silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A reply that is safe to hand on.
pub(super) enum Answered {
    /// A stream whose first event has arrived.
    Opened { headers: HeaderMap, opened: Box<Opened> },
    /// A reply that is no stream of events, whose first bytes have arrived.
    Raw { status: u16, headers: HeaderMap, reply: Box<RawReply> },
    /// A reply that has arrived in full.
    Buffered { status: u16, headers: HeaderMap, form: ReplyForm, body: Bytes, closing: ReplySummary },
}

impl Answered {
    fn headers(&self) -> &HeaderMap {
        let (Self::Opened { headers, .. } | Self::Raw { headers, .. } | Self::Buffered { headers, .. }) =
            self;
        headers
    }

    /// Names the parts of the request that were left out.
    pub(super) fn with_dropped(mut self, dropped: Option<HeaderValue>) -> Self {
        let (Self::Opened { headers, .. } | Self::Raw { headers, .. } | Self::Buffered { headers, .. }) =
            &mut self;
        if let Some(dropped) = dropped {
            headers.insert(DROPPED, dropped);
        }
        self
    }
}

/// One call with one lease.
pub(super) struct Attempt<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) request: &'a ProxyRequest,
    pub(super) lease: &'a Lease,
    /// How long the upstream may take for its first byte, or for a reply that is not streamed.
    pub(super) patience: Option<Duration>,
    /// The credential of a cloud identity that the last call carried.
    pub(super) credential: RefCell<Option<CloudCredential>>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        request: &'a ProxyRequest,
        lease: &'a Lease,
        alternatives: Alternatives,
    ) -> Self {
        let patience = patience(gateway, request, lease, alternatives);
        Self { gateway, request, lease, patience, credential: RefCell::default() }
    }

    /// Makes the call. `sent` keeps the upstream request for the target's next call. The failure's message has no secrets and
    /// a bounded length.
    pub(super) async fn call(
        &self,
        sent: &mut Option<UpstreamRequest>,
        fixups: &Fixups,
        record: &mut RunRecord<'_>,
    ) -> Result<Box<Answered>, Box<CallFailure>> {
        // Five functions above it would each move its future on the way to their first poll.
        Box::pin(self.try_call(sent, fixups, record)).await.map_err(|mut failed| {
            let fault = remedies::named(&self.lease.provider, failed.answer.fault);
            let fault = self.scrubbed(fault);
            failed.answer.fault = Fault { message: excerpt::cut(fault.message, excerpt::ERROR), ..fault };
            failed
        })
    }

    async fn try_call(
        &self,
        sent: &mut Option<UpstreamRequest>,
        fixups: &Fixups,
        record: &mut RunRecord<'_>,
    ) -> Result<Box<Answered>, Box<CallFailure>> {
        let refused = |message: String| Box::new(CallFailure::refused(&message));
        if sent.as_ref().is_some_and(|sent| !sent.is_for(self.lease)) {
            *sent = None;
        }
        let sent = match sent {
            Some(sent) => sent,
            None => {
                let built = UpstreamRequest::build(self.gateway, self.request, self.lease, fixups).await;
                sent.insert(built.map_err(refused)?)
            }
        };
        let mut headers = self.headers(sent).map_err(refused)?;
        trace_headers::add(&mut headers, self.request, &self.gateway.live_config(), record.calls());
        record.call(self.lease, sent.api);
        let mut failed = match self.call_with_credential(sent, headers, record).await {
            Ok(answered) => return Ok(answered),
            Err(failed) => failed,
        };
        // The endpoint for replies may know what another endpoint does not.
        if !failed.named.is_empty() && self.request.upstream_call == UpstreamCall::Reply {
            let headers = self.headers(sent).map_err(refused)?;
            fixups.judge(self.lease, &sent.translated_body(), &headers, &mut failed);
        }
        Err(failed)
    }

    fn headers(&self, sent: &UpstreamRequest) -> Result<HeaderMap, String> {
        for_call(self.request, self.lease, &self.gateway.live_config(), sent.api, sent.betas.as_deref())
    }

    pub(super) async fn call_in_time(
        &self,
        sent: &UpstreamRequest,
        headers: HeaderMap,
        body: Pieces,
        record: &RunRecord<'_>,
    ) -> Result<Box<Answered>, Box<CallFailure>> {
        let whole = self.patience.unwrap_or(NEVER);
        // A reply that is not streamed may take longer.
        let streamed = self.request.head.delivery == Streaming::Yes;
        let silence = if streamed { whole.min(SILENCE) } else { whole };
        let timer = pin!(sleep(silence));
        let mut deadline = Deadline::new(timer, self.lease, CallTimeouts { silence, whole });
        let response = deadline.meet(pin!(self.send(sent, headers, body))).await?;
        let status = response.status().as_u16();
        record.replied(status);
        let answer = match status {
            200..=299 => {
                let read = async {
                    let answered = self.read_reply(sent, response).await?;
                    let answered = self.compacted(sent, answered)?;
                    Ok(Box::new(answered.with_dropped(sent.dropped.clone())))
                };
                deadline.meet(pin!(read)).await
            }
            300..=399 => Err(Box::new(CallFailure::misbehaved(&format!(
                "the upstream answered with a redirect ({status}), which is not followed: check its base URL {}",
                self.lease.provider.base_url
            )))),
            // The status is an answer, however long the body takes.
            400..=599 => {
                let failed = self.read_error(sent.api, response).await;
                if failed.is_out_of_tokens && self.request.upstream_call == UpstreamCall::Reply {
                    self.without_content(sent, failed.answer.headers).map(Box::new).map_err(Box::new)
                } else {
                    Err(Box::new(failed))
                }
            }
            _ => Err(Box::new(CallFailure::broken(&format!(
                "the upstream answered with the unexpected status {status}"
            )))),
        };
        record.headers(match &answer {
            Ok(answered) => answered.headers(),
            Err(failed) => &failed.answer.headers,
        });
        answer
    }

    /// Sends the request, and waits for the head of the reply.
    async fn send(
        &self,
        sent: &UpstreamRequest,
        mut headers: HeaderMap,
        body: Pieces,
    ) -> Result<ClientResponse, Box<CallFailure>> {
        let unsent = |error: SendError| Box::new(CallFailure::unsent(self.lease, &error));
        let client = upstream::client(&self.lease.provider, &self.gateway.wiring).await;
        let stopped = |_closed| CallFailure::broken("the gateway's HTTP client has stopped");
        let client = client.map_err(stopped)?;
        let url = sent.url.parsed().map_err(unsent)?;
        self.authorize(&sent.method, &url, &mut headers, &body).await?;
        let request = CallHead { method: sent.method.clone(), url, headers };
        client.send(request, || Slices::new(body.clone())).await.map_err(unsent)
    }

    async fn read_reply(
        &self,
        sent: &UpstreamRequest,
        response: ClientResponse,
    ) -> Result<Answered, CallFailure> {
        let mut headers = passed_back(response.headers(), &self.secrets());
        if self.lease.provider.demo {
            headers.insert(HeaderName::from_static("x-vdm-demo"), HeaderValue::from_static("1"));
        }
        if let ReplyPath::Endpoint(_) = sent.reply_path {
            return self.read_endpoint_reply(sent, response, headers).await;
        }
        if response.status() == StatusCode::NO_CONTENT {
            return no_content(&sent.reply_path, headers);
        }
        let largest = self.gateway.live_config().settings.limits.event;
        let reply = UpstreamReply::open(response, self.lease, largest).await?;
        let reply_hooks = sent.reply_hooks();
        match (reply.content, &sent.reply_path, self.request.reply_form()) {
            (ContentKind::Json | ContentKind::Other, ReplyPath::Translated(back), _)
            | (ContentKind::Events, ReplyPath::Translated(back), ReplyForm::Whole) => {
                self.translate_whole(reply, reply_hooks, headers, Translation::clone(back)).await
            }
            (
                ContentKind::Events,
                ReplyPath::Messages | ReplyPath::Chat(_) | ReplyPath::Responses,
                ReplyForm::Whole,
            ) if self.request.upstream_call == UpstreamCall::Reply => {
                self.collect(reply, reply_hooks, headers).await
            }
            (ContentKind::Events, path, _) => self.open(reply, headers, path.clone(), reply_hooks).await,
            (
                ContentKind::Json | ContentKind::Other,
                ReplyPath::Messages | ReplyPath::Responses | ReplyPath::Endpoint(_),
                _,
            ) => self.pass_whole(reply, reply_hooks, headers, None).await,
            (ContentKind::Json | ContentKind::Other, ReplyPath::Chat(asked), _) => {
                self.pass_whole(reply, reply_hooks, headers, Some(*asked)).await
            }
        }
    }

    /// Reads a stream until its first event other than a ping.
    pub(super) async fn open(
        &self,
        reply: UpstreamReply,
        mut headers: HeaderMap,
        path: ReplyPath,
        reply_hooks: Option<ReplyHooks>,
    ) -> Result<Answered, CallFailure> {
        let UpstreamReply { label, first: mut rest, rest: mut upstream, integrity, .. } = reply;
        let own = HeaderValue::from_static(EVENTS);
        let secrets = self.secrets();
        let passed = label.filter(|value| !secrets.found_in_header(value.as_bytes()));
        let passed = passed.filter(|_| !matches!(path, ReplyPath::Translated(_)));
        headers.insert(header::CONTENT_TYPE, passed.unwrap_or(own));
        let codec: Box<dyn ReplyCodec> = match path {
            ReplyPath::Messages => Box::new(MessagesTap::new()),
            ReplyPath::Chat(asked) => Box::new(ChatTap::new(asked)),
            ReplyPath::Responses => Box::new(ResponsesTap::new()),
            // Legacy completions have the chunks of Chat Completions.
            ReplyPath::Endpoint(OpenAiEndpoint::Completions) => Box::new(ChatTap::new(UsageAsked::ByClient)),
            ReplyPath::Endpoint(_) => Box::new(EndpointTap::new()),
            ReplyPath::Translated(back) => back.codec(),
        };
        let (event, kept) = {
            let live = self.gateway.live_config();
            (live.settings.limits.event, live.settings.limits.before_first_event)
        };
        let redacted = self.redacted(&secrets).cloned();
        let flow = Flow::new(codec, self.request.api, event, secrets);
        let mut flow = flow.with_hooks(reply_hooks).with_integrity(integrity).with_redaction(redacted);
        let mut first = Batch::default();
        let (mut ended, mut ahead) = (false, ReadAhead::new(kept));
        while !ended && (!flow.started() || !rest.is_empty() || flow.is_announced_only()) {
            if rest.is_empty() {
                let Some(chunk) = ahead.next(&flow, first.len(), &mut upstream).await? else { break };
                rest = chunk;
            }
            let piece = if flow.started() { rest.len() } else { rest.len().min(PIECE) };
            let before = first.len();
            match flow.take(rest.split_to(piece), &mut first) {
                FlowProgress::More if !flow.started() && first.len() > kept.saturating_sub(PIECE) => {
                    first.truncate(before);
                }
                FlowProgress::More => {}
                FlowProgress::Ended => ended = true,
                FlowProgress::Faulted(fault) | FlowProgress::Oversized(fault) if flow.started() => {
                    // Content came along with the fault: the client gets both.
                    return Ok(Answered::Opened { headers, opened: Box::new(faulted(flow, first, fault)) });
                }
                FlowProgress::Faulted(fault) => {
                    return Err(CallFailure::reported(self.scrubbed(fault), &self.lease.model));
                }
                FlowProgress::Oversized(fault) => return Err(CallFailure::reply_too_large(&fault.message)),
            }
        }
        self.failed_early(&flow, &first).map_or(Ok(()), Err)?;
        Ok(Answered::Opened {
            headers,
            opened: Box::new(Opened { upstream, flow, first, ended, failed: None }),
        })
    }

    /// Why nothing of a reply needs to reach the client: it is an error, or it was announced and another call may succeed.
    fn failed_early(&self, flow: &Flow, first: &Batch) -> Option<CallFailure> {
        let failure = |fault| CallFailure::reported(fault, &self.lease.model);
        flow.failed_at_once(first).map(failure).or_else(|| {
            let failed = flow.failed_when_announced().map(failure);
            failed.filter(|failed| failed.retry != Retry::No)
        })
    }

    pub(super) async fn read_whole(&self, reply: UpstreamReply) -> Result<Bytes, CallFailure> {
        let limit = self.gateway.live_config().settings.limits.whole_reply;
        let limit = match self.request.upstream_call {
            UpstreamCall::Models => limit.min(LARGEST_LIST),
            UpstreamCall::Reply | UpstreamCall::Count | UpstreamCall::Endpoint(_) => limit,
        };
        match read_up_to(reply.first, reply.rest, limit).await {
            Ok(Some(body)) => Ok(body),
            Ok(None) => {
                let message = format!("the upstream's reply has more than {limit} bytes");
                Err(CallFailure::reply_too_large(&message))
            }
            Err(PayloadError::EncodingCorrupted) => Err(damaged()),
            Err(_) => Err(CallFailure::broken("the upstream's reply was cut")),
        }
    }

    pub(super) fn scrubbed(&self, fault: Fault) -> Fault {
        Fault { message: self.secrets().scrub(fault.message), ..fault }
    }

    /// The secrets that must not leave in a text. They include the key of this call: it may be the client's own, or no longer
    /// configured.
    pub(super) fn secrets(&self) -> Secrets {
        let secrets = &self.gateway.live_config().secrets;
        if self.lease.provider.identity.is_none() {
            return secrets.with(&self.lease.key);
        }
        let own = self.credential.borrow().as_ref().map(CloudCredential::secrets).unwrap_or_default();
        own.iter().fold(secrets.clone(), |secrets, own| secrets.with(own))
    }
}

/// A client of the same API gets the reply unchanged. Nothing can be made of it for a client of another API.
#[expect(clippy::result_large_err, reason = "the async functions around it return the same")]
pub(super) fn no_content(path: &ReplyPath, headers: HeaderMap) -> Result<Answered, CallFailure> {
    match path {
        ReplyPath::Messages | ReplyPath::Chat(_) | ReplyPath::Responses | ReplyPath::Endpoint(_) => {
            Ok(Answered::Buffered {
                status: 204,
                headers,
                form: ReplyForm::Whole,
                body: Bytes::new(),
                closing: ReplySummary::default(),
            })
        }
        ReplyPath::Translated(_) => {
            let message = "the upstream answered with status 204 (no content) instead of a reply";
            Err(CallFailure::misbehaved(message))
        }
    }
}

/// A stream that failed together with its first event.
fn faulted(mut flow: Flow, mut first: Batch, fault: Fault) -> Opened {
    let failed = Some(flow.fail(fault, &mut first));
    Opened { upstream: Box::pin(futures_util::stream::empty()), flow, first, ended: true, failed }
}
