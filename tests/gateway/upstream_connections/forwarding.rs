//! Upstreams behind an HTTP proxy: without TLS the proxy forwards each request, with TLS it makes a tunnel.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use crate::support::canned::anthropic;
use crate::support::client::prompt;
use crate::support::gateway::{MODEL, Setup};
use crate::support::upstream::{Answer, Ending, Upstream};

/// A gateway whose `alpha` and `beta` have names that only the proxy knows.
fn behind(proxy: &Upstream) -> Setup {
    Setup::default()
        .env("ALPHA_API_KEY", "sk-alpha-0123456789")
        .env("ALPHA_BASE_URL", "http://alpha.example:8080/v1")
        .env("ALPHA_API_FORMAT", "anthropic")
        .env("BETA_API_KEY", "sk-beta-0123456789")
        .env("BETA_BASE_URL", "http://beta.example")
        .env("BETA_API_FORMAT", "anthropic")
        .env("MAX_RETRIES", "0")
        .env("HTTP_PROXY", format!("http://me:s%40cret@{}", proxy.address()))
}

#[test]
fn a_request_without_tls_sends_its_whole_url_to_the_proxy() {
    let proxy = Upstream::anthropic();
    let gateway = behind(&proxy).start();
    // Two requests for each provider: the second one reuses the connection of the first.
    for model in ["alpha:m", "beta:m", "alpha:m", "beta:m"] {
        let reply = gateway.messages(&prompt(model, "hi")).reply();
        assert_eq!(reply.text(), "Hello there!", "{reply}");
    }
    let requests = proxy.requests();
    for (seen, (host, key)) in requests.iter().zip(
        [("alpha.example:8080", "sk-alpha-0123456789"), ("beta.example", "sk-beta-0123456789")]
            .into_iter()
            .cycle(),
    ) {
        assert_eq!(seen.head.first, format!("POST http://{host}/v1/messages HTTP/1.1"), "{:?}", seen.head);
        assert_eq!(seen.head.header("host"), Some(host));
        assert_eq!((seen.key(), seen.head.count("x-api-key")), (key, 1));
        assert_eq!(seen.head.header("proxy-authorization"), Some("Basic bWU6c0BjcmV0"));
        assert_eq!(seen.head.count("proxy-authorization"), 1);
        assert_eq!(seen.json()["messages"][0]["content"], "hi", "the body follows unchanged");
    }
    assert_eq!((requests.len(), proxy.connections()), (4, 2), "one kept connection for each upstream");
}

#[test]
fn a_large_body_and_a_closing_proxy_behave_like_an_upstream() {
    let proxy = Upstream::anthropic().ruled_by(|_| {
        let mut answer = Answer::events(anthropic::text(&["again"]));
        answer = answer.ending(Ending::Close);
        Some(answer)
    });
    let gateway = behind(&proxy).start();
    let text = "0123456789 ".repeat(200_000);
    for _ in 0..3 {
        let reply = gateway.messages(&prompt("alpha:m", &text)).reply();
        assert_eq!(reply.text(), "again", "{}", reply.status());
    }
    assert_eq!((proxy.count(), proxy.connections()), (3, 3));
    assert!(proxy.requests().iter().all(|seen| seen.json()["messages"][0]["content"] == *text));
}

#[test]
fn the_error_for_a_refused_proxy_password_names_the_proxy_and_not_the_password() {
    let proxy = Upstream::anthropic().always(Answer::json(407, "{}"));
    let gateway = behind(&proxy).start();
    let reply = gateway.messages(&prompt("alpha:m", "hi")).reply();
    assert_eq!((reply.status(), reply.error_type().as_str()), (502, "api_error"), "{reply}");
    let message = reply.error_message();
    assert!(
        message.contains("'alpha'") && message.contains("407") && message.contains("HTTP_PROXY"),
        "{message}"
    );
    let log = gateway.stop();
    for secret in ["s%40cret", "s@cret", "bWU6c0BjcmV0"] {
        assert!(!log.contains(secret) && !message.contains(secret), "{log}");
    }
}

#[test]
fn no_proxy_and_local_addresses_are_called_directly() {
    let (proxy, upstream) = (Upstream::anthropic(), Upstream::anthropic());
    let gateway = behind(&proxy)
        .provider("here", &upstream)
        .env("NO_PROXY", "other.example, .alpha.example, alpha.example")
        .start();
    assert_eq!(gateway.messages(&prompt("here:m", "hi")).reply().text(), "Hello there!");
    assert_eq!(upstream.only_request().head.header("proxy-authorization"), None);
    assert_eq!(upstream.only_request().target(), "/v1/messages");
    let reply = gateway.messages(&prompt("alpha:m", "hi")).reply();
    assert_ne!(reply.status(), 200, "no such host: {reply}");
    assert_eq!(proxy.count(), 0);
}

#[test]
fn with_tls_the_proxy_opens_a_tunnel_and_sees_nothing_else() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://me:pw@{}", proxy.local_addr().expect("bound"));
    let heard = thread::spawn(move || {
        let (mut stream, _) = proxy.accept().expect("a caller");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
            head.push(byte[0]);
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let mut first = [0; 3];
        let _ = stream.read_exact(&mut first);
        (String::from_utf8_lossy(&head).into_owned(), first)
    });
    let gateway = Setup::default()
        .env("ANTHROPIC_API_KEY", "sk-canary-0123456789")
        .env("ANTHROPIC_BASE_URL", "https://upstream.example")
        .env("MAX_RETRIES", "0")
        .env("HTTPS_PROXY", url)
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .start();
    let reply = gateway.messages(&prompt(MODEL, "hi")).reply();
    assert_ne!(reply.status(), 200, "nobody is at the tunnel's end");
    let (head, first) = heard.join().expect("no panic");
    assert!(head.starts_with("CONNECT upstream.example:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: Basic bWU6cHc=\r\n") && !head.contains("canary"), "{head}");
    assert_eq!(first[..2], [0x16, 0x03], "a TLS handshake");
}
