//! Credentials: gets the temporary credentials of cloud identities, and renews them before they expire. One owner for each
//! identity fetches them, never a request.

mod aws;
mod aws_signature;
mod google;
mod http;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;
use thiserror::Error;

pub use self::aws_signature::{RequestToSign, SigningScope, sign};
use self::http::CredentialHttp;
use crate::secret::ApiKey;
use crate::settings::CloudIdentity;
use crate::upstream::ConnectionSettings;

/// A credential of a cloud identity that is valid now.
#[derive(Clone, Debug)]
pub enum CloudCredential {
    /// Requests are signed with it ([`sign`]).
    Aws(Arc<AwsCredentials>),
    /// Requests carry it as bearer.
    Google(Arc<AccessToken>),
}

/// Keys of AWS.
#[derive(Clone)]
pub struct AwsCredentials {
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: Option<SecretString>,
    /// `None` for keys that do not expire.
    pub expires: Option<SystemTime>,
}

/// An OAuth access token of Google.
#[derive(Clone, Debug)]
pub struct AccessToken {
    pub token: ApiKey,
    pub expires: SystemTime,
    /// The project that is charged, for `x-goog-user-project`.
    pub quota_project: Option<String>,
}

/// Why there is no credential.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CredentialError {
    pub kind: CredentialErrorKind,
    /// One line: what is wrong, where it was set, what to do. It contains no secret.
    pub message: String,
}

/// What kind of obstacle a [`CredentialError`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialErrorKind {
    /// No source has credentials.
    Missing,
    /// A source has answered that these credentials are invalid or may not be used.
    Refused,
    /// A source did not answer. The next attempt may succeed.
    Unreachable,
}

/// The credentials of all identities of the process. Cheap to clone; usable on every thread.
#[derive(Clone)]
pub struct Credentials {
    wiring: ConnectionSettings,
}

impl Credentials {
    /// Starts without owners: the first request for an identity starts its owner, so nothing is asked before first use.
    #[must_use]
    pub fn new(wiring: ConnectionSettings) -> Self {
        Self { wiring }
    }

    /// The current credential of `identity`. It comes from memory, unless there is none, or it is about to expire.
    ///
    /// # Errors
    /// No source has a valid credential.
    pub async fn get(&self, identity: &CloudIdentity) -> Result<CloudCredential, CredentialError> {
        // SLICE: without an owner, each call fetches.
        let http = CredentialHttp::new(self.wiring.clone());
        match identity {
            CloudIdentity::Aws(identity) => aws::fetch(identity, &http)
                .await
                .map(|credentials| CloudCredential::Aws(Arc::new(credentials))),
            CloudIdentity::Google(identity) => {
                google::fetch(identity, &http).await.map(|token| CloudCredential::Google(Arc::new(token)))
            }
        }
    }

    /// An upstream has refused this credential as expired or invalid. If it is still the current one, the next [`get`](Self::get)
    /// waits for another.
    pub fn refused(&self, _identity: &CloudIdentity, _credential: &CloudCredential) {
        // SLICE
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl CloudCredential {
    /// The secrets in it, to be searched for in text that leaves the process.
    #[must_use]
    pub fn secrets(&self) -> Vec<ApiKey> {
        use secrecy::ExposeSecret as _;
        match self {
            Self::Aws(aws) => {
                let token = aws.session_token.as_ref().map(|token| ApiKey::new(token.expose_secret()));
                [ApiKey::new(aws.secret_access_key.expose_secret())].into_iter().chain(token).collect()
            }
            Self::Google(google) => vec![google.token.clone()],
        }
    }
}
