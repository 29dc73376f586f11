//! Content blocks of any role: their paths, and blocks that an upstream cannot read.

use std::fmt;

use crate::{anthropic::request::ContentBlock, fault::RequestError};

/// The path of a block in a message.
#[derive(Clone, Copy)]
pub(crate) struct BlockPath {
    pub(crate) turn: usize,
    pub(crate) at: usize,
}

impl fmt::Display for BlockPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "messages.{}.content.{}", self.turn, self.at)
    }
}

/// Whether the upstream's API fetches a document from its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaSupport {
    NoDocumentUrls,
    DocumentUrls,
}

/// The text that replaces a block that the model cannot read.
pub(super) fn left_out(kind: &str) -> String {
    format!("[{kind} left out: this provider cannot read it]")
}

/// Whether a message may contain a block of this type.
pub(super) fn is_word(kind: &str) -> bool {
    (1..=40).contains(&kind.len()) && kind.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// The error for an entry that is not a block.
pub(super) fn unsupported(block: &ContentBlock<'_>, path: &dyn fmt::Display) -> RequestError {
    match block.kind() {
        "" => RequestError::new(format!("{path}.type: field required")),
        _ => RequestError::new(format!("{path}.type: no content block has this type")),
    }
}
