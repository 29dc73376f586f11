//! Who looks at the dashboard, and the cookie of a session.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};

use crate::access_keys::AccessKeys;
use crate::gateway::Gateway;
use crate::login::{Level, Token};

/// The life of the cookie in seconds; the gateway decides when the session ends.
const MAX_AGE: u32 = 7 * 86_400;

/// Who looks at the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Viewer {
    pub(crate) level: Level,
    /// With a session; otherwise a key came with the request, or none is required.
    pub(crate) has_session: bool,
}

/// Why somebody may follow a stream. The stream ends with it; a client that connects again is asked for its access like every request.
pub(crate) enum Permission {
    /// The session with this token.
    Session(String),
    /// A key in a header, or none is required, as long as these are the keys.
    Keys(AccessKeys),
}

impl Permission {
    /// `session` is what the request's session may do, if it counts.
    pub(crate) fn new(request: &HttpRequest, gateway: &Gateway, session: Option<Level>) -> Self {
        match session.and_then(|_| session_cookie(request, gateway)) {
            Some(token) => Self::Session(token.to_owned()),
            None => Self::Keys(gateway.live_config().access.clone()),
        }
    }

    /// Whether it is still valid.
    pub(crate) fn holds(&self, gateway: &Gateway) -> bool {
        let live = gateway.live_config();
        match self {
            Self::Session(token) => gateway.logins.level(token, &live.access).is_some(),
            Self::Keys(keys) => *keys == live.access,
        }
    }
}

impl Viewer {
    pub(crate) fn is_admin(self) -> bool {
        self.level == Level::Admin
    }
}

/// The name of the cookie. Browsers do not separate cookies by port, and several gateways may run on one machine.
fn cookie_name(gateway: &Gateway) -> String {
    let port = gateway.listener().map_or(0, |listener| listener.address.port());
    format!("vdm-session-{port}")
}

/// The token of the session that the request names.
pub(crate) fn session_cookie<'r>(request: &'r HttpRequest, gateway: &Gateway) -> Option<&'r str> {
    let name = cookie_name(gateway);
    let values = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The header that sets the cookie, or removes it if there is no token.
pub(super) fn set_cookie(request: &HttpRequest, gateway: &Gateway, token: Option<&Token>) -> String {
    let (value, max_age) = token.map_or(("", 0), |token| (token.expose(), MAX_AGE));
    let forwarded = request.headers().get("x-forwarded-proto");
    let is_tls = gateway.tls().is_some() || forwarded.is_some_and(|scheme| scheme == "https");
    let secure = if is_tls { "; Secure" } else { "" };
    let name = cookie_name(gateway);
    format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}")
}

/// Whether a page of this gateway has sent the request. Browsers send no `Sec-Fetch-Site` over plain HTTP to another machine; they send
/// `Origin` with every POST.
pub(crate) fn is_own_request(headers: &HeaderMap, method: &Method) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let mut sites = headers.get_all("sec-fetch-site").peekable();
    if sites.peek().is_some() {
        return sites.all(|site| site == "same-origin" || (reads && site == "none"));
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => reads,
        (Some(origin), host) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some() && authority == host
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// Requirement: with a cookie, only this gateway's own pages may act, and no other page may read.
    #[test]
    fn only_own_pages_act_with_a_cookie() {
        let own = |headers: &[(&'static str, &'static str)], method: Method| {
            let request =
                headers.iter().fold(TestRequest::get(), |request, header| request.insert_header(*header));
            is_own_request(request.to_http_request().headers(), &method)
        };
        let host = ("host", "10.0.0.1:8082");
        for (headers, reads, writes) in [
            (&[][..], true, false),
            (&[("sec-fetch-site", "same-origin")], true, true),
            (&[("sec-fetch-site", "none")], true, false),
            (&[("sec-fetch-site", "same-site")], false, false),
            (&[("sec-fetch-site", "cross-site")], false, false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://10.0.0.1:8082"), host], false, false),
            (&[("origin", "http://10.0.0.1:8082"), host], true, true),
            (&[("origin", "http://10.0.0.1:3000"), host], false, false),
            (&[("origin", "null"), host], false, false),
            (&[("origin", "null")], false, false),
        ] {
            assert_eq!(
                (own(headers, Method::GET), own(headers, Method::POST)),
                (reads, writes),
                "{headers:?}"
            );
        }
    }
}
