//! Stands in for the sources of AWS credentials in a build without the feature `aws`.

use super::http::CredentialHttp;
use super::{AwsCredentials, CredentialError};
use crate::settings::{AwsIdentity, CloudVariables};

#[expect(clippy::unused_async, reason = "the same signature as with the feature")]
pub(super) async fn fetch(_: &AwsIdentity, _: &CredentialHttp) -> Result<AwsCredentials, CredentialError> {
    Err(CredentialError::missing("this vdm was built without the feature `aws`".to_owned()))
}

/// A build without the feature `aws` reads no file.
#[must_use]
pub fn region_of_profile(_: &CloudVariables, _: &str) -> Option<String> {
    None
}
