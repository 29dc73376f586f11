//! Keys in a request: the gateway's own, and the client's own for a provider.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use subtle::ConstantTimeEq as _;
use vandamme_actors::secret::ApiKey;

use crate::access_keys::{AccessKeys, KeyHash};

/// A key of this length does not occur in other texts by chance.
const LONG: usize = 12;

/// Headers that may hold the gateway's key as it is. Several are accepted, so that another one is free for the client's own
/// key. Azure's clients send `api-key`, and some tools send `authorization` without a scheme.
const KEY_HEADERS: [HeaderName; 4] =
    [X_API_KEY, HeaderName::from_static("x-vdm-proxy-key"), API_KEY, header::AUTHORIZATION];
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Who sent a request: the client whose key it carries.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// `None` for `PROXY_API_KEY`.
    pub(crate) name: Option<Arc<str>>,
    /// The key as the request carries it, so that it can be removed from what is sent to an upstream.
    pub(crate) key: ApiKey,
}

/// The client whose key the request carries, in one of [`KEY_HEADERS`] or as a bearer token.
pub(crate) fn identify(headers: &HeaderMap, keys: &AccessKeys) -> Option<Caller> {
    let clients = presented(headers).filter_map(|key| {
        let client = keys.client(&KeyHash::from_key(key))?;
        Some(Caller { name: client.name.clone(), key: ApiKey::new(std::str::from_utf8(key).ok()?) })
    });
    // All of them, so that the time does not depend on the header that has the key.
    clients.fold(None, |found, client| found.or(Some(client)))
}

/// Whether the request carries the key with this hash.
pub(crate) fn presents(headers: &HeaderMap, hash: &KeyHash) -> bool {
    presented(headers).fold(false, |found, key| found | bool::from(KeyHash::from_key(key).equals(hash)))
}

/// The texts that may be a key of the gateway.
fn presented(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let plain = KEY_HEADERS.into_iter().flat_map(|name| headers.get_all(name));
    let bearer = headers.get_all(header::AUTHORIZATION).filter_map(|value| bearer(value.as_bytes()));
    plain.map(HeaderValue::as_bytes).chain(bearer).map(<[u8]>::trim_ascii)
}

/// All keys that have ever opened this gateway. None of them is sent to an upstream.
#[derive(Clone, Default)]
pub(crate) struct GatewayKeys {
    /// Of keys that are kept as text: `PROXY_API_KEY`.
    texts: Vec<ApiKey>,
    hashes: HashSet<KeyHash>,
}

impl GatewayKeys {
    pub(crate) fn new(texts: Vec<ApiKey>, hashes: impl IntoIterator<Item = KeyHash>) -> Self {
        Self { texts, hashes: hashes.into_iter().collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.hashes.is_empty()
    }

    /// Whether a header's value or another text contains one of these keys, or the caller's.
    pub(crate) fn are_in(&self, value: &[u8], caller: Option<&Caller>) -> bool {
        let by_text =
            || self.texts.iter().chain(caller.map(|caller| &caller.key)).any(|key| carries(value, key));
        by_text() || (!self.hashes.is_empty() && words(value).any(|word| self.has(word)))
    }

    fn has(&self, word: &[u8]) -> bool {
        self.hashes.contains(&KeyHash::from_key(word))
    }
}

/// The text as a whole, and the parts of it that may be a key.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let separates = |byte: &u8| byte.is_ascii_whitespace() || b",;=&:\"'".contains(byte);
    let spaced = value.split(u8::is_ascii_whitespace);
    let parts = spaced.chain(value.split(separates)).filter(|part| !part.is_empty());
    std::iter::once(value.trim_ascii()).chain(parts)
}

/// A key that a client brings for a provider.
pub(crate) struct OwnKey {
    pub(crate) key: ApiKey,
    pub(crate) form: KeyForm,
}

/// The header that contains a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// `x-api-key`, or another header that contains the key alone
    Plain,
    /// `authorization: Bearer …`
    Bearer,
}

/// The key that a client brings for a provider: in `x-api-key`, else as a bearer, else in `api-key` (Azure's clients), else
/// alone in `authorization`; never one of the gateway's own, past and present.
pub(crate) fn own_key(
    headers: &HeaderMap,
    gateway_keys: &GatewayKeys,
    caller: Option<&Caller>,
) -> Option<OwnKey> {
    let plain = headers.get_all(X_API_KEY).map(HeaderValue::as_bytes);
    let bearer = headers.get_all(header::AUTHORIZATION).filter_map(|value| bearer(value.as_bytes()));
    let azures = headers.get_all(API_KEY).map(HeaderValue::as_bytes);
    let alone = headers.get_all(header::AUTHORIZATION).filter_map(|value| alone(value.as_bytes()));
    let keys = plain.map(|key| (key, KeyForm::Plain)).chain(bearer.map(|key| (key, KeyForm::Bearer)));
    let keys = keys.chain(azures.chain(alone).map(|key| (key, KeyForm::Plain)));
    keys.map(|(key, form)| (key.trim_ascii(), form))
        .filter(|(key, _)| !key.is_empty() && !gateway_keys.are_in(key, caller))
        .find_map(|(key, form)| Some(OwnKey { key: ApiKey::new(std::str::from_utf8(key).ok()?), form }))
}

/// Whether a header's value is this key, or has it in it and it is too long to be there by chance.
fn carries(value: &[u8], key: &ApiKey) -> bool {
    let key = key.expose().as_bytes();
    let within = || key.len() >= LONG && memchr::memmem::find(value, key).is_some();
    value.len() >= key.len() && (bool::from(value.trim_ascii().ct_eq(key)) || within())
}

/// The token of `Bearer TOKEN`; the scheme is written in any case (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// The value of `authorization`, if it is a key without a scheme: one word that is no scheme itself.
fn alone(value: &[u8]) -> Option<&[u8]> {
    const SCHEMES: [&[u8]; 5] = [b"basic", b"bearer", b"digest", b"negotiate", b"token"];
    let value = value.trim_ascii();
    let is_word = !value.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b',');
    let is_scheme = SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(value));
    (is_word && !is_scheme).then_some(value)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::access_keys::ClientKey;

    fn presented(headers: &[(&'static str, &'static str)]) -> bool {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header(*header);
        }
        let hash = KeyHash::from_key(b"the-key");
        let request = request.to_http_request();
        let keys = AccessKeys { clients: vec![ClientKey { name: None, hash }], admin: None };
        let identified = identify(request.headers(), &keys).is_some();
        assert_eq!(identified, presents(request.headers(), &hash));
        identified
    }

    /// Requirement: `authorization: bearer <key>` in lower case is accepted.
    #[test]
    fn the_key_counts_in_any_of_its_headers() {
        assert!(presented(&[("x-api-key", "the-key")]));
        assert!(presented(&[("authorization", "bearer the-key")]));
        assert!(presented(&[("x-api-key", "sk-own"), ("authorization", "Bearer the-key")]));
        assert!(presented(&[("x-vdm-proxy-key", "the-key"), ("x-api-key", "sk-own")]));
        assert!(presented(&[("api-key", " the-key ")]));
        assert!(presented(&[("authorization", "the-key")]));
        assert!(presented(&[("authorization", "the-key"), ("x-api-key", "sk-own")]));
    }

    #[test]
    fn anything_else_does_not() {
        assert!(!presented(&[]));
        assert!(!presented(&[("x-api-key", "the-ke")]));
        assert!(!presented(&[("authorization", "the-key2")]));
        assert!(!presented(&[("authorization", "Token the-key")]));
        assert!(!presented(&[("api-key", "")]));
        assert!(!presented(&[("authorization", "Basic the-key")]));
        assert!(!presented(&[("authorization", "Bearer ' OR '1'='1")]));
    }

    fn own(headers: &[(&'static str, &'static str)]) -> Option<(String, KeyForm)> {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header(*header);
        }
        let texts = vec![ApiKey::new("old-key-0123456789"), ApiKey::new("the-key")];
        let keys = GatewayKeys::new(texts, [KeyHash::from_key(b"hashed-key")]);
        let caller = Caller { name: None, key: ApiKey::new("presented-key-0123") };
        let key = own_key(request.to_http_request().headers(), &keys, Some(&caller));
        key.map(|own| (own.key.expose().to_owned(), own.form))
    }

    /// Requirement: With `PROXY_API_KEY` and a passthrough provider, the proxy key is never sent upstream and the
    /// client can supply a separate provider key.
    #[test]
    fn a_clients_own_key_is_found_beside_the_gateways() {
        use KeyForm::{Bearer, Plain};

        for (headers, key, form) in [
            (&[("x-api-key", "ck1")][..], "ck1", Plain),
            (&[("authorization", "bearer ck2")], "ck2", Bearer),
            (&[("x-api-key", "ck1"), ("authorization", "Bearer ck2")], "ck1", Plain),
            (&[("x-api-key", "the-key"), ("authorization", "Bearer ck2")], "ck2", Bearer),
            (&[("x-api-key", " k1 k2 ")], "k1 k2", Plain),
            (&[("api-key", "ck3")], "ck3", Plain),
            (&[("authorization", "ck4")], "ck4", Plain),
            (&[("api-key", "the-key"), ("authorization", "ck4")], "ck4", Plain),
            (&[("authorization", "the-key"), ("api-key", "ck3")], "ck3", Plain),
            (&[("api-key", "ck3"), ("authorization", "Bearer ck2")], "ck2", Bearer),
        ] {
            assert_eq!(own(headers), Some((key.to_owned(), form)), "{headers:?}");
        }
        for none in [
            ("x-api-key", "the-key"),
            ("x-api-key", ""),
            ("x-api-key", "old-key-0123456789"),
            ("authorization", "Bearer sk.old-key-0123456789.x"),
            ("authorization", "Bearer "),
            ("authorization", "Bearer"),
            ("authorization", "Basic Y2s6Y2s="),
            ("authorization", "Token ck"),
            ("authorization", "the-key"),
            ("authorization", "old-key-0123456789"),
            ("api-key", "the-key"),
            ("api-key", "x-old-key-0123456789"),
            ("x-api-key", "hashed-key"),
            ("authorization", "Bearer hashed-key"),
            ("x-api-key", "x.presented-key-0123"),
            ("api-key", ""),
        ] {
            assert_eq!(own(&[none]), None, "{none:?}");
        }
    }
}
