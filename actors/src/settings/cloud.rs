//! What providers in a cloud need beyond the vendor's own API: the form of their requests, and where credentials come from.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use vandamme_protocol::cloud::{CloudForm, model_ids};

use super::ProviderSettings;

/// The form that requests of the Messages API have at an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MessagesForm {
    /// Anthropic's own: `POST {base}/v1/messages`.
    #[default]
    Native,
    /// Amazon Bedrock's InvokeModel: `POST {base}/model/{model}/invoke`, or `…/invoke-with-response-stream`, whose reply is an
    /// `application/vnd.amazon.eventstream`. In the configuration: `bedrock`.
    InvokeModel {
        /// The prefix of the inference profiles through which models are called, such as `us`.
        profile: Arc<str>,
    },
    /// Google's raw prediction: `POST {base}/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:rawPredict`,
    /// or `:streamRawPredict`. In the configuration: `vertex`.
    RawPredict { project: Arc<str>, location: Arc<str> },
}

/// The cloud identity whose credentials a provider's requests carry. They are temporary and are renewed while the gateway
/// runs ([`crate::credentials`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CloudIdentity {
    /// Requests are signed with Signature Version 4.
    Aws(AwsIdentity),
    /// Requests carry an access token as bearer.
    Google(GoogleIdentity),
}

/// An identity of AWS, and what its signatures are valid for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AwsIdentity {
    /// Such as `us-east-1`.
    pub region: Arc<str>,
    /// The name of the service in signatures, such as `bedrock`.
    pub service: Arc<str>,
    /// The profile in the shared files; `None` for `AWS_PROFILE`, or the default one.
    pub profile: Option<Arc<str>>,
    pub variables: CloudVariables,
}

/// An identity of Google Cloud, by Application Default Credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GoogleIdentity {
    /// A file with credentials; `None` for `GOOGLE_APPLICATION_CREDENTIALS`, the file of `gcloud`, or the metadata server.
    pub credentials_file: Option<Arc<str>>,
    pub variables: CloudVariables,
}

/// The environment variables that name or contain a cloud's credentials, as the configuration has read them. They print as
/// their names.
#[derive(Clone, Default)]
pub struct CloudVariables(Arc<BTreeMap<String, SecretString>>);

impl CloudVariables {
    /// The value of a variable, unless it is not set or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.expose_secret()).filter(|value| !value.is_empty())
    }

    fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret()))
    }
}

impl FromIterator<(String, String)> for CloudVariables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(Arc::new(variables.into_iter().map(|(name, value)| (name, value.into())).collect()))
    }
}

impl PartialEq for CloudVariables {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.texts().eq(other.texts())
    }
}

impl Eq for CloudVariables {}

impl std::hash::Hash for CloudVariables {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.texts().for_each(|text| text.hash(state));
    }
}

impl fmt::Debug for CloudVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// As log lines and errors name its credentials.
impl fmt::Display for CloudIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws(AwsIdentity { profile: Some(profile), .. }) => {
                write!(f, "AWS credentials of the profile '{profile}'")
            }
            Self::Aws(_) => f.write_str("AWS credentials"),
            Self::Google(GoogleIdentity { credentials_file: Some(file), .. }) => {
                write!(f, "Google credentials from {file}")
            }
            Self::Google(_) => f.write_str("Google credentials"),
        }
    }
}

impl ProviderSettings {
    /// Whether its models on the Messages API are Anthropic's own: under their own ids, or under those of a cloud.
    #[must_use]
    pub fn runs_claude(&self) -> bool {
        self.serves_claude || self.messages_form != MessagesForm::Native
    }

    /// Whether this is Bedrock's endpoint of the Messages API.
    #[must_use]
    pub fn is_mantle(&self) -> bool {
        self.messages_form == MessagesForm::Native && self.base_url.contains("://bedrock-mantle.")
    }

    /// Whether this provider is in the cloud of this form, by its own form or its host.
    #[must_use]
    pub fn is_in_cloud(&self, cloud: CloudForm) -> bool {
        let domains: &[&str] = match (cloud, &self.messages_form) {
            (CloudForm::Bedrock, MessagesForm::InvokeModel { .. })
            | (CloudForm::Vertex, MessagesForm::RawPredict { .. }) => return true,
            (CloudForm::Bedrock, _) => &["amazonaws.com", "amazonaws.com.cn", "api.aws"],
            (CloudForm::Vertex, _) => &["googleapis.com"],
        };
        let host = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        let host = host.split(['/', ':']).next().unwrap_or_default();
        let is_below = |domain: &&str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        domains.iter().any(is_below)
    }

    /// The id of a model in this provider's requests: a cloud has ids of its own for the models that Anthropic's API names
    /// `claude-…`.
    #[must_use]
    pub fn id_of<'m>(&self, model: &'m str) -> Cow<'m, str> {
        match &self.messages_form {
            MessagesForm::InvokeModel { profile } => model_ids::for_bedrock(model, profile),
            MessagesForm::RawPredict { .. } => model_ids::for_vertex(model),
            MessagesForm::Native if self.is_mantle() => model_ids::for_mantle(model),
            MessagesForm::Native if self.serves_claude && model_ids::is_of_cloud(model) => {
                model_ids::plain(model)
            }
            MessagesForm::Native => Cow::Borrowed(model),
        }
    }

    /// The text of the one key that a provider with a cloud identity has in its key ring. It stands for the identity in health
    /// and reports, and is never sent.
    #[must_use]
    pub fn identity_key(name: &str, identity: &CloudIdentity) -> String {
        match identity {
            CloudIdentity::Aws(aws) => {
                format!("AWS credentials of {name} (profile {})", aws.profile.as_deref().unwrap_or("default"))
            }
            CloudIdentity::Google(_) => format!("Google credentials of {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_print_as_their_names() {
        let variables: CloudVariables =
            [("AWS_SECRET_ACCESS_KEY".to_owned(), "wJalr-secret".to_owned())].into_iter().collect();
        assert_eq!(format!("{variables:?}"), r#"{"AWS_SECRET_ACCESS_KEY"}"#);
        assert_eq!(variables.get("AWS_SECRET_ACCESS_KEY"), Some("wJalr-secret"));
    }

    #[test]
    fn a_provider_is_in_the_cloud_of_its_form_or_host() {
        let at = |base_url: &str| {
            let mut settings = Arc::unwrap_or_clone(crate::testing::provider("p").build());
            settings.base_url = base_url.into();
            [CloudForm::Bedrock, CloudForm::Vertex].map(|cloud| settings.is_in_cloud(cloud))
        };
        assert_eq!(at("https://bedrock-mantle.us-east-1.api.aws/anthropic"), [true, false]);
        assert_eq!(at("https://bedrock-runtime.cn-north-1.amazonaws.com.cn"), [true, false]);
        assert_eq!(at("https://claude.googleapis.com/v1/projects/p"), [false, true]);
        assert_eq!(at("https://googleapis.com.example/x"), [false, false]);
        assert_eq!(at("https://api.anthropic.com"), [false, false]);
    }
}
