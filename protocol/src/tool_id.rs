//! Converts ids of tool calls to a form that every vendor accepts, and back to the vendor's own id.
//!
//! A client repeats an id in every later request, whichever model it uses then. Anthropic accepts `[A-Za-z0-9_-]`, at
//! most 64 characters, and otherwise refuses the whole conversation. An id of that form is kept. Any other becomes
//! `vdm1_<maker>_<id>`: two characters for the maker, then the id with `-` as the escape character. The maker receives
//! its own id back, all other vendors the converted one. No table is needed: the conversion survives restarts and is
//! the same on every replica. An id that is too long to convert becomes `vdm0_<hash>`, which is the same for the same
//! id but cannot be converted back.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest id that Anthropic accepts.
const LONGEST: usize = 64;
/// The longest id that OpenAI accepts.
const OPENAI_LONGEST: usize = 40;
/// The length of Mistral's ids.
const MISTRAL_LENGTH: usize = 9;
const CONVERTED: &str = "vdm1_";
const HASHED: &str = "vdm0_";
/// The length of the hash: with `vdm0_` it is within OpenAI's limit.
const HASH_LENGTH: usize = 27;

const ESCAPE: char = '-';
/// The codes after the escape character for the most frequent characters; others are `x` and two digits.
const SHORT_ESCAPES: [(u8, u8); 6] =
    [(b'-', b'-'), (b'.', b'd'), (b':', b'c'), (b'|', b'p'), (b' ', b's'), (b'/', b'f')];

/// The prefix of Kimi's ids, and its abbreviation for ids that would be too long otherwise.
const KIMI_PREFIX: &str = "functions.";
const KIMI_PREFIX_CODE: &str = "-F";

/// The origin of an id: a provider, and the vendor of the model if the provider serves models of several vendors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maker([u8; 2]);

impl Maker {
    /// The origin of ids in a history without a known maker.
    pub(crate) const UNKNOWN: Self = Self(*b"00");

    /// Creates the maker for a provider and model. The vendor of a model is the part before its last slash
    /// (`moonshotai/kimi-k2`). Claude belongs to Anthropic with every provider, and its ids are checked by all of them.
    #[must_use]
    pub fn new(provider: &str, model: &str) -> Self {
        let vendor = match model.rsplit_once('/') {
            _ if model.to_ascii_lowercase().contains("claude") => "anthropic",
            Some((vendor, _)) => vendor,
            None => "",
        };
        // Every request computes this, so it is not a cryptographic hash.
        let mut checksum = crc32fast::Hasher::new();
        for part in [provider, "\0", vendor] {
            checksum.update(part.as_bytes());
        }
        let mut encoded = [0; 6];
        // The buffer has room for the four bytes, so this cannot fail.
        let _length = URL_SAFE_NO_PAD.encode_slice(checksum.finalize().to_be_bytes(), &mut encoded);
        Self([encoded[0], encoded[1]])
    }
}

/// Whether every vendor accepts the id, apart from the limits of [`Form`].
pub(crate) fn is_portable(id: &str) -> bool {
    are_portable(id.as_bytes())
}

/// Whether these bytes are an id for [`is_portable`]; bytes that are not UTF-8 are none.
pub(crate) fn are_portable(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Returns the id for a client: the id itself if it is portable.
#[must_use]
pub fn portable(id: &str, maker: Maker) -> Cow<'_, str> {
    if is_portable(id) {
        return Cow::Borrowed(id);
    }
    let converted = |front: &str, rest: &str| {
        let mut converted = String::with_capacity(LONGEST);
        converted.push_str(CONVERTED);
        converted.extend(maker.0.map(char::from));
        converted.push('_');
        converted.push_str(front);
        escape(rest, &mut converted);
        Some(converted).filter(|converted| converted.len() <= LONGEST)
    };
    let shorter = || converted(KIMI_PREFIX_CODE, id.strip_prefix(KIMI_PREFIX)?);
    Cow::Owned(converted("", id).or_else(shorter).unwrap_or_else(|| hashed(id, 0)))
}

/// Returns the id that this maker assigned, if the client's id contains it.
#[must_use]
pub fn original(id: &str, maker: Maker) -> Option<String> {
    let (tag, rest) = id.strip_prefix(CONVERTED)?.split_at_checked(maker.0.len())?;
    let original = unescape(rest.strip_prefix('_')?).filter(|_| tag.as_bytes() == maker.0)?;
    // A vendor's own id can resemble a converted one: only an id that converts to exactly this text counts.
    (portable(&original, maker) == id).then_some(original)
}

fn escape(id: &str, out: &mut String) {
    for byte in id.bytes() {
        match SHORT_ESCAPES.iter().find(|(known, _)| *known == byte) {
            Some((_, letter)) => out.extend([ESCAPE, char::from(*letter)]),
            None if byte.is_ascii_alphanumeric() || byte == b'_' => out.push(char::from(byte)),
            None => out.push_str(&format!("{ESCAPE}x{byte:02x}")),
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let (front, text) = text.strip_prefix(KIMI_PREFIX_CODE).map_or(("", text), |rest| (KIMI_PREFIX, rest));
    let mut bytes = front.as_bytes().to_vec();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if char::from(byte) != ESCAPE {
            bytes.push(byte);
            continue;
        }
        let letter = rest.next()?;
        bytes.push(match SHORT_ESCAPES.iter().find(|(_, known)| *known == letter) {
            Some((byte, _)) => *byte,
            None if letter == b'x' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            None => return None,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Hashes an id. `attempt` distinguishes ids of one request that would otherwise be equal.
fn digest(id: &str, attempt: u32) -> sha2::digest::Output<Sha256> {
    let salt = if attempt == 0 { String::new() } else { format!("\0{attempt}") };
    Sha256::new().chain_update(id).chain_update(salt).finalize()
}

fn hashed(id: &str, attempt: u32) -> String {
    let text = URL_SAFE_NO_PAD.encode(digest(id, attempt));
    format!("{HASHED}{}", &text[..HASH_LENGTH])
}

/// The form of ids that a vendor requires in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Form {
    /// `[A-Za-z0-9_-]`, at most 64 characters.
    Anthropic,
    /// At most 40 characters.
    OpenAi,
    /// Nine letters and digits.
    Mistral,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Anthropic, Self::OpenAi, Self::Mistral];

    /// Returns the form's name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::Mistral => "mistral",
        }
    }

    /// Returns the form with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    pub(crate) fn accepts(self, id: &str) -> bool {
        match self {
            Self::Anthropic => is_portable(id),
            Self::OpenAi => (1..=OPENAI_LONGEST).contains(&id.chars().count()),
            Self::Mistral => {
                id.len() == MISTRAL_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
        }
    }

    fn fitted(self, id: &str, attempt: u32) -> String {
        match (self, attempt) {
            (Self::Anthropic, 0) => portable(id, Maker::UNKNOWN).into_owned(),
            (Self::Anthropic | Self::OpenAi, _) => hashed(id, attempt),
            (Self::Mistral, _) => letters_and_digits(&digest(id, attempt)),
        }
    }
}

fn letters_and_digits(digest: &[u8]) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = digest.iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let mut next = || {
        let digit = ALPHABET[(number % 62) as usize];
        number /= 62;
        char::from(digit)
    };
    (0..MISTRAL_LENGTH).map(|_| next()).collect()
}

/// The changed ids of one request, by their original. Different ids stay different.
#[derive(Debug, Default)]
pub(crate) struct Renamed(HashMap<String, String>);

impl Renamed {
    /// Converts every id to the form that the upstream requires.
    pub(crate) fn to_fit<'i>(form: Form, ids: impl Iterator<Item = &'i str> + Clone) -> Self {
        Self::new(ids, |id, attempt| (!form.accepts(id)).then(|| form.fitted(id, attempt)))
    }

    /// Restores the ids that this maker assigned.
    pub(crate) fn to_originals<'i>(maker: Maker, ids: impl Iterator<Item = &'i str> + Clone) -> Self {
        Self::new(ids, |id, attempt| original(id, maker).filter(|_| attempt == 0))
    }

    /// `wanted` returns the new id, a different one for each attempt, or `None` if the id is kept.
    fn new<'i>(
        ids: impl Iterator<Item = &'i str> + Clone,
        wanted: impl Fn(&str, u32) -> Option<String>,
    ) -> Self {
        let changes = |id: &&str| wanted(id, 0).is_some();
        let mut odd = ids.clone().filter(changes).peekable();
        if odd.peek().is_none() {
            return Self::default();
        }
        let mut taken: HashSet<Cow<'_, str>> = ids.filter(|id| !changes(id)).map(Cow::Borrowed).collect();
        let mut renamed = HashMap::new();
        for id in odd {
            if renamed.contains_key(id) {
                continue;
            }
            let new = (0..).map_while(|attempt| wanted(id, attempt)).find(|new| !taken.contains(&**new));
            if let Some(new) = new {
                taken.insert(Cow::Owned(new.clone()));
                renamed.insert(id.to_owned(), new);
            }
        }
        Self(renamed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the new id, if there is one.
    pub(crate) fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn kimi() -> Maker {
        Maker::new("kimi", "kimi-k2-0905")
    }

    #[test]
    fn an_id_that_every_vendor_accepts_is_kept() {
        let long = "x".repeat(64);
        for id in ["toolu_01A", "srvtoolu_1", "call_0", "chatcmpl-tool-0123", "D681PevKs", "-", &long] {
            assert!(matches!(portable(id, kimi()), Cow::Borrowed(same) if same == id), "{id}");
            assert_eq!(original(id, kimi()), None);
        }
    }

    #[test]
    fn an_odd_id_is_converted_readably_and_back() {
        let maker = Maker(*b"Kx");
        for (id, converted) in [
            ("functions.Bash:0", "vdm1_Kx_functions-dBash-c0"),
            ("call_Q1|fc_0f", "vdm1_Kx_call_Q1-pfc_0f"),
            ("a b/c-d", "vdm1_Kx_a-sb-fc--d"),
            ("é\"", "vdm1_Kx_-xc3-xa9-x22"),
            ("", "vdm1_Kx_"),
        ] {
            assert_eq!(portable(id, maker), converted);
            assert_eq!(original(converted, maker).as_deref(), Some(id));
            assert_eq!(original(converted, Maker(*b"Ky")), None, "another vendor receives the converted id");
        }
    }

    #[test]
    fn kimis_ids_with_long_names_are_converted_as_well() {
        let maker = Maker(*b"Kx");
        let long = format!("functions.mcp__github__{}:12", "x".repeat(30));
        let longer = format!("functions.mcp__github__{}:12", "x".repeat(60));
        let converted = portable(&long, maker).into_owned();
        assert_eq!(converted, format!("vdm1_Kx_-Fmcp__github__{}-c12", "x".repeat(30)));
        assert_eq!(original(&converted, maker), Some(long));
        assert_eq!(original("vdm1_Kx_-FBash-c0", maker), None, "this id would have been converted in full");
        assert!(portable(&longer, maker).starts_with(HASHED));
    }

    #[test]
    fn an_id_that_is_too_long_is_always_the_same_hash() {
        let (one, two) = ("a".repeat(90), format!("{}b", "a".repeat(89)));
        let hash = portable(&one, kimi());
        assert_eq!(hash, portable(&one, Maker::new("other", "m")));
        assert_ne!(hash, portable(&two, kimi()));
        assert!(hash.starts_with("vdm0_") && Form::OpenAi.accepts(&hash) && is_portable(&hash), "{hash}");
        assert_eq!(original(&hash, kimi()), None);
    }

    #[test]
    fn the_maker_is_the_vendor_behind_a_provider() {
        let kimi = Maker::new("openrouter", "moonshotai/kimi-k2");
        assert_eq!(kimi, Maker::new("openrouter", "moonshotai/kimi-k2-thinking"));
        assert_ne!(kimi, Maker::new("openrouter", "anthropic/claude-opus-4.5"));
        assert_ne!(kimi, Maker::new("groq", "moonshotai/kimi-k2"));
        assert_eq!(Maker::new("copilot", "gpt-5"), Maker::new("copilot", "gpt-4.1"));
        assert_ne!(Maker::new("copilot", "gpt-5"), Maker::new("copilot", "claude-sonnet-4"));
    }

    #[test]
    fn an_id_that_only_resembles_a_converted_one_is_kept() {
        let mark = portable("a:b", kimi()).into_owned();
        let head = &mark[..8];
        for id in [format!("{head}plain"), format!("{head}a-"), format!("{head}a-x3"), format!("{head}a-q")] {
            assert_eq!(original(&id, kimi()), None, "{id}");
        }
        for id in ["vdm1_", "vdm1_K", "vdm1_é_", "vdm1", ""] {
            assert_eq!(original(id, kimi()), None, "{id}");
        }
    }

    #[test]
    fn ids_fit_the_form_that_a_vendor_demands() {
        for (form, id, fits) in [
            (Form::Mistral, "D681PevKs", true),
            (Form::Mistral, "D681Pev_s", false),
            (Form::Mistral, "call_0123456", false),
            (Form::OpenAi, "functions.Bash:0", true),
            (Form::Anthropic, "functions.Bash:0", false),
            (Form::Anthropic, "", false),
        ] {
            assert_eq!(form.accepts(id), fits, "{form:?} {id}");
            assert!(form.accepts(&form.fitted(id, 0)) && form.accepts(&form.fitted(id, 7)), "{form:?} {id}");
            assert_eq!(Form::named(form.name()), Some(form));
        }
        assert!(!Form::OpenAi.accepts(&"x".repeat(41)));
    }

    #[test]
    fn a_new_id_never_is_that_of_another_call() {
        for form in Form::ALL {
            let odd = "functions.Bash:0".repeat(3);
            let minted = form.fitted(&odd, 0);
            let renamed = Renamed::to_fit(form, [odd.as_str(), &minted, &odd].into_iter());
            let new = renamed.get(&odd).expect("an id that does not fit is renamed");
            assert!(new != minted && form.accepts(new), "{new}");
            assert_eq!(renamed.get(&minted), None);
        }
        let marked = portable("a:b", kimi()).into_owned();
        assert!(Renamed::to_originals(kimi(), [marked.as_str(), "a:b"].into_iter()).is_empty());
        let renamed = Renamed::to_originals(kimi(), [marked.as_str(), "a:c"].into_iter());
        assert_eq!(renamed.get(&marked), Some("a:b"));
    }

    /// Ids in vendors' forms, and arbitrary text.
    fn any_id() -> impl Strategy<Value = String> {
        prop_oneof![
            "[A-Za-z0-9_.:|/ -]{0,70}",
            "functions\\.[a-z_]{1,60}:[0-9]{1,2}",
            "vdm[01]_[A-Za-z0-9_-]{0,20}",
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn what_a_client_gets_is_portable_and_leads_back(id in any_id(), provider in "[a-c]{1,2}") {
            let maker = Maker::new(&provider, "m");
            let given = portable(&id, maker).into_owned();
            prop_assert!(is_portable(&given));
            prop_assert_eq!(&portable(&given, maker), &given, "a second pass changes nothing");
            prop_assert_eq!(&portable(&given, Maker::new("second gateway", "m")), &given);
            if given != id && given.starts_with(CONVERTED) {
                prop_assert_eq!(original(&given, maker), Some(id));
            }
        }

        #[test]
        fn two_gateways_in_a_row_lead_back_to_the_same_id(id in any_id(), first in "[ab]", second in "[ab]") {
            let (inner, outer) = (Maker::new(&first, "m"), Maker::new(&second, "m"));
            let through = portable(&id, inner).into_owned();
            let given = portable(&through, outer).into_owned();
            let back = original(&given, outer).unwrap_or(given);
            let back = original(&back, inner).unwrap_or(back);
            prop_assume!(!id.starts_with(CONVERTED));
            prop_assert!(back == id || through.starts_with(HASHED));
        }

        #[test]
        fn distinct_ids_stay_distinct(ids in vec(any_id(), 1..12), which in 0..4_usize) {
            let renamed = match Form::ALL.get(which) {
                Some(form) => Renamed::to_fit(*form, ids.iter().map(String::as_str)),
                None => Renamed::to_originals(kimi(), ids.iter().map(String::as_str)),
            };
            let distinct: HashSet<&String> = ids.iter().collect();
            let new: HashSet<&str> = distinct.iter().map(|id| renamed.get(id).unwrap_or(id)).collect();
            prop_assert_eq!(new.len(), distinct.len());
            if let Some(form) = Form::ALL.get(which) {
                prop_assert!(new.iter().all(|id| form.accepts(id)));
                let again = Renamed::to_fit(*form, new.iter().copied());
                prop_assert!(again.is_empty(), "a second pass changes nothing");
            }
        }
    }
}
