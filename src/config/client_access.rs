//! The clients that may use the gateway: accepted host names, and the web pages that may call it.

use super::layer::Section;

/// Each as [`host_name`] gives it.
pub(super) fn allowed_hosts(root: Section<'_>) -> Vec<String> {
    lines(root, "allowed-hosts").map(str::to_owned).collect()
}

/// Each as a browser sends it in `Origin`.
pub(super) fn cors_origins(root: Section<'_>) -> Vec<String> {
    lines(root, "cors-origins").map(str::to_owned).collect()
}

fn lines<'s>(root: Section<'s>, key: &str) -> impl Iterator<Item = &'s str> + use<'s> {
    root.text(key).map(|names| names.text.lines()).into_iter().flatten()
}

pub(super) fn open_to_all(host: &str) -> String {
    format!("other machines can reach {host}; set PROXY_API_KEY, so that only your clients are answered")
}

/// The advice for several values in one.
fn several(what: &str, one: &str, two: &str) -> String {
    format!(
        "one entry contains several {what}; write them with blanks between, without commas, or in a file as an array: \
         [\"{one}\", \"{two}\"]"
    )
}

/// A name of `allowed-hosts` in lower case, without the dot that it may end in; an IPv6 address without its brackets.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&lower);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    if text.contains([',', ';']) {
        return Err(several("names", "a.example", "b.example"));
    }
    if text.contains('*') {
        return Err("\"*\" is not allowed: list each name, such as \"gateway.example\"".to_owned());
    }
    let is_name = |name: &str| {
        name.bytes().any(|byte| byte.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    let name = lower.trim_end_matches('.');
    if is_name(name) {
        return Ok(name.to_owned());
    }
    let (_, rest) = lower.split_once("://").unwrap_or_default();
    let without = if rest.is_empty() { lower.as_str() } else { rest };
    let meant = without.split(['/', ':', '?', '#']).next().unwrap_or_default();
    Err(match is_name(meant) {
        true => format!("a name in the Host header has no scheme, port or path: write \"{meant}\""),
        false => "expected the name in the Host header, such as \"gateway.example\"".to_owned(),
    })
}

/// The origin in the form in which browsers send it. Origins with other schemes than http and https belong to browser
/// extensions and desktop applications.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text == "*" || text.contains('*') {
        return Err("\"*\" is not allowed: list each origin, such as \"https://chat.example.com\"".to_owned());
    }
    if text.contains([',', ';']) {
        return Err(several("origins", "https://a.example", "https://b.example"));
    }
    if text.eq_ignore_ascii_case("null") {
        return Err("\"null\" is not allowed: every page can have this origin".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    let expected =
        || "expected an origin such as \"https://chat.example.com\" or \"http://localhost:3000\"".to_owned();
    let (scheme, authority) = lower.split_once("://").ok_or_else(expected)?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || authority.contains('@') {
        return Err(expected());
    }
    if let Some((authority, _)) = authority.split_once(['/', '?', '#']) {
        return Err(format!("an origin has no path: write \"{scheme}://{authority}\""));
    }
    let is_authority = !authority.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    if !is_authority {
        return Err(expected());
    }
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(default_port).filter(|rest| !rest.is_empty()).unwrap_or(authority);
    Ok(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_accepted_as_a_browser_sends_it() {
        for (written, sent) in [
            ("https://chat.example.com", "https://chat.example.com"),
            ("HTTPS://Chat.Example.COM:443", "https://chat.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:80", "http://[::1]"),
            ("app://obsidian.md", "app://obsidian.md"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(origin(written).as_deref(), Ok(sent));
        }
    }

    #[test]
    fn the_error_for_an_inexact_origin_says_what_to_write() {
        for (written, words) in [
            ("*", "list each origin"),
            ("https://*.example.com", "list each origin"),
            ("null", "every page"),
            ("https://a.com,https://b.com", "blanks between"),
            ("https://a.com;https://b.com", "blanks between"),
            ("https://a.com,", "blanks between"),
            ("https://chat.example.com/", "write \"https://chat.example.com\""),
            ("https://chat.example.com/app?x", "has no path"),
            ("chat.example.com", "expected an origin"),
            ("https://", "expected an origin"),
            ("https://me@chat.example.com", "expected an origin"),
            ("://x", "expected an origin"),
        ] {
            let refusal = origin(written).unwrap_err();
            assert!(refusal.contains(words), "{written}: {refusal}");
        }
    }

    #[test]
    fn the_error_for_an_impossible_host_name_says_what_to_write() {
        for (written, name) in [
            ("Gateway.Example.", "gateway.example"),
            ("10.0.0.7", "10.0.0.7"),
            ("[FD00::1]", "fd00::1"),
            ("fd00::1", "fd00::1"),
            ("my_host", "my_host"),
        ] {
            assert_eq!(host_name(written).as_deref(), Ok(name));
        }
        for (written, words) in [
            ("a.example,b.example", "blanks between"),
            ("a.example;", "blanks between"),
            ("*.example", "list each name"),
            ("http://a.example", "write \"a.example\""),
            ("https://A.example:443/x", "write \"a.example\""),
            ("a.example:80", "write \"a.example\""),
            ("a.example/", "write \"a.example\""),
            ("a b", "expected the name"),
            (".", "expected the name"),
        ] {
            let refusal = host_name(written).unwrap_err();
            assert!(refusal.contains(words), "{written}: {refusal}");
        }
    }
}
