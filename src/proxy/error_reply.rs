//! Reads an upstream's error reply, and builds the error that the client receives.

use std::time::Duration;

use awc::ClientResponse;
use bytes::Bytes;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::retry::Fixable;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::Api;
use vandamme_protocol::compat::{Fixup, OpenAiApi};
use vandamme_protocol::content_coding::Unsupported;
use vandamme_protocol::fault::Fault;
use vandamme_protocol::openai::error::ErrorNames;
use vandamme_protocol::request;
use vandamme_protocol::{anthropic, compat, openai};

use super::attempt::{Attempt, NEVER};
use super::classify::{
    CallFailure, answered_as, asked_to_wait, classify, located, retry_after, should_retry,
};
use super::cloud_errors;
use super::content_type::ContentKind;
use super::remedies;
use super::upstream_body::{self, read_error_body};
use super::upstream_headers::passed_back;
use crate::failure::{Relayed, UpstreamError};

/// An error body is read up to this size and for this long.
const ERROR_BODY: usize = 1 << 20;
const ERROR_BODY_TIME: Duration = Duration::from_secs(10);

impl Attempt<'_> {
    /// Reads the reply to a request that was sent over `api`.
    pub(super) async fn read_error(&self, api: Api, response: ClientResponse) -> CallFailure {
        let lease = self.lease;
        let status = response.status().as_u16();
        let upstream = response.headers().clone();
        let (body, unsupported) = self.error_body(response).await;
        let mut named = compat::recognise(status, &body);
        let other_api = openai_api(api).and_then(|used| compat::other_api(used, status, &body));
        named.extend(other_api.map(Fixup::Over));
        let refusal = body.clone();
        let is_out_of_tokens = openai::error::is_out_of_tokens(status, &body);
        let apis = Apis { upstream: api, client: self.request.api };
        let reworded = openai::error::reworded_overflow(status, &body);
        let reworded = reworded.filter(|_| apis == Apis { upstream: Api::Messages, client: Api::Messages });
        let is_reworded = reworded.is_some();
        let of_cloud = cloud_errors::fault(&lease.provider, status, &upstream, &body);
        let worded = reworded.or_else(|| cloud_errors::worded(of_cloud.as_ref()));
        let mut fault = worded.unwrap_or_else(|| fault(status, &body, apis));
        if let Some(unsupported) = unsupported {
            fault.message =
                format!("the upstream answered {status} with {unsupported}, which cannot be decoded");
        }
        let fault = remedies::described(lease, status, &upstream, fault);
        let fault = remedies::with_missing_alias(lease, located(lease, fault));
        let fault = self.scrubbed(remedies::with_other_api(lease, other_api, fault));
        let facts = openai::error::facts(status, &body, &lease.model);
        let after = asked_to_wait(&upstream, &facts);
        let (outcome, retry) = cloud_errors::outcome(of_cloud.as_ref())
            .unwrap_or_else(|| classify(status, fault.kind, &facts, after, &upstream));
        let fault = cloud_errors::remedied(lease, of_cloud.as_ref(), fault);
        let fault = answered_as(outcome, fault);
        let json = ContentKind::of(&upstream) == ContentKind::Json && request::is_complete_json(&body);
        let secrets = self.secrets_of_others();
        let has_secret = secrets.found_in(&body);
        let is_same_error = !is_reworded && (status == fault.status || outcome != Outcome::OutOfCredit);
        let relays = apis.upstream == apis.client && json && is_same_error && !has_secret;
        // A client of the Messages API cannot read an error in another shape.
        let relays = relays && (apis.client != Api::Messages || anthropic::error::read(&body).is_some());
        let names = if has_secret { ErrorNames::default() } else { ErrorNames::of_upstream(&body) };
        let answer = UpstreamError {
            // A relayed body keeps its status. An error in other words gets the status that belongs to them.
            status: if relays { status } else { fault.status },
            headers: passed_back(&upstream, &secrets),
            retry_after: retry_after(outcome, after),
            should_retry: should_retry(outcome, after),
            fault,
            names,
            relayed: relays.then_some(Relayed(body)),
        };
        CallFailure {
            outcome,
            retry,
            after,
            answer,
            named,
            refusal,
            can_fix: Fixable::No,
            is_out_of_tokens,
            credential_refusal: cloud_errors::credential_refusal(of_cloud.as_ref(), &upstream),
            is_sent: true,
        }
    }

    async fn error_body(&self, response: ClientResponse) -> (Bytes, Option<Unsupported>) {
        let time = ERROR_BODY_TIME.min(self.patience.unwrap_or(NEVER));
        match upstream_body::body(response) {
            Ok((body, _)) => (read_error_body(body, ERROR_BODY, time).await, None),
            Err(unsupported) => (Bytes::new(), Some(unsupported)),
        }
    }

    /// What an error must not quote. A client may get its own key back.
    fn secrets_of_others(&self) -> Secrets {
        if self.lease.provider.passthrough {
            self.gateway.live_config().secrets.clone()
        } else {
            self.secrets()
        }
    }
}

/// The API, if OpenAI has it.
fn openai_api(api: Api) -> Option<OpenAiApi> {
    match api {
        Api::Messages => None,
        Api::ChatCompletions => Some(OpenAiApi::ChatCompletions),
        Api::Responses => Some(OpenAiApi::Responses),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Apis {
    upstream: Api,
    client: Api,
}

/// The upstream's error, for a client of this API.
fn fault(status: u16, body: &[u8], apis: Apis) -> Fault {
    let read = openai::error::read(status, body);
    match (apis.upstream, apis.client) {
        (Api::ChatCompletions | Api::Responses, _)
        | (Api::Messages, Api::ChatCompletions | Api::Responses) => read,
        (Api::Messages, Api::Messages) => match anthropic::error::read(body) {
            Some((kind, message)) => Fault { kind, status, message },
            None => Fault { status, ..read },
        },
    }
}
