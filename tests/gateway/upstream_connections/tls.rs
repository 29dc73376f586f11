//! The same tests over TLS, and the rules that TLS adds.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};

use super::{asked, before, both, framed, request_in_every_form};
use crate::support::canned::anthropic;
use crate::support::gateway::Gateway;
use crate::support::tls::{Farewell, TlsFront};
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
