//! Access to a gateway without a gateway key.
//!
//! If it listens on loopback only, it serves local clients: a loopback peer, no forwarding headers, a local name in `Host`.
//! If it is bound to other addresses, it serves every client that reaches it. In both cases it refuses web pages of other
//! sites, unless `cors-origins` lists them: a browser on this machine or in this network sends their requests to the
//! gateway, with the page's `Origin`, or under the page's own host name, which resolves to this machine (DNS rebinding).

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use url::Url;
use vandamme_actors::excerpt;
use vandamme_actors::settings::Settings;

use crate::gateway::{Gateway, Listener, LiveConfig};

/// Explains what a refused client can do.
const REMEDY: &str = "set PROXY_API_KEY on the gateway and send that key";
/// How many characters of a header a refusal repeats.
const SHOWN: usize = 100;
/// Suffixes of names that cannot be registered on the internet.
const PRIVATE_NAMES: [&str; 6] = [".home.arpa", ".internal", ".lan", ".local", ".localhost", ".test"];
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The reason, for the client, why a gateway without a key refuses this request.
pub(super) fn refusal(request: &HttpRequest, gateway: &Gateway) -> Option<String> {
    let live = gateway.live_config();
    let reach = Reach::new(gateway, &live);
    let elsewhere = || if reach.is_local { from_elsewhere(request) } else { None };
    from_a_web_page(request, &reach).or_else(elsewhere)
}

/// The same for a GET request that spends tokens. A browser sends a GET for an image on any page, and over plain HTTP to a
/// private address it sends neither `Origin` nor `Sec-Fetch-Site` with it.
pub(super) fn refusal_to_spend(request: &HttpRequest, gateway: &Gateway) -> Option<String> {
    let headers = request.headers();
    let agent = headers.get(header::USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
    let named = headers.get(&FETCH_SITE).is_some_and(|site| site == "none" || site == "same-origin");
    let keyless = !gateway.live_config().access.are_required();
    (keyless && !named && agent.starts_with(b"Mozilla/"))
        .then(|| format!("the request comes from a browser without a Sec-Fetch-Site header; {REMEDY}"))
}

/// Whether the request comes from this machine itself, and not from a web page.
pub(super) fn is_local(request: &HttpRequest, gateway: &Gateway) -> bool {
    let live = gateway.live_config();
    let reach = Reach { is_local: true, origins: &[], ..Reach::new(gateway, &live) };
    from_a_web_page(request, &reach).is_none() && from_elsewhere(request).is_none()
}

/// The names by which clients may address the gateway.
struct Reach<'g> {
    listener: Option<&'g Listener>,
    allowed: &'g [String],
    /// Origins of web pages that may call it (`cors-origins`).
    origins: &'g [String],
    /// Only names of this machine are accepted.
    is_local: bool,
}

impl<'g> Reach<'g> {
    fn new(gateway: &'g Gateway, live: &'g LiveConfig) -> Self {
        let listener = gateway.listener();
        let is_local = listener.is_none_or(|listener| listener.address.ip().to_canonical().is_loopback());
        let Settings { allowed_hosts, cors_origins, .. } = &live.settings;
        Self { listener, allowed: allowed_hosts, origins: cors_origins, is_local }
    }

    /// Whether this name is safe: an attacker cannot register it and let it resolve to an address of this gateway.
    fn takes(&self, name: &str) -> bool {
        if is_local_name(name) {
            return true;
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let configured = self.listener.is_some_and(|listener| listener.host.eq_ignore_ascii_case(&name));
        if configured || self.allowed.contains(&name) {
            return true;
        }
        let private = || !name.contains('.') || PRIVATE_NAMES.iter().any(|end| name.ends_with(end));
        !self.is_local && !name.is_empty() && (name.parse::<IpAddr>().is_ok() || private())
    }
}

fn from_a_web_page(request: &HttpRequest, reach: &Reach<'_>) -> Option<String> {
    let headers = request.headers();
    let origin = only(headers, &header::ORIGIN);
    let is_listed = origin.is_some_and(|origin| reach.origins.iter().any(|listed| listed == origin));
    if !is_listed && headers.get_all(&FETCH_SITE).any(|site| site == "cross-site") {
        let sent = "the request comes from a web page of another site (Sec-Fetch-Site: cross-site)";
        return Some(format!("{sent}; {REMEDY}"));
    }
    let host = match only(headers, &header::HOST) {
        Some(host) => host,
        // Browsers always send it.
        None if !headers.contains_key(header::HOST) => "",
        None => return Some(format!("the request's Host header cannot be read; {REMEDY}")),
    };
    if headers.contains_key(header::HOST) && !name_of(host).is_some_and(|name| reach.takes(name)) {
        return Some(format!(
            "the name '{}' in the Host header is not one of this gateway's: use its IP address, add the name to allowed-hosts (VDM_ALLOWED_HOSTS), or {REMEDY}",
            shown(host)
        ));
    }
    // A target in absolute form overrides the Host header (RFC 9112, section 3.2.2).
    if let Some(target) = request.uri().authority()
        && !target.as_str().eq_ignore_ascii_case(host)
    {
        return Some(format!(
            "the request line names '{}' and the Host header '{}': they must agree, or {REMEDY}",
            shown(target.as_str()),
            shown(host)
        ));
    }
    if !headers.contains_key(header::ORIGIN) {
        return None;
    }
    let Some(origin) = origin else {
        return Some(format!("the request has several Origin headers or one that cannot be read; {REMEDY}"));
    };
    if origin.is_empty() || origin.eq_ignore_ascii_case("null") {
        return Some(format!(
            "the request comes from a web page without a site of its own, such as a local file or a sandboxed frame (Origin: {}), which cors-origins cannot list: serve the page from a web server, or {REMEDY}",
            if origin.is_empty() { "empty" } else { "null" }
        ));
    }
    if !is_listed && !is_own(origin, host) {
        return Some(format!(
            "the request comes from a web page of another site (Origin: {}); add the origin to cors-origins (VDM_CORS_ORIGINS), or {REMEDY}",
            shown(origin)
        ));
    }
    (request.method() == Method::POST && !is_json(headers)).then(|| {
        format!(
            "a request with an Origin header must have the content type application/json; otherwise {REMEDY}"
        )
    })
}

fn from_elsewhere(request: &HttpRequest) -> Option<String> {
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    if !peer.is_some_and(|peer| peer.is_loopback()) {
        return Some(format!("without a key this gateway serves this machine only; {REMEDY}"));
    }
    let name = request.headers().keys().find(|name| is_of_a_proxy(name.as_str()))?;
    Some(format!(
        "without a key this gateway serves this machine only, and a proxy forwarded this request ({name}); {REMEDY}"
    ))
}

/// Whether only a proxy sets this header. Comparing lengths first rules out nearly all of a client's.
fn is_of_a_proxy(name: &str) -> bool {
    match name.len() {
        3 => name == "via",
        8 => name == "cdn-loop",
        9 => matches!(name, "forwarded" | "x-real-ip"),
        11 => name == "x-client-ip",
        14 if name == "true-client-ip" => true,
        15 if name == "x-original-host" => true,
        16 if name == "cf-connecting-ip" => true,
        19 if name == "x-cluster-client-ip" => true,
        24 if name == "x-original-forwarded-for" => true,
        12.. => name.starts_with("x-forwarded-"),
        _ => false,
    }
}

/// The value of a header that occurs once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The name in `name:port` or `[address]:port`; `None` for anything else, such as a text with a user name.
fn name_of(host: &str) -> Option<&str> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => host.find(':').map_or((host, ""), |at| host.split_at(at)),
    };
    let is_port = |text: &str| text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_end = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    (is_end && name.bytes().all(fits)).then_some(name)
}

fn is_local_name(name: &str) -> bool {
    let below_localhost = || {
        let (_, end) = name.rsplit_once('.').unwrap_or_default();
        end.eq_ignore_ascii_case("localhost")
    };
    name.eq_ignore_ascii_case("localhost")
        || below_localhost()
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a page of this origin is this machine's or the gateway's own.
fn is_own(origin: &str, host: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    let Some(name) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
        return false;
    };
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    authority.eq_ignore_ascii_case(host) || name_of(name).is_some_and(is_local_name)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = only(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn shown(text: &str) -> String {
    excerpt::one_line(text, SHOWN)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const LOOPBACK: &str = "127.0.0.1:5";

    fn listener(address: &str, host: &str) -> Listener {
        Listener { address: address.parse().unwrap(), host: host.to_owned() }
    }

    fn refused(listener: &Listener, peer: &str, headers: &[(&'static str, &str)]) -> Option<String> {
        let method =
            if headers.iter().any(|(name, _)| *name == "content-type") { Method::POST } else { Method::GET };
        let request = TestRequest::default().method(method).peer_addr(peer.parse().unwrap());
        let request = headers.iter().fold(request, |request, header| request.append_header(*header));
        let is_local = listener.address.ip().is_loopback();
        let allowed = ["gateway.corp.example".to_owned()];
        let origins = ["https://chat.example.com".to_owned()];
        let reach = Reach { listener: Some(listener), allowed: &allowed, origins: &origins, is_local };
        let request = request.to_http_request();
        from_a_web_page(&request, &reach).or_else(|| is_local.then(|| from_elsewhere(&request)).flatten())
    }

    #[test]
    fn local_clients_are_trusted_only_without_a_proxy_between() {
        let own = listener("127.0.0.1:8082", "127.0.0.1");
        let ask = |host: &'static str, peer: &str| refused(&own, peer, &[("host", host)]);
        for host in
            ["localhost:8082", "LOCALHOST", "127.0.0.1:8082", "127.8.8.8", "[::1]:8082", "x.localhost"]
        {
            assert_eq!(ask(host, LOOPBACK), None, "{host}");
        }
        assert_eq!(ask("gateway.corp.example", "[::ffff:127.0.0.1]:5"), None);
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "vdm", "vdm.local", "", "0.0.0.0"]
        {
            assert!(ask(host, LOOPBACK).unwrap().contains("Host"), "{host}");
        }
        assert!(ask("localhost", "10.0.0.1:5").unwrap().contains("this machine only"));
        let others = "cdn-loop cf-connecting-ip forwarded true-client-ip via x-client-ip x-cluster-client-ip x-original-forwarded-for x-original-host x-real-ip";
        for name in others.split(' ').chain(["x-forwarded-for", "x-forwarded-proto"]) {
            let why = refused(&own, LOOPBACK, &[("host", "localhost"), (name, "1.2.3.4")]).unwrap();
            assert!(why.contains(name), "{why}");
        }
        assert_eq!(refused(&own, LOOPBACK, &[]), None, "HTTP/1.0 has no Host");
        assert!(refused(&own, LOOPBACK, &[("host", "localhost"), ("host", "localhost")]).is_some());
        let named = listener("127.0.1.1:8082", "Box.example");
        assert_eq!(refused(&named, LOOPBACK, &[("host", "box.example:8082")]), None);
    }

    #[test]
    fn a_gateway_on_other_addresses_serves_only_names_that_no_web_page_can_have() {
        let open = listener("0.0.0.0:8082", "0.0.0.0");
        let ask = |host: &'static str, peer: &str| {
            refused(&open, peer, &[("host", host), ("x-forwarded-for", "1.2.3.4")])
        };
        for host in [
            "10.0.0.7:8082",
            "[fd00::1]:8082",
            "vdm:8082",
            "nas.local",
            "host.docker.internal",
            "203.0.113.9",
        ] {
            assert_eq!(ask(host, "10.0.0.9:5"), None, "{host}");
        }
        assert_eq!(ask("gateway.corp.example.", "10.0.0.9:5"), None);
        for host in [
            "evil.example",
            "10.0.0.7.evil.example",
            "evil.local.example",
            "user@evil.example",
            "user:pw@evil.example",
            "vdm@evil.example:80",
            "[::1]evil.example",
            "[::1]:80@evil.example",
            "[::1",
            "vdm:80:90",
            "vdm:port",
            "vdm/evil.example",
        ] {
            assert!(ask(host, LOOPBACK).unwrap().contains("VDM_ALLOWED_HOSTS"), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused_on_any_address() {
        for own in [listener("127.0.0.1:8082", "127.0.0.1"), listener("0.0.0.0:8082", "0.0.0.0")] {
            let ask = |headers: &[(&'static str, &str)]| {
                refused(&own, LOOPBACK, &[&[("host", "127.0.0.1:8082")], headers].concat())
            };
            for origin in
                ["https://evil.example", "null", "", "file://", "chrome-extension://abc", "http://10.0.0.5"]
            {
                let why = ask(&[("origin", origin), ("content-type", "application/json")]).unwrap();
                assert!(why.contains("Origin"), "{origin}: {why}");
            }
            for origin in ["http://127.0.0.1:8082", "http://localhost:3000", "https://[::1]:1"] {
                for kind in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"]
                {
                    assert_eq!(ask(&[("origin", origin), ("content-type", kind)]), None, "{origin} {kind}");
                }
                for kind in
                    ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json"]
                {
                    assert!(ask(&[("origin", origin), ("content-type", kind)]).is_some(), "{kind}");
                }
            }
            for headers in
                [&[("origin", "null")][..], &[("origin", "")], &[("origin", "http://localhost"); 2]]
            {
                let why = ask(headers).unwrap();
                assert!(!why.contains("add the origin") && why.contains("Origin"), "{headers:?}: {why}");
            }
            assert!(ask(&[("sec-fetch-site", "cross-site")]).is_some());
            let listed = ("origin", "https://chat.example.com");
            let cross = ("sec-fetch-site", "cross-site");
            assert_eq!(ask(&[listed, cross, ("content-type", "application/json")]), None);
            assert!(ask(&[listed, cross, ("content-type", "text/plain")]).is_some());
            for near in
                ["https://chat.example.com:8443", "http://chat.example.com", "https://x.chat.example.com"]
            {
                assert!(ask(&[("origin", near), ("content-type", "application/json")]).is_some(), "{near}");
            }
            for site in ["same-origin", "same-site", "none"] {
                assert_eq!(ask(&[("sec-fetch-site", site)]), None);
            }
            assert_eq!(ask(&[("sec-fetch-mode", "cors"), ("accept-language", "*")]), None, "Node's fetch");
        }
    }
}
