//! Credentials: gets the temporary credentials of cloud identities, and renews them before they expire. One owner for each
//! identity fetches them, never a request.

#[cfg(feature = "aws")]
mod aws;
#[cfg(not(feature = "aws"))]
#[path = "credentials/aws_absent.rs"]
mod aws;
mod aws_signature;
#[cfg(any(feature = "aws", feature = "google"))]
mod files;
#[cfg(feature = "google")]
mod google;
#[cfg(not(feature = "google"))]
#[path = "credentials/google_absent.rs"]
mod google;
#[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "each cloud uses its part"))]
mod http;
mod owner;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;
use thiserror::Error;

pub use self::aws::region_of_profile;
pub use self::aws_signature::{RequestToSign, SigningScope, sign};
pub use self::google::project_of_file;
use self::owner::{OwnerGone, OwnerHandle};
use crate::secret::ApiKey;
use crate::settings::CloudIdentity;
use crate::snapshot::Snapshot;
use crate::upstream::ConnectionSettings;

/// Whether this build has the credentials and signatures of AWS.
pub const HAS_AWS: bool = cfg!(feature = "aws");
/// Whether this build has the credentials of Google Cloud.
pub const HAS_GOOGLE: bool = cfg!(feature = "google");

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

/// The most identities with an owner. Beyond it the one that was used longest ago loses its owner.
const MOST_OWNERS: usize = 64;

/// The credentials of all identities of the process. Cheap to clone; usable on every thread.
#[derive(Clone)]
pub struct Credentials {
    wiring: ConnectionSettings,
    owners: Snapshot<Vec<Arc<OwnerHandle>>>,
}

impl Credentials {
    /// Starts without owners: the first request for an identity starts its owner, so nothing is asked before first use.
    #[must_use]
    pub fn new(wiring: ConnectionSettings) -> Self {
        Self { wiring, owners: Snapshot::default() }
    }

    /// The current credential of `identity`. It comes from memory, unless there is none, or it is about to expire. Must be
    /// called on a thread of actix.
    ///
    /// # Errors
    /// No source has a valid credential.
    pub async fn get(&self, identity: &CloudIdentity) -> Result<CloudCredential, CredentialError> {
        for _ in 0..2 {
            let owner = self.owner(identity)?;
            let gone = match owner.get().await {
                Ok(answer) => return answer,
                Err(gone) => gone,
            };
            self.remove(|it| Arc::ptr_eq(it, &owner));
            match gone {
                OwnerGone::Ended => {}
                OwnerGone::Hangs => break,
            }
        }
        Err(CredentialError::unreachable(format!(
            "the task that gets {identity} does not respond; try again"
        )))
    }

    /// An upstream has refused this credential as expired or invalid. If it is still the current one, the next [`get`](Self::get)
    /// waits for another.
    pub fn refused(&self, identity: &CloudIdentity, credential: &CloudCredential) {
        if let Some(owner) = find(&self.owners.load(), identity) {
            owner.refused(credential);
        }
    }

    /// Ends the owners of all other identities. Called after a reload.
    pub fn keep_only<'a>(&self, identities: impl Iterator<Item = &'a CloudIdentity>) {
        let kept: Vec<_> = identities.collect();
        self.remove(|owner| !kept.contains(&&owner.identity));
    }

    fn owner(&self, identity: &CloudIdentity) -> Result<Arc<OwnerHandle>, CredentialError> {
        if let Some(owner) = find(&self.owners.load(), identity) {
            return Ok(owner);
        }
        let mut result = None;
        self.owners.update(|owners| {
            // Another thread may have been faster.
            if let Some(owner) = find(owners, identity) {
                result = Some(Ok(owner));
                return None;
            }
            let started = OwnerHandle::start(identity.clone(), self.wiring.clone()).map(Arc::new);
            let owners = started.as_ref().ok().map(|owner| with_owner(owners, owner.clone()));
            result = Some(started);
            owners
        });
        let failed = |error| {
            CredentialError::unreachable(format!("cannot start the task that gets {identity}: {error}"))
        };
        result.unwrap_or_else(|| Err(std::io::Error::other("internal error"))).map_err(failed)
    }

    fn remove(&self, is_removed: impl Fn(&Arc<OwnerHandle>) -> bool) {
        self.owners.update(|owners| {
            let kept = || owners.iter().filter(|owner| !is_removed(owner)).cloned().collect();
            owners.iter().any(&is_removed).then(kept)
        });
    }
}

fn find(owners: &[Arc<OwnerHandle>], identity: &CloudIdentity) -> Option<Arc<OwnerHandle>> {
    owners.iter().find(|owner| owner.identity == *identity).cloned()
}

fn with_owner(owners: &[Arc<OwnerHandle>], new: Arc<OwnerHandle>) -> Vec<Arc<OwnerHandle>> {
    let mut owners = owners.to_vec();
    if owners.len() >= MOST_OWNERS {
        let idle = owners.iter().enumerate().min_by_key(|(_, owner)| owner.last_used());
        if let Some((at, _)) = idle {
            owners.swap_remove(at);
        }
    }
    owners.push(new);
    owners
}

impl CredentialError {
    fn missing(message: impl Into<String>) -> Self {
        Self { kind: CredentialErrorKind::Missing, message: message.into() }
    }

    fn refused(message: impl Into<String>) -> Self {
        Self { kind: CredentialErrorKind::Refused, message: message.into() }
    }

    fn unreachable(message: impl Into<String>) -> Self {
        Self { kind: CredentialErrorKind::Unreachable, message: message.into() }
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl CloudCredential {
    fn expires(&self) -> Option<SystemTime> {
        match self {
            Self::Aws(aws) => aws.expires,
            Self::Google(google) => Some(google.expires),
        }
    }

    /// Whether both are the same credential.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        use secrecy::ExposeSecret as _;
        match (self, other) {
            (Self::Aws(one), Self::Aws(other)) => {
                let token = |it: &AwsCredentials| {
                    it.session_token.as_ref().map(|token| token.expose_secret().to_owned())
                };
                one.access_key_id == other.access_key_id && token(one) == token(other)
            }
            (Self::Google(one), Self::Google(other)) => one.token.expose() == other.token.expose(),
            (Self::Aws(_), Self::Google(_)) | (Self::Google(_), Self::Aws(_)) => false,
        }
    }

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

#[cfg(all(test, feature = "aws"))]
mod tests;
