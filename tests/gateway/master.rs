//! The master process and its workers: what is lost when a worker fails, when the program is replaced, and when the master
//! itself ends.

mod daemon;
mod file_changes;
pub(crate) mod last_good;
mod limits;
pub(crate) mod load;
mod moves;
mod permits;
mod processes;
mod respawn;
mod restart;
mod stop;

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::gateway::Gateway;

/// Sends a signal by its short name.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(sent.expect("kill is there").success(), "SIG{name} was not sent");
}

/// Whether a process exists that is no zombie.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// `vdm server restart`, which must succeed.
#[track_caller]
pub(crate) fn restart(gateway: &Gateway) -> Value {
    let Output { status, stdout, stderr } =
        gateway.server(&["restart", "--json"]).output().expect("vdm is built");
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{said}\n{}", gateway.log());
    serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// `vdm server restart`, which must fail with exit code 1; what it says.
#[track_caller]
fn refused_restart(gateway: &Gateway) -> String {
    let output = gateway.server(&["restart"]).output().expect("vdm is built");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}\n{}", gateway.log());
    said
}
