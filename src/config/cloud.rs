//! Providers in a cloud: the form of their requests, their region, and the identity whose credentials they use.

use std::sync::Arc;

use vandamme_actors::settings::{AwsIdentity, CloudIdentity, CloudVariables, GoogleIdentity, MessagesForm};

use super::environment::prefix;
use super::error::ConfigError;
use super::layer::{LocatedText, Section};
use super::variables::Variables;

/// The words of `auth-mode` for a cloud's credentials.
pub(super) const AWS: &str = "aws";
pub(super) const GOOGLE: &str = "google";

/// Stands for the region in a base URL.
const REGION: &str = "{region}";

/// The variables that name or contain credentials, by AWS's and Google's documentation of their SDKs.
const VARIABLES: [&str; 33] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_METADATA_SERVICE_TIMEOUT",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    "CLOUDSDK_CONFIG",
    "GCE_METADATA_HOST",
    "HOME",
    "APPDATA",
    "PATH",
];

/// Where the region of a provider in AWS or Google Cloud comes from if its section has none, the first that is set.
const AWS_REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const GOOGLE_REGIONS: [&str; 1] = ["CLOUD_ML_REGION"];

/// The region of a provider, by its section or a variable of the cloud's SDKs.
pub(super) fn region(section: Section<'_>, variables: &Variables) -> Option<String> {
    if let Some(LocatedText { text, .. }) = section.text("region").filter(|it| !it.text.trim().is_empty()) {
        return Some(text.trim().to_owned());
    }
    let is_google = section.text("api-format").is_some_and(|format| format.text == "vertex")
        || section.text("auth-mode").is_some_and(|mode| mode.text == GOOGLE);
    let names = if is_google { &GOOGLE_REGIONS[..] } else { &AWS_REGIONS[..] };
    let mut set = names.iter().filter_map(|name| variables.find(name));
    set.find(|variable| !variable.text.trim().is_empty()).map(|variable| variable.text.trim().to_owned())
}

/// The base URL with the region in the place of its placeholder. `None` if there is a placeholder and no region.
pub(super) fn with_region(base_url: &str, region: Option<&str>) -> Option<String> {
    if !base_url.contains(REGION) {
        return Some(base_url.to_owned());
    }
    Some(base_url.replace(REGION, region?))
}

/// The form of Messages requests, by `api-format`.
pub(super) fn form(
    name: &str,
    section: Section<'_>,
    variables: &Variables,
) -> Result<MessagesForm, ConfigError> {
    let Some(LocatedText { text, place }) = section.text("api-format") else {
        return Ok(MessagesForm::Native);
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "bedrock" => Ok(MessagesForm::InvokeModel),
        "vertex" => {
            let missing = |what: &str| {
                let text =
                    format!("{name} needs a {what}; set {}_{}", prefix(name), what.to_ascii_uppercase());
                ConfigError::new(place, text)
            };
            let project = section.text("project").map(|project| project.text.trim().to_owned());
            let project: Arc<str> = project.ok_or_else(|| missing("project"))?.into();
            let location: Arc<str> = region(section, variables).ok_or_else(|| missing("region"))?.into();
            Ok(MessagesForm::RawPredict { project, location })
        }
        _ => Ok(MessagesForm::Native),
    }
}

/// The identity of a provider whose `auth-mode` names a cloud.
pub(super) fn identity(
    name: &str,
    section: Section<'_>,
    base_url: &str,
    variables: &Variables,
) -> Result<Option<CloudIdentity>, ConfigError> {
    let Some(LocatedText { text, place }) = section.text("auth-mode") else { return Ok(None) };
    let text_of = |key: &str| section.text(key).map(|it| it.text.trim().to_owned());
    let of_clouds = VARIABLES.iter().filter_map(|name| {
        variables.find(name).map(|variable| ((*name).to_owned(), variable.text.trim().to_owned()))
    });
    let of_clouds: CloudVariables = of_clouds.collect();
    match text {
        AWS => {
            let region = region(section, variables).ok_or_else(|| {
                ConfigError::new(
                    place,
                    format!("{name} needs a region; set {}_REGION or AWS_REGION", prefix(name)),
                )
            })?;
            let service = text_of("aws-service").unwrap_or_else(|| service(base_url).to_owned());
            Ok(Some(CloudIdentity::Aws(AwsIdentity {
                region: region.into(),
                service: service.into(),
                profile: text_of("aws-profile").map(Into::into),
                variables: of_clouds,
            })))
        }
        GOOGLE => Ok(Some(CloudIdentity::Google(GoogleIdentity {
            credentials_file: text_of("google-credentials").map(Into::into),
            variables: of_clouds,
        }))),
        _ => Ok(None),
    }
}

/// The name of the service in signatures, by the host.
fn service(base_url: &str) -> &'static str {
    let hosts =
        [("bedrock-mantle.", "bedrock-mantle"), ("aws-external-anthropic.", "aws-external-anthropic")];
    hosts.into_iter().find(|(host, _)| base_url.contains(host)).map_or("bedrock", |(_, service)| service)
}
