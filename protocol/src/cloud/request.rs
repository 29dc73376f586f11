//! Bodies of Messages requests in a cloud's form.

use bytes::Bytes;

use super::CloudForm;
use crate::request::Pieces;

/// The body of a Messages request for an upstream of this form: without `model` and `stream`, with `anthropic_version`, and for
/// Bedrock with `anthropic_beta`, the list of `betas`. Nothing else changes.
#[must_use]
pub fn to_cloud(form: CloudForm, body: &Bytes, betas: &[&str]) -> Pieces {
    // SLICE
    let _ = (form, betas);
    body.clone().into()
}

/// A body that a client in a cloud's mode has sent, as one of the Messages API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromCloud {
    /// With `model` and `stream`, without `anthropic_version` and `anthropic_beta`.
    pub body: Bytes,
    /// For the header `anthropic-beta`, separated by commas.
    pub betas: String,
}

/// The Messages request of a client's body; its `model` and whether it streams are in the path of the client's URL.
///
/// # Errors
/// The body is no JSON object; the text says what is wrong.
pub fn from_cloud(body: &Bytes, model: &str, stream: crate::request::Streaming) -> Result<FromCloud, String> {
    // SLICE
    let _ = (model, stream);
    Ok(FromCloud { body: body.clone(), betas: String::new() })
}
