//! The base URL of an upstream: what it may look like, and whether it is our own listener.

use url::{Host, Url};

/// The address that we are going to listen on, as configured.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) host: String,
    pub(super) port: u16,
}

/// A usable base URL. The answer never repeats the text, for it may hold a password.
pub(super) fn parse(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text.trim()).map_err(|_| "expected a URL such as \"https://api.example.com/v1\"")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the URL must start with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL must not hold a user name or password; set the provider's API key instead");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL must not have a query (?) or fragment (#); give only the base");
    }
    Ok(url)
}

/// Without a trailing slash.
pub(super) fn normalized(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

impl Listener {
    /// Is this URL ourselves? `ANTHROPIC_BASE_URL=http://localhost:8082` is what Claude Code is told, and is
    /// also the variable of the `anthropic` provider.
    pub(super) fn is(&self, url: &Url) -> bool {
        url.port_or_known_default() == Some(self.port) && url.host().is_some_and(|host| self.is_host(&host))
    }

    fn is_host(&self, host: &Host<&str>) -> bool {
        match host {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(&self.host)
            }
            Host::Ipv4(ip) => ip.is_loopback() || ip.is_unspecified() || self.host == ip.to_string(),
            Host::Ipv6(ip) => ip.is_loopback() || ip.is_unspecified() || self.host.parse() == Ok(*ip),
        }
    }

    /// Can only processes of this machine reach it?
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        address.map_or_else(|_| self.host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_http_without_userinfo_query_or_fragment() {
        for good in ["https://api.x.com/v1", "http://[::1]:9", "http://localhost:1/", "HTTPS://A.B"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "api.x.com",
            "ftp://x",
            "https://u:p@x",
            "https://u@x",
            "https://x?a",
            "https://x#a",
            "http://",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(normalized(&parse("https://x.com/v1//").unwrap()), "https://x.com/v1");
        assert_eq!(normalized(&parse("https://x.com").unwrap()), "https://x.com");
    }

    #[test]
    fn our_own_listener_is_known_under_all_its_names() {
        let listener = Listener { host: "gateway.lan".into(), port: 8082 };
        for own in
            ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.8.8", "[::1]", "0.0.0.0", "[::]", "gateway.lan"]
        {
            assert!(listener.is(&parse(&format!("http://{own}:8082/v1")).unwrap()), "{own}");
        }
        for other in
            ["http://localhost:8083", "http://10.0.0.1:8082", "https://localhost", "http://other.lan:8082"]
        {
            assert!(!listener.is(&parse(other).unwrap()), "{other}");
        }
    }

    #[test]
    fn a_default_port_counts_as_written() {
        assert!(Listener { host: "127.0.0.1".into(), port: 80 }.is(&parse("http://localhost/v1").unwrap()));
        assert!(Listener { host: "::1".into(), port: 443 }.is(&parse("https://[::1]").unwrap()));
    }
}
