//! One upstream call, until its reply is safe to hand on: for a stream its first event, otherwise all of it.

use std::pin::pin;
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::rt::time::sleep;
use awc::ClientResponse;
use bytes::Bytes;
use futures_util::StreamExt as _;
use vandamme_actors::converter::{Batch, Flow, Opened, Progress, ReplyHooks, UpstreamBody};
use vandamme_actors::excerpt;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::provider::{Alternatives, Lease};
use vandamme_actors::retry::Fixable;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::Api;
use vandamme_actors::upstream::{self, Borrow, Request};
use vandamme_protocol::compat;
use vandamme_protocol::convert::passthrough::{ChatTap, MessagesTap};
use vandamme_protocol::convert::{ReplyCodec, ReplySummary};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::request::{self, Pieces, Streaming};
use vandamme_protocol::{anthropic, openai};

use super::classify::{
    CallFailure, answered_as, asked_to_wait, classify, located, retry_after, should_retry,
};
use super::deadline::Deadline;
use super::failure::{Answer, Relayed};
use super::fixups::Healing;
use super::list_models::LARGEST as LARGEST_LIST;
use super::upstream_body::{self, Content, Reply, read_error_body, read_up_to};
use super::upstream_request::{Outgoing, Slices, Way, passed_back};
use super::{Endpoint, Exchange};

pub(super) const EVENTS: &str = "text/event-stream; charset=utf-8";
/// An error body is read up to this size and for this long.
const ERROR_BODY: usize = 1 << 20;
const ERROR_BODY_TIME: Duration = Duration::from_secs(10);
/// Before its first event a stream is read in pieces of this size, so that the bound on what comes before is exact.
const PIECE: usize = 1 << 10;
/// Instead of no deadline.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);
/// A streamed call that has been silent for so long counts while it still runs.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest wait for a streamed reply's first byte while another target is left.
const WITH_ALTERNATIVE: Duration = Duration::from_secs(60);
/// A list of models is there by then, or somebody who waits for it has gone.
const LISTING_TIME: Duration = Duration::from_secs(30);

/// A reply that is safe to hand on.
pub(super) enum Answered {
    Opened { headers: HeaderMap, opened: Box<Opened> },
    Whole { status: u16, headers: HeaderMap, body: Bytes, closing: ReplySummary },
}

impl Exchange<'_> {
    /// What fails is told without secrets and within bounds, whoever words it.
    pub(super) async fn call(
        &self,
        lease: &Lease,
        healing: &Healing,
        patience: Option<Duration>,
    ) -> Result<Answered, CallFailure> {
        let called = self.call_upstream(lease, healing, patience).await;
        called.map_err(|mut failed| {
            let fault = self.scrubbed(lease, failed.answer.fault);
            failed.answer.fault = Fault { message: excerpt::cut(fault.message, excerpt::ERROR), ..fault };
            failed
        })
    }

    async fn call_upstream(
        &self,
        lease: &Lease,
        healing: &Healing,
        patience: Option<Duration>,
    ) -> Result<Answered, CallFailure> {
        let outgoing = self.edited(lease, healing).map_err(|message| CallFailure::refused(&message))?;
        let outgoing = self.through_middleware(lease, outgoing).await;
        let result = self.call_in_time(lease, outgoing, patience).await;
        let Err(mut failed) = result else { return result };
        // What another endpoint does not know, that of replies may well.
        if !failed.named.is_empty()
            && self.question.endpoint == Endpoint::Reply
            && let Ok(sent) = self.edited(lease, healing)
        {
            healing.judge(&sent, &mut failed);
        }
        Err(failed)
    }

    fn edited(&self, lease: &Lease, healing: &Healing) -> Result<Outgoing, String> {
        let mut outgoing = self.outgoing(lease)?;
        healing.edit(lease, &self.question.endpoint, &mut outgoing);
        Ok(outgoing)
    }

    async fn call_in_time(
        &self,
        lease: &Lease,
        outgoing: Outgoing,
        patience: Option<Duration>,
    ) -> Result<Answered, CallFailure> {
        let whole = patience.unwrap_or(NEVER);
        // A reply that is not streamed may well take longer.
        let streamed = self.question.head.delivery == Streaming::Yes;
        let silence = if streamed { whole.min(SILENCE) } else { whole };
        let timer = pin!(sleep(silence));
        let mut deadline = Deadline::new(timer, lease, (silence, whole));
        let Outgoing { method, url, headers, body, way, audience, dropped } = outgoing;
        let sending = self.send(lease, (method, url, headers), body);
        let response = deadline.meet(sending).await?;
        let status = response.status().as_u16();
        match status {
            200..=299 => {
                let read = deadline.meet(self.read_reply(lease, response, (way, audience))).await;
                read.map(|answered| answered.naming(dropped))
            }
            300..=399 => Err(CallFailure::misbehaved(&format!(
                "the upstream answered with a redirect ({status}), which is not followed: check the base URL of provider '{}'",
                lease.provider.name
            ))),
            // Its status is an answer, however long its body takes.
            400..=599 => {
                let failed = self.read_error(lease, response, patience).await;
                if failed.is_out_of_tokens && self.question.endpoint == Endpoint::Reply {
                    return self.without_content(lease, failed.answer.headers, (way, audience));
                }
                Err(failed)
            }
            _ => Err(CallFailure::broken(&format!(
                "the upstream answered with the unexpected status {status}"
            ))),
        }
    }

    /// How long the upstream may take for its first byte, or for a reply that is not streamed.
    pub(super) fn patience(&self, lease: &Lease, alternatives: Alternatives) -> Option<Duration> {
        let terms = self.gateway.terms();
        let limits = &terms.settings.limits;
        let patience = lease.timeout().or(match self.question.head.delivery {
            Streaming::Yes => limits.first_byte_timeout,
            Streaming::No => limits.whole_timeout,
        });
        let patience = match (alternatives, self.question.head.delivery) {
            (Alternatives::Left, Streaming::Yes) => {
                Some(patience.map_or(WITH_ALTERNATIVE, |own| own.min(WITH_ALTERNATIVE)))
            }
            (Alternatives::Left, Streaming::No) | (Alternatives::None, _) => patience,
        };
        match self.question.endpoint {
            Endpoint::Models(_) => Some(patience.map_or(LISTING_TIME, |patience| patience.min(LISTING_TIME))),
            Endpoint::Reply | Endpoint::Count => patience,
        }
    }

    /// Sends the request, and waits for the head of the reply.
    async fn send(
        &self,
        lease: &Lease,
        (method, url, headers): (Method, String, HeaderMap),
        body: Pieces,
    ) -> Result<ClientResponse, CallFailure> {
        let upstream = upstream::here(&lease.provider.name, &self.gateway.wiring);
        let client =
            upstream.send(Borrow).await.map_err(|_closed| CallFailure::broken("the HTTP client has died"))?;
        let request = Request { method, url, headers };
        let sent = client.send(request, || Slices::of(body.clone())).await;
        sent.map_err(|error| CallFailure::unsent(lease, &error))
    }

    async fn read_reply(
        &self,
        lease: &Lease,
        response: ClientResponse,
        (way, audience): (Way, Option<ReplyHooks>),
    ) -> Result<Answered, CallFailure> {
        let mut headers = passed_back(response.headers(), &self.secrets(lease));
        if lease.provider.demo {
            headers.insert(header::HeaderName::from_static("x-vdm-demo"), HeaderValue::from_static("1"));
        }
        if response.status() == StatusCode::NO_CONTENT {
            // It goes on as it is to a client of the same API. Nothing can be made of it for a client of another one.
            return match way {
                Way::Messages | Way::Chat(_) => Ok(Answered::Whole {
                    status: 204,
                    headers,
                    body: Bytes::new(),
                    closing: ReplySummary::default(),
                }),
                Way::Bridge(_) => {
                    let message = "the upstream answered with status 204 (no content) instead of a reply";
                    Err(CallFailure::misbehaved(message))
                }
            };
        }
        let reply = Reply::open(response, lease).await?;
        match (reply.content, way) {
            (Content::Json | Content::Other, Way::Bridge(back)) => {
                self.translate_whole(lease, (reply, audience), headers, back).await
            }
            (Content::Events, Way::Bridge(back)) if self.question.head.delivery == Streaming::No => {
                self.translate_whole(lease, (reply, audience), headers, back).await
            }
            (Content::Events, Way::Messages | Way::Chat(_)) if self.wants_one_body() => {
                self.collect(lease, (reply, audience), headers).await
            }
            (Content::Events, way) => self.open(lease, reply, headers, (way, audience)).await,
            (Content::Json | Content::Other, Way::Messages) => {
                self.pass_whole(lease, (reply, audience), (headers, None)).await
            }
            (Content::Json | Content::Other, Way::Chat(asked)) => {
                self.pass_whole(lease, (reply, audience), (headers, Some(asked))).await
            }
        }
    }

    /// Reads a stream until its first event other than a ping.
    async fn open(
        &self,
        lease: &Lease,
        reply: Reply,
        mut headers: HeaderMap,
        (way, audience): (Way, Option<ReplyHooks>),
    ) -> Result<Answered, CallFailure> {
        let Reply { label, first: mut rest, rest: mut upstream, integrity, .. } = reply;
        let own = HeaderValue::from_static(EVENTS);
        let secrets = self.secrets(lease);
        let passed = label.filter(|value| !secrets.found_in_header(value.as_bytes()));
        let passed = passed.filter(|_| !matches!(way, Way::Bridge(_)));
        headers.insert(header::CONTENT_TYPE, passed.unwrap_or(own));
        let codec: Box<dyn ReplyCodec> = match way {
            Way::Messages => Box::new(MessagesTap::new()),
            Way::Chat(asked) => Box::new(ChatTap::new(asked)),
            Way::Bridge(back) => back.codec(),
        };
        let (event, kept) = {
            let terms = self.gateway.terms();
            (terms.settings.limits.event, terms.settings.limits.before_first_event)
        };
        let redacted = self.redacted(&secrets).cloned();
        let flow = Flow::new(codec, self.question.api, event, secrets);
        let mut flow = flow.with_hooks(audience).with_integrity(integrity).with_redaction(redacted);
        let mut first = Batch::default();
        let mut ended = false;
        while !ended && (!flow.started() || !rest.is_empty()) {
            if rest.is_empty() {
                rest = next_chunk(&mut upstream).await?;
            }
            let piece = if flow.started() { rest.len() } else { rest.len().min(PIECE) };
            let before = first.len();
            match flow.take(rest.split_to(piece), &mut first) {
                Progress::More if !flow.started() && first.len() > kept.saturating_sub(PIECE) => {
                    first.truncate(before);
                }
                Progress::More => {}
                Progress::Ended => ended = true,
                Progress::Faulted(fault) | Progress::Oversized(fault) if flow.started() => {
                    // Something of worth came along with the fault: the client gets both.
                    return Ok(Answered::Opened { headers, opened: Box::new(faulted(flow, first, fault)) });
                }
                Progress::Faulted(fault) => {
                    return Err(CallFailure::reported(self.scrubbed(lease, fault), &lease.model));
                }
                Progress::Oversized(fault) => return Err(CallFailure::reply_too_large(&fault.message)),
            }
        }
        if let Some(fault) = flow.failed_at_once(&first) {
            return Err(CallFailure::reported(fault, &lease.model));
        }
        Ok(Answered::Opened {
            headers,
            opened: Box::new(Opened { upstream, flow, first, ended, failed: None }),
        })
    }

    pub(super) async fn read_whole(&self, reply: Reply) -> Result<Bytes, CallFailure> {
        let limit = self.gateway.terms().settings.limits.whole_reply;
        let limit = match self.question.endpoint {
            Endpoint::Models(_) => limit.min(LARGEST_LIST),
            Endpoint::Reply | Endpoint::Count => limit,
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

    async fn read_error(
        &self,
        lease: &Lease,
        response: ClientResponse,
        patience: Option<Duration>,
    ) -> CallFailure {
        let status = response.status().as_u16();
        let upstream = response.headers().clone();
        let time = ERROR_BODY_TIME.min(patience.unwrap_or(NEVER));
        let (body, unsupported) = match upstream_body::body(response) {
            Ok((body, _)) => (read_error_body(body, ERROR_BODY, time).await, None),
            Err(unsupported) => (Bytes::new(), Some(unsupported)),
        };
        let named = compat::recognise(status, &body);
        let refusal = body.clone();
        let is_out_of_tokens = openai::error::is_out_of_tokens(status, &body);
        let apis = (lease.provider.api, self.question.api);
        let reworded = openai::error::reworded_overflow(status, &body);
        let reworded = reworded.filter(|_| apis == (Api::Messages, Api::Messages));
        let is_reworded = reworded.is_some();
        let mut fault = reworded.unwrap_or_else(|| fault(status, &body, apis));
        if let Some(unsupported) = unsupported {
            fault.message =
                format!("the upstream answered {status} with {unsupported}, which cannot be decoded");
        }
        let fault = self.scrubbed(lease, located(lease, fault));
        let facts = openai::error::facts(status, &body, &lease.model);
        let after = asked_to_wait(&upstream, &facts);
        let (outcome, retry) = classify((status, fault.kind), &facts, after, &upstream);
        let fault = answered_as(outcome, fault);
        let json = Content::of(&upstream) == Content::Json && request::is_complete_json(&body);
        // The client's own key may come back to it.
        let secrets = if lease.provider.passthrough {
            self.gateway.terms().secrets.clone()
        } else {
            self.secrets(lease)
        };
        let is_same_error = !is_reworded && (status == fault.status || outcome != Outcome::OutOfCredit);
        let relays =
            lease.provider.api == self.question.api && json && is_same_error && !secrets.found_in(&body);
        let answer = Answer {
            // A body that goes on as it is keeps its status; in other words it gets the one that belongs to them.
            status: if relays { status } else { fault.status },
            headers: passed_back(&upstream, &secrets),
            retry_after: retry_after(outcome, after),
            should_retry: should_retry(outcome, after),
            fault,
            relayed: relays.then_some(Relayed(body)),
        };
        let can_fix = Fixable::No;
        CallFailure { outcome, retry, after, answer, named, refusal, can_fix, is_out_of_tokens }
    }

    pub(super) fn scrubbed(&self, lease: &Lease, fault: Fault) -> Fault {
        Fault { message: self.secrets(lease).scrub(fault.message), ..fault }
    }

    /// What must not leave in a text: the key of this call, too, which is the client's own or may have been removed long ago.
    pub(super) fn secrets(&self, lease: &Lease) -> Secrets {
        self.gateway.terms().secrets.with(&lease.key)
    }
}

/// What an upstream that answered with this status and body says, for a client of the other API of these two.
fn fault(status: u16, body: &[u8], (upstream, client): (Api, Api)) -> Fault {
    let read = openai::error::read(status, body);
    match (upstream, client) {
        (Api::ChatCompletions, _) => read,
        (Api::Messages, Api::Messages) => match anthropic::error::read(body) {
            Some((kind, message)) => Fault { kind, status, message },
            None => Fault { status, ..read },
        },
        // OpenAI has this one, too.
        (Api::Messages, Api::ChatCompletions) if status == 422 => Fault { status, ..read },
        (Api::Messages, Api::ChatCompletions) => read,
    }
}

async fn next_chunk(upstream: &mut UpstreamBody) -> Result<Bytes, CallFailure> {
    match upstream.next().await {
        Some(Ok(chunk)) => Ok(chunk),
        Some(Err(PayloadError::EncodingCorrupted)) => Err(damaged()),
        Some(Err(_)) | None => {
            Err(CallFailure::broken("the upstream closed the stream before its first event"))
        }
    }
}

fn damaged() -> CallFailure {
    CallFailure::broken("the upstream's compressed reply is damaged or was cut")
}

/// A reply that failed in the same breath in which it began.
fn faulted(mut flow: Flow, mut first: Batch, fault: Fault) -> Opened {
    let failed = Some(flow.fail(fault, &mut first));
    Opened { upstream: Box::pin(futures_util::stream::empty()), flow, first, ended: true, failed }
}
