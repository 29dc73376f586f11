//! Replies that are read to their end before anything of them is sent: those that the client wants whole, and those that
//! come in the other form than it wants.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use bytes::{Bytes, BytesMut};
use vandamme_actors::converter::ReplyHooks;
use vandamme_actors::provider::Lease;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::Api;
use vandamme_protocol::convert::{ReplySummary, passthrough};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::request::{Streaming, UsageAsked};

use super::attempt::{Answered, EVENTS};
use super::classify::CallFailure;
use super::middleware::heard;
use super::translation::Translation;
use super::upstream_body::{Content, Reply, broken_json};
use super::{Endpoint, Exchange};

const JSON: &str = "application/json";

impl Exchange<'_> {
    /// Whether a stream would be of no use to the client.
    pub(super) fn wants_one_body(&self) -> bool {
        self.question.endpoint == Endpoint::Reply && self.question.head.delivery == Streaming::No
    }

    /// A stream of the client's own API that it did not ask for.
    pub(super) async fn collect(
        &self,
        lease: &Lease,
        (reply, audience): (Reply, Option<ReplyHooks>),
        mut headers: HeaderMap,
    ) -> Result<Answered, CallFailure> {
        let stream = self.read_whole(reply).await?;
        let stream = self.without_echo(&self.secrets(lease), stream);
        let stream = match audience {
            Some(mut audience) => audience.pass(stream),
            None => stream,
        };
        let body = match self.question.api {
            Api::Messages => passthrough::events_as_message(&stream),
            Api::ChatCompletions => passthrough::chunks_as_completion(&stream),
        };
        let body = body.map_err(|fault| CallFailure::reported(self.scrubbed(lease, fault), &lease.model))?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        let closing = read_along(self.question.api, &body);
        Ok(Answered::Whole { status: 200, headers, body: body.into(), closing })
    }

    pub(super) async fn pass_whole(
        &self,
        lease: &Lease,
        (reply, audience): (Reply, Option<ReplyHooks>),
        (mut headers, asked): (HeaderMap, Option<UsageAsked>),
    ) -> Result<Answered, CallFailure> {
        let status = reply.status;
        let secrets = self.secrets(lease);
        let label = reply.label.clone().filter(|value| !secrets.found_in_header(value.as_bytes()));
        headers.insert(header::CONTENT_TYPE, label.unwrap_or_else(|| HeaderValue::from_static(JSON)));
        let body = self.read_whole(reply).await?;
        self.pass_body(lease, (body, audience), (status, headers, asked))
    }

    /// A whole reply of the client's own API, in the form that it asked for.
    #[expect(clippy::result_large_err, reason = "the async functions around it return the same")]
    pub(super) fn pass_body(
        &self,
        lease: &Lease,
        (body, audience): (Bytes, Option<ReplyHooks>),
        (status, mut headers, asked): (u16, HeaderMap, Option<UsageAsked>),
    ) -> Result<Answered, CallFailure> {
        if let Some(broken) = broken_json(lease, &body) {
            return Err(broken);
        }
        let closing = read_along(self.question.api, &body);
        if let Some(Fault { kind, message, .. }) = closing.fault {
            // An error in the clothes of a reply.
            return Err(CallFailure::reported(
                self.scrubbed(lease, Fault::reported(kind, message)),
                &lease.model,
            ));
        }
        let body = self.without_echo(&self.secrets(lease), body);
        let body = heard(audience, body);
        let wants_events =
            self.question.endpoint == Endpoint::Reply && self.question.head.delivery == Streaming::Yes;
        if !wants_events {
            return Ok(Answered::Whole { status, headers, body, closing });
        }
        let events = match asked {
            None => passthrough::message_as_events(&body),
            Some(asked) => passthrough::completion_as_chunks(&body, asked),
        };
        let body =
            events.map_err(|fault| CallFailure::reported(self.scrubbed(lease, fault), &lease.model))?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
        Ok(Answered::Whole { status: 200, headers, body, closing })
    }

    /// Removes keys that the upstream echoes in its reply.
    fn without_echo(&self, secrets: &Secrets, body: Bytes) -> Bytes {
        if !secrets.found_plainly_in(&body) {
            return body;
        }
        match self.redacted(secrets) {
            Some(secrets) => secrets.without_plain(&body).into(),
            None => body,
        }
    }

    /// What is cut out of the reply: nothing if the client sent a key in its request, since a model that edits a file with
    /// keys in it must be able to write them back.
    pub(super) fn redacted<'s>(&self, secrets: &'s Secrets) -> Option<&'s Secrets> {
        (!secrets.found_plainly_in(&self.question.body)).then_some(secrets)
    }

    /// A reply that came whole from the other API: the same state machine makes a whole reply or events of it.
    pub(super) async fn translate_whole(
        &self,
        lease: &Lease,
        (reply, audience): (Reply, Option<ReplyHooks>),
        headers: HeaderMap,
        back: Translation,
    ) -> Result<Answered, CallFailure> {
        let content = reply.content;
        let body = self.read_whole(reply).await?;
        self.translate_body(lease, (body, audience), headers, (content, back))
    }

    /// The same of a body that has been read.
    #[expect(clippy::result_large_err, reason = "the async functions around it return the same")]
    pub(super) fn translate_body(
        &self,
        lease: &Lease,
        (body, audience): (Bytes, Option<ReplyHooks>),
        mut headers: HeaderMap,
        (content, back): (Content, Translation),
    ) -> Result<Answered, CallFailure> {
        let body = self.without_echo(&self.secrets(lease), body);
        let given = body.clone();
        let body = match (content, audience) {
            (Content::Events, Some(mut audience)) => audience.pass(body),
            (_, audience) => heard(audience, body),
        };
        let said = |fault| {
            let broken = if content == Content::Json { broken_json(lease, &given) } else { None };
            broken.unwrap_or_else(|| CallFailure::reported(self.scrubbed(lease, fault), &lease.model))
        };
        let (kind, body, closing) = match self.question.head.delivery {
            Streaming::Yes => {
                let mut events = BytesMut::new();
                let summary = back.whole_as_events(&body, &mut events).map_err(said)?;
                (EVENTS, events.freeze(), summary)
            }
            Streaming::No => {
                let whole = match content {
                    Content::Events => back.collected(&body),
                    Content::Json | Content::Other => back.whole(&body),
                };
                let whole = whole.map_err(said)?;
                (JSON, Bytes::from(whole.body), whole.summary)
            }
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(Answered::Whole { status: 200, headers, body, closing })
    }
}

/// The summary of a whole reply that passes through.
fn read_along(api: Api, body: &[u8]) -> ReplySummary {
    match api {
        Api::Messages => passthrough::summary_of_message(body),
        Api::ChatCompletions => passthrough::summary_of_completion(body),
    }
}
