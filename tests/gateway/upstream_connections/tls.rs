//! The same over TLS, and what TLS adds.

use std::time::Duration;

use super::{ask_every_way, asked, before, both, framed};
use crate::support::canned::anthropic;
use crate::support::gateway::Gateway;
use crate::support::tls::{Farewell, TlsFront};
use crate::support::upstream::{Answer, Dialect, Piece, Upstream};

/// A gateway before an upstream that is reached by TLS.
fn before_tls(dialect: Dialect, tls: &TlsFront) -> Gateway {
    before(dialect, tls.address)
        .env("MINE_BASE_URL", tls.base_url())
        .env("SSL_CERT_FILE", "authority.pem")
        .file("authority.pem", &tls.certificate)
        .start()
}

#[test]
fn the_same_holds_over_tls() {
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
            for (reply, text) in ask_every_way(&gateway, &question) {
                assert_eq!(text, question, "{reply}");
            }
        }
        assert_eq!(upstream.count(), 16);
        assert!(upstream.connections() <= 4, "{} connections", upstream.connections());
    }
}

#[test]
fn a_reply_that_ends_with_its_tls_connection_needs_the_end_of_tls() {
    for (farewell, status) in [(Farewell::CloseNotify, 200), (Farewell::None, 502)] {
        let upstream = Upstream::anthropic().ruled_by(|seen| {
            let reply = anthropic::whole(&asked(&seen.json()));
            Some(Answer::json(200, reply).until_close())
        });
        let tls = TlsFront::before(upstream.address(), farewell);
        let gateway = before_tls(Dialect::Anthropic, &tls);
        // Anybody on the way can end a TCP connection; RFC 9112, section 9.8.
        assert_eq!(gateway.ask_whole("hi").status(), status);
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let upstream = Upstream::anthropic();
    let tls = TlsFront::before(upstream.address(), Farewell::CloseNotify);
    let gateway = before(Dialect::Anthropic, tls.address).env("MINE_BASE_URL", tls.base_url()).start();
    let reply = gateway.ask_whole("hi");
    assert_eq!((reply.status(), upstream.count()), (502, 0), "{reply}");
    assert!(reply.error_message().contains("certificate"), "{reply}");
}
