//! The `encrypted_content` of a result: what the gateway needs of the page when the block returns in a history.
//!
//! `vdmws1.<text>.<check>`: the text in base64url, and the first half of a SHA-256 over version, address and text. It holds
//! nothing secret: the client could read the page too. The check detects a text that was changed or moved to another address.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::LONGEST_TEXT;

const PREFIX: &str = "vdmws1.";
/// The longest value that is read: a text of [`LONGEST_TEXT`] four-byte characters, and the rest.
const LONGEST: usize = LONGEST_TEXT * 6;

pub(crate) fn seal(url: &str, text: &str) -> String {
    let mut sealed = PREFIX.to_owned();
    URL_SAFE_NO_PAD.encode_string(text, &mut sealed);
    sealed.push('.');
    URL_SAFE_NO_PAD.encode_string(check(url, text), &mut sealed);
    sealed
}

/// The `encrypted_index` of a citation. It identifies the page and returns unused.
pub(crate) fn index(url: &str, text: &str) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(check(url, text)))
}

/// The text of the page; `None` if the value is not of this gateway, was changed, or belongs to another address.
pub(crate) fn text_of(sealed: &str, url: &str) -> Option<String> {
    if sealed.len() > LONGEST {
        return None;
    }
    let (text, given) = sealed.strip_prefix(PREFIX)?.split_once('.')?;
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    (URL_SAFE_NO_PAD.decode(given).ok()? == check(url, &text)).then_some(text)
}

fn check(url: &str, text: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in [PREFIX, url, text] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Requirement: what the gateway has sealed it reads back; a changed value, or one of another page, it does not.
        #[test]
        fn a_sealed_text_returns_unless_it_was_changed(
            text in ".{0,2000}", url in "https://[a-z]{1,12}/.{0,20}", at in any::<prop::sample::Index>(), byte in 0x21u8..0x7f,
        ) {
            let sealed = seal(&url, &text);
            prop_assert!(sealed.len() <= LONGEST);
            prop_assert_eq!(text_of(&sealed, &url), Some(text));
            prop_assert_eq!(text_of(&sealed, "https://other.example/"), None);
            let mut changed = sealed.clone().into_bytes();
            let at = at.index(changed.len());
            if changed[at] != byte {
                changed[at] = byte;
                prop_assert_eq!(text_of(&String::from_utf8(changed).unwrap(), &url), None);
            }
        }
    }

    #[test]
    fn foreign_contents_are_not_read() {
        for sealed in
            ["", "EqgfCioIARgBIiQ3YTAwMjY1Mi1mZjM5LTQ1NGUtODgxNC1kNjNjNTk1ZWI3Y", "vdmws1.", "vdmws1.YQ.YQ"]
        {
            assert_eq!(text_of(sealed, "https://a"), None, "{sealed}");
        }
    }
}
