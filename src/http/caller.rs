//! Who calls: the gateway's own key, and whether a stranger may see more than a status.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use subtle::ConstantTimeEq as _;
use vandamme_actors::secret::ApiKey;

/// Whether the request carries the gateway's key. The key may stand in `x-api-key`, in `authorization` as a bearer or in
/// `x-vdm-proxy-key`, so that another header is free for a key of the client's own.
pub(crate) fn presents(headers: &HeaderMap, key: &ApiKey) -> bool {
    let plain = ["x-api-key", "x-vdm-proxy-key"].into_iter().filter_map(|name| headers.get(name));
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    plain.map(|value| value.as_bytes()).chain(bearer).fold(false, |found, presented| {
        found | bool::from(presented.trim_ascii().ct_eq(key.expose().as_bytes()))
    })
}

/// The key that a client brings for a provider: in `x-api-key`, else as a bearer; never the gateway's own.
pub(crate) fn own_key(headers: &HeaderMap, proxy_key: Option<&ApiKey>) -> Option<ApiKey> {
    let plain = headers.get("x-api-key").map(|value| value.as_bytes());
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let is_ours = |key: &[u8]| proxy_key.is_some_and(|ours| bool::from(key.ct_eq(ours.expose().as_bytes())));
    let keys = plain.into_iter().chain(bearer).map(<[u8]>::trim_ascii);
    let own =
        keys.filter(|key| !key.is_empty() && !is_ours(key)).find_map(|key| std::str::from_utf8(key).ok());
    own.map(ApiKey::new)
}

/// The token of `Bearer TOKEN`; the scheme is written in any case (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// Whether the request comes from this machine itself: a loopback peer, nobody forwarding, and a local name asked for (so
/// that no web page gets in by DNS rebinding).
pub(crate) fn is_local(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let forwarded = headers.keys().any(|name| {
        let name = name.as_str();
        name == "forwarded" || name == "x-real-ip" || name == "via" || name.starts_with("x-forwarded-")
    });
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    request.peer_addr().is_some_and(|peer| peer.ip().is_loopback()) && !forwarded && is_local_name(host)
}

fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
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

    #[test]
    fn the_key_counts_in_any_of_its_headers() {
        assert!(presented(&[("x-api-key", "the-key")]));
        assert!(presented(&[("authorization", "bearer the-key")]));
        assert!(presented(&[("x-api-key", "sk-own"), ("authorization", "Bearer the-key")]));
        assert!(presented(&[("x-vdm-proxy-key", "the-key"), ("x-api-key", "sk-own")]));
    }

    #[test]
    fn anything_else_does_not() {
        assert!(!presented(&[]));
        assert!(!presented(&[("x-api-key", "the-ke")]));
        assert!(!presented(&[("authorization", "the-key")]));
        assert!(!presented(&[("authorization", "Basic the-key")]));
        assert!(!presented(&[("authorization", "Bearer ' OR '1'='1")]));
    }

    fn own(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header(*header);
        }
        let key = own_key(request.to_http_request().headers(), Some(&ApiKey::new("the-key")));
        key.map(|key| key.expose().to_owned())
    }

    #[test]
    fn a_clients_own_key_is_found_beside_the_gateways() {
        assert_eq!(own(&[("x-api-key", "ck1")]).as_deref(), Some("ck1"));
        assert_eq!(own(&[("authorization", "bearer ck2")]).as_deref(), Some("ck2"));
        assert_eq!(own(&[("x-api-key", "ck1"), ("authorization", "Bearer ck2")]).as_deref(), Some("ck1"));
        assert_eq!(own(&[("x-api-key", "the-key"), ("authorization", "Bearer ck2")]).as_deref(), Some("ck2"));
        assert_eq!(own(&[("x-api-key", " k1 k2 ")]).as_deref(), Some("k1 k2"));
        for none in [
            ("x-api-key", "the-key"),
            ("x-api-key", ""),
            ("authorization", "ck"),
            ("authorization", "Bearer "),
        ] {
            assert_eq!(own(&[none]), None, "{none:?}");
        }
    }

    fn local(host: &'static str, peer: &str, forwarded: Option<&'static str>) -> bool {
        let request = TestRequest::default().insert_header(("host", host)).peer_addr(peer.parse().unwrap());
        let request = match forwarded {
            Some(name) => request.insert_header((name, "1.2.3.4")),
            None => request,
        };
        is_local(&request.to_http_request())
    }

    #[test]
    fn this_machine_is_trusted_only_when_nothing_stands_between() {
        assert!(local("localhost:8082", "127.0.0.1:5", None));
        assert!(local("[::1]:8082", "[::1]:5", None));
        assert!(!local("evil.example", "127.0.0.1:5", None));
        assert!(!local("localhost", "10.0.0.1:5", None));
        assert!(!local("localhost", "127.0.0.1:5", Some("x-forwarded-for")));
        assert!(!local("localhost", "127.0.0.1:5", Some("forwarded")));
    }
}
