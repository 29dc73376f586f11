//! Calls the services that issue credentials, over the gateway's own HTTP client, which knows proxies and certificates.

use std::time::Duration;

use actix_http::Method;
use actix_http::header::HeaderMap;
use bytes::Bytes;

use super::{CredentialError, CredentialErrorKind};
use crate::upstream::ConnectionSettings;

/// The HTTP client of an owner of credentials, on its thread.
pub(super) struct CredentialHttp {
    _wiring: ConnectionSettings,
}

/// A request to a service that issues credentials.
pub(super) struct CredentialCall {
    pub(super) method: Method,
    /// An http or https URL.
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The longest wait for the whole reply.
    pub(super) patience: Duration,
}

/// A reply of any status. Its body has a bounded size.
pub(super) struct CredentialReply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl CredentialHttp {
    pub(super) fn new(wiring: ConnectionSettings) -> Self {
        Self { _wiring: wiring }
    }

    /// # Errors
    /// The service did not answer.
    pub(super) async fn call(&self, call: CredentialCall) -> Result<CredentialReply, CredentialError> {
        // SLICE
        let CredentialCall { url, .. } = call;
        let message = format!("{url} cannot be called yet");
        Err(CredentialError { kind: CredentialErrorKind::Unreachable, message })
    }
}
