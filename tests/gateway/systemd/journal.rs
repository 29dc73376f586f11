//! `--systemd`, and stderr that is a stream to the journal.

use std::process::Command;

use serde_json::json;

use super::{Receiver, with_journal};
use crate::support::gateway::{Gateway, Run, Setup, free_port};
use crate::support::upstream::{Answer, Upstream};

/// Says that stderr is a stream to the journal, as systemd does.
const STREAM: &str = "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)";

/// The value of a field of an entry.
fn field<'a>(entry: &'a str, name: &str) -> Option<&'a str> {
    entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Starts a gateway that logs to this journal.
fn started(setup: &Setup, journal: &Receiver) -> Gateway {
    let port = free_port();
    let run: Run = setup.run(port);
    journal.await_one(&format!("listens on http://127.0.0.1:{port}"));
    Gateway { run, address: ([127, 0, 0, 1], port).into() }
}

/// Requirement: with --systemd, the start message, warnings and requests are entries of the journal with identifier, priority and
/// fields, the console gets nothing, no key is in an entry, and `/metrics/logs` names the journal.
#[test]
fn the_log_goes_to_the_journal_with_fields() {
    let journal = Receiver::new();
    let Some(line) = with_journal(Some(&journal.path)) else { return };
    let upstream =
        Upstream::openai().answering(Answer::json(401, json!({"error": {"message": "no"}}).to_string()));
    let setup = Gateway::before(&upstream).keys(["sk-first", "sk-second"]).argument("--systemd");
    let gateway = started(&setup.env("OPENAI_TIMEOUTT", "1").after_shell(&line), &journal);

    let reply = gateway.ask("hi");
    assert_eq!(reply.status(), 200, "{reply}");

    let mut seen = String::new();
    let done = loop {
        let entry = journal.await_one("MESSAGE=");
        seen.push_str(&entry);
        if field(&entry, "STATUS").is_some() {
            break entry;
        }
    };
    let of_request = |name: &str| field(&done, name).unwrap_or_else(|| panic!("no {name}: {done}"));
    assert_eq!(of_request("SYSLOG_IDENTIFIER"), "vandamme-proxy");
    assert_eq!(of_request("PRIORITY"), "6");
    assert_eq!(
        (of_request("PROVIDER"), of_request("MODEL"), of_request("STATUS")),
        ("openai", "test-model", "200")
    );
    assert_eq!(of_request("REQUEST_ID"), reply.header("request-id").expect("an id"));
    assert_eq!(of_request("UPSTREAM_CALLS"), "2");
    assert!(of_request("MESSAGE").contains(of_request("REQUEST_ID")));
    let failed =
        seen.split("MESSAGE=").find(|entry| entry.contains("call 1 to")).expect("the first call failed");
    assert_eq!(
        (field(failed, "PRIORITY"), field(failed, "REQUEST_ID")),
        (Some("4"), field(&done, "REQUEST_ID"))
    );

    let logs = gateway.get("/metrics/logs").json();
    assert_eq!(logs["systemd"], json!({"requested": true, "effective": true, "handler": "journal"}));
    assert!(!seen.contains("sk-first") && !seen.contains("sk-second"), "{seen}");
    assert_eq!(gateway.stop(), "");
}

/// Requirement: without a journal, --systemd is one warning that says so, and the log goes to the console.
#[test]
fn without_a_journal_the_log_goes_to_the_console() {
    let Some(line) = with_journal(None) else { return };
    let gateway = Gateway::bare().argument("--systemd").after_shell(&line).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    let logs = gateway.get("/metrics/logs").json();
    assert_eq!(logs["systemd"], json!({"requested": true, "effective": false, "handler": "console"}));
    let log = gateway.stop();
    assert_eq!(log.matches("--systemd: the log goes to stderr").count(), 1, "{log}");
    assert!(log.contains("INFO  vandamme"), "{log}");
}

/// Requirement: where stderr is a stream to the journal, the log goes to the journal's own socket without --systemd, too.
#[test]
fn a_stream_to_the_journal_is_replaced_by_its_socket() {
    let journal = Receiver::new();
    let Some(line) = with_journal(Some(&journal.path)) else { return };
    let gateway = started(&Gateway::bare().after_shell(&format!("{STREAM}; {line}")), &journal);
    let logs = gateway.get("/metrics/logs").json();
    assert_eq!(logs["systemd"], json!({"requested": false, "effective": true, "handler": "journal"}));
    assert_eq!(gateway.stop(), "");
}

/// Requirement: where stderr is a stream to the journal but its socket cannot be reached, lines carry their priority.
#[test]
fn lines_to_a_journal_without_a_socket_carry_their_priority() {
    let Some(line) = with_journal(None) else { return };
    let gateway = Gateway::bare().after_shell(&format!("{STREAM}; {line}")).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    let log = gateway.stop();
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
    assert!(log.lines().any(|line| line.starts_with("<6>2") && line.contains("INFO  vandamme")), "{log}");
}

/// Requirement: a stream that belongs to another program changes nothing.
#[test]
fn another_programs_stream_is_ignored() {
    let gateway = Gateway::bare().env("JOURNAL_STREAM", "1:2").start();
    let log = gateway.stop();
    assert!(log.contains("Point Claude Code at it") && !log.contains("<6>"), "{log}");
}

/// Requirement: `vdm wrap --systemd` starts a gateway that logs to the journal.
#[test]
fn a_wrapped_gateway_logs_to_the_journal() {
    let journal = Receiver::new();
    let Some(line) = with_journal(Some(&journal.path)) else { return };
    let home = std::env::temp_dir().join(format!("vdm-{}-wrapj", std::process::id()));
    std::fs::create_dir_all(&home).expect("a writable directory");
    let mut wrap = Command::new("sh");
    wrap.args(["-c", &line, env!("CARGO_BIN_EXE_vdm"), "wrap", "--openai", "true", "--systemd"]);
    wrap.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    wrap.env("HOME", &home).env("XDG_RUNTIME_DIR", &home).current_dir(&home);
    // The session's gateway is not the service that this process could be.
    wrap.env("NOTIFY_SOCKET", "/absent/socket");

    let wrapped = wrap.output().expect("vdm is built");

    assert!(wrapped.status.success(), "{wrapped:?}");
    let entry = journal.await_one("listens on http://127.0.0.1:");
    assert_eq!(field(&entry, "SYSLOG_IDENTIFIER"), Some("vandamme-proxy"));
    let log = journal.await_one("shutting down");
    assert!(!log.contains("cannot be notified"), "{log}");
    let _removed = std::fs::remove_dir_all(&home);
}

/// Checklist 51: `LOG_FORMAT=journald` is the same as --systemd: entries have the fields REQUEST_ID, PROVIDER and MODEL.
/// Checklist 49: no key is in any of them.
#[test]
fn the_log_format_sends_entries_with_fields() {
    let journal = Receiver::new();
    let Some(line) = with_journal(Some(&journal.path)) else { return };
    let upstream = Upstream::openai();
    let setup = Gateway::before(&upstream).keys(["sk-proj-canary"]).env("LOG_FORMAT", "journald");
    let gateway = started(&setup.env("LOG_LEVEL", "DEBUG").after_shell(&line), &journal);
    let call = gateway.call("POST", "/v1/messages").json(&crate::support::client::prompt("m", "a prompt"));
    let reply = call.header("x-api-key", "sk-or-v1-canary").reply();
    assert_eq!(reply.status(), 200, "{reply}");

    let mut seen = String::new();
    let done = loop {
        let entry = journal.await_one("MESSAGE=");
        seen.push_str(&entry);
        if field(&entry, "STATUS").is_some() {
            break entry;
        }
    };
    assert_eq!(field(&done, "REQUEST_ID"), reply.header("x-vdm-request-id"));
    assert_eq!((field(&done, "PROVIDER"), field(&done, "MODEL")), (Some("openai"), Some("m")), "{done}");
    assert_eq!((field(&done, "STREAMED"), field(&done, "SESSION")), (Some("true"), None), "{done}");
    assert!(!seen.contains("canary") && !seen.contains("a prompt"), "{seen}");
    assert_eq!(gateway.stop(), "");
}

/// Checklist 51: without the journal's socket there is one warning, and the log goes to the console.
#[test]
fn the_log_format_without_a_journal_is_a_warning() {
    let Some(line) = with_journal(None) else { return };
    let gateway = Gateway::bare().env("LOG_FORMAT", "journald").after_shell(&line).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    let log = gateway.stop();
    assert_eq!(log.matches("log-format (LOG_FORMAT): the log goes to stderr").count(), 1, "{log}");
    assert!(log.contains("INFO  vandamme"), "{log}");
}
