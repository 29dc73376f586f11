//! A disk that is full or read-only.

use std::process::Command;

use crate::support::await_that;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Upstream};

/// The cache directory, below the working directory.
const CACHE: &str = "disk";
/// A list of models that is longer than a page, the least size of a tmpfs.
fn list() -> String {
    let models: Vec<_> = (0..400).map(|number| format!(r#"{{"id":"model-{number:040}"}}"#)).collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, models.join(","))
}

/// Whether this machine allows a mount in a namespace. A container may not.
pub(super) fn can_mount() -> bool {
    let mount = ["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
    let can = Command::new("unshare").args(mount).output().is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: this machine allows no mount in a namespace");
    }
    can
}

/// A gateway before which this shell command, which may mount, runs in a namespace of its own.
fn in_namespace(upstream: &Upstream, command: &str) -> Setup {
    let line = format!(r#"exec unshare -rm sh -c '{command} && exec "$0" "$@"' "$0" "$@""#);
    Gateway::before(upstream).after_shell(&line)
}

/// A gateway whose cache directory is a file system of its own with these mount options.
fn on_disk(upstream: &Upstream, options: &str) -> Setup {
    let mount = format!("mkdir {CACHE} && mount -t tmpfs -o {options} tmpfs {CACHE}");
    in_namespace(upstream, &mount).env("CACHE_DIR", CACHE)
}

/// Changes the mount options of the running gateway's disk.
fn remount(gateway: &Gateway, options: &str) {
    let pid = gateway.run.pid().to_string();
    let working_directory = std::fs::read_link(format!("/proc/{pid}/cwd")).expect("Linux");
    let status = Command::new("nsenter")
        .args(["--target", &pid, "--user", "--mount", "--preserve-credentials"])
        .args(["mount", "-o", &format!("remount,{options}"), "tmpfs"])
        .arg(working_directory.join(CACHE))
        .status();
    assert!(status.expect("nsenter is there").success());
}

/// The bytes of all stored lists.
fn stored(gateway: &Gateway) -> u64 {
    let directory = format!("/proc/{}/cwd/{CACHE}/models/openai", gateway.run.pid());
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let lists = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "json"));
    lists.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Requirement (issue 15, 5): a full or read-only cache directory costs one warning that names the remedy. Requests and
/// lists are served, and lists are stored again when the disk has room, without a restart.
#[test]
fn a_disk_that_is_full_or_read_only_costs_a_warning_until_it_has_room() {
    if !can_mount() {
        return;
    }
    for (options, cause) in [("size=4k", "No space left on device"), ("ro", "Read-only file system")] {
        let upstream = Upstream::openai()
            .ruled_by(|seen| seen.head.first.starts_with("GET").then(|| Answer::json(200, list())));
        let gateway = on_disk(&upstream, options).start();
        for _ in 0..3 {
            let models = gateway.get("/v1/models?refresh=true").json();
            assert_eq!(models["data"].as_array().map(Vec::len), Some(400));
            assert_eq!(gateway.ask("hi").text(), "Hello there!");
        }
        let log = gateway.run.await_log("set CACHE_DIR, or MODELS_CACHE_ENABLED=false");
        assert!(log.contains(&format!("/{CACHE}/models: {cause}")), "{log}");
        assert_eq!(log.matches("cannot store model lists").count(), 1, "{log}");
        assert_eq!(stored(&gateway), 0, "half a list is not kept");

        remount(&gateway, "size=1m,rw");
        await_that("the list is stored", || {
            assert_eq!(gateway.get("/v1/models?refresh=true").status(), 200);
            stored(&gateway) > 4_096
        });
    }
}

/// Requirement (issue 15, 5): a gateway whose runtime directory is read-only serves requests; one log line says why it has
/// no control socket and names the remedy.
#[test]
fn a_read_only_runtime_directory_costs_the_control_socket_only() {
    if !can_mount() {
        return;
    }
    let upstream = Upstream::anthropic();
    let mount = r#"mount -t tmpfs -o ro tmpfs "$XDG_RUNTIME_DIR""#;
    let mut gateway = in_namespace(&upstream, mount).start();
    let log = gateway.run.await_log("without a control socket");
    assert!(log.contains("/vandamme: Read-only file system"), "{log}");
    assert!(log.contains("set XDG_RUNTIME_DIR to a writable directory of yours"), "{log}");
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
    gateway.run.signal("TERM");
    assert_eq!(gateway.run.wait().code(), Some(0));
}
