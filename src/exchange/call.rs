//! One upstream call, until its reply is safe to hand on: for a stream its first event, otherwise all of it.

use std::time::Duration;

use actix_http::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::rt::time::timeout;
use awc::ClientResponse;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use vandamme_actors::converter::{Audience, Batch, Closing, Flow, Machine, Opened, Progress, UpstreamBody};
use vandamme_actors::excerpt;
use vandamme_actors::provider::Lease;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::Api;
use vandamme_actors::upstream::{self, Borrow, Request};
use vandamme_protocol::bridge::Fault;
use vandamme_protocol::healing;
use vandamme_protocol::passthrough::{ChatTap, Tap};
use vandamme_protocol::span::{self, Streaming};
use vandamme_protocol::{anthropic, openai};

use super::failure::{Answer, Relayed};
use super::healing::Healing;
use super::listing::LARGEST as LARGEST_LIST;
use super::outgoing::{Outgoing, Slices, Way, passed_back};
use super::verdict::{CallFailure, asked_to_wait, judge, located};
use super::{Endpoint, Exchange};

pub(super) const EVENTS: &str = "text/event-stream; charset=utf-8";
/// An error body is read up to this size and for this long.
const ERROR_BODY: usize = 1 << 20;
const ERROR_BODY_TIME: Duration = Duration::from_secs(10);
/// A list of models is there by then, or somebody who waits for it has gone.
const LISTING_TIME: Duration = Duration::from_secs(30);

/// The part of a content type that an error repeats, in characters.
const LONGEST_TYPE: usize = 100;

/// A reply that is safe to hand on.
pub(super) enum Answered {
    Opened { headers: HeaderMap, opened: Box<Opened> },
    Whole { status: u16, headers: HeaderMap, body: Bytes, closing: Closing },
}

/// How the upstream's body is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Events,
    Json,
    /// Compressed although we asked for plain text.
    Encoded,
    Other,
}

impl Exchange<'_> {
    /// What fails is told without secrets and within bounds, whoever words it.
    pub(super) async fn call(&self, lease: &Lease, healing: &Healing) -> Result<Answered, CallFailure> {
        let called = self.call_upstream(lease, healing).await;
        called.map_err(|mut failed| {
            let fault = self.scrubbed(lease, failed.answer.fault);
            failed.answer.fault = Fault { message: excerpt::cut(fault.message, excerpt::ERROR), ..fault };
            failed
        })
    }

    async fn call_upstream(&self, lease: &Lease, healing: &Healing) -> Result<Answered, CallFailure> {
        let outgoing = self.edited(lease, healing).map_err(|message| CallFailure::refused(&message))?;
        let outgoing = self.through_middleware(lease, outgoing).await;
        let result = self.call_in_time(lease, outgoing).await;
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
        healing.edit(lease, &mut outgoing);
        Ok(outgoing)
    }

    async fn call_in_time(&self, lease: &Lease, outgoing: Outgoing) -> Result<Answered, CallFailure> {
        let patience = self.patience(lease);
        let calling = self.send_and_read(lease, outgoing);
        let Some(patience) = patience else { return calling.await };
        match timeout(patience, calling).await {
            Ok(result) => result,
            Err(_elapsed) => Err(CallFailure::timeout(lease, patience)),
        }
    }

    fn patience(&self, lease: &Lease) -> Option<Duration> {
        let terms = self.gateway.terms();
        let limits = &terms.settings.limits;
        let patience = lease.timeout().or(match self.question.head.delivery {
            Streaming::Yes => limits.first_byte_timeout,
            Streaming::No => limits.whole_timeout,
        });
        match self.question.endpoint {
            Endpoint::Models(_) => Some(patience.map_or(LISTING_TIME, |patience| patience.min(LISTING_TIME))),
            Endpoint::Reply | Endpoint::Count => patience,
        }
    }

    async fn send_and_read(&self, lease: &Lease, outgoing: Outgoing) -> Result<Answered, CallFailure> {
        let Outgoing { method, url, headers, body, way, audience } = outgoing;
        let upstream = upstream::here(&lease.provider.name, &self.gateway.wiring);
        let client =
            upstream.send(Borrow).await.map_err(|_closed| CallFailure::broken("the HTTP client has died"))?;
        let request = Request { method, url, headers };
        let sent = client.send(request, || Slices::of(body.clone())).await;
        let response = sent.map_err(|error| CallFailure::unsent(lease, &error))?;
        let status = response.status().as_u16();
        match status {
            200..=299 => self.read_reply(lease, response, (way, audience)).await,
            300..=399 => Err(CallFailure::misbehaved(&format!(
                "the upstream answered with a redirect ({status}), which is not followed: check the base URL of provider '{}'",
                lease.provider.name
            ))),
            400..=599 => Err(self.read_error(lease, response).await),
            _ => Err(CallFailure::broken(&format!(
                "the upstream answered with the unexpected status {status}"
            ))),
        }
    }

    async fn read_reply(
        &self,
        lease: &Lease,
        response: ClientResponse,
        (way, audience): (Way, Option<Audience>),
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
                    closing: Closing::default(),
                }),
                Way::Bridge(_) => {
                    let message = "the upstream answered with status 204 (no content) instead of a reply";
                    Err(CallFailure::misbehaved(message))
                }
            };
        }
        let content = content(response.headers());
        match (content, way) {
            (Content::Other, _) | (Content::Encoded, Way::Bridge(_)) => {
                let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let kind = excerpt::one_line(kind.unwrap_or("no content type"), LONGEST_TYPE);
                Err(CallFailure::misbehaved(&format!("the upstream answered with {kind} instead of a reply")))
            }
            (Content::Json, Way::Bridge(back)) => {
                self.translate_whole(lease, (response, audience), headers, (content, back)).await
            }
            (Content::Events, Way::Bridge(back)) if self.question.head.delivery == Streaming::No => {
                self.translate_whole(lease, (response, audience), headers, (content, back)).await
            }
            (Content::Events, Way::Messages | Way::Chat(_)) if self.wants_one_body() => {
                self.collect(lease, (response, audience), headers).await
            }
            (Content::Events, way) => self.open(lease, response, headers, (way, audience)).await,
            (Content::Json | Content::Encoded, Way::Messages) => {
                self.pass_whole(lease, (response, audience), (headers, None)).await
            }
            (Content::Json | Content::Encoded, Way::Chat(asked)) => {
                self.pass_whole(lease, (response, audience), (headers, Some(asked))).await
            }
        }
    }

    /// Reads a stream until its first event other than a ping.
    async fn open(
        &self,
        lease: &Lease,
        response: ClientResponse,
        mut headers: HeaderMap,
        (way, audience): (Way, Option<Audience>),
    ) -> Result<Answered, CallFailure> {
        let own = HeaderValue::from_static(EVENTS);
        let secrets = self.secrets(lease);
        let passed = response.headers().get(header::CONTENT_TYPE).cloned();
        let passed = passed.filter(|value| !secrets.found_in_header(value.as_bytes()));
        let passed = passed.filter(|_| !matches!(way, Way::Bridge(_)));
        headers.insert(header::CONTENT_TYPE, passed.unwrap_or(own));
        let machine = match way {
            Way::Messages => Machine::Passthrough(Tap::new()),
            Way::Chat(asked) => Machine::ChatPassthrough(ChatTap::new(asked)),
            Way::Bridge(back) => Machine::Bridge(back.bridge()),
        };
        let mut upstream: UpstreamBody = Box::pin(response);
        let limit = self.gateway.terms().settings.limits.event;
        let flow = Flow::new(machine, self.question.api, limit, secrets);
        let mut flow = flow.before(audience);
        let mut first = Batch::default();
        let mut ended = false;
        while !flow.started() && !ended {
            match upstream.next().await {
                Some(Ok(chunk)) => match flow.take(chunk, &mut first) {
                    Progress::More => {}
                    Progress::Ended => ended = true,
                    Progress::Faulted(fault) if flow.started() => {
                        // Something of worth came along with the fault: the client gets both.
                        return Ok(Answered::Opened {
                            headers,
                            opened: Box::new(faulted(flow, first, fault)),
                        });
                    }
                    Progress::Faulted(fault) => return Err(CallFailure::said(self.scrubbed(lease, fault))),
                },
                Some(Err(_)) | None => {
                    return Err(CallFailure::broken("the upstream closed the stream before its first event"));
                }
            }
        }
        if ended && let Some(fault) = flow.failed_at_once(&first) {
            return Err(CallFailure::said(fault));
        }
        Ok(Answered::Opened {
            headers,
            opened: Box::new(Opened { upstream, flow, first, ended, failed: None }),
        })
    }

    pub(super) async fn read_whole(&self, response: ClientResponse) -> Result<Bytes, CallFailure> {
        let limit = self.gateway.terms().settings.limits.whole_reply;
        let limit = match self.question.endpoint {
            Endpoint::Models(_) => limit.min(LARGEST_LIST),
            Endpoint::Reply | Endpoint::Count => limit,
        };
        match read_up_to(response, limit).await {
            Ok(Some(body)) => Ok(body),
            Ok(None) => {
                Err(CallFailure::misbehaved(&format!("the upstream's reply has more than {limit} bytes")))
            }
            Err(_) => Err(CallFailure::broken("the upstream's reply was cut")),
        }
    }

    async fn read_error(&self, lease: &Lease, response: ClientResponse) -> CallFailure {
        let status = response.status().as_u16();
        let upstream = response.headers().clone();
        let body = match timeout(ERROR_BODY_TIME, read_up_to(response, ERROR_BODY)).await {
            Ok(Ok(Some(body))) => body,
            Ok(Ok(None) | Err(_)) | Err(_) => Bytes::new(),
        };
        let named = healing::recognise(status, &body);
        let fault = fault(status, &body, (lease.provider.api, self.question.api));
        let fault = self.scrubbed(lease, located(lease, fault));
        let after = asked_to_wait(&upstream, &body);
        let (retry, outcome) = judge(status, &body, (after, &lease.model), &upstream);
        let json = content(&upstream) == Content::Json && span::is_complete_json(&body);
        // The client's own key may come back to it.
        let secrets = if lease.provider.passthrough {
            self.gateway.terms().secrets.clone()
        } else {
            self.secrets(lease)
        };
        let relays = lease.provider.api == self.question.api && json && !secrets.found_in(&body);
        let answer = Answer {
            // A body that goes on as it is keeps its status; in other words it gets the one that belongs to them.
            status: if relays { status } else { fault.status },
            headers: passed_back(&upstream, &secrets),
            retry_after: after.map(|after| after.as_secs_f64().ceil() as u64),
            fault,
            relayed: relays.then_some(Relayed(body)),
        };
        CallFailure { retry, outcome, answer, named }
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

pub(super) fn content(headers: &HeaderMap) -> Content {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let encoding = text(header::CONTENT_ENCODING);
    let kind = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "text/event-stream" | "application/json" if !matches!(encoding, "" | "identity") => Content::Encoded,
        "text/event-stream" => Content::Events,
        "application/json" => Content::Json,
        kind if kind.ends_with("+json") => Content::Json,
        _ => Content::Other,
    }
}

/// `None` when there is more.
async fn read_up_to(response: ClientResponse, limit: usize) -> Result<Option<Bytes>, PayloadError> {
    let mut body = BytesMut::new();
    let mut response = Box::pin(response);
    while let Some(chunk) = response.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

/// A reply that failed in the same breath in which it began.
fn faulted(mut flow: Flow, mut first: Batch, fault: Fault) -> Opened {
    let failed = Some(flow.fail(fault, &mut first));
    Opened { upstream: Box::pin(futures_util::stream::empty()), flow, first, ended: true, failed }
}
