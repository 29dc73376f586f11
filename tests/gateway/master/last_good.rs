//! A worker that replaces a failed one while the configuration on disk is invalid continues with the last good one.

use std::fs;
use std::thread;
use std::time::Duration;

use super::{refused_restart, restart, signal};
use crate::process_control::provider;
use crate::support::await_that;
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

/// Kills the worker, and waits until another one serves.
pub(crate) fn replace_worker(gateway: &Gateway) -> u32 {
    let killed = gateway.worker();
    signal(killed, "KILL");
    let mut worker = killed;
    await_that("another worker serves", || {
        worker = gateway.worker();
        worker != killed
    });
    worker
}

/// What `status` reports as errors of the configuration on disk.
fn errors(gateway: &Gateway) -> String {
    gateway.status()["config_errors"].to_string()
}

/// Requirement (issue 15): a worker is replaced although the configuration on disk is invalid: it uses the last good one, log
/// and status say so and why, a restart is refused as always, and the next valid configuration is applied by a reload.
#[test]
fn the_last_good_configuration_is_used_while_the_one_on_disk_is_invalid() {
    let upstream = Upstream::openai();
    let gateway = Gateway::bare().toml(&provider("mine", &upstream, "sk-first")).start();
    assert_eq!(errors(&gateway), "[]");
    gateway.run.write("test.toml", "prot = 1\n");

    let worker = replace_worker(&gateway);

    assert_eq!(gateway.ask_whole("hi").status(), 200);
    let log = gateway.run.await_log("this worker uses the last good configuration");
    assert!(log.contains("the configuration on disk is invalid: ") && log.contains("prot"), "{log}");
    assert!(errors(&gateway).contains("prot: there is no such key"), "{}", gateway.status());
    let words = gateway.server(&["status"]).output().expect("vdm is built").stdout;
    let words = String::from_utf8_lossy(&words);
    assert!(words.contains("the last good one is in use") && words.contains("prot"), "{words}");
    assert!(refused_restart(&gateway).contains("prot: there is no such key"));
    assert_eq!((gateway.worker(), gateway.ask_whole("hi").status()), (worker, 200));

    gateway.run.write("test.toml", &provider("mine", &upstream, "sk-second"));
    assert!(gateway.server(&["reload"]).status().expect("vdm is built").success());
    assert_eq!((errors(&gateway), gateway.ask_whole("hi").status()), ("[]".to_owned(), 200));
    assert_eq!(upstream.keys_seen(), ["sk-first", "sk-first", "sk-second"]);

    // What was reloaded is the last good one from now on, also for the program that a restart executes.
    restart(&gateway);
    thread::sleep(Duration::from_millis(500));
    gateway.run.write("test.toml", "[");
    replace_worker(&gateway);
    assert_eq!(gateway.ask_whole("hi").status(), 200);
    assert_eq!(upstream.keys_seen().last().map(String::as_str), Some("sk-second"));
    assert!(!gateway.log().contains("sk-second"), "{}", gateway.log());
}

/// Requirement (issue 15): the same holds for `.env` and for key files, which may be gone; a valid configuration on disk wins.
#[test]
fn a_missing_key_file_and_an_invalid_env_file_end_no_gateway() {
    let upstream = Upstream::openai();
    let toml = provider("mine", &upstream, "").replace("api-key = ''", "api-key-file = 'keys'");
    let gateway = Gateway::bare().toml(&toml).file("keys", "sk-from-file").dotenv("LOG_LEVEL=INFO").start();
    fs::remove_file(gateway.run.path("keys")).expect("just written");
    gateway.run.write(".env", "no line of a variable");

    replace_worker(&gateway);

    assert_eq!(gateway.ask_whole("hi").status(), 200);
    assert_eq!(upstream.keys_seen(), ["sk-from-file"]);
    assert!(errors(&gateway).contains("keys"), "{}", gateway.status());
    gateway.run.write("keys", "sk-new");
    gateway.run.write(".env", "");
    replace_worker(&gateway);
    assert_eq!((gateway.ask_whole("hi").status(), errors(&gateway).as_str()), (200, "[]"));
    assert_eq!(upstream.keys_seen(), ["sk-from-file", "sk-new"]);
}
