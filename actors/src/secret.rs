//! Holds provider keys so that they are never printed; [`Secrets`] finds keys in text that is about to leave the
//! process.

mod cut_off;
mod encoded;
mod search;
mod shape;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

pub use self::search::Secrets;
pub use self::shape::in_header;

/// One key of a provider. Its text is available only through [`ApiKey::expose`], for signing a request.
#[derive(Clone)]
pub struct ApiKey {
    text: SecretString,
    id: KeyId,
}

/// Identifies a key in logs and reports: the first 8 hex digits of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u32);

impl ApiKey {
    /// A key with this text.
    pub fn new(text: impl Into<String>) -> Self {
        let text: String = text.into();
        let id = KeyId::from_text(&text);
        Self { text: text.into(), id }
    }

    /// The id that logs and reports show.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Identifies the key in exported state: a hash of the key and `scope`, 128 bits in hex. The key cannot be derived
    /// from it, and keys of different scopes cannot be compared.
    pub fn digest(&self, scope: &str) -> String {
        let parts = ["vandamme exported key", scope, self.expose()];
        let digest = parts.iter().fold(Sha256::new(), |digest, part| {
            digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
        });
        digest.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key's text. Call this only to write the credential header of an upstream request, or to search for the key
    /// in text that is about to leave the process.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl KeyId {
    /// The id's bits spread over 64 bits, for hashing.
    pub(crate) fn spread(self) -> u64 {
        u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn from_text(text: &str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        Self(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: No log line ever contains a full key; DEBUG shows 8-hex hashes. rotation is logged at
    /// WARNING.
    #[test]
    fn a_key_prints_as_its_id_only() {
        let key = ApiKey::new("sk-very-secret");

        let printed = format!("{key:?} {}", key.id());

        assert!(!printed.contains("secret"), "{printed}");
        assert_eq!(key.id(), ApiKey::new("sk-very-secret").id());
        assert_ne!(key.id(), ApiKey::new("sk-other").id());
    }

    /// Requirement: exported state identifies keys by a hash with the provider's name, never by the key.
    #[test]
    fn a_digest_depends_on_key_and_scope_and_does_not_contain_the_key() {
        let digest = |key: &str, scope: &str| ApiKey::new(key).digest(scope);
        assert_eq!(digest("k", "p"), digest("k", "p"));
        assert_eq!(digest("k", "p").len(), 32);
        assert_ne!(digest("k", "p"), digest("k", "q"));
        assert_ne!(digest("ab", "c"), digest("b", "ca"), "parts are delimited");
        assert!(!digest("k", "p").contains(&ApiKey::new("k").id().to_string()));
    }
}
