//! The same tests over TLS, and the rules that TLS adds.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};

use super::{asked, before, both, framed, request_in_every_form};
use crate::support::canned::anthropic;
use crate::support::gateway::{Gateway, whole_prompt};
use crate::support::tls::{Farewell, TlsFront};
use crate::support::tls_client::Identity;
use crate::support::upstream::{Answer, Dialect, Piece, Upstream};

/// A gateway with an upstream that is called over TLS.
fn before_tls(dialect: Dialect, tls: &TlsFront) -> Gateway {
    before(dialect, tls.address)
        .env("MINE_BASE_URL", tls.base_url())
        .env("SSL_CERT_FILE", "authority.pem")
        .file("authority.pem", &tls.certificate)
        .start()
}

#[test]
fn requests_over_tls_are_served_on_reused_connections() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.ruled_by(move |seen| {
            let body = seen.json();
            let question = asked(&body);
            let hint = Piece::Bytes(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_vec());
            let reply = Piece::Bytes(framed(dialect, &body, &question));
            Some(Answer::raw(vec![hint, Piece::Pause(Duration::from_millis(20)), reply]))
        });
        let tls = TlsFront::before(upstream.address(), Farewell::CloseNotify);
        let gateway = before_tls(dialect, &tls);
        for turn in 0..4 {
            let question = format!("mark {turn}");
            for (reply, text) in request_in_every_form(&gateway, &question) {
                assert_eq!(text, question, "{reply}");
            }
        }
        assert_eq!(upstream.count(), 16);
        assert!(upstream.connections() <= 4, "{} connections", upstream.connections());
    }
}

#[test]
fn a_reply_that_ends_with_its_tls_connection_requires_close_notify() {
    for (farewell, status) in [(Farewell::CloseNotify, 200), (Farewell::None, 502)] {
        let upstream = Upstream::anthropic().ruled_by(|seen| {
            let reply = anthropic::whole(&asked(&seen.json()));
            Some(Answer::json(200, reply).until_close())
        });
        let tls = TlsFront::before(upstream.address(), farewell);
        let gateway = before_tls(Dialect::Anthropic, &tls);
        // Anyone on the network path can end a TCP connection: RFC 9112, section 9.8.
        assert_eq!(gateway.ask_whole("hi").status(), status);
    }
}

#[test]
fn an_untrusted_certificate_is_refused() {
    let upstream = Upstream::anthropic();
    let tls = TlsFront::before(upstream.address(), Farewell::CloseNotify);
    let gateway = before(Dialect::Anthropic, tls.address).env("MINE_BASE_URL", tls.base_url()).start();
    let reply = gateway.ask_whole("hi");
    assert_eq!((reply.status(), upstream.count()), (502, 0), "{reply}");
    assert!(
        reply.error_message().ends_with("set SSL_CERT_FILE to the certificate of that authority"),
        "{reply}"
    );
}

#[test]
fn the_error_for_a_refused_certificate_has_a_remedy_for_its_cause() {
    let names = |name: &str| CertificateParams::new([name.to_owned()]).expect("a name");
    let mut expired = names("localhost");
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut authority = names("localhost");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let upstream = Upstream::anthropic();
    for (params, remedy) in [
        (names("other.example"), "is for other.example; check the host in MINE_BASE_URL"),
        (expired, "has expired; the server needs a new one"),
        (authority, "is the certificate of an authority (CA:TRUE), which cannot identify a server; "),
    ] {
        let tls = TlsFront::with_certificate(upstream.address(), Farewell::CloseNotify, &params);
        let message = before_tls(Dialect::Anthropic, &tls).ask_whole("hi").error_message();
        let host = tls.base_url().replace("https://", "");
        let start = format!("provider 'mine': the certificate of {host} {remedy}");
        assert!(message.starts_with(&start), "{message}");
    }
    assert_eq!(upstream.count(), 0);
}

/// Requirement: `ca-file` of a provider is trusted for that provider, beside the usual authorities.
#[test]
fn a_provider_trusts_its_own_authority() {
    let upstream = Upstream::anthropic();
    let tls = TlsFront::before(upstream.address(), Farewell::CloseNotify);
    let setup = before(Dialect::Anthropic, tls.address).env("MINE_BASE_URL", tls.base_url());
    let other = setup.clone().env("OTHER_API_KEY", "sk-other").env("OTHER_BASE_URL", tls.base_url());
    let gateway = other.file("corp.pem", &tls.certificate).toml("[mine]\nca-file = 'corp.pem'").start();
    assert_eq!(gateway.ask_whole("hi").status(), 200);
    let other = gateway.messages(&whole_prompt("other:m", "hi")).reply();
    assert_eq!((other.status(), upstream.count()), (502, 1), "{other}");
}

/// Requirement: an upstream that requests a client certificate gets that of its provider; a reload replaces it.
#[test]
fn a_provider_presents_its_client_certificate() {
    let upstream = Upstream::anthropic();
    let (old, new) = (Identity::new(), Identity::new());
    let tls = TlsFront::for_client(upstream.address(), &new.certificate);
    let setup = before(Dialect::Anthropic, tls.address).env("MINE_BASE_URL", tls.base_url());
    let files = "[mine]\nca-file = 'corp.pem'\nclient-cert = 'client.pem'\nclient-key = 'client.key'\n";
    let setup = setup.file("corp.pem", &tls.certificate).env("MAX_RETRIES", "0");
    let gateway = setup.file("client.pem", &old.certificate).file("client.key", &old.key).toml(files).start();
    let refused = gateway.ask_whole("hi");
    assert_eq!((refused.status(), upstream.count()), (502, 0), "{refused}");
    assert!(refused.error_message().contains("requires a client certificate that it trusts"), "{refused}");
    gateway.run.write("client.pem", &new.certificate);
    let reload = || gateway.server(&["reload"]).output().expect("vdm is built");
    let told = reload();
    assert!(!told.status.success(), "the key belongs to the old certificate");
    gateway.run.write("client.key", &new.key);
    let told = reload();
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && text.contains("provider 'mine' has other certificates"), "{text}");
    let served = gateway.ask_whole("hi");
    assert_eq!((served.status(), upstream.count()), (200, 1), "{served}");
    assert!(!gateway.log().contains("PRIVATE KEY"));
}

/// Requirement: wrong files of a provider are clear errors at the start.
#[test]
fn wrong_certificates_of_a_provider_end_the_start() {
    let (one, other) = (Identity::new(), Identity::new());
    let start = |lines: &str, base: &str| {
        let setup = Gateway::bare().env("MINE_API_KEY", "sk-a").env("MINE_BASE_URL", base);
        let setup = setup.file("a.pem", &one.certificate).file("a.key", &one.key).file("b.key", &other.key);
        let ended = setup.toml(&format!("[mine]\n{lines}")).run_to_end();
        assert_eq!(ended.status.code(), Some(1), "{lines}: {}", ended.output);
        ended.output
    };
    for (lines, base, words) in [
        ("ca-file = 'absent.pem'", "https://x.example", "[mine] ca-file: cannot read absent.pem"),
        ("ca-file = 'a.key'", "https://x.example", "[mine] ca-file: a.key contains no certificate"),
        ("client-cert = 'a.pem'", "https://x.example", "set client-key as well"),
        ("client-key = 'a.key'", "https://x.example", "set client-cert as well"),
        (
            "client-cert = 'a.pem'\nclient-key = 'b.key'",
            "https://x.example",
            "[mine] client-key: the private key does not belong",
        ),
        ("client-cert = 'a.pem'\nclient-key = 'a.pem'", "https://x.example", "a.pem contains no private key"),
        ("ca-file = 'a.pem'", "http://x.example", "so there is no TLS; write https://"),
    ] {
        let text = start(lines, base);
        assert!(text.contains(words), "{lines}: {text}");
    }
}
