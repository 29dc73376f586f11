//! Credentials: gets the temporary credentials of cloud identities, and renews them before they expire. One owner for each
//! identity fetches them, never a request.

#[cfg(feature = "aws")]
mod aws;
mod aws_signature;
#[cfg(feature = "google")]
mod google;
#[cfg_attr(
    not(all(feature = "aws", feature = "google")),
    allow(dead_code, reason = "each cloud uses its part")
)]
mod http;
mod owner;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix::Addr;
use actix_rt::Arbiter;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

/// Whether this build has the credentials and signatures of AWS.
pub const HAS_AWS: bool = cfg!(feature = "aws");
/// Whether this build has the credentials of Google Cloud.
pub const HAS_GOOGLE: bool = cfg!(feature = "google");

#[cfg(feature = "aws")]
pub use self::aws::region_of_profile;
pub use self::aws_signature::{RequestToSign, SigningScope, sign};
#[cfg(feature = "google")]
pub use self::google::project_of_file;
use self::http::CredentialHttp;
use self::owner::{CredentialOwner, Fetch, Renew};
use crate::clock::{self, Millis, millis};
use crate::panic_guard;
use crate::secret::ApiKey;
use crate::settings::CloudIdentity;
use crate::snapshot::Snapshot;
use crate::upstream::ConnectionSettings;

/// A credential of a cloud identity that is valid now.
#[derive(Clone, Debug, PartialEq)]
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
    published: Published,
    owner: Snapshot<Option<Addr<CredentialOwner>>>,
}

type Published = Snapshot<HashMap<CloudIdentity, PublishedCredential>>;

/// A credential that requests use.
#[derive(Clone)]
struct PublishedCredential {
    credential: CloudCredential,
    /// From this time on it is renewed in the background, on the wall clock.
    renewal: Millis,
    /// From this time on it is not used, since it might expire on the way.
    end: Millis,
}

/// A credential is renewed this long before it expires; one that lives shorter, in the last third of its life.
const MARGIN: Millis = 5 * 60_000;
/// The time that a request may take to its upstream.
const ON_THE_WAY: Millis = 10_000;

impl PublishedCredential {
    fn new(credential: CloudCredential, now: Millis) -> Self {
        let expires =
            credential.expires().and_then(|expires| expires.duration_since(UNIX_EPOCH).ok()).map(millis);
        let Some(expires) = expires else {
            return Self { credential, renewal: Millis::MAX, end: Millis::MAX };
        };
        let life = expires.saturating_sub(now);
        // Gateways that have started together do not ask together.
        let margin = MARGIN.min(life / 3);
        let early = fastrand::u64(0..=margin / 10);
        Self { credential, renewal: expires - margin - early, end: expires - ON_THE_WAY.min(life / 10) }
    }

    fn is_usable(&self, now: Millis) -> bool {
        now < self.end
    }
}

impl Credentials {
    /// Starts without an owner: the first request for an identity starts it, so nothing is asked before first use.
    #[must_use]
    pub fn new(wiring: ConnectionSettings) -> Self {
        Self { wiring, published: Snapshot::default(), owner: Snapshot::new(None) }
    }

    /// The current credential of `identity`. It comes from memory, unless there is none or it has expired.
    ///
    /// # Errors
    /// No source has a valid credential.
    pub async fn get(&self, identity: &CloudIdentity) -> Result<CloudCredential, CredentialError> {
        let now = clock::wall();
        if let Some(current) = self.published.load().get(identity).filter(|current| current.is_usable(now)) {
            if now >= current.renewal {
                self.owner().do_send(Renew(identity.clone()));
            }
            return Ok(current.credential.clone());
        }
        self.fetch(Fetch { identity: identity.clone(), refused: None }).await
    }

    /// A credential other than the one that an upstream has just refused as expired or invalid. It is the same one if it is very
    /// young, or if its source has no other.
    ///
    /// # Errors
    /// No source has a valid credential.
    pub async fn get_other(
        &self,
        identity: &CloudIdentity,
        refused: CloudCredential,
    ) -> Result<CloudCredential, CredentialError> {
        self.fetch(Fetch { identity: identity.clone(), refused: Some(refused) }).await
    }

    async fn fetch(&self, wanted: Fetch) -> Result<CloudCredential, CredentialError> {
        self.owner().send(wanted).await.unwrap_or_else(|_closed| Err(CredentialError::stopped()))
    }

    /// Forgets the credentials of all identities but these.
    pub fn keep_only<'i>(&self, identities: impl Iterator<Item = &'i CloudIdentity>) {
        let all = self.published.load();
        if all.is_empty() {
            return;
        }
        let kept = identities.filter_map(|identity| Some((identity.clone(), all.get(identity)?.clone())));
        self.published.store(kept.collect());
    }

    /// The owner. One that has been given up is replaced.
    fn owner(&self) -> Addr<CredentialOwner> {
        if let Some(owner) = self.owner.load().as_ref().as_ref().filter(|owner| owner.connected()) {
            return owner.clone();
        }
        let (http, published) = (CredentialHttp::new(self.wiring.clone()), self.published.clone());
        let owner = panic_guard::start(&Arbiter::new(), "credentials", owner::MAILBOX, move || {
            CredentialOwner::new(http, published)
        });
        self.owner.store(Some(owner.clone()));
        owner
    }
}

/// A build without the feature `aws` reads no file.
#[cfg(not(feature = "aws"))]
#[must_use]
pub fn region_of_profile(_variables: &crate::settings::CloudVariables, _profile: &str) -> Option<String> {
    None
}

/// A build without the feature `google` reads no file.
#[cfg(not(feature = "google"))]
#[must_use]
pub fn project_of_file(_identity: &crate::settings::GoogleIdentity) -> Option<String> {
    None
}

impl CredentialError {
    fn missing(message: impl Into<String>) -> Self {
        Self { kind: CredentialErrorKind::Missing, message: message.into() }
    }

    #[cfg_attr(
        not(all(feature = "aws", feature = "google")),
        allow(dead_code, reason = "only clouds refuse")
    )]
    fn refused(message: impl Into<String>) -> Self {
        Self { kind: CredentialErrorKind::Refused, message: message.into() }
    }

    fn unreachable(message: impl Into<String>) -> Self {
        Self { kind: CredentialErrorKind::Unreachable, message: message.into() }
    }

    fn stopped() -> Self {
        Self::unreachable("the owner of the credentials has stopped; it starts again with the next request")
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl PartialEq for AwsCredentials {
    fn eq(&self, other: &Self) -> bool {
        let token = |it: &Self| it.session_token.as_ref().map(|token| token.expose_secret().to_owned());
        self.access_key_id == other.access_key_id
            && self.secret_access_key.expose_secret() == other.secret_access_key.expose_secret()
            && token(self) == token(other)
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.token.expose() == other.token.expose()
    }
}

impl CloudCredential {
    fn expires(&self) -> Option<SystemTime> {
        match self {
            Self::Aws(aws) => aws.expires,
            Self::Google(google) => Some(google.expires),
        }
    }

    /// The secrets in it, to be searched for in text that leaves the process.
    #[must_use]
    pub fn secrets(&self) -> Vec<ApiKey> {
        match self {
            Self::Aws(aws) => {
                let token = aws.session_token.as_ref().map(|token| ApiKey::new(token.expose_secret()));
                [ApiKey::new(aws.secret_access_key.expose_secret())].into_iter().chain(token).collect()
            }
            Self::Google(google) => vec![google.token.clone()],
        }
    }
}
