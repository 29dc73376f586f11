//! Middleware for Gemini's OpenAI-compatible endpoint (ai.google.dev/gemini-api/docs/openai). Gemini supports less of
//! JSON Schema than other vendors and requires its thought signatures back
//! (ai.google.dev/gemini-api/docs/thought-signatures).

mod request;
mod schema;
mod signatures;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::middleware::{Memory, Middleware, ReplyListener};
use request::GeminiRequest;
use signatures::SignatureListener;

/// Cleans schemas and restores thought signatures.
#[derive(Clone, Copy, Debug)]
pub struct Gemini {
    pub signatures: Signatures,
}

/// How thought signatures that the client does not send back are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// They are remembered, and added to later requests.
    Remembered,
    /// They are neither remembered nor added.
    Left,
}

/// Returns Gemini's `extra_content` beside a call or a text if it contains a signature, under any of Google's names.
pub(crate) fn signature(extra_content: &RawValue) -> Option<&str> {
    let extra = extra_content.get();
    let is_signed = memchr::memmem::find(extra.as_bytes(), b"\"thought_signature\"").is_some();
    (extra.starts_with('{') && is_signed).then_some(extra)
}

/// Whether the model is a Gemini model, in any case and with any prefix.
pub(crate) fn is_named_in(model: &str) -> bool {
    model.as_bytes().windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME.as_bytes()))
}

/// The middleware's name in the configuration.
pub const NAME: &str = "gemini";

impl Middleware for Gemini {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_for(&self, model: &str) -> bool {
        is_named_in(model)
    }

    fn memory_keys(&self, request: &[u8]) -> Vec<String> {
        match self.signatures {
            Signatures::Left => vec![],
            Signatures::Remembered => {
                GeminiRequest::read(request).map_or_else(Vec::new, |request| request.missing_signatures())
            }
        }
    }

    fn apply(&self, request: Bytes, known: &Memory) -> Bytes {
        let edits = GeminiRequest::read(&request).map(|request| {
            let mut edits = request.schema_edits();
            if self.signatures == Signatures::Remembered {
                edits.extend(request.signature_edits(known));
            }
            edits
        });
        match edits {
            Some(mut edits) if !edits.is_empty() => crate::request::spliced(&request, &mut edits),
            Some(_) | None => request,
        }
    }

    fn reply_listener(&self, request: &[u8]) -> Option<Box<dyn ReplyListener>> {
        if self.signatures == Signatures::Left {
            return None;
        }
        Some(Box::new(SignatureListener::new(GeminiRequest::read(request)?.turns())))
    }
}
