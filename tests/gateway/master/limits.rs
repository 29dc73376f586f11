//! The bounds of a restart: how many old workers drain, and how long a new program may take.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::{refused_restart, restart, runs};
use crate::process_control::paused;
use crate::support::await_that;
use crate::support::client::{Exchange, prompt};
use crate::support::gateway::{Gateway, MODEL, fresh_directory};

const VDM: &str = env!("CARGO_BIN_EXE_vdm");
/// The most workers that drain.
const MOST: usize = 8;

/// Requirement (issue 15): at most eight old workers drain. When another one starts to drain, the oldest one is ended at once, with
/// an error event for its clients; the streams of the others go on.
#[test]
fn at_most_eight_old_workers_drain() {
    let (upstream, events) = paused();
    let gateway = Gateway::before(&upstream).limit("drain", 600).start();
    let mut streams: Vec<(u32, Exchange)> = vec![];
    for _ in 0..=MOST {
        let mut stream = gateway.messages(&prompt(MODEL, "hi")).open();
        stream.event_named("content_block_delta");
        streams.push((gateway.worker(), stream));
        if streams.len() <= MOST {
            restart(&gateway);
        }
    }
    let draining = || gateway.status()["worker"]["draining"].as_array().map(Vec::len);
    assert_eq!(draining(), Some(MOST));
    assert!(streams.iter().all(|(worker, _)| runs(*worker)), "every worker has a stream");

    restart(&gateway);

    let (oldest, cut) = streams.remove(0);
    assert!(!cut.finish().error_type().is_empty());
    await_that("the oldest worker exits", || !runs(oldest));
    await_that("the others are listed", || draining() == Some(MOST));
    for _ in &streams {
        upstream.permit();
    }
    for (_, stream) in streams {
        assert_eq!(stream.finish().body, events.concat());
    }
}

/// Requirement (issue 15): a new program that never reports that it serves is killed after 30 s, and nothing has changed.
#[test]
fn a_program_that_never_serves_is_given_up() {
    let directory = fresh_directory();
    let program = directory.join("vdm");
    fs::copy(VDM, &program).expect("a writable directory");
    let gateway = Gateway::bare().program(&program).start();
    let worker = gateway.worker();
    let new = directory.join("new");
    fs::write(&new, "#!/bin/sh\necho $$ >started\nexec sleep 1000\n").expect("a writable directory");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("ours");
    fs::rename(new, &program).expect("a writable directory");
    let began = Instant::now();

    let told = refused_restart(&gateway);

    assert!(told.contains("the new worker did not serve within 30 s"), "{told}");
    assert!(began.elapsed() >= Duration::from_secs(30), "{:?}", began.elapsed());
    let started = fs::read_to_string(gateway.run.path("started")).expect("it was started");
    let started = started.trim().parse().expect("a number");
    await_that("the program is killed", || !runs(started));
    assert_eq!((gateway.worker(), gateway.get("/health").status()), (worker, 200));
    fs::remove_dir_all(directory).expect("ours");
}
