//! Texts of an event or a message.

use serde_json::value::RawValue;

use crate::json::Literal;

pub(super) fn literal(raw: Option<&RawValue>) -> Option<Literal<'_>> {
    raw.and_then(Literal::of)
}

/// The inner text; empty for anything but a text.
pub(super) fn inner(raw: Option<&RawValue>) -> &str {
    literal(raw).map_or("", Literal::inner)
}
