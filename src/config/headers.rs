//! Custom headers of a provider: the names that may be set, and the checks of their values.

use actix_web::http::header::{HeaderName, HeaderValue};

/// Headers that frame or route the request, describe its body, or carry a credential: the gateway sets them.
const RESERVED: [&str; 16] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "expect",
    "accept-encoding",
    "x-api-key",
    "api-key",
    "authorization",
    "proxy-authorization",
    "upgrade",
    "te",
    "content-type",
    "content-encoding",
    "trailer",
    "keep-alive",
];

/// Headers between gateways.
const RESERVED_PREFIX: &str = "x-vdm-";

/// Whether the gateway sets this header itself. The name is in lower case.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with(RESERVED_PREFIX)
}

/// A header for every request to one upstream. Its value is marked as sensitive, so that no output shows it;
/// the error names only the header.
pub(super) fn parse(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not a header name"))?;
    if is_reserved(name.as_str()) {
        return Err(format!("the header {name} is set by vdm itself and cannot be configured; remove it"));
    }
    let value = HeaderValue::from_str(value);
    let mut value = value.map_err(|_| format!("the value of {name} must be visible ASCII characters"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_framing_routing_and_credentials_are_refused() {
        for name in [
            "Content-Type",
            "content-encoding",
            "Host",
            "CONTENT-LENGTH",
            "x-api-key",
            "Authorization",
            "x-vdm-hop",
            "X-VDM-ANYTHING",
        ] {
            let refusal = parse(name, "canary").unwrap_err();
            assert!(refusal.contains("vdm itself") && !refusal.contains("canary"), "{refusal}");
        }
        assert!(parse("no good", "x").is_err());
        assert!(!parse("x-fine", "canary\n").unwrap_err().contains("canary"));
    }

    #[test]
    fn a_valid_header_is_accepted_and_its_value_never_printed() {
        let header = parse("X-User-Id", "canary").unwrap();
        assert_eq!((header.0.as_str(), header.1.to_str().unwrap()), ("x-user-id", "canary"));
        assert!(!format!("{header:?}").contains("canary"));
    }
}
