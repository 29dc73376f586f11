//! Gemini behind its OpenAI-compatible endpoint (ai.google.dev/gemini-api/docs/openai), which takes less of JSON Schema
//! than others, and wants the signatures of its thoughts back (ai.google.dev/gemini-api/docs/thought-signatures).

mod request;
mod schema;
mod signatures;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::middleware::{Listener, Memory, Middleware};
use request::Outgoing;
use signatures::Hearing;

/// Cleans schemas, and puts thought signatures back where they came from.
#[derive(Clone, Copy, Debug)]
pub struct Gemini {
    pub signatures: Signatures,
}

/// What becomes of thought signatures that the client does not send back itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    Remembered,
    Left,
}

/// What Gemini sent beside a call or a text, if there is a signature in it, under whichever of Google's names.
pub(crate) fn signature(extra_content: &RawValue) -> Option<&str> {
    let extra = extra_content.get();
    let is_signed = memchr::memmem::find(extra.as_bytes(), b"\"thought_signature\"").is_some();
    (extra.starts_with('{') && is_signed).then_some(extra)
}

/// Whether a model is one of Gemini's, in any case and with any prefix.
pub(crate) fn is_named_in(model: &str) -> bool {
    model.as_bytes().windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME.as_bytes()))
}

/// Its name in the configuration.
pub const NAME: &str = "gemini";

impl Middleware for Gemini {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_for(&self, model: &str) -> bool {
        is_named_in(model)
    }

    fn wants(&self, request: &[u8]) -> Vec<String> {
        match self.signatures {
            Signatures::Left => vec![],
            Signatures::Remembered => {
                Outgoing::read(request).map_or_else(Vec::new, |request| request.wants())
            }
        }
    }

    fn apply(&self, request: Bytes, known: &Memory) -> Bytes {
        let edits = Outgoing::read(&request).map(|outgoing| {
            let mut edits = outgoing.schema_edits();
            if self.signatures == Signatures::Remembered {
                edits.extend(outgoing.signature_edits(known));
            }
            edits
        });
        match edits {
            Some(mut edits) if !edits.is_empty() => crate::request::spliced(&request, &mut edits),
            Some(_) | None => request,
        }
    }

    fn listen(&self, request: &[u8]) -> Option<Box<dyn Listener>> {
        if self.signatures == Signatures::Left {
            return None;
        }
        Some(Box::new(Hearing::after(Outgoing::read(request)?.turns())))
    }
}
