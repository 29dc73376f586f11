//! The files for systemd, Docker, Compose and Kubernetes agree with each other and with the gateway. `scripts/check deploy` checks
//! their syntax.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const UNIT: &str = "scripts/systemd/vandamme-proxy.service";
const KUBERNETES: &str = "examples/kubernetes/vandamme-proxy.yaml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What follows `key` on its line, without quotes and comments.
fn value(path: &str, key: &str) -> String {
    let text = read(path);
    let line = text.lines().find_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
    line.unwrap_or_else(|| panic!("{path}: no {key}")).trim().trim_matches('"').to_owned()
}

fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("no number of seconds: {text}"))
}

/// The lines that a file must contain.
fn assert_lines(path: &str, lines: &[&str]) {
    let text = read(path);
    for line in lines {
        let found = text.lines().any(|found| found.trim().trim_start_matches("- ") == *line);
        assert!(found, "{path}: no line {line:?}");
    }
}

/// Requirement: the service is hardened, restarts after a failure, has a watchdog, and gets its keys from a file of root or from
/// credentials.
#[test]
fn the_unit_is_hardened() {
    assert_lines(
        UNIT,
        &[
            "Type=notify",
            "Restart=on-failure",
            "DynamicUser=yes",
            "StateDirectory=vandamme-proxy",
            "CacheDirectory=vandamme-proxy",
            "RuntimeDirectory=vandamme-proxy",
            "EnvironmentFile=-/etc/vandamme-proxy/env",
            "ProtectSystem=strict",
            "NoNewPrivileges=yes",
            "CapabilityBoundingSet=",
            "MemoryDenyWriteExecute=yes",
            "SystemCallFilter=@system-service",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        ],
    );
    assert!(seconds(&value(UNIT, "WatchdogSec=")) > 0);
    assert!(read(UNIT).contains("#LoadCredential="));
    assert!(
        seconds(&value(UNIT, "LimitNOFILE=")) >= 2 * 10_000,
        "each of 10,000 connections needs two descriptors"
    );
}

/// Requirement: commands of root find the service's control socket, so the unit's directory is the one that `vdm` searches.
#[test]
fn root_finds_the_control_socket_of_the_unit() {
    assert!(read(UNIT).contains(" XDG_RUNTIME_DIR=%t/vandamme-proxy"));
    assert!(read("src/process/directory.rs").contains("\"/run/vandamme-proxy/vandamme\""));
}

/// Requirement: every supervisor waits longer than the gateway drains (`limits.drain`), so it does not cut off requests.
#[test]
fn every_time_to_stop_is_longer_than_the_drain() {
    let limits = read("docs/limits.md");
    let row = limits.lines().find(|line| line.contains("`drain`")).expect("a row for drain");
    assert!(row.contains("25"), "the default has changed: {row}");
    let drain = 25;
    assert!(seconds(&value(UNIT, "TimeoutStopSec=")) > drain);
    assert!(seconds(&value("compose.yaml", "stop_grace_period:")) > drain);
    let before = seconds(&value(KUBERNETES, "seconds:"));
    assert!(seconds(&value(KUBERNETES, "terminationGracePeriodSeconds:")) > before + drain);
}

/// Requirement: container, Compose and Kubernetes run the same unprivileged user with a read-only root, no capabilities, and the same
/// directories for state.
/// Checklist 54.
#[test]
fn the_container_is_confined_everywhere() {
    assert_lines(
        "Dockerfile",
        &["FROM scratch", "USER 10001:10001", "VOLUME [\"/var/lib/vdm\"]", "ENV HOST=0.0.0.0"],
    );
    assert_eq!(read("Dockerfile").lines().next(), Some("# syntax=docker/dockerfile:1"));
    assert!(read("scripts/image-root").contains("user=10001"));
    assert_lines(
        "compose.yaml",
        &["read_only: true", "ALL", "no-new-privileges:true", "required: false", "restart: unless-stopped"],
    );
    assert!(read("compose.yaml").contains("state:/var/lib/vdm"));
    assert_lines(
        KUBERNETES,
        &[
            "runAsNonRoot: true",
            "runAsUser: 10001",
            "fsGroup: 10001",
            "allowPrivilegeEscalation: false",
            "readOnlyRootFilesystem: true",
            "drop: [\"ALL\"]",
            "mountPath: /var/lib/vdm",
            "mountPath: /tmp",
            "path: /health/live",
            "path: /health/ready",
            "kind: PodDisruptionBudget",
        ],
    );
}

/// Checklist 55: `docker compose up` keeps caches and history in a volume.
#[test]
fn caches_and_history_are_in_the_volume() {
    assert_lines("Dockerfile", &["ENV CACHE_DIR=/var/lib/vdm/cache", "ENV VDM_STATE_DIR=/var/lib/vdm/state"]);
    assert!(read("compose.yaml").contains("state:/var/lib/vdm"));
}

/// Requirement: Compose checks the health in the same way as the image.
#[test]
fn compose_and_image_have_one_health_check() {
    let check = value("Dockerfile", "HEALTHCHECK");
    let (_, command) = check.split_once("CMD ").expect("a command");
    let words = command.trim_start_matches('[');
    assert_eq!(value("compose.yaml", "test:"), format!("[\"CMD\", {words}"));
}

/// Requirement: the configuration in the Kubernetes example is valid.
#[test]
fn the_configuration_of_the_kubernetes_example_is_valid() {
    let text = read(KUBERNETES);
    let (_, block) = text.split_once("vandamme-config.toml: |\n").expect("a file in the ConfigMap");
    let lines: Vec<&str> = block.lines().take_while(|line| *line != "---").map(str::trim_start).collect();
    let file = std::env::temp_dir().join(format!("vdm-kubernetes-{}.toml", std::process::id()));
    fs::write(&file, lines.join("\n")).expect("a writable directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
    command.args(["config", "validate", "--config"]).arg(&file).env_clear().current_dir(std::env::temp_dir());
    let checked = command.output().expect("vdm is built");
    let _removed = fs::remove_file(&file);
    assert!(checked.status.success(), "{checked:?}");
}

/// Requirement: the image's root file system contains all that the binary needs. Needs root, for chroot.
#[test]
fn the_binary_runs_in_the_root_of_the_image() {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        eprintln!("SKIPPED: chroot needs root");
        return;
    }
    let image: PathBuf = std::env::temp_dir().join(format!("vdm-image-{}", std::process::id()));
    let mut build = Command::new(root().join("scripts/image-root"));
    let built = build.arg(env!("CARGO_BIN_EXE_vdm")).arg(&image).output().expect("a script");
    assert!(built.status.success(), "{built:?}");
    let mut inside = Command::new("chroot");
    inside.args(["--userspec=10001:10001"]).arg(&image).args(["/usr/local/bin/vdm", "config", "validate"]);
    let ran =
        inside.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/home/vdm").output();
    let _removed = fs::remove_dir_all(&image);
    let ran = ran.expect("chroot is installed");
    assert!(ran.status.success(), "{ran:?}");
}
