//! `vdm server restart`: another program, or another configuration, without a lost request.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::load::{Load, Reuse};
use super::moves::move_away;
use super::{refused_restart, restart, runs, signal};
use crate::process_control::{paused, provider};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, fresh_directory, whole_prompt};
use crate::support::upstream::{Answer, Upstream};
use crate::support::wire::{Framing, Wire};
use crate::support::{PATIENCE, await_that};

const VDM: &str = env!("CARGO_BIN_EXE_vdm");

/// The file that a process executes.
fn executed(pid: u32) -> u64 {
    fs::metadata(format!("/proc/{pid}/exe")).expect("it runs").ino()
}

/// Requirement: a restart refuses no request and cuts no stream; the process keeps its number.
#[test]
fn a_restart_loses_nothing() {
    let (upstream, events) = paused();
    let quick = Upstream::openai();
    let gateway = Gateway::before(&upstream).provider("quick", &quick).start();
    let (master, first) = (gateway.run.pid(), gateway.worker());
    let mut before = gateway.messages(&prompt(MODEL, "hi")).open();
    before.event_named("content_block_delta");
    let kept = Load::start_for(&gateway, "quick:m", 2, Reuse::KeepAlive);
    let new = Load::start_for(&gateway, "quick:m", 2, Reuse::NewConnections);
    kept.await_more(20);

    let told = restart(&gateway);

    let second = gateway.worker();
    assert_eq!((&told["pid"], &told["state"]), (&master.into(), &"running".into()));
    assert!(second != first && runs(first), "the old worker finishes its stream");
    await_that("the old worker has only its stream left", || {
        let draining = &gateway.status()["worker"]["draining"][0];
        (&draining["pid"], &draining["in_flight"]) == (&first.into(), &1.into())
    });
    kept.await_more(20);
    new.await_more(20);
    let mut after = gateway.messages(&prompt(MODEL, "hi")).open();
    after.event_named("content_block_delta");
    upstream.permit();
    upstream.permit();
    assert_eq!(before.finish().body, events.concat());
    assert_eq!(after.finish().body, events.concat());
    for load in [kept, new] {
        let (lost, served) = load.finish();
        assert!(lost.is_empty() && served > 40, "{lost:?} of {served}");
    }
    await_that("the old worker exits", || !runs(first));
    gateway.run.await_log(&format!("worker {first} exited with code 0"));
    assert_eq!(gateway.stop().matches("listens on").count(), 2);
}

/// Requirement: restarts in a row under load lose nothing either, by command and by SIGUSR2.
#[test]
fn restarts_in_a_row_lose_nothing() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let kept = Load::start(&gateway, 2, Reuse::KeepAlive);
    let new = Load::start(&gateway, 2, Reuse::NewConnections);
    for turn in 0..4 {
        let before = gateway.worker();
        if turn % 2 == 0 {
            restart(&gateway);
        } else {
            gateway.run.signal("USR2");
            await_that("another worker serves", || gateway.worker() != before);
        }
        kept.await_more(5);
        new.await_more(5);
    }
    for load in [kept, new] {
        let (lost, served) = load.finish();
        assert!(lost.is_empty(), "{lost:?} of {served}");
    }
}

/// Requirement: a restart runs the program that is on disk, in master and worker.
#[test]
fn a_restart_runs_the_program_on_disk() {
    let directory = fresh_directory();
    let program = directory.join("vdm");
    fs::copy(VDM, &program).expect("a writable directory");
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).program(&program).start();
    let replaced = executed(gateway.run.pid());
    fs::copy(VDM, directory.join("new")).expect("a writable directory");
    fs::rename(directory.join("new"), &program).expect("a writable directory");
    // A worker that fails before the restart is replaced by the program that the master executes.
    signal(gateway.worker(), "KILL");
    await_that("another worker serves", || gateway.status()["worker"]["restarts"] == 1);
    assert_eq!(executed(gateway.worker()), replaced);

    restart(&gateway);

    let new = fs::metadata(&program).expect("there").ino();
    assert!(new != replaced);
    assert_eq!((executed(gateway.run.pid()), executed(gateway.worker())), (new, new));
    assert_eq!(gateway.status()["worker"]["restarts"], 1, "the count is kept");
    assert_eq!(gateway.ask("hi").status(), 200);
    fs::remove_dir_all(directory).expect("ours");
}

/// Requirement: a restart onto a changed port serves there before the old worker stops accepting.
#[test]
fn a_restart_moves_to_a_changed_port() {
    let (upstream, events) = paused();
    let mut gateway = Gateway::before(&upstream).port_in_file().start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");
    let before = gateway.address;

    move_away(&mut gateway);

    assert_eq!(gateway.status()["address"], gateway.address.to_string());
    assert_eq!(gateway.get("/health").status(), 200);
    upstream.permit();
    assert_eq!(exchange.finish().body, events.concat());
    await_that("the old port is free", || std::net::TcpListener::bind(before).is_ok());
    assert_eq!(gateway.status()["pid"], gateway.run.pid());
    assert!(gateway.server(&["stop"]).status().expect("vdm is built").success());
}

/// Requirement: a program or a configuration that cannot start changes nothing, and the caller gets the reason.
#[test]
fn what_cannot_start_changes_nothing() {
    let directory = fresh_directory();
    let program = directory.join("vdm");
    fs::copy(VDM, &program).expect("a writable directory");
    let gateway = Gateway::bare().program(&program).port_in_file().start();
    let (worker, port) = (gateway.worker(), gateway.address.port());
    let config = |text: &str| gateway.run.write("vandamme-config.toml", text);
    config(&format!("port = {port}\nprot = 1\n"));
    let told = refused_restart(&gateway);
    assert!(told.contains("prot: there is no such key"), "{told}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let other = taken.local_addr().expect("bound").port();
    config(&format!("port = {other}\n"));
    // The configuration names another gateway now.
    let output = gateway.server(&["restart"]).output().expect("vdm is built");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(&format!("port {other} on 127.0.0.1 is already in use")), "{told}");
    config(&format!("host = '0.0.0.0'\nport = {port}\n"));
    let told = refused_restart(&gateway);
    assert!(
        told.contains(&format!("cannot move from host 127.0.0.1 to 0.0.0.0 while it uses port {port}")),
        "{told}"
    );
    config(&format!("port = {port}\n"));
    let replace = |content: &str| {
        let new = directory.join("new");
        fs::write(&new, content).expect("a writable directory");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("ours");
        fs::rename(new, &program).expect("a writable directory");
    };
    replace("no program");
    let told = refused_restart(&gateway);
    assert!(told.contains(Path::new(&program).to_str().expect("ASCII")), "{told}");
    replace("#!/bin/sh\nexit 5\n");
    let told = refused_restart(&gateway);
    assert!(told.contains("exited with code 5 before it served"), "{told}");

    assert_eq!((gateway.worker(), gateway.get("/health").status()), (worker, 200));
    assert_eq!(gateway.status()["worker"]["draining"], serde_json::json!([]));
    fs::remove_dir_all(directory).expect("ours");
}

/// Requirement: an old worker drains without a limit, until a second restart sets one.
#[test]
fn a_second_restart_bounds_the_first_drain() {
    let (upstream, _) = paused();
    let gateway = Gateway::before(&upstream).limit("drain", 0.5).start();
    let first = gateway.worker();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");
    restart(&gateway);
    thread::sleep(Duration::from_secs(2));
    assert!(runs(first), "longer than limits.drain");

    restart(&gateway);

    assert!(!exchange.finish().error_type().is_empty());
    await_that("the first worker exits", || !runs(first));
}

/// Requirement: a connection whose stream spans two restarts can be used again, since its client was not notified of an end.
#[test]
fn a_second_restart_closes_no_connection_without_notice() {
    let (upstream, _) = paused();
    let quick = Upstream::openai();
    let gateway = Gateway::before(&upstream).provider("quick", &quick).start();
    let mut stream = TcpStream::connect(gateway.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    stream.write_all(&gateway.ask_bytes("hi")).expect("sent");
    let head = wire.head().expect("a reply").expect("a head");
    assert_eq!((head.second_word(), head.header("connection")), ("200", None));

    restart(&gateway);
    restart(&gateway);
    upstream.permit();
    wire.body(Framing::of_reply(&head)).expect("the whole stream");
    thread::sleep(Duration::from_millis(300));

    stream.write_all(&gateway.messages(&whole_prompt("quick:m", "hi")).bytes()).expect("still open");
    let head = wire.head().expect("a reply").expect("a head");
    assert_eq!((head.second_word(), head.header("connection")), ("200", Some("close")));
}

/// Requirement: `stop` ends a worker that serves idle connections after a second restart at once.
#[test]
fn stop_does_not_wait_for_idle_connections_of_an_old_worker() {
    let quick = Upstream::openai();
    let mut gateway = Gateway::before(&quick).start();
    let first = gateway.worker();
    let mut stream = TcpStream::connect(gateway.address).expect("it listens");
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    stream.write_all(&gateway.messages(&whole_prompt(MODEL, "hi")).bytes()).expect("sent");
    let head = wire.head().expect("a reply").expect("a head");
    wire.body(Framing::of_reply(&head)).expect("a reply");
    restart(&gateway);
    restart(&gateway);
    assert!(runs(first), "its connection is idle");
    let began = std::time::Instant::now();

    gateway.run.signal("TERM");

    assert_eq!(gateway.run.wait().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "limits.drain is 25 s");
}

/// Requirement: a restart reads the configuration again, and requests that began before keep theirs.
#[test]
fn a_restart_reads_the_configuration() {
    let (one, events) = paused();
    let two = Upstream::openai();
    let gateway = Gateway::bare().toml(&provider("one", &one, "sk-one")).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");
    gateway.run.write("test.toml", &provider("two", &two, "sk-two"));

    assert_eq!(restart(&gateway)["providers"], serde_json::json!(["two"]));

    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(two.keys_seen(), ["sk-two"]);
    one.permit();
    assert_eq!(exchange.finish().body, events.concat());
}

/// Requirement: streams that never end, such as that of active requests, move to the new worker.
#[test]
fn a_watcher_of_active_requests_is_disconnected_by_a_restart() {
    let gateway = Gateway::bare().start();
    let mut watcher = gateway.call("GET", "/metrics/active-requests/stream").open();
    assert!(watcher.event().is_some());
    restart(&gateway);
    assert!(watcher.finish().complete);
}

/// Requirement: what the old worker knows is handed over at a restart, and kept for the replacement of a failed worker.
#[test]
fn cooldowns_survive_a_restart_and_the_end_of_a_worker() {
    let limited = Answer::json(429, "{\"error\":{\"message\":\"slow down\"}}").header("retry-after", "40");
    let upstream = Upstream::openai().always(limited);
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    assert_eq!(gateway.ask_whole("hi").status(), 429);
    assert_eq!(gateway.ask_whole("hi").status(), 429);
    assert_eq!(upstream.count(), 1, "the second one was answered without a call");

    restart(&gateway);

    assert_eq!((gateway.ask_whole("hi").status(), upstream.count()), (429, 1));
    // The master has asked for the state after the restart.
    thread::sleep(Duration::from_millis(500));
    let worker = gateway.worker();
    signal(worker, "KILL");
    await_that("another worker serves", || gateway.worker() != worker);
    assert_eq!((gateway.ask_whole("hi").status(), upstream.count()), (429, 1));
}
