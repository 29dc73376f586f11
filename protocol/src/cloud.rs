//! What Amazon Bedrock and Google's Vertex AI change in the Messages API: bodies, betas, model ids, errors and lists of models,
//! for upstreams and for clients in these modes.
//!
//! Sources: docs.aws.amazon.com/bedrock (InvokeModel, ResponseStream), docs.claude.com (Claude on Amazon Bedrock, on Vertex AI),
//! Anthropic's SDKs.

pub mod betas;
pub mod error;
pub mod eventstream;
pub mod model_ids;
pub mod request;

/// A cloud whose form of the Messages API a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloudForm {
    /// Amazon Bedrock's InvokeModel.
    Bedrock,
    /// Google's raw prediction.
    Vertex,
}

impl CloudForm {
    /// Whether a key is a token of this cloud's, by its beginning: keys of Bedrock and OAuth tokens of Google.
    #[must_use]
    pub fn has_issued(self, key: &str) -> bool {
        let beginnings: &[&str] = match self {
            Self::Bedrock => &["ABSK", "bedrock-api-key-"],
            Self::Vertex => &["ya29."],
        };
        beginnings.iter().any(|beginning| key.starts_with(beginning))
    }
}
