//! Names, TLS and proxies.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use rcgen::{CertificateParams, DnType, date_time_ymd};

use super::disk::can_mount;
use super::{Relay, assert_named, before};
use crate::support::gateway::Setup;
use crate::support::tls::{Farewell, TlsFront};
use crate::support::upstream::{Answer, Deaf, Upstream};

const FORMATS: [&str; 2] = ["anthropic", "openai"];

/// Requirement (issue 15, 5): a name that does not resolve has a clear error in each API and a log line with the remedy.
#[test]
fn a_name_without_an_address_is_reported_with_its_variable() {
    for format in FORMATS {
        let setup = before("http://no-such-host.invalid", format);
        let gateway = setup.env("RES_OPTIONS", "timeout:1 attempts:1").start();
        assert_named(&gateway, &["'mine'", "no-such-host.invalid", "check MINE_BASE_URL and DNS"]);
    }
}

/// Requirement (issue 15, 5): when DNS works again, the next request succeeds, without a restart.
#[test]
fn a_name_that_resolves_again_is_used_at_once() {
    if !can_mount() {
        return;
    }
    let upstream = Upstream::openai();
    let base_url = format!("http://upstream.test:{}/v1", upstream.address().port());
    let mount = r#"exec unshare -rm sh -c 'mount --bind hosts /etc/hosts && exec "$0" "$@"' "$0" "$@""#;
    let hosts = "127.0.0.1 localhost\n";
    let setup = before(&base_url, "openai").env("RES_OPTIONS", "timeout:1 attempts:1").file("hosts", hosts);
    let gateway = setup.after_shell(mount).start();
    assert_named(&gateway, &["'mine'", "upstream.test", "check MINE_BASE_URL and DNS"]);
    assert_eq!(upstream.count(), 0);

    gateway.run.write("hosts", &format!("{hosts}127.0.0.1 upstream.test\n"));

    assert_eq!((gateway.ask_whole("hi").status(), upstream.count()), (200, 1));
}

/// Requirement (issue 17, 2): a name that leads to another address is followed at once, although addresses are kept for a few
/// seconds: those that refuse connections are not kept.
#[test]
fn a_name_that_moves_is_followed_at_once() {
    if !can_mount() {
        return;
    }
    // It listens on 127.0.0.1 only.
    let upstream = Upstream::openai();
    let base_url = format!("http://upstream.test:{}/v1", upstream.address().port());
    let mount = r#"exec unshare -rm sh -c 'mount --bind hosts /etc/hosts && exec "$0" "$@"' "$0" "$@""#;
    let setup = before(&base_url, "openai").file("hosts", "127.0.0.2 upstream.test\n");
    let gateway = setup.after_shell(mount).start();
    assert_eq!((gateway.ask_whole("hi").status(), upstream.count()), (502, 0));

    gateway.run.write("hosts", "127.0.0.1 upstream.test\n");

    assert_eq!((gateway.ask_whole("hi").status(), upstream.count()), (200, 1));
}

/// Answers every connection with these bytes, whatever it receives, and closes it.
fn answering(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _read = stream.read(&mut [0; 1024]);
            let _written = stream.write_all(answer);
        }
    });
    address
}

/// Requirement (issue 15, 5): a server without TLS behind an https URL.
#[test]
fn a_server_without_tls_is_reported_with_its_variable() {
    for format in FORMATS {
        let server = answering(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let gateway = before(&format!("https://localhost:{}", server.port()), format).start();
        assert_named(&gateway, &["'mine'", "does not speak TLS", "use http:// in MINE_BASE_URL"]);
    }
}

/// Requirement (issue 15, 5): an expired certificate, one for another host, and one of an unknown authority are reported
/// with their remedies; as soon as the server has a valid one, requests succeed without a restart.
#[test]
fn a_certificate_fault_is_reported_and_over_when_the_certificate_is_replaced() {
    let upstream = Upstream::anthropic();
    let named = |name: &str| CertificateParams::new([name.to_owned()]).expect("a name");
    let mut expired = named("localhost");
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let front = |params: &CertificateParams| {
        TlsFront::with_certificate(upstream.address(), Farewell::CloseNotify, params)
    };
    let mut unknown = named("localhost");
    unknown.distinguished_name.push(DnType::CommonName, "an unknown authority");
    let (valid, unknown) = (front(&named("localhost")), front(&unknown));
    for (faulty, is_trusted, remedy) in [
        (front(&expired), true, "has expired; the server needs a new one"),
        (front(&named("other.example")), true, "is for other.example; check the host in MINE_BASE_URL"),
        (unknown, false, "set SSL_CERT_FILE to the certificate of that authority"),
    ] {
        let relay = Relay::new(faulty.address);
        let trusted = if is_trusted { &*faulty.certificate } else { "" };
        let gateway = before(&format!("https://localhost:{}", relay.address.port()), "anthropic")
            .env("SSL_CERT_FILE", "trusted.pem")
            .file("trusted.pem", &format!("{}{trusted}", valid.certificate))
            .start();
        assert_named(&gateway, &["provider 'mine': the certificate of localhost:", remedy]);
        relay.lead_to(valid.address);
        assert_eq!(gateway.ask("hi").text(), "Hello there!", "{remedy}: {}", gateway.log());
    }
}

/// A gateway whose provider has a name that only the proxy knows.
fn behind(proxy: &str, scheme: &str) -> Setup {
    let variable = if scheme == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    before(&format!("{scheme}://upstream.example:8443"), "anthropic").env(variable, proxy)
}

/// Requirement (issue 15, 5): a proxy that is down is named with its variable, and its password is not.
#[test]
fn a_proxy_that_is_down_is_reported_with_its_variable() {
    let deaf = Deaf::new();
    for (scheme, variable) in [("http", "HTTP_PROXY"), ("https", "HTTPS_PROXY")] {
        let gateway = behind(&format!("http://me:pass-canary@{}", deaf.address), scheme).start();
        let words = ["the proxy", &deaf.address.to_string(), "'mine'", &format!("check {variable}")];
        assert_named(&gateway, &words);
        assert!(!gateway.stop().contains("pass-canary"));
    }
    let gateway = behind("http://no-such-proxy.invalid:3128", "https")
        .env("RES_OPTIONS", "timeout:1 attempts:1")
        .start();
    assert_named(&gateway, &["no-such-proxy.invalid:3128", "its name has no address; check HTTPS_PROXY"]);
}

/// Requirement (issue 15, 5): a proxy that refuses CONNECT is reported with its status and the remedy.
#[test]
fn a_proxy_that_refuses_the_tunnel_is_reported_with_its_status() {
    for (status, remedy) in [(403, "allow this host there"), (407, "check user and password in HTTPS_PROXY")]
    {
        let proxy = Upstream::anthropic().always(Answer::json(status, "{}"));
        let gateway = behind(&format!("http://{}", proxy.address()), "https").start();
        let refusal =
            format!("refused the connection to upstream.example:8443 with status {status}; {remedy}");
        assert_named(&gateway, &["'mine'", &refusal, "add upstream.example to NO_PROXY"]);
        assert!(
            proxy.requests().iter().all(|seen| seen.head.first.starts_with("CONNECT upstream.example:8443"))
        );
    }
}

/// Requirement (issue 15, 5): what answers in the place of a proxy but is none.
#[test]
fn what_is_no_proxy_is_reported_with_its_variable() {
    for answer in [&b"SSH-2.0-OpenSSH_9.9\r\n\r\n"[..], b"HTTP/1.1 200", b"", &[b'x'; 20_000]] {
        let address = answering(answer);
        let gateway = behind(&format!("http://{address}"), "https").start();
        assert_named(&gateway, &[&address.to_string(), "did not answer CONNECT", "check HTTPS_PROXY"]);
    }
}

/// Requirement (issue 15, 5): a proxy that accepts no connection, or never answers CONNECT, is a 504 that names the proxy.
#[test]
fn a_silent_proxy_is_reported_with_its_variable() {
    let (full, silent) = (Deaf::full(), Upstream::anthropic().always(Answer::silence()));
    for proxy in [full.address, silent.address()] {
        let gateway = behind(&format!("http://{proxy}"), "https").limit("connect-timeout", 0.3).start();
        let reply = gateway.ask("hi");
        assert_eq!((reply.status(), reply.error_type().as_str()), (504, "timeout_error"), "{reply}");
        let message = reply.error_message();
        assert!(
            message.contains(&format!("the proxy {proxy} for provider 'mine' did not answer in time")),
            "{message}"
        );
        assert!(message.contains("check HTTPS_PROXY"), "{message}");
    }
}

/// Requirement (issue 15, 5): requests succeed without a restart as soon as the proxy works again.
#[test]
fn a_proxy_that_works_again_is_used_at_once() {
    let (deaf, proxy) = (Deaf::new(), Upstream::anthropic());
    let relay = Relay::new(deaf.address);
    let gateway = behind(&format!("http://{}", relay.address), "http").start();
    for _ in 0..5 {
        assert_eq!(gateway.ask("hi").status(), 502);
    }
    relay.lead_to(proxy.address());
    assert_eq!(gateway.ask("hi").text(), "Hello there!", "{}", gateway.log());
}
