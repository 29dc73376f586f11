//! The `encrypted_content` of a `compaction` item that this gateway writes: the summary of a conversation, which replaces the
//! conversation in the client's next requests.
//!
//! `vdm1c.` and the summary's UTF-8 text in base64url without padding. It is encoded, not encrypted: it holds nothing that the
//! client has not sent or received.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

pub(crate) const PREFIX: &str = "vdm1c.";

/// What introduces a summary in a message of the user.
const INTRODUCTION: &str = "[Summary of the conversation so far]\n";

/// The value of `encrypted_content` for a summary.
pub fn seal(summary: &str) -> String {
    let mut sealed = PREFIX.to_owned();
    URL_SAFE_NO_PAD.encode_string(summary, &mut sealed);
    sealed
}

/// The summary; `None` if the value is not of this gateway.
pub fn open(encrypted_content: &str) -> Option<String> {
    let load = encrypted_content.strip_prefix(PREFIX)?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(load).ok()?).ok()
}

/// The text of the message that stands for the conversation.
pub(crate) fn introduced(summary: &str) -> String {
    format!("{INTRODUCTION}{summary}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sealed_summary_opens(summary in "\\PC{0,200}") {
            let sealed = seal(&summary);
            prop_assert!(sealed.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'));
            prop_assert_eq!(open(&sealed), Some(summary));
        }
    }

    #[test]
    fn other_values_do_not_open() {
        for value in ["", "gAAAAABo", "vdm1c", "vdm1c.!", "vdm1c._w", "vdm1r.a~b~t~YQ"] {
            assert_eq!(open(value), None, "{value}");
        }
        assert_eq!(open("vdm1c.").as_deref(), Some(""));
    }
}
