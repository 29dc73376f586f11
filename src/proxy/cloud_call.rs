//! Calls to providers in a cloud: the form of the body, the credential, and the repetition with another one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use vandamme_actors::credentials::{CloudCredential, RequestToSign, SigningScope, sign};
use vandamme_actors::settings::{AwsIdentity, CloudIdentity};
use vandamme_actors::upstream::CallUrl;
use vandamme_protocol::cloud::betas::{BetaEndpoint, FittedBetas};
use vandamme_protocol::cloud::{CloudForm, request};
use vandamme_protocol::request::Pieces;

use super::UpstreamCall;
use super::attempt::{Answered, Attempt};
use super::classify::CallFailure;
use super::cloud_betas::{beta_endpoint, set_betas, stated_betas};
use super::cloud_errors::CredentialRefusal;
use super::run_record::RunRecord;
use super::upstream_request::UpstreamRequest;

/// The project that Google charges.
const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

impl Attempt<'_> {
    /// The body of this call: that of the request, in the form of the provider's cloud. Bedrock takes betas in the body alone.
    fn body_in_form(&self, sent: &UpstreamRequest, headers: &mut HeaderMap) -> Pieces {
        let Some(endpoint) = beta_endpoint(&self.lease.provider, sent.api) else { return sent.body.clone() };
        if self.request.upstream_call == UpstreamCall::Models {
            return sent.body.clone();
        }
        let stated = stated_betas(headers);
        let fitted = FittedBetas::new(endpoint, stated.iter().map(String::as_str));
        let form = match endpoint {
            BetaEndpoint::InvokeModel => CloudForm::Bedrock,
            BetaEndpoint::Vertex => CloudForm::Vertex,
            BetaEndpoint::Mantle => {
                if fitted.kept != stated {
                    set_betas(headers, &fitted.kept);
                }
                return if fitted.dropped.is_empty() {
                    sent.body.clone()
                } else {
                    fitted.fit(&sent.body.clone().joined()).into()
                };
            }
        };
        let (body, betas) = (fitted.fit(&sent.body.clone().joined()), fitted.kept);
        headers.remove(HeaderName::from_static("anthropic-version"));
        match form {
            CloudForm::Bedrock => set_betas(headers, &[]),
            CloudForm::Vertex => set_betas(headers, &betas),
        }
        match (form, self.request.upstream_call) {
            (CloudForm::Vertex, UpstreamCall::Count) => {
                request::to_vertex_count(&body, &self.lease.provider.id_of(&self.lease.model))
            }
            (CloudForm::Bedrock, UpstreamCall::Count) => request::to_bedrock_count(&body, &betas).into(),
            (form, _) => request::to_cloud(form, &body, &betas),
        }
    }

    /// Makes a call, and repeats it once if its credential or its time is refused and there is another. Neither the ledger nor
    /// the health of the provider sees the repetition.
    pub(super) async fn call_with_credential(
        &self,
        sent: &UpstreamRequest,
        mut headers: HeaderMap,
        record: &RunRecord<'_>,
    ) -> Result<Box<Answered>, Box<CallFailure>> {
        let body = self.body_in_form(sent, &mut headers);
        if self.lease.provider.identity.is_none() {
            return self.call_in_time(sent, headers, body, record).await;
        }
        let failed = match self.call_in_time(sent, headers.clone(), body.clone(), record).await {
            Ok(answered) => return Ok(answered),
            Err(failed) => failed,
        };
        let is_worth_repeating = match failed.credential_refusal {
            Some(CredentialRefusal::Credential) => self.has_other_credential().await,
            Some(CredentialRefusal::Clock(upstream)) => correct_clock(upstream),
            None => false,
        };
        if is_worth_repeating { self.call_in_time(sent, headers, body, record).await } else { Err(failed) }
    }

    /// Gets another credential than the one that was just refused. `false` if there is none.
    async fn has_other_credential(&self) -> bool {
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
                sign(aws, scope, to_sign, signing_time()).map(|signature| headers.extend_with(signature))
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

/// How many seconds the clock of AWS is ahead of this machine's. A signature is valid for five minutes.
static SKEW: AtomicI64 = AtomicI64::new(0);
/// A clock that differs less is no reason for a refused signature.
const LEAST_SKEW: i64 = 5;

/// The time by the clock of AWS.
fn signing_time() -> SystemTime {
    let (now, skew) = (SystemTime::now(), SKEW.load(Ordering::Relaxed));
    let distance = Duration::from_secs(skew.unsigned_abs());
    let shifted = if skew < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
    shifted.unwrap_or(now)
}

/// Takes over the time of an upstream that refuses a signature's. Whether that changes anything.
fn correct_clock(upstream: SystemTime) -> bool {
    let seconds = |distance: Duration| i64::try_from(distance.as_secs()).unwrap_or_default();
    let skew = match upstream.duration_since(SystemTime::now()) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    };
    (SKEW.swap(skew, Ordering::Relaxed) - skew).abs() >= LEAST_SKEW
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
