//! A gateway that speaks TLS to its clients: `tls-cert` and `tls-key`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::master::last_good::replace_worker;
use crate::support::client::{Call, connect, prompt};
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::tls_client::Identity;
use crate::support::upstream::{Answer, Upstream};
use crate::support::{PATIENCE, await_that};

const FILES: &str = "tls-cert = 'tls/cert.pem'\ntls-key = 'tls/key.pem'\n";

/// The top-level keys must come before `[limits]` of the other file.
fn with_identity(setup: Setup, identity: &Identity) -> Setup {
    setup
        .file("vandamme-config.toml", FILES)
        .file("tls/cert.pem", &identity.certificate)
        .file("tls/key.pem", &identity.key)
}

fn ask(gateway: &Gateway, identity: &Identity) -> Call {
    let call = Call::new(identity.tunnel(gateway.address), "POST", "/v1/messages");
    call.json(&whole_prompt(MODEL, "hi"))
}

/// Requirement: with `tls-cert` and `tls-key` the listener speaks TLS; replies, streams and early ends are those of plain HTTP.
#[test]
fn requests_and_streams_are_served_over_tls() {
    let (upstream, identity) = (Upstream::anthropic(), Identity::new());
    let gateway = with_identity(Gateway::before(&upstream), &identity).start();
    assert_eq!(ask(&gateway, &identity).reply().status(), 200);
    let streamed = Call::new(identity.tunnel(gateway.address), "POST", "/v1/messages");
    let reply = streamed.json(&prompt(MODEL, "hi")).reply();
    assert!(reply.complete && reply.status() == 200, "{reply}");
    assert_eq!(reply.names().last().map(String::as_str), Some("message_stop"), "{reply}");
    let large = format!("{} end", "x".repeat(3 << 20));
    let call = Call::new(identity.tunnel(gateway.address), "POST", "/v1/messages");
    assert_eq!(call.json(&whole_prompt(MODEL, &large)).reply().status(), 200);
    assert!(upstream.requests().last().expect("it arrived").text().contains("x end"));
}

/// Requirement: when a client disconnects, its upstream request is cancelled, over TLS as well.
#[test]
fn a_client_that_disconnects_ends_its_upstream_request() {
    let (upstream, identity) = (Upstream::anthropic(), Identity::new());
    let gateway = with_identity(Gateway::before(&upstream), &identity).start();
    upstream.then(Answer::json(200, "{}").head_on_permit());
    let exchange = ask(&gateway, &identity).send();
    upstream.request(0);
    exchange.hang_up();
    gateway.run.await_log("client disconnected");
}

/// Requirement (issue 15): a worker that replaces a failed one continues with the last good certificate, if the files are
/// invalid or missing; the next valid files are used by a reload.
#[test]
fn a_replaced_worker_keeps_the_last_good_certificate() {
    let (upstream, identity, renewed) = (Upstream::anthropic(), Identity::new(), Identity::new());
    let gateway = with_identity(Gateway::before(&upstream), &identity).start();
    gateway.run.write("tls/cert.pem", "no certificate");
    replace_worker(&gateway);
    assert_eq!(ask(&gateway, &identity).reply().status(), 200);
    assert!(gateway.status()["config_errors"].to_string().contains("tls/cert.pem"), "{}", gateway.status());
    for file in ["tls/cert.pem", "tls/key.pem"] {
        std::fs::remove_file(gateway.run.path(file)).expect("there");
    }
    replace_worker(&gateway);
    assert_eq!(ask(&gateway, &identity).reply().status(), 200);

    gateway.run.write("tls/cert.pem", &renewed.certificate);
    gateway.run.write("tls/key.pem", &renewed.key);
    assert!(gateway.server(&["reload"]).status().expect("vdm is built").success());

    assert_eq!(ask(&gateway, &renewed).reply().status(), 200);
    assert_eq!(gateway.status()["config_errors"], serde_json::json!([]));
    assert!(!gateway.log().contains("PRIVATE KEY"));
}

/// Requirement: the listener negotiates HTTP/1.1 and nothing else.
#[test]
fn the_only_protocol_is_http_1_1() {
    let identity = Identity::new();
    let gateway = with_identity(Gateway::bare(), &identity).start();
    assert_eq!(identity.handshake(gateway.address, &[b"h2", b"http/1.1"]).expect("TLS"), b"http/1.1");
    assert_eq!(identity.handshake(gateway.address, &[]).expect("TLS"), b"");
    assert!(identity.handshake(gateway.address, &[b"h2"]).is_err());
}

/// Requirement: plain HTTP on a TLS port gets a readable 400.
#[test]
fn plain_http_gets_a_readable_answer() {
    let identity = Identity::new();
    let gateway = with_identity(Gateway::bare(), &identity).start();
    let reply = gateway.messages(&prompt(MODEL, &"x".repeat(20_000))).reply();
    assert_eq!((reply.status(), reply.error_type().as_str()), (400, "invalid_request_error"), "{reply}");
    assert!(reply.error_message().contains("use https://"), "{reply}");
}

/// Requirement: a failed handshake is logged at DEBUG and costs nothing else.
#[test]
fn a_failed_handshake_is_a_debug_line() {
    let identity = Identity::new();
    let upstream = Upstream::anthropic();
    let setup = with_identity(Gateway::before(&upstream), &identity).argument("--verbose");
    let gateway = setup.start();
    let mut stream = connect(gateway.address);
    stream.write_all(b"\x16\x03\x01\x00\x05hello").expect("a socket");
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "only a TLS alert may come");
    let log = gateway.run.await_log("TLS handshake with 127.0.0.1");
    assert!(log.lines().filter(|line| line.contains("TLS handshake")).all(|line| line.contains("DEBUG")));
    assert!(Identity::new().handshake(gateway.address, &[]).is_err(), "another certificate is not trusted");
    assert_eq!(ask(&gateway, &identity).reply().status(), 200);
}

/// Requirement: a handshake has `limits.request-head-timeout`, and counts as a connection.
#[test]
fn a_handshake_that_does_not_proceed_is_ended_and_counts_as_a_connection() {
    let identity = Identity::new();
    let upstream = Upstream::anthropic();
    let setup = with_identity(Gateway::before(&upstream), &identity);
    let gateway = setup.limit("request-head-timeout", 1).limit("connections-per-address", 2).start();
    // The connections of the start must be gone.
    await_that("the connections of the start are closed", || ask_status(&gateway, &identity) == Some(200));
    let mut silent = Vec::new();
    let since = Instant::now();
    // On a busy machine, the first pair can be refused itself, or end too early.
    await_that("a third connection is refused", || {
        silent = vec![connect(gateway.address), connect(gateway.address)];
        let begun = (&silent[0]).write_all(b"\x16\x03\x01").is_ok();
        begun && identity.handshake(gateway.address, &[]).is_err()
    });
    for mut stream in silent {
        let _ended = stream.read_to_end(&mut Vec::new());
    }
    assert!(since.elapsed() < PATIENCE / 2, "the handshakes were ended");
    await_that("the places are free again", || ask_status(&gateway, &identity) == Some(200));
}

fn ask_status(gateway: &Gateway, identity: &Identity) -> Option<u16> {
    identity.handshake(gateway.address, &[]).ok()?;
    // The connection of the handshake may still count.
    std::thread::sleep(Duration::from_millis(100));
    Some(ask(gateway, identity).reply().status())
}

/// Requirement: a renewed certificate is used when its files change; an unusable one keeps the old one and logs one line.
#[test]
fn a_renewed_certificate_is_used_without_a_reload() {
    let (old, new) = (Identity::new(), Identity::new());
    let gateway = with_identity(Gateway::bare(), &old).limit("certificate-check", 0.05).start();
    assert!(old.handshake(gateway.address, &[]).is_ok());
    gateway.run.write("tls/cert.pem", "no certificate");
    gateway.run.await_log("the new certificate is not used, the old one stays");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(gateway.log().matches("the old one stays").count(), 1, "{}", gateway.log());
    assert!(old.handshake(gateway.address, &[]).is_ok());
    gateway.run.write("tls/key.pem", &new.key);
    gateway.run.write("tls/cert.pem", &new.certificate);
    gateway.run.await_log("new connections use the new certificate");
    assert!(new.handshake(gateway.address, &[]).is_ok());
    assert!(old.handshake(gateway.address, &[]).is_err());
}

/// Requirement: `vdm server reload` reads the certificate again; with an unusable one nothing changes.
#[test]
fn a_reload_reads_the_certificate_again() {
    let (old, new) = (Identity::new(), Identity::new());
    let gateway = with_identity(Gateway::bare(), &old).start();
    let reload = || gateway.server(&["reload"]).output().expect("vdm is built");
    gateway.run.write("tls/key.pem", &new.key);
    let refused = reload();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("the private key does not belong to the certificate"), "{text}");
    assert!(old.handshake(gateway.address, &[]).is_ok());
    gateway.run.write("tls/cert.pem", &new.certificate);
    let told = reload();
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && text.contains("the certificate of tls-cert is new"), "{text}");
    assert!(new.handshake(gateway.address, &[]).is_ok());
}

/// Requirement: wrong files are one clear error each at the start.
#[test]
fn wrong_files_end_the_start() {
    let identity = Identity::new();
    let start = |cert: &str, key: &str| {
        let setup = Gateway::bare().file("vandamme-config.toml", FILES);
        let setup = setup.file("tls/cert.pem", cert).file("tls/key.pem", key);
        let ended = setup.run_to_end();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
        assert!(!ended.output.contains(identity.key.lines().nth(1).expect("a line")), "no key is shown");
        ended.output
    };
    let (cert, key) = (identity.certificate.as_str(), identity.key.as_str());
    assert!(start(key, key).contains("tls-cert: tls/cert.pem contains no certificate"));
    assert!(start(cert, cert).contains("tls-key: tls/key.pem contains no private key"));
    assert!(start(cert, &Identity::new().key).contains("tls-key: the private key does not belong"));
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(start(cert, locked).contains("is encrypted; remove its passphrase"));
    let missing = Gateway::bare().file("vandamme-config.toml", FILES).run_to_end().output;
    assert!(missing.contains("tls-cert: cannot read tls/cert.pem"), "{missing}");
    let half = Gateway::bare().env("VDM_TLS_CERT", "cert.pem").run_to_end().output;
    assert!(half.contains("VDM_TLS_CERT: the certificate needs its private key; set tls-key"), "{half}");
}

/// Requirement: the start message, `vdm server status`, `vdm health server` and `vdm wrap` use https, and work with the
/// gateway's self-signed certificate.
#[test]
fn commands_speak_tls_to_their_own_gateway() {
    let identity = Identity::new();
    let upstream = Upstream::anthropic();
    let gateway = with_identity(Gateway::before(&upstream), &identity).start();
    let url = format!("https://127.0.0.1:{}", gateway.address.port());
    assert!(gateway.log().contains(&format!("listens on {url}")), "{}", gateway.log());
    // The tests write it for everybody.
    assert!(gateway.log().contains("everybody on this machine can read tls/key.pem; chmod 600"));
    let port = gateway.address.port().to_string();
    let vdm = |arguments: &[&str]| {
        let output = gateway.run.vdm(arguments).output().expect("vdm is built");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    for command in [
        &["server", "status", "--port", &port][..],
        &["health", "server", "--port", &port],
        &["wrap", "--port", &port, "--dry-run", "--openai", "sh"],
    ] {
        let (code, text) = vdm(command);
        assert!(code == Some(0) && text.contains(&url), "{command:?} {code:?}: {text}");
    }
    // Without the certificate in its configuration it is recognised over the control socket.
    gateway.run.write("vandamme-config.toml", "");
    let (code, text) = vdm(&["health", "server", "--port", &port]);
    assert!(code == Some(0) && text.contains(&url), "{text}");
    // A host that is named by hand must have a valid certificate.
    let (code, text) = vdm(&["health", "server", "--host", "127.0.0.1", "--port", &port]);
    assert!(code == Some(1), "{text}");
    gateway.run.write("vandamme-config.toml", FILES);
    gateway.run.write("tls/cert.pem", &Identity::new().certificate);
    let (code, text) = vdm(&["health", "server", "--host", "127.0.0.1", "--port", &port]);
    assert!(code == Some(1) && !text.contains("healthy"), "{text}");
}

/// Requirement: the Host check, the Origin check and the check of forwarding headers hold on TLS.
#[test]
fn the_checks_of_a_gateway_without_a_key_hold_on_tls() {
    let identity = Identity::new();
    let upstream = Upstream::anthropic();
    let gateway = with_identity(Gateway::before(&upstream), &identity).start();
    let call = || ask(&gateway, &identity);
    for call in [
        call().replacing_host("evil.example"),
        call().header("origin", "null"),
        call().header("origin", "https://evil.example"),
        call().header("x-forwarded-for", "192.0.2.1"),
        call().header("x-forwarded-proto", "https"),
        call().header("host", "localhost"),
    ] {
        let reply = call.reply();
        assert!(matches!(reply.status(), 400 | 403), "{call:?}: {reply}");
    }
    assert_eq!(upstream.count(), 0);
    let own = format!("https://{}", gateway.address);
    assert_eq!(call().header("origin", &own).reply().status(), 200, "a page of this machine");
    assert!(TcpStream::connect(gateway.address).is_ok());
}
