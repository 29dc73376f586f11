//! A disk that is full or read-only, and files that are damaged.

use std::process::Command;

use super::{await_requests, before};
use crate::support::await_that;
use crate::support::gateway::{Gateway, whole_prompt};
use crate::support::upstream::Upstream;

/// The state directory, below the working directory.
const STATE: &str = "state";

/// Whether this machine allows a mount in a namespace. A container may not.
fn can_mount() -> bool {
    let mount = ["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
    let can = Command::new("unshare").args(mount).output().is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: this machine allows no mount in a namespace");
    }
    can
}

/// Changes the mount options of the running gateway's state directory.
fn remount(gateway: &Gateway, options: &str) {
    let pid = gateway.run.pid().to_string();
    let working_directory = std::fs::read_link(format!("/proc/{pid}/cwd")).expect("Linux");
    let status = Command::new("nsenter")
        .args(["--target", &pid, "--user", "--mount", "--preserve-credentials"])
        .args(["mount", "-o", &format!("remount,{options}"), "tmpfs"])
        .arg(working_directory.join(STATE))
        .status();
    assert!(status.expect("nsenter is there").success());
}

/// Requirement: a full or read-only disk costs one warning. Requests are served, and all of them are in the history when the
/// disk can be written again, without a restart.
#[test]
fn a_disk_that_is_full_or_read_only_costs_a_warning_until_it_has_room() {
    if !can_mount() {
        return;
    }
    for options in ["size=16k", "ro"] {
        let upstream = Upstream::openai();
        let mount = format!("mkdir {STATE} && mount -t tmpfs -o {options} tmpfs {STATE}");
        let line = format!(r#"exec unshare -rm sh -c '{mount} && exec "$0" "$@"' "$0" "$@""#);
        let gateway = Gateway::before(&upstream).env("VDM_STATE_DIR", STATE).after_shell(&line).start();
        for _ in 0..5 {
            assert_eq!(gateway.ask("hi").status(), 200);
        }
        let log = gateway.run.await_log("cannot write the history");
        assert!(log.contains("set VDM_STATE_DIR, or VDM_HISTORY=off"), "{log}");

        remount(&gateway, "size=8m,rw");
        await_that("the history is written", || gateway.get("/api/ui/usage").status() == 200);
        await_requests(&gateway, 5);
        assert_eq!(gateway.log().matches("cannot write the history").count(), 1, "{}", gateway.log());
        gateway.run.await_log("the history is written again");
    }
}

/// Requirement: while the disk is full, usage says what is missing in it: in the answer, on the pages and in the terminal.
#[test]
fn while_the_disk_is_full_usage_says_what_is_missing() {
    if !can_mount() {
        return;
    }
    let upstream = Upstream::openai();
    let mount = format!("mkdir {STATE} && mount -t tmpfs -o size=4m,mode=777 tmpfs {STATE}");
    let line = format!(r#"exec unshare -rm sh -c '{mount} && exec "$0" "$@"' "$0" "$@""#);
    let gateway = Gateway::before(&upstream).env("VDM_STATE_DIR", STATE).after_shell(&line).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    await_requests(&gateway, 1);
    assert!(gateway.get("/api/ui/usage").json()["missing"].is_null());
    let pid = gateway.run.pid();
    let working_directory = std::fs::read_link(format!("/proc/{pid}/cwd")).expect("Linux");
    let state = format!("/proc/{pid}/root{}/{STATE}/filler", working_directory.display());
    assert!(std::fs::write(state, vec![7; 8 << 20]).is_err(), "the disk is full");
    for _ in 0..3 {
        assert_eq!(gateway.ask("hi").status(), 200);
    }
    gateway.run.await_log("cannot write the history");

    let usage = gateway.get("/api/ui/usage").json();
    assert_eq!(
        (&usage["missing"]["requests"], &usage["rows"][0]["requests"]),
        (&3.into(), &1.into()),
        "{usage:#}"
    );
    let words = "3 requests wait in memory and will be added, but are missing here: ";
    for page in ["usage", "traffic", ""] {
        let page = gateway.get(&format!("/dashboard/{page}")).raw();
        assert!(page.contains(words), "{page}");
    }
    let port = gateway.address.port().to_string();
    let shown = gateway.run.vdm(&["usage", "--port", &port]).output().expect("vdm is built");
    let errors = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && errors.contains(words), "{errors}");
}

/// Requirement: a damaged database is moved aside, never a failed start; one of a newer version is left alone.
#[test]
fn a_database_that_cannot_be_used_is_no_failed_start() {
    let upstream = Upstream::openai();
    let (setup, directory) = before(&upstream);
    let file = directory.join("history.db");
    std::fs::write(&file, "no database ".repeat(1_000)).unwrap();
    let gateway = setup.start();
    let log = gateway.run.await_log("is damaged");
    assert!(log.contains("history.db.corrupt-"), "{log}");
    assert_eq!(gateway.messages(&whole_prompt("m", "hi")).reply().status(), 200);
    await_requests(&gateway, 1);
    gateway.stop();
    let aside = std::fs::read_dir(&directory)
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("history.db.corrupt-"));
    assert!(std::fs::read(aside.expect("it is kept").path()).unwrap().starts_with(b"no database"));
}
