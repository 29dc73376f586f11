//! Keys in a request: the gateway's own, and the client's own for a provider.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use subtle::ConstantTimeEq as _;
use vandamme_actors::secret::ApiKey;

/// A key of this length does not occur in other texts by chance.
const LONG: usize = 12;

/// Headers that may hold the gateway's key as it is. Several are accepted, so that another one is free for the client's own
/// key. Azure's clients send `api-key`, and some tools send `authorization` without a scheme.
const KEY_HEADERS: [&str; 4] = ["x-api-key", "x-vdm-proxy-key", "api-key", "authorization"];

/// Whether the request carries the gateway's key, in one of [`KEY_HEADERS`] or as a bearer token.
pub(crate) fn presents(headers: &HeaderMap, key: &ApiKey) -> bool {
    let plain = KEY_HEADERS.into_iter().flat_map(|name| headers.get_all(name));
    let bearer = headers.get_all(header::AUTHORIZATION).filter_map(|value| bearer(value.as_bytes()));
    plain.map(|value| value.as_bytes()).chain(bearer).fold(false, |found, presented| {
        found | bool::from(presented.trim_ascii().ct_eq(key.expose().as_bytes()))
    })
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
pub(crate) fn own_key(headers: &HeaderMap, gateway_keys: &[ApiKey]) -> Option<OwnKey> {
    let plain = headers.get_all("x-api-key").map(HeaderValue::as_bytes);
    let bearer = headers.get_all(header::AUTHORIZATION).filter_map(|value| bearer(value.as_bytes()));
    let azures = headers.get_all("api-key").map(HeaderValue::as_bytes);
    let alone = headers.get_all(header::AUTHORIZATION).filter_map(|value| alone(value.as_bytes()));
    let keys = plain.map(|key| (key, KeyForm::Plain)).chain(bearer.map(|key| (key, KeyForm::Bearer)));
    let keys = keys.chain(azures.chain(alone).map(|key| (key, KeyForm::Plain)));
    keys.map(|(key, form)| (key.trim_ascii(), form))
        .filter(|(key, _)| !key.is_empty() && !carries(key, gateway_keys))
        .find_map(|(key, form)| Some(OwnKey { key: ApiKey::new(std::str::from_utf8(key).ok()?), form }))
}

/// Whether a header's value is one of these keys, or has one in it that is too long to be there by chance.
pub(crate) fn carries(value: &[u8], keys: &[ApiKey]) -> bool {
    keys.iter().map(|key| key.expose().as_bytes()).any(|key| {
        let within = || key.len() >= LONG && memchr::memmem::find(value, key).is_some();
        value.len() >= key.len() && (bool::from(value.trim_ascii().ct_eq(key)) || within())
    })
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

    fn presented(headers: &[(&'static str, &'static str)]) -> bool {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header(*header);
        }
        presents(request.to_http_request().headers(), &ApiKey::new("the-key"))
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
        let key = own_key(
            request.to_http_request().headers(),
            &[ApiKey::new("old-key-0123456789"), ApiKey::new("the-key")],
        );
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
            ("api-key", ""),
        ] {
            assert_eq!(own(&[none]), None, "{none:?}");
        }
    }
}
