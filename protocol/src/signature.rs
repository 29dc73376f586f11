//! Signatures of thinking blocks that this gateway creates from another vendor's reasoning. A signature identifies the
//! gateway as its origin and encodes the provider and model of the reasoning.
//!
//! `vdm1.<provider>~<model>`, both percent-encoded outside `[A-Za-z0-9._-]`, and behind another `~` in base64url what the
//! codec requires back with the block.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// The prefix of every signature of this gateway, and of none of Anthropic's.
pub const PREFIX: &str = "vdm1.";

/// The provider and the upstream model in a signature of this gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureOrigin {
    pub provider: String,
    pub model: String,
    /// The attached data.
    pub carried: Option<Vec<u8>>,
}

/// Creates the signature for this provider and upstream model.
pub fn mint(provider: &str, model: &str) -> String {
    format!("{PREFIX}{}~{}", encode(provider), encode(model))
}

/// Attaches data to a signature.
pub fn carry(signature: &mut String, load: &[u8]) {
    signature.push('~');
    URL_SAFE_NO_PAD.encode_string(load, signature);
}

/// Parses a signature of this gateway; `None` for any other.
pub fn read(signature: &str) -> Option<SignatureOrigin> {
    let (provider, rest) = signature.strip_prefix(PREFIX)?.split_once('~')?;
    let (model, load) = rest.split_once('~').map_or((rest, None), |(model, load)| (model, Some(load)));
    let carried = load.map(|load| URL_SAFE_NO_PAD.decode(load)).transpose().ok()?;
    Some(SignatureOrigin { provider: decode(provider)?, model: decode(model)?, carried })
}

/// The prefix of reasoning that was sealed for a client of the Responses API.
pub(crate) const SEALED: &str = "vdm1r.";

/// Reasoning of an upstream, as a client of the Responses API keeps it in `encrypted_content`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedReasoning {
    pub provider: String,
    pub model: String,
    /// The signature of a thinking block, or the data of a redacted one.
    pub signature: String,
    pub is_redacted: bool,
}

impl SealedReasoning {
    /// The value of `encrypted_content`, if the client gets the thoughts themselves as a summary.
    pub fn seal(&self) -> String {
        self.seal_with_text("")
    }

    /// The value of `encrypted_content` with the thoughts in it. Upstreams require them back with their signature, and a client
    /// that gets no summary does not have them.
    pub fn seal_with_text(&self, text: &str) -> String {
        let Self { provider, model, signature, is_redacted } = self;
        let kind = if *is_redacted { "r" } else { "t" };
        let mut sealed = format!("{SEALED}{}~{}~{kind}~", encode(provider), encode(model));
        URL_SAFE_NO_PAD.encode_string(signature, &mut sealed);
        if !text.is_empty() {
            sealed.push('~');
            URL_SAFE_NO_PAD.encode_string(text, &mut sealed);
        }
        sealed
    }

    /// What was sealed; `None` for anything else.
    pub fn open(sealed: &str) -> Option<Self> {
        Self::open_with_text(sealed).map(|(reasoning, _)| reasoning)
    }

    /// What was sealed, and the thoughts that were sealed with it; these are empty if the client had them as a summary.
    pub fn open_with_text(sealed: &str) -> Option<(Self, String)> {
        let mut parts = sealed.strip_prefix(SEALED)?.split('~');
        let (provider, model, kind, load) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let thoughts = text(parts.next().unwrap_or_default())?;
        let (provider, model, signature) = (decode(provider)?, decode(model)?, text(load)?);
        let reasoning = Self { provider, model, signature, is_redacted: kind == "r" };
        (parts.next().is_none() && matches!(kind, "r" | "t")).then_some((reasoning, thoughts))
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Decodes percent-encoded text; `None` if it is not in this form.
fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (encode(&decoded) == text).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_signature_names_its_origin() {
        for (provider, model) in [("openai", "gpt-5.1"), ("open router", "z-ai/glm~4.6:free"), ("ü", "")] {
            let signature = mint(provider, model);
            assert!(signature.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'));
            let origin = SignatureOrigin { provider: provider.into(), model: model.into(), carried: None };
            assert_eq!(read(&signature), Some(origin.clone()));
            let mut loaded = signature;
            carry(&mut loaded, b"{\"a\":1}~");
            assert_eq!(
                read(&loaded),
                Some(SignatureOrigin { carried: Some(b"{\"a\":1}~".to_vec()), ..origin })
            );
        }
    }

    #[test]
    fn sealed_reasoning_is_opened_with_and_without_its_thoughts() {
        for is_redacted in [false, true] {
            let (provider, model) = ("open router".to_owned(), "z-ai/glm~4.6".to_owned());
            let reasoning = SealedReasoning { provider, model, signature: "EqQB+/=~é".into(), is_redacted };
            assert_eq!(SealedReasoning::open(&reasoning.seal()), Some(reasoning.clone()));
            for text in ["", "because ~ \n \"é\""] {
                let sealed = reasoning.seal_with_text(text);
                assert!(sealed.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)));
                assert_eq!(
                    SealedReasoning::open_with_text(&sealed),
                    Some((reasoning.clone(), text.to_owned()))
                );
                assert_eq!(SealedReasoning::open(&sealed), Some(reasoning.clone()));
            }
        }
        for foreign in ["", "vdm1r.", "vdm1r.p~m~t", "vdm1r.p~m~x~", "vdm1r.p~m~t~~~", "vdm1.p~m", "gAAAA"] {
            assert_eq!(SealedReasoning::open(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn foreign_and_broken_signatures_are_not_ours() {
        for signature in
            ["", "EqQBCkYIBx", "vdm1.", "vdm1.openai", "vdm1.a%~b", "vdm1.a%G0~b", "vdm1.%FF~b", "vdm1.a~b~!"]
        {
            assert_eq!(read(signature), None, "{signature}");
        }
    }
}
