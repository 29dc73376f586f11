//! The keys that open the gateway: those of its clients, and the one for admin actions. Only their SHA-256 is kept. A stolen
//! hash opens nothing, since the gateway hashes whatever a request presents.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// The prefix of a hash in the configuration.
const SCHEME: &str = "sha256:";

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

/// A key of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// `None` for `PROXY_API_KEY`.
    pub name: Option<Arc<str>>,
    pub hash: KeyHash,
}

/// All keys that open the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessKeys {
    /// Without any, the gateway serves clients without a key.
    pub clients: Vec<ClientKey>,
    /// Without it, there are no admin actions over HTTP.
    pub admin: Option<KeyHash>,
}

impl KeyHash {
    /// The hash of this key.
    pub fn from_key(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Reads `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(SCHEME)?;
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Whether a text has the form of a hash, whatever its length.
    pub fn resembles(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The first 8 hexadecimal digits, by which logs and reports show a key.
    pub fn id(&self) -> String {
        self.0.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Compares in constant time.
    pub(crate) fn equals(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

impl AccessKeys {
    /// Whether clients must present a key.
    pub fn are_required(&self) -> bool {
        !self.clients.is_empty()
    }

    /// The client with this key. All keys are compared, so that the time does not depend on the key that matches.
    pub(crate) fn client(&self, presented: &KeyHash) -> Option<&ClientKey> {
        let mut found = 0_u32;
        for (number, key) in (1_u32..).zip(&self.clients) {
            found.conditional_assign(&number, key.hash.equals(presented));
        }
        self.clients.get(usize::try_from(found.checked_sub(1)?).ok()?)
    }

    /// All hashes.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = KeyHash> + use<'_> {
        self.clients.iter().map(|key| key.hash).chain(self.admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, key: &str) -> ClientKey {
        ClientKey { name: Some(name.into()), hash: KeyHash::from_key(key.as_bytes()) }
    }

    /// Requirement: a hash in the configuration has the form that is printed, and opens the gateway for its key only.
    #[test]
    fn a_hash_is_read_as_it_is_printed() {
        let hash = KeyHash::from_key(b"the-key");
        assert_eq!(KeyHash::parse(&hash.to_string()), Some(hash));
        assert!(hash.to_string().starts_with(&format!("sha256:{}", hash.id())));
        for wrong in ["", "sha256:", "sha256:00", "the-key", &hash.to_string()[7..], &format!("{hash}0")] {
            assert_eq!(KeyHash::parse(wrong), None, "{wrong}");
        }
        assert_eq!(KeyHash::parse(&format!("sha256:{}", "+1".repeat(32))), None);
    }

    /// Requirement: each of several keys identifies its own client; a hash is not a key.
    #[test]
    fn a_key_identifies_its_client() {
        let clients = vec![key("alice", "a"), key("bob", "b"), key("carol", "c")];
        let keys = AccessKeys { clients, admin: None };
        let of = |presented: &str| {
            let client = keys.client(&KeyHash::from_key(presented.as_bytes()));
            client.and_then(|client| client.name.as_deref())
        };
        assert_eq!(
            [of("a"), of("b"), of("c"), of("d"), of("")],
            [Some("alice"), Some("bob"), Some("carol"), None, None]
        );
        for key in &keys.clients {
            assert_eq!(of(&key.hash.to_string()), None);
            assert_eq!(of(&key.hash.to_string()[7..]), None);
        }
        assert!(AccessKeys::default().client(&KeyHash::from_key(b"a")).is_none());
    }
}
