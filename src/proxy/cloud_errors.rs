//! Errors of clouds: what they mean for retries, keys and the credential, and what an operator can do.

use std::time::SystemTime;

use actix_web::http::header::{self, HeaderMap, HeaderName};
use vandamme_actors::outcome::{LimitScope, Outcome, Retry};
use vandamme_actors::provider::Lease;
use vandamme_actors::settings::{CloudIdentity, MessagesForm, ProviderSettings};
use vandamme_protocol::cloud::error::{self, CloudCause, CloudFault};
use vandamme_protocol::fault::Fault;

use crate::config::variable_prefix;

/// Names the type of an AWS error.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// What a refusal says of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialRefusal {
    /// Another credential may be accepted.
    Credential,
    /// The signature is from another time than the upstream's.
    Clock(SystemTime),
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

/// What an error of a cloud says of the credential.
pub(super) fn credential_refusal(
    found: Option<&CloudFault>,
    headers: &HeaderMap,
) -> Option<CredentialRefusal> {
    match &found?.cause {
        CloudCause::CredentialExpired | CloudCause::CredentialInvalid => Some(CredentialRefusal::Credential),
        CloudCause::SignatureInvalid => {
            let date: header::HttpDate = headers.get(header::DATE)?.to_str().ok()?.parse().ok()?;
            Some(CredentialRefusal::Clock(date.into()))
        }
        CloudCause::PermissionMissing { .. }
        | CloudCause::ModelAccess
        | CloudCause::ModelUnknown
        | CloudCause::NeedsInferenceProfile
        | CloudCause::ScopeMissing
        | CloudCause::QuotaProject
        | CloudCause::ServiceDisabled
        | CloudCause::BillingDisabled
        | CloudCause::Quota
        | CloudCause::Throttled
        | CloudCause::Other => None,
    }
}

/// The error in the cloud's own words; `None` if it has none.
pub(super) fn worded(found: Option<&CloudFault>) -> Option<Fault> {
    let CloudFault { kind, message, .. } = found?;
    (!message.is_empty()).then(|| Fault { kind: *kind, status: kind.status(), message: message.clone() })
}

/// The outcome of a call that failed for this cause, and the retry that may help; `None` if the status decides.
pub(super) fn outcome(found: Option<&CloudFault>) -> Option<(Outcome, Retry)> {
    let outcome = match &found?.cause {
        CloudCause::CredentialExpired | CloudCause::CredentialInvalid | CloudCause::SignatureInvalid => {
            Outcome::KeyRejected
        }
        CloudCause::PermissionMissing { .. }
        | CloudCause::ScopeMissing
        | CloudCause::QuotaProject
        | CloudCause::ServiceDisabled => Outcome::KeyForbidden,
        CloudCause::ModelAccess | CloudCause::ModelUnknown | CloudCause::NeedsInferenceProfile => {
            Outcome::NotServedHere
        }
        CloudCause::Quota | CloudCause::Throttled => {
            Outcome::RateLimited { wait: None, scope: LimitScope::Model }
        }
        CloudCause::BillingDisabled => Outcome::OutOfCredit,
        CloudCause::Other => return None,
    };
    Some((outcome, outcome.treatment().retry))
}

/// The error with what an operator can do about it.
pub(super) fn remedied(lease: &Lease, found: Option<&CloudFault>, fault: Fault) -> Fault {
    let Some(found) = found else { return fault };
    let provider = &lease.provider;
    let (place, model) = (place(provider), provider.id_of(&lease.model));
    let prefix = variable_prefix(&provider.name);
    let remedy = match &found.cause {
        CloudCause::CredentialExpired => "its credential has expired; renew it".to_owned(),
        CloudCause::CredentialInvalid => {
            "it does not accept this credential; check which one is used".to_owned()
        }
        CloudCause::SignatureInvalid => {
            "check this machine's clock, the region and the service of the signature".to_owned()
        }
        CloudCause::PermissionMissing { permission: Some(permission) } => {
            format!("grant {permission} to this identity")
        }
        CloudCause::PermissionMissing { permission: None } => "this identity lacks a permission".to_owned(),
        CloudCause::ModelAccess => format!("give this account access to '{model}'{place}"),
        CloudCause::ModelUnknown => {
            format!("there is no model '{model}'{place}; check its id, or set {prefix}_REGION")
        }
        CloudCause::NeedsInferenceProfile => {
            format!("use an inference profile, such as us.{model} or global.{model}")
        }
        CloudCause::ScopeMissing => {
            "the credential lacks the scope cloud-platform; on a virtual machine, allow its service account full access to all \
             Cloud APIs"
                .to_owned()
        }
        CloudCause::QuotaProject => "grant this identity roles/serviceusage.serviceUsageConsumer on the project that is charged, or \
             set GOOGLE_CLOUD_QUOTA_PROJECT"
            .to_owned(),
        CloudCause::ServiceDisabled => "turn the API on in this project".to_owned(),
        CloudCause::BillingDisabled => "link a billing account to this project".to_owned(),
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
