//! Calls to providers in a cloud: the form of the body, the credential, and what a refusal says about both.

use std::time::SystemTime;

use actix_http::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use vandamme_actors::converter::UpstreamBody;
use vandamme_actors::credentials::{CloudCredential, RequestToSign, SigningScope, sign};
use vandamme_actors::outcome::{LimitScope, Outcome};
use vandamme_actors::provider::Lease;
use vandamme_actors::settings::{AwsIdentity, CloudIdentity, MessagesForm, ProviderSettings};
use vandamme_actors::upstream::CallUrl;
use vandamme_protocol::cloud::error::{self, CloudCause, CloudFault};
use vandamme_protocol::cloud::eventstream::EventStreamDecoder;
use vandamme_protocol::cloud::{CloudForm, request};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::request::Pieces;

use super::UpstreamCall;
use super::attempt::Attempt;
use super::classify::CallFailure;
use super::upstream_headers::BETAS;
use super::upstream_request::UpstreamRequest;
use crate::config::variable_prefix;

/// The content type of Bedrock's streams.
pub(super) const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
/// Names the type of an AWS error.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// The project that Google charges.
const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

impl Attempt<'_> {
    /// The body of this call: that of the request, in the form of the provider's cloud. Bedrock takes betas in the body alone.
    pub(super) fn body_in_form(&self, sent: &UpstreamRequest, headers: &mut HeaderMap) -> Pieces {
        let form = match self.lease.provider.messages_form {
            MessagesForm::Native => return sent.body.clone(),
            MessagesForm::InvokeModel { .. } => CloudForm::Bedrock,
            MessagesForm::RawPredict { .. } => CloudForm::Vertex,
        };
        if self.request.upstream_call == UpstreamCall::Models {
            return sent.body.clone();
        }
        let body = sent.body.clone().joined();
        let stated: Vec<String> = headers
            .get_all(&BETAS)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(',').map(|beta| beta.trim().to_owned()))
            .filter(|beta| !beta.is_empty())
            .collect();
        let betas = request::betas_for(form, stated.iter().map(String::as_str));
        headers.remove(&BETAS);
        headers.remove(HeaderName::from_static("anthropic-version"));
        if form == CloudForm::Vertex
            && !betas.is_empty()
            && let Ok(value) = HeaderValue::from_str(&betas.join(","))
        {
            headers.insert(BETAS, value);
        }
        match (form, self.request.upstream_call) {
            (CloudForm::Vertex, UpstreamCall::Count) => {
                request::to_vertex_count(&body, &self.lease.provider.id_of(&self.lease.model))
            }
            (CloudForm::Bedrock, UpstreamCall::Count) => request::to_bedrock_count(&body, &betas).into(),
            (form, _) => request::to_cloud(form, &body, &betas),
        }
    }

    /// Gets another credential than the one that was just refused. `false` if there is none.
    pub(super) async fn has_other_credential(&self) -> bool {
        let Some(identity) = &self.lease.provider.identity else { return false };
        let Some(refused) = self.credential.borrow().clone() else { return false };
        let credentials = &self.gateway.credentials;
        credentials.refused(identity, &refused);
        credentials.get(identity).await.is_ok_and(|other| !other.is(&refused))
    }

    /// Adds the credential of the provider's cloud identity to the headers of a call.
    pub(super) async fn authorize(
        &self,
        method: &Method,
        url: &CallUrl,
        headers: &mut HeaderMap,
        body: &Pieces,
    ) -> Result<(), Box<CallFailure>> {
        let Some(identity) = &self.lease.provider.identity else { return Ok(()) };
        let credential = self.gateway.credentials.get(identity).await;
        let credential = credential
            .map_err(|error| Box::new(CallFailure::without_credential(&self.lease.provider, &error)))?;
        let authorized = match (&credential, identity) {
            (CloudCredential::Aws(aws), CloudIdentity::Aws(identity)) => {
                let scope = scope(identity);
                let url = url.text();
                let body_sha256 = sha256(body);
                let to_sign = RequestToSign { method, url: &url, headers, body_sha256 };
                sign(aws, scope, to_sign, SystemTime::now()).map(|signature| headers.extend_with(signature))
            }
            (CloudCredential::Google(google), _) => bearer(google.token.expose()).map(|bearer| {
                headers.insert(header::AUTHORIZATION, bearer);
                let project = google.quota_project.as_deref();
                if let Some(project) = project.and_then(|project| HeaderValue::from_str(project).ok()) {
                    headers.insert(USER_PROJECT, project);
                }
            }),
            (CloudCredential::Aws(_), CloudIdentity::Google(_)) => Err("the credential is AWS's".to_owned()),
        };
        *self.credential.borrow_mut() = Some(credential);
        authorized.map_err(|error| {
            let message =
                format!("the request to provider '{}' cannot be signed: {error}", self.lease.provider.name);
            Box::new(CallFailure::misbehaved(&message))
        })
    }
}

/// Adds several headers.
trait ExtendWith {
    fn extend_with(&mut self, headers: Vec<(HeaderName, HeaderValue)>);
}

impl ExtendWith for HeaderMap {
    fn extend_with(&mut self, headers: Vec<(HeaderName, HeaderValue)>) {
        for (name, value) in headers {
            self.insert(name, value);
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    let bearer = HeaderValue::from_str(&["Bearer ", token].concat());
    let mut bearer =
        bearer.map_err(|_| "the token contains characters that no header can carry".to_owned())?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

fn scope(identity: &AwsIdentity) -> SigningScope<'_> {
    SigningScope { region: &identity.region, service: &identity.service }
}

fn sha256(body: &Pieces) -> [u8; 32] {
    let digest = body.clone().into_iter().fold(Sha256::new(), |digest, piece| digest.chain_update(&piece));
    digest.finalize().into()
}

/// The body of a stream of frames as server-sent events.
pub(super) fn as_events(frames: UpstreamBody, largest: usize) -> UpstreamBody {
    let start = (frames, EventStreamDecoder::new(largest));
    Box::pin(stream::try_unfold(start, async |(mut frames, mut decoder)| {
        loop {
            let Some(chunk) = frames.next().await.transpose()? else {
                // A frame that was cut has no event, so the stream lacks its end.
                return Ok(None);
            };
            let mut events = BytesMut::new();
            decoder.push(&chunk, &mut events).map_err(|_| PayloadError::EncodingCorrupted)?;
            if !events.is_empty() {
                return Ok(Some((events.freeze(), (frames, decoder))));
            }
        }
    }))
}

/// The count of tokens in Bedrock's reply, in the form of the Messages API.
pub(super) fn bedrock_count(body: &[u8]) -> Option<Bytes> {
    let tokens = request::read_bedrock_count(body)?;
    Some(format!("{{\"input_tokens\":{tokens}}}").into())
}

/// The error of a cloud; `None` for a provider in no cloud, and for an error in Anthropic's form.
pub(super) fn fault(
    provider: &ProviderSettings,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<CloudFault> {
    let is_google = matches!(provider.messages_form, MessagesForm::RawPredict { .. })
        || matches!(provider.identity, Some(CloudIdentity::Google(_)));
    let is_aws = matches!(provider.messages_form, MessagesForm::InvokeModel { .. })
        || matches!(provider.identity, Some(CloudIdentity::Aws(_)));
    match (is_google, is_aws) {
        (true, _) => error::of_vertex(status, body),
        (false, true) => {
            let error_type = headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok());
            error::of_bedrock(status, error_type, body)
        }
        (false, false) => None,
    }
}

/// Whether another credential may help.
pub(super) fn is_about_credential(cause: &CloudCause) -> bool {
    match cause {
        CloudCause::CredentialExpired | CloudCause::CredentialInvalid => true,
        CloudCause::SignatureInvalid
        | CloudCause::PermissionMissing { .. }
        | CloudCause::ModelAccess
        | CloudCause::ModelUnknown
        | CloudCause::NeedsInferenceProfile
        | CloudCause::ServiceDisabled
        | CloudCause::Quota
        | CloudCause::Throttled
        | CloudCause::Other => false,
    }
}

/// The outcome of a call that failed for this cause; `None` if the status decides.
pub(super) fn outcome(cause: &CloudCause) -> Option<Outcome> {
    let limited = Outcome::RateLimited { wait: None, scope: LimitScope::Model };
    match cause {
        CloudCause::CredentialExpired | CloudCause::CredentialInvalid | CloudCause::SignatureInvalid => {
            Some(Outcome::KeyRejected)
        }
        CloudCause::PermissionMissing { .. } | CloudCause::ServiceDisabled => Some(Outcome::KeyForbidden),
        CloudCause::ModelAccess | CloudCause::ModelUnknown | CloudCause::NeedsInferenceProfile => {
            Some(Outcome::NotServedHere)
        }
        CloudCause::Quota | CloudCause::Throttled => Some(limited),
        CloudCause::Other => None,
    }
}

/// The error with what an operator can do about it.
pub(super) fn remedied(lease: &Lease, found: &CloudFault, fault: Fault) -> Fault {
    let provider = &lease.provider;
    let place = place(provider);
    let prefix = variable_prefix(&provider.name);
    let remedy = match &found.cause {
        CloudCause::CredentialExpired => "its credential has expired; renew it".to_owned(),
        CloudCause::CredentialInvalid => {
            "it does not know this credential; check which one is used".to_owned()
        }
        CloudCause::SignatureInvalid => {
            "check this machine's clock, the region and the service of the signature".to_owned()
        }
        CloudCause::PermissionMissing { permission: Some(permission) } => {
            format!("grant {permission} to this identity")
        }
        CloudCause::PermissionMissing { permission: None } => "this identity lacks a permission".to_owned(),
        CloudCause::ModelAccess => format!("give this account access to '{}'{place}", lease.model),
        CloudCause::ModelUnknown => {
            format!("there is no model '{}'{place}; check its id, or set {prefix}_REGION", lease.model)
        }
        CloudCause::NeedsInferenceProfile => {
            format!("use an inference profile, such as us.{0} or global.{0}", lease.model)
        }
        CloudCause::ServiceDisabled => "turn the API on in this project".to_owned(),
        CloudCause::Quota => format!("a quota{place} is used up"),
        CloudCause::Throttled | CloudCause::Other => return fault,
    };
    let message = format!("{} ({remedy})", fault.message.trim_end_matches('.'));
    Fault { message, ..fault }
}

fn place(provider: &ProviderSettings) -> String {
    match (&provider.messages_form, &provider.identity) {
        (MessagesForm::RawPredict { project, location }, _) => {
            format!(" in {location} of project {project}")
        }
        (_, Some(CloudIdentity::Aws(aws))) => format!(" in {}", aws.region),
        _ => String::new(),
    }
}
