//! Replies that are read completely before the client receives anything: whole replies, and replies in another form than the
//! client requested.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use bytes::{Bytes, BytesMut};
use vandamme_actors::converter::ReplyHooks;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::{Api, MessagesForm};
use vandamme_protocol::cloud::request::read_bedrock_count;
use vandamme_protocol::convert::{ReplySummary, passthrough};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::request::UsageAsked;

use super::attempt::{Answered, Attempt, EVENTS};
use super::classify::CallFailure;
use super::content_type::ContentKind;
use super::middleware::heard;
use super::translation::Translation;
use super::upstream_body::{UpstreamReply, broken_json};
use super::{ReplyForm, UpstreamCall};

const JSON: &str = "application/json";

/// A reply that has arrived in full.
pub(super) struct BufferedReply {
    pub(super) status: u16,
    /// Those that the client gets.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Attempt<'_> {
    /// Makes a whole reply of a stream of the client's own API.
    pub(super) async fn collect(
        &self,
        reply: UpstreamReply,
        reply_hooks: Option<ReplyHooks>,
        mut headers: HeaderMap,
    ) -> Result<Answered, CallFailure> {
        let stream = self.read_whole(reply).await?;
        let stream = self.without_echo(&self.secrets(), stream);
        let stream = match reply_hooks {
            Some(mut reply_hooks) => reply_hooks.pass(stream),
            None => stream,
        };
        let body = match self.request.api {
            Api::Messages => passthrough::events_as_message(&stream),
            Api::ChatCompletions => passthrough::chunks_as_completion(&stream),
            Api::Responses => passthrough::events_as_response(&stream),
        };
        let body = body.map_err(|fault| CallFailure::reported(self.scrubbed(fault), &self.lease.model))?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        let closing = read_along(self.request.api, &body).unwrap_or_default();
        Ok(Answered::Buffered { status: 200, headers, form: ReplyForm::Whole, body: body.into(), closing })
    }

    /// A whole reply of the client's own API.
    pub(super) async fn pass_whole(
        &self,
        reply: UpstreamReply,
        reply_hooks: Option<ReplyHooks>,
        mut headers: HeaderMap,
        asked: Option<UsageAsked>,
    ) -> Result<Answered, CallFailure> {
        let status = reply.status;
        let label = reply.label.clone().filter(|value| self.may_label(value, JSON));
        headers.insert(header::CONTENT_TYPE, label.unwrap_or_else(|| HeaderValue::from_static(JSON)));
        let mut body = self.read_whole(reply).await?;
        let is_invoke_model = matches!(self.lease.provider.messages_form, MessagesForm::InvokeModel { .. });
        if is_invoke_model && self.request.upstream_call == UpstreamCall::Count {
            body = read_bedrock_count(&body)
                .map_or(body, |tokens| format!("{{\"input_tokens\":{tokens}}}").into());
        }
        self.pass_body(BufferedReply { status, headers, body }, reply_hooks, asked)
    }

    /// The body of such a reply, in the form that the client asked for.
    #[expect(clippy::result_large_err, reason = "the async functions around it return the same")]
    pub(super) fn pass_body(
        &self,
        received: BufferedReply,
        reply_hooks: Option<ReplyHooks>,
        asked: Option<UsageAsked>,
    ) -> Result<Answered, CallFailure> {
        let BufferedReply { status, mut headers, body } = received;
        // What was parsed is complete, so it is walked once only.
        let closing = match read_along(self.request.api, &body) {
            Some(closing) => closing,
            None => match broken_json(self.lease, &body) {
                Some(broken) => return Err(broken),
                None => ReplySummary::default(),
            },
        };
        if let Some(Fault { kind, message, .. }) = closing.fault {
            // An error with a status of success.
            return Err(CallFailure::reported(
                self.scrubbed(Fault::reported(kind, message)),
                &self.lease.model,
            ));
        }
        let body = self.without_echo(&self.secrets(), body);
        let body = heard(reply_hooks, body);
        let form = self.request.reply_form();
        if form == ReplyForm::Whole {
            return Ok(Answered::Buffered { status, headers, form, body, closing });
        }
        let events = match (self.request.api, asked) {
            (Api::Responses, _) => passthrough::response_as_events(&body),
            (Api::Messages | Api::ChatCompletions, None) => passthrough::message_as_events(&body),
            (Api::Messages | Api::ChatCompletions, Some(asked)) => {
                passthrough::completion_as_chunks(&body, asked)
            }
        };
        let body = events.map_err(|fault| CallFailure::reported(self.scrubbed(fault), &self.lease.model))?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
        Ok(Answered::Buffered { status: 200, headers, form, body, closing })
    }

    /// Whether the client gets this content type in the place of `own`, which needs no search.
    fn may_label(&self, value: &HeaderValue, own: &str) -> bool {
        value == own || !self.secrets().found_in_header(value.as_bytes())
    }

    /// Removes keys that the upstream echoes in its reply.
    pub(super) fn without_echo(&self, secrets: &Secrets, body: Bytes) -> Bytes {
        if !secrets.found_plainly_in(&body) {
            return body;
        }
        match self.redacted(secrets) {
            Some(secrets) => secrets.without_plain(&body).into(),
            None => body,
        }
    }

    /// The secrets that are cut out of the reply: none if the client sent one of them in its request, since a model that edits a
    /// file with keys must be able to write them back.
    pub(super) fn redacted<'s>(&self, secrets: &'s Secrets) -> Option<&'s Secrets> {
        (!secrets.found_plainly_in(&self.request.body)).then_some(secrets)
    }

    /// Translates a reply that has arrived in full, into a whole reply or into events.
    pub(super) async fn translate_whole(
        &self,
        reply: UpstreamReply,
        reply_hooks: Option<ReplyHooks>,
        headers: HeaderMap,
        back: Translation,
    ) -> Result<Answered, CallFailure> {
        let (status, content) = (reply.status, reply.content);
        let body = self.read_whole(reply).await?;
        self.translate_body(BufferedReply { status, headers, body }, content, reply_hooks, back)
    }

    /// Translates the body of such a reply.
    #[expect(clippy::result_large_err, reason = "the async functions around it return the same")]
    pub(super) fn translate_body(
        &self,
        received: BufferedReply,
        content: ContentKind,
        reply_hooks: Option<ReplyHooks>,
        back: Translation,
    ) -> Result<Answered, CallFailure> {
        let BufferedReply { mut headers, body, .. } = received;
        let body = self.without_echo(&self.secrets(), body);
        let given = body.clone();
        let body = match (content, reply_hooks) {
            (ContentKind::Events, Some(mut reply_hooks)) => reply_hooks.pass(body),
            (_, reply_hooks) => heard(reply_hooks, body),
        };
        let said = |fault| {
            let broken = if content == ContentKind::Json { broken_json(self.lease, &given) } else { None };
            broken.unwrap_or_else(|| CallFailure::reported(self.scrubbed(fault), &self.lease.model))
        };
        let form = self.request.reply_form();
        let (kind, body, closing) = match form {
            ReplyForm::Stream => {
                let mut events = BytesMut::new();
                let summary = back.whole_as_events(&body, &mut events).map_err(said)?;
                (EVENTS, events.freeze(), summary)
            }
            ReplyForm::Whole => {
                let whole = match content {
                    ContentKind::Events => back.collected(&body),
                    ContentKind::Json | ContentKind::Other => back.whole(&body),
                };
                let whole = whole.map_err(said)?;
                (JSON, Bytes::from(whole.body), whole.summary)
            }
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(Answered::Buffered { status: 200, headers, form, body, closing })
    }
}

/// The summary of a whole reply that passes through; `None` if it cannot be parsed.
fn read_along(api: Api, body: &[u8]) -> Option<ReplySummary> {
    match api {
        Api::Messages => passthrough::parsed_message(body),
        Api::ChatCompletions => passthrough::parsed_completion(body),
        Api::Responses => passthrough::parsed_response(body),
    }
}
