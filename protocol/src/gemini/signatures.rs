//! Reads thought signatures from a reply and derives the keys they are remembered by: a call by its id, a text by its
//! content and its position in the conversation.

use sha2::{Digest as _, Sha256};

use super::NAME;
use crate::json::decode_text;
use crate::middleware::ReplyListener;
use crate::openai::stream::{Chunk, ReplyMessage};

/// The longest text whose signature is remembered, in bytes, and the most calls.
const LONGEST_TEXT: usize = 1 << 20;
const MOST_CALLS: usize = 1024;
/// The largest signature that is remembered, in bytes. No known signature comes near this size.
const LARGEST: usize = 256 << 10;

pub(super) fn call_key(id: &str) -> String {
    format!("{NAME}:call:{id}")
}

/// Returns the key of a text; `turn` is the message's index.
pub(super) fn text_key(turn: usize, text: &str) -> String {
    let digest = Sha256::digest(text.trim().as_bytes());
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{NAME}:text:{turn}:{digest}")
}

/// Reads one reply, streamed or whole.
#[derive(Default)]
pub(super) struct SignatureListener {
    /// The index of the reply in the conversation.
    turn: usize,
    /// The ids of the calls by their index in the stream.
    calls: Vec<(Option<i64>, String)>,
    text: String,
    text_signature: Option<String>,
    signatures: Vec<(String, String)>,
}

impl SignatureListener {
    /// Starts reading the reply to a conversation with this number of messages.
    pub(super) fn new(turn: usize) -> Self {
        Self { turn, ..Self::default() }
    }

    fn message(&mut self, message: &ReplyMessage<'_>) {
        for call in message.tool_calls.0.iter().filter_map(|call| call.0.as_ref()) {
            let id = decode_text(call.id()).unwrap_or_default();
            if !id.is_empty() && self.calls.len() < MOST_CALLS {
                self.calls.push((call.index(), id.into_owned()));
            }
            let known = self.calls.iter().rev().find(|(index, _)| *index == call.index());
            let signature =
                call.extra_content.and_then(super::signature).filter(|extra| extra.len() <= LARGEST);
            if let (Some((_, id)), Some(signature)) = (known, signature) {
                self.signatures.push((call_key(id), signature.to_owned()));
            }
        }
        if self.text.len() <= LONGEST_TEXT {
            self.text.extend(message.texts().filter_map(decode_text));
        }
        let signature =
            message.extra_content.and_then(super::signature).filter(|extra| extra.len() <= LARGEST);
        self.text_signature = signature.map(str::to_owned).or(self.text_signature.take());
    }
}

impl ReplyListener for SignatureListener {
    fn on_event(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let chunk = Chunk::read(data.trim_ascii()).ok()??;
        let choice = chunk.first()?;
        if let Some(message) = choice.delta.0.as_ref().or(choice.message.0.as_ref()) {
            self.message(message);
        }
        if choice.finish_reason().is_some() && !self.text.trim().is_empty() && self.text.len() <= LONGEST_TEXT
        {
            let signature =
                self.text_signature.take().map(|signature| (text_key(self.turn, &self.text), signature));
            self.signatures.extend(signature);
        }
        None
    }

    fn take_facts(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.signatures)
    }
}
