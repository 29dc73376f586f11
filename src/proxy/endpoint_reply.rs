//! Replies of OpenAI's other endpoints: JSON is read completely, events and everything else go to the client as they come.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use awc::ClientResponse;
use vandamme_actors::converter::RawReply;
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_protocol::convert::passthrough::parsed_endpoint_reply;
use vandamme_protocol::fault::Fault;
use vandamme_protocol::openai::compact::{self, CompactionIdentity};

use super::attempt::{Answered, Attempt, no_content};
use super::classify::CallFailure;
use super::content_type::ContentKind;
use super::translation::now;
use super::upstream_body::{UpstreamReply, broken_json};
use super::upstream_request::{ReplyPath, UpstreamRequest};
use super::{ReplyForm, UpstreamCall};

impl Attempt<'_> {
    pub(super) async fn read_endpoint_reply(
        &self,
        sent: &UpstreamRequest,
        response: ClientResponse,
        headers: HeaderMap,
    ) -> Result<Answered, CallFailure> {
        if response.status() == StatusCode::NO_CONTENT {
            return no_content(&sent.reply_path, headers);
        }
        let reply = UpstreamReply::open_labelled(response, self.lease).await?;
        match reply.content {
            ContentKind::Events => self.open(reply, headers, sent.reply_path.clone(), None).await,
            ContentKind::Json => self.pass_json(reply, headers).await,
            ContentKind::Other => Ok(self.pass_bytes(reply, headers)),
        }
    }

    /// The reply to a client that asked to compact its conversation, of an upstream that wrote a summary.
    #[expect(clippy::result_large_err, reason = "the async functions around it return the same")]
    pub(super) fn compacted(
        &self,
        sent: &UpstreamRequest,
        answered: Answered,
    ) -> Result<Answered, CallFailure> {
        let is_compaction =
            self.request.upstream_call == UpstreamCall::Endpoint(OpenAiEndpoint::ResponsesCompact);
        match (answered, &sent.reply_path) {
            (Answered::Buffered { status, headers, form, body, closing }, ReplyPath::Translated(_))
                if is_compaction =>
            {
                let identity = CompactionIdentity { seed: fastrand::u128(..), created: now() };
                let body = compact::compaction_of(&self.request.body, &body, identity);
                let body = body.map_err(|fault| CallFailure::reported(fault, &self.lease.model))?;
                Ok(Answered::Buffered { status, headers, form, body: body.into(), closing })
            }
            (answered, _) => Ok(answered),
        }
    }

    /// A whole reply, unchanged. An error inside it is one of the call.
    async fn pass_json(&self, reply: UpstreamReply, mut headers: HeaderMap) -> Result<Answered, CallFailure> {
        let status = reply.status;
        let own = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, self.label(&reply).unwrap_or(own));
        let body = self.read_whole(reply).await?;
        let closing = match parsed_endpoint_reply(&body) {
            Some(closing) => closing,
            None => match broken_json(self.lease, &body) {
                Some(broken) => return Err(broken),
                None => Default::default(),
            },
        };
        if let Some(Fault { kind, message, .. }) = closing.fault {
            let fault = self.scrubbed(Fault::reported(kind, message));
            return Err(CallFailure::reported(fault, &self.lease.model));
        }
        let body = self.without_echo(&self.secrets(), body);
        Ok(Answered::Buffered { status, headers, form: ReplyForm::Whole, body, closing })
    }

    fn pass_bytes(&self, reply: UpstreamReply, mut headers: HeaderMap) -> Answered {
        if let Some(label) = self.label(&reply) {
            headers.insert(header::CONTENT_TYPE, label);
        }
        let UpstreamReply { status, first, rest, .. } = reply;
        Answered::Raw { status, headers, reply: Box::new(RawReply { first, rest }) }
    }

    /// The upstream's content type, unless a key is in it.
    fn label(&self, reply: &UpstreamReply) -> Option<HeaderValue> {
        reply.label.clone().filter(|label| !self.secrets().found_in_header(label.as_bytes()))
    }
}
