//! Which settings the API and its models accept.

use crate::{
    convert::{Dropped, upstream::effort::Effort},
    json::Write,
};

/// The smallest `max_output_tokens`.
pub(super) const FEWEST_TOKENS: u64 = 16;

/// Whether the model takes `temperature` and `top_p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    Taken,
    Refused,
}

impl Sampling {
    /// By the effort that is sent to the model.
    pub(super) fn new(effort: &Effort, model: &str, sent: Option<&str>) -> Self {
        if effort.refuses_sampling(model) && sent != Some("none") { Self::Refused } else { Self::Taken }
    }

    /// Appends a parameter, or names it as dropped if the model refuses it.
    pub(super) fn write(self, key: &str, value: &str, dropped: &mut Dropped, out: &mut Vec<u8>) {
        match self {
            Self::Taken => {
                out.put(b",");
                out.quoted(key);
                out.put(b":");
                out.raw(value);
            }
            // It is what the model does anyway.
            Self::Refused if value.parse() == Ok(1.0) => {}
            Self::Refused => dropped.note(key),
        }
    }
}
