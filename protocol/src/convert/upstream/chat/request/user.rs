//! Writes user messages.

use super::parts::write_part;
use crate::{
    convert::upstream::conversation::{ShownPart, UserPart},
    json::Write,
};

/// Appends a user message with these parts, if there are any. A single text is written as a string.
pub(super) fn message(parts: &[UserPart<'_>], out: &mut Vec<u8>) {
    match parts {
        [] => {}
        [UserPart { shown: ShownPart::Text(text), mark: None }] => {
            out.put(b"{\"role\":\"user\",\"content\":");
            out.quoted(text);
            out.put(b"},");
        }
        parts => {
            out.put(b"{\"role\":\"user\",\"content\":[");
            for (at, part) in parts.iter().enumerate() {
                out.raw(if at > 0 { "," } else { "" });
                write_part(&part.shown, part.mark, out);
            }
            out.put(b"]},");
        }
    }
}
